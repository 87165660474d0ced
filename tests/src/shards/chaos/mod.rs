//! `ChaosShards`: groups join, leave and get single shards while servers and whole groups crash, links within
//! and between clusters are cut, and clients read and write.
//!
//! There are three phases. In the first, as in the other generated scenarios, anything may happen, and only
//! safety is checked. Then everything runs and is connected: every operation must complete, every group must
//! come to the latest configuration, and what was handed over must be deleted. In the third, each change of the
//! configuration has at most one fault, and then the same is required again. No client is at work there, whose
//! operations could set something in motion that stands still.
//!
//! | file | what it holds |
//! |---|---|
//! | `faults` | what is done to servers and links, and when |

mod faults;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use labraft::{Checked, Lab, Steps, Threshold, expectation};
use labrpc::{Dice, JoinHandle};
use shardctrler::N_SHARDS;

use super::admin::Admin;
use super::groups::{Client, GROUPS, Groups, GroupsSetup, gid, gids, groups};
use super::work::in_time;
use crate::scenarios::{Work, heal_network, read_and_write};
use crate::steps::{check, check_threshold, spawn_client};

use faults::{Fault, When, start_and_connect};

/// How long the phase of faults lasts.
const FAULT_PHASE: Duration = Duration::from_secs(15);
/// How long everybody may take after the last fault to complete what they are doing.
const ANSWERS: Duration = Duration::from_secs(30);
/// The longest time between two changes of the configuration, and between two questions for the latest one.
const LONGEST_UNCHANGED: Duration = Duration::from_millis(900);
/// The longest time that a fault of the third phase lasts.
const LONGEST_FAULT: Duration = Duration::from_secs(1);
/// The number of keys: one for each shard.
const KEYS: u64 = 10;
/// The number of keys that clients read and write: few, so that they meet, or all.
const WRITTEN_KEYS: [u64; 2] = [2, KEYS];
/// How many times a group leaves and comes back in the third phase.
const ROUNDS: usize = 3;
/// How many times every key is read at the end: the log must not grow by that.
const READS: usize = 8;
/// How long a change may take on average when many follow one another, everything runs, and no message is lost.
/// Twice the interval at which the course has groups ask for configurations.
const LONGEST_CHANGE: Duration = Duration::from_millis(200);

/// The numbers of the schedules, for [`labrpc::Runtime::happens`]: of faults, of changes of the configuration,
/// and of the work of the first client. Those of other clients follow.
const FAULTS: u32 = 0;
const CHANGES: u32 = 1;
const WORK: u32 = 2;

/// The sharded service under generated faults.
pub(crate) fn chaos_shards(lab: Lab) -> Steps {
    lab.draw_chaos();
    let dice = lab.world().tester().workload(0);
    let (setup, has_bounded_size) = draw_setup(&dice);
    setup.run(lab, async move |cfg, admin, client| {
        scenario(cfg, admin, client, &dice).await?;
        if has_bounded_size { cfg.check_sizes() } else { Ok(()) }
    })
}

/// Draws what the scenario runs on, and returns whether the size of saved states is bounded: with a snapshot after
/// every entry, a single entry would be more than the bound.
fn draw_setup(dice: &Dice) -> (GroupsSetup, bool) {
    let mut setup = groups();
    if dice.below(2) == 1 {
        setup = setup.unreliable();
    }
    let max_raft_state = [1, 100, 1000][dice.below(3) as usize];
    let has_snapshots = dice.below(2) == 1;
    if has_snapshots {
        setup = setup.snapshots(max_raft_state);
    }
    // A group that is larger than the others.
    if dice.below(2) == 1 {
        setup = setup.size(dice.below(GROUPS as u64) as usize, 5);
    }
    (setup, has_snapshots && max_raft_state > 1)
}

async fn scenario(
    cfg: &Groups,
    admin: &mut Admin,
    client: &mut Client,
    dice: &Dice,
) -> Checked<()> {
    let is_over = Rc::<Cell<bool>>::default();
    let client_count = 2 + dice.below(4) as usize;
    let keys = WRITTEN_KEYS[dice.below(2) as usize];
    let mut work: Vec<JoinHandle<()>> = (0..client_count)
        .map(|i| {
            let schedule = WORK + i as u32;
            let (reading, is_over) = (Rc::default(), is_over.clone());
            let work = Work { i, keys, schedule, reading, is_over };
            spawn_client(cfg, "client", client_at_work(cfg.clone(), work))
        })
        .collect();
    let changes = change(cfg.clone(), is_over.clone());
    work.push(spawn_client(cfg, "administrator", changes));
    let questions = ask(cfg.clone(), is_over.clone());
    work.push(spawn_client(cfg, "observer", questions));
    inject_faults(cfg, dice).await;
    is_over.set(true);
    heal_network(cfg);
    start_and_connect(cfg);
    in_time(cfg, ANSWERS, async {
        for each in work {
            each.await;
        }
        // One more change, to which every group must come, and everything must be there.
        let all: Vec<usize> = (0..GROUPS).collect();
        cfg.join(admin, &all).await;
        check_members(cfg, admin, &all).await?;
        read_all(cfg, client).await;
        Ok(())
    })
    .await?;
    // The course's network, without the faults of the first phase: it may lose messages.
    cfg.network().reliable(dice.below(2) == 0);
    for _ in 0..ROUNDS {
        leave_and_return(cfg, admin, client, dice).await?;
    }
    cfg.network().reliable(true);
    move_all(cfg, admin).await?;
    for _ in 0..READS {
        in_time(cfg, ANSWERS, async {
            read_all(cfg, client).await;
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn read_all(cfg: &Groups, client: &mut Client) {
    for key in 0..KEYS {
        cfg.get(client, &key.to_string()).await;
    }
}

/// A client that reads and writes.
async fn client_at_work(cfg: Groups, work: Work) -> Checked<()> {
    let client = cfg.make_client();
    read_and_write(&cfg, client, work).await
}

/// Has groups join and leave, and shards move, until it is told to stop. There is always a group: without one,
/// the course's service forgets everything.
async fn change(cfg: Groups, is_over: Rc<Cell<bool>>) -> Checked<()> {
    let mut admin = cfg.make_admin();
    let dice = cfg.client_dice(u32::MAX / 8);
    let mut is_in = [false; GROUPS];
    is_in[0] = true;
    cfg.join(&mut admin, &[0]).await;
    while !is_over.get() {
        let group = dice.below(GROUPS as u64) as usize;
        let shard = dice.below(N_SHARDS as u64) as usize;
        let is_move = dice.below(3) == 0;
        let pause = dice.span(Duration::ZERO, LONGEST_UNCHANGED);
        // Often two changes follow one another at once.
        let is_quick = dice.below(3) == 0;
        let is_checked = dice.below(3) == 0;
        if cfg.tester().happens(CHANGES) {
            let others = is_in.iter().filter(|is_in| **is_in).count() - usize::from(is_in[group]);
            if !is_in[group] {
                is_in[group] = true;
                cfg.join(&mut admin, &[group]).await;
            } else if is_move {
                cfg.move_shard(&mut admin, shard, gid(group)).await;
            } else if others > 0 {
                is_in[group] = false;
                cfg.leave(&mut admin, &[group]).await;
            }
            if is_checked {
                let members: Vec<usize> = (0..GROUPS).filter(|&group| is_in[group]).collect();
                check_members(&cfg, &mut admin, &members).await?;
            }
        }
        if !is_quick {
            cfg.sleep(pause).await;
        }
    }
    Ok(())
}

/// Asks for the latest configuration again and again, until it is told to stop.
async fn ask(cfg: Groups, is_over: Rc<Cell<bool>>) -> Checked<()> {
    let mut admin = cfg.make_admin();
    let dice = cfg.client_dice(u32::MAX / 8 - 1);
    while !is_over.get() {
        cfg.query(&mut admin).await?;
        cfg.sleep(dice.span(Duration::ZERO, LONGEST_UNCHANGED)).await;
    }
    Ok(())
}

/// Checks that the latest configuration has these groups. Nobody else may be changing it.
async fn check_members(cfg: &Groups, admin: &mut Admin, groups: &[usize]) -> Checked<()> {
    let config = cfg.query(admin).await?;
    let there: Vec<u64> = config.groups.keys().copied().collect();
    let wanted = gids(groups);
    check(cfg, there == wanted, || {
        expectation!("configuration {} has the groups {there:?}, expected {wanted:?}", config.num)
    })
}

/// Draws faults and carries them out, until the phase of faults is over.
async fn inject_faults(cfg: &Groups, dice: &Dice) {
    let end = cfg.tester().now() + FAULT_PHASE;
    while cfg.tester().now() < end {
        let when = When::draw(dice, dice.below(GROUPS as u64) as usize);
        let fault = Fault::draw(cfg, dice);
        when.come(cfg).await;
        if cfg.tester().happens(FAULTS) {
            fault.carry_out(cfg);
        }
    }
}

/// Moves all shards, one after the other. The groups go through these configurations without anything to wait
/// for.
async fn move_all(cfg: &Groups, admin: &mut Admin) -> Checked<()> {
    let config = cfg.query(admin).await?;
    let begun = cfg.tester().now();
    in_time(cfg, ANSWERS, async {
        for (shard, owner) in config.shards.iter().enumerate() {
            let others: Vec<usize> = (0..GROUPS).filter(|&group| gid(group) != *owner).collect();
            cfg.move_shard(admin, shard, gid(others[shard % others.len()])).await;
        }
        Ok(())
    })
    .await?;
    let each = (cfg.tester().now() - begun) / N_SHARDS as u32;
    check_threshold(cfg, Threshold::OperationTime, each <= LONGEST_CHANGE, || {
        expectation!(
            "{N_SHARDS} changes of the configuration took {} ms each; the limit is {} ms",
            each.as_millis(),
            LONGEST_CHANGE.as_millis()
        )
    })
}

/// Has a group leave and come back, each time with a fault of a group at some step of the migration, and reads
/// every key.
async fn leave_and_return(
    cfg: &Groups,
    admin: &mut Admin,
    client: &mut Client,
    dice: &Dice,
) -> Checked<()> {
    let group = dice.below(GROUPS as u64) as usize;
    for is_return in [false, true] {
        let others = dice.below(2 * GROUPS as u64) as usize;
        let struck = if others < GROUPS { others } else { group };
        let when = When::draw(dice, struck);
        let fault = Fault::draw_for_group(cfg, dice, struck);
        let lasts = dice.span(Duration::ZERO, LONGEST_FAULT);
        in_time(cfg, ANSWERS, async {
            match is_return {
                true => cfg.join(admin, &[group]).await,
                false => cfg.leave(admin, &[group]).await,
            }
            when.come(cfg).await;
            if cfg.tester().happens(FAULTS) {
                fault.carry_out(cfg);
            }
            cfg.sleep(lasts).await;
            start_and_connect(cfg);
            Ok(())
        })
        .await?;
    }
    in_time(cfg, ANSWERS, async {
        read_all(cfg, client).await;
        Ok(())
    })
    .await
}
