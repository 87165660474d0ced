//! Part 2F, which is optional: a leader hands leadership to a server of the caller's choice. See Ongaro's
//! thesis, section 3.10.
//!
//! The network is reliable in all of these tests, so what should take a few messages must not take an election
//! time-out, and nobody but the chosen server has a reason to stand for election.

use std::time::Duration;

use labraft::{Checked, Config, Part, RAFT_ELECTION_TIMEOUT, Started, expectation};

use crate::reigns::{Reign, check_offered, reign, state};
use crate::steps::{LOOK_EVERY, check, find_leader, random, restart};

/// How long a transfer may take if nothing is missing: a few messages, and whatever a Raft waits for between
/// them, but no election time-out.
const AT_ONCE: Duration = Duration::from_millis(100);
/// How often a test looks whether a transfer has succeeded.
const MILLISECOND: Duration = Duration::from_millis(1);
/// How often a test asks for a transfer that may rightly be given up.
const ATTEMPTS: usize = 5;

/// The server that is `step` places after the leader.
fn follower(cfg: &Config, Reign { leader, .. }: Reign, step: usize) -> usize {
    (leader + step) % cfg.n()
}

/// After how much time the Raft under test gives up a transfer, as it declares.
fn longest(cfg: &Config) -> Duration {
    cfg.lab().implementation().offers.leader_transfer.unwrap_or(RAFT_ELECTION_TIMEOUT)
}

/// Has a leader begin to hand over to a server that is up.
fn begin(cfg: &Config, Reign { leader, term }: Reign, to: usize) -> Checked<()> {
    check(cfg, cfg.transfer_leadership(leader, to), || {
        expectation!("server {leader} leads term {term}, and does not hand over to server {to}")
    })?;
    let transferee = cfg.transferee(leader);
    check(cfg, transferee == Some(to), || {
        expectation!(
            "server {leader} has begun to hand over to server {to}, and shows {transferee:?} as its transferee"
        )
    })?;
    let started = cfg.start(leader, random(cfg));
    check(cfg, started.is_none(), || {
        expectation!("server {leader} takes a command while it hands over to server {to}")
    })
}

/// Whether a server leads in a term after this one.
fn leads_after(cfg: &Config, server: usize, term: u64) -> bool {
    let now = state(cfg, server);
    now.is_leader && now.term > term
}

/// Waits until the chosen server leads: within this time, and in the very next term.
async fn next_reign(cfg: &Config, first: Reign, to: usize, limit: Duration) -> Checked<Reign> {
    let began = cfg.tester().now();
    let Reign { leader, term } = first;
    while !leads_after(cfg, to, term) {
        let took = cfg.tester().now() - began;
        check(cfg, took <= limit, || {
            expectation!(
                "server {to} does not lead {} ms after server {leader} began to hand over to it; the limit is \
                 {} ms",
                took.as_millis(),
                limit.as_millis()
            )
        })?;
        cfg.sleep(MILLISECOND).await;
    }
    check_next(cfg, first, to).await
}

/// Checks that the chosen server leads the next term, and that the old leader learns of it.
async fn check_next(cfg: &Config, Reign { leader, term }: Reign, to: usize) -> Checked<Reign> {
    let now = state(cfg, to);
    check(cfg, now.term == term + 1, || {
        expectation!(
            "server {leader} led term {term} and handed over to server {to}, which leads term {}: one election \
             should have been enough",
            now.term
        )
    })?;
    let end = cfg.tester().now() + AT_ONCE;
    while cfg.transferee(leader).is_some() {
        check(cfg, cfg.tester().now() < end, || {
            expectation!(
                "server {to} has led for {} ms, and server {leader} is still handing over to it",
                AT_ONCE.as_millis()
            )
        })?;
        cfg.sleep(MILLISECOND).await;
    }
    Ok(Reign { leader: to, term: now.term })
}

/// Hands over to a server that has something to catch up on, so that an attempt may be given up.
async fn hand_over(cfg: &Config, first: Reign, to: usize) -> Checked<Reign> {
    for _ in 0..ATTEMPTS {
        if cfg.transferee(first.leader).is_none() {
            begin(cfg, first, to)?;
        }
        let end = cfg.tester().now() + longest(cfg);
        while cfg.tester().now() < end {
            if leads_after(cfg, to, first.term) {
                return check_next(cfg, first, to).await;
            }
            cfg.sleep(MILLISECOND).await;
        }
    }
    let Reign { leader, .. } = first;
    Err(cfg.expected(expectation!(
        "server {leader} was asked {ATTEMPTS} times to hand over to server {to}, which is up and connected, \
         and server {to} does not lead"
    )))
}

/// Checks that a leader takes commands again: it leads the same term, and gives up what cannot succeed within the
/// time that it declares, from `began` on.
async fn takes_commands_again(cfg: &Config, reign: Reign, began: Duration) -> Checked<()> {
    let Reign { leader, term } = reign;
    // It gives up when its timer fires, and has to be looked at.
    let limit = longest(cfg) + 4 * LOOK_EVERY;
    loop {
        let now = state(cfg, leader);
        check(cfg, now.is_leader && now.term == term, || {
            expectation!(
                "server {leader} led term {term} and tried to hand over to a server that cannot be elected; now \
                 it leads no longer"
            )
        })?;
        if let Some(Started { term: now, .. }) = cfg.start(leader, random(cfg)) {
            return check(cfg, now == term, || {
                expectation!("server {leader} took a command in term {now}, and leads term {term}")
            });
        }
        let took = cfg.tester().now() - began;
        check(cfg, took <= limit, || {
            expectation!(
                "server {leader} takes no commands {} ms after it began to hand over to a server that cannot be \
                 elected; the limit is {} ms",
                took.as_millis(),
                limit.as_millis()
            )
        })?;
        cfg.sleep(5 * MILLISECOND).await;
    }
}

/// Leadership goes from server to server, to those that have the whole log. Catches a target that waits for its
/// time-out or asks for pre-votes, voters that disregard it because they hear their leader, and transfers that
/// begin where none can.
pub(crate) async fn hand_overs(cfg: &Config) -> Checked<()> {
    let mut reign = reign(cfg, Part::Raft2F).await?;
    for round in 0..2 * cfg.n() {
        let Reign { leader, .. } = reign;
        let to = follower(cfg, reign, 1 + round % (cfg.n() - 1));
        for (from, to) in [(to, leader), (to, to), (leader, leader), (leader, cfg.n())] {
            check(cfg, !cfg.transfer_leadership(from, to), || {
                expectation!(
                    "server {from} says that it hands over to server {to}; server {leader} leads, of {} servers",
                    cfg.n()
                )
            })?;
        }
        begin(cfg, reign, to)?;
        reign = next_reign(cfg, reign, to, AT_ONCE).await?;
        cfg.one(random(cfg), cfg.n(), false).await?;
        let now = cfg.check_terms()?;
        check(cfg, now == reign.term && state(cfg, to).is_leader, || {
            expectation!("server {to} was elected in term {}, and soon replaced", reign.term)
        })?;
    }
    Ok(())
}

/// The chosen server lacks entries; at first, when there are none, the term. Catches a leader that tells it to stand
/// before it has them, or never sends them, and a target that is put off by a newer term.
pub(crate) async fn slow_target(cfg: &Config) -> Checked<()> {
    check_offered(cfg, Part::Raft2F)?;
    let last = cfg.n() - 1;
    cfg.crash1(last);
    let (leader, term) = find_leader(cfg, |_| true, 0).await?;
    restart(cfg, last);
    let mut reign = hand_over(cfg, Reign { leader, term }, last).await?;
    for round in 0..cfg.n() {
        let to = follower(cfg, reign, 1 + round % (cfg.n() - 1));
        cfg.disconnect(to);
        let commands: Vec<(u64, u64)> = (0..30).filter_map(|_| start(cfg, reign.leader)).collect();
        // Not so long that it stands for election by itself.
        cfg.sleep(20 * MILLISECOND).await;
        cfg.connect(to);
        reign = hand_over(cfg, reign, to).await?;
        check_kept(cfg, &commands).await?;
        cfg.one(random(cfg), cfg.n(), false).await?;
    }
    Ok(())
}

/// Starts a command on a server. Returns the index that it is to have, and the command.
fn start(cfg: &Config, server: usize) -> Option<(u64, u64)> {
    let command = random(cfg);
    cfg.start(server, command).map(|started| (started.index, command))
}

/// Checks that commands that a leader took before it handed over are committed where it said.
async fn check_kept(cfg: &Config, commands: &[(u64, u64)]) -> Checked<()> {
    // What is of an earlier term is committed with the next command.
    cfg.one(random(cfg), cfg.n(), true).await?;
    for &(index, command) in commands {
        let applied = cfg.n_committed(index)?.1;
        check(cfg, applied == Some(labraft::Command::Int(command).to_bytes()), || {
            expectation!(
                "the leader took {command} at index {index} before it handed over, and the command was lost"
            )
        })?;
    }
    Ok(())
}

/// The chosen server was down, and needs a snapshot. Catches a leader that waits for the answer to an AppendEntries
/// only, and one that counts the snapshot it has sent.
pub(crate) async fn snapshot_target(cfg: &Config) -> Checked<()> {
    for _ in 0..3 {
        let first = reign(cfg, Part::Raft2F).await?;
        let to = follower(cfg, first, 1);
        cfg.crash1(to);
        for _ in 0..3 * labraft::SNAPSHOT_INTERVAL {
            cfg.one(random(cfg), cfg.n() - 1, true).await?;
        }
        restart(cfg, to);
        hand_over(cfg, first, to).await?;
        cfg.one(random(cfg), cfg.n(), true).await?;
    }
    Ok(())
}

/// The chosen server is down, cut off, or not heard; later it is back. Catches a leader that waits for it for ever, and
/// one that takes commands meanwhile.
pub(crate) async fn dead_target(cfg: &Config) -> Checked<()> {
    for round in 0..6 {
        let first = reign(cfg, Part::Raft2F).await?;
        let to = follower(cfg, first, 1 + round % (cfg.n() - 1));
        let others: Vec<usize> = (0..cfg.n()).filter(|&i| i != to).collect();
        match round % 3 {
            0 => cfg.crash1(to),
            1 => cfg.disconnect(to),
            _ => cfg.mute(to, others.iter().copied()),
        }
        let began = cfg.tester().now();
        // It may know that the server is down, and not even begin.
        cfg.transfer_leadership(first.leader, to);
        takes_commands_again(cfg, first, began).await?;
        cfg.one(random(cfg), cfg.n() - 1, false).await?;
        restart(cfg, to);
        cfg.one(random(cfg), cfg.n(), true).await?;
        let second = reign_of_any(cfg, first.leader).await?;
        if second.leader != to {
            hand_over(cfg, second, to).await?;
        }
    }
    Ok(())
}

/// Clients start commands at the very moment at which the leader begins to hand over. Catches a target that stands
/// without the last entries, commands that are taken in between, and such that are lost.
pub(crate) async fn busy_leader(cfg: &Config) -> Checked<()> {
    let mut reign = reign(cfg, Part::Raft2F).await?;
    let mut commands = Vec::new();
    for round in 0..4 * cfg.n() {
        let to = follower(cfg, reign, 1 + round % (cfg.n() - 1));
        for _ in 0..5 {
            commands.extend(start(cfg, reign.leader));
        }
        cfg.sleep(Duration::from_micros(20 * round as u64)).await;
        commands.extend(start(cfg, reign.leader));
        begin(cfg, reign, to)?;
        let first = reign;
        let began = cfg.tester().now();
        let mut pause = Duration::from_micros(30);
        while !leads_after(cfg, to, first.term) {
            // Whoever leads takes commands, and the one that hands over does not.
            commands.extend((0..cfg.n()).filter_map(|i| start(cfg, i)));
            cfg.sleep(pause).await;
            // A transfer takes a few messages. If it takes longer, nothing is gained by so many commands.
            if cfg.tester().now() > began + MILLISECOND {
                pause = (2 * pause).min(LOOK_EVERY);
            }
            let took = cfg.tester().now() - began;
            check(cfg, took <= longest(cfg), || {
                expectation!(
                    "server {to} does not lead {} ms after server {} began to hand over to it",
                    took.as_millis(),
                    first.leader
                )
            })?;
        }
        reign = check_next(cfg, first, to).await?;
    }
    check_kept(cfg, &commands).await
}

/// A second transfer begins while the first cannot succeed. Catches a leader that goes on for longer when it is
/// asked again, and one that cannot change its mind.
pub(crate) async fn second_transfer(cfg: &Config) -> Checked<()> {
    for round in 0..3 {
        let first = reign(cfg, Part::Raft2F).await?;
        let dead = follower(cfg, first, 1);
        let other = follower(cfg, first, 2 + round);
        cfg.disconnect(dead);
        let began = cfg.tester().now();
        for _ in 0..4 {
            cfg.transfer_leadership(first.leader, dead);
            cfg.sleep(longest(cfg) / 5).await;
        }
        takes_commands_again(cfg, first, began).await?;

        cfg.transfer_leadership(first.leader, dead);
        cfg.sleep(longest(cfg) / 3).await;
        begin(cfg, first, other)?;
        next_reign(cfg, first, other, AT_ONCE).await?;
        cfg.one(random(cfg), cfg.n() - 1, false).await?;
        restart(cfg, dead);
    }
    Ok(())
}

/// A leader is cut off and replaced while it hands over, and leads again later. Catches one that then goes on with
/// what it had begun.
pub(crate) async fn old_transfer(cfg: &Config) -> Checked<()> {
    for _ in 0..3 {
        let first = reign(cfg, Part::Raft2F).await?;
        let Reign { leader, term } = first;
        let dead = follower(cfg, first, 1);
        cfg.crash1(dead);
        cfg.transfer_leadership(leader, dead);
        cfg.disconnect(leader);
        let is_asked = |i| i != leader && i != dead;
        let (next, _) = find_leader(cfg, is_asked, term + 1).await?;
        cfg.connect(leader);
        restart(cfg, dead);
        cfg.one(random(cfg), cfg.n(), true).await?;
        let second = reign_of_any(cfg, next).await?;
        if second.leader != leader {
            begin(cfg, second, leader)?;
            next_reign(cfg, second, leader, AT_ONCE).await?;
        }
        let started = cfg.start(leader, random(cfg));
        check(cfg, started.is_some(), || {
            expectation!("server {leader} leads again, and takes no command")
        })?;
        cfg.one(random(cfg), cfg.n(), false).await?;
    }
    Ok(())
}

/// The present leader; `likely` if that still leads.
async fn reign_of_any(cfg: &Config, likely: usize) -> Checked<Reign> {
    let now = state(cfg, likely);
    if now.is_leader {
        return Ok(Reign { leader: likely, term: now.term });
    }
    let (leader, term) = find_leader(cfg, |_| true, 0).await?;
    Ok(Reign { leader, term })
}
