//! Part 2G, which is optional: reads without log entries. A leader confirms that it leads, and its service
//! answers from its own state. See Ongaro's thesis, sections 6.4 and 6.4.1.
//!
//! What every read has to see is not checked here, but by the lab itself, whoever reads: a property (`read-index`)
//! compares each confirmed read with what was committed anywhere when it began. The tests lead into the situations
//! that matter, and require that reads are answered, and at what cost.

use std::time::Duration;

use labraft::{Checked, Config, Part, expectation};

use crate::reads::{END_LIMIT, Outcome, Read, all_end};
use crate::reigns::{check_offered, connected, leads_after, others, state};
use crate::steps::{LOOK_EVERY, check, find_leader, random, restart, rpcs};

/// How long a read may take on a leader that its followers hear.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How long the others have to elect another leader, and longer than any lease.
const LONG: Duration = Duration::from_secs(3);
/// How often a server that is cut off is asked for reads.
const READ_EVERY: Duration = Duration::from_millis(5);

/// Waits for a leader that all connected servers follow.
async fn leader(cfg: &Config) -> Checked<usize> {
    check_offered(cfg, Part::Raft2G)?;
    cfg.one(random(cfg), connected(cfg), true).await?;
    let (leader, _) = find_leader(cfg, |i| cfg.is_connected(i), 0).await?;
    Ok(leader)
}

/// Waits for a leader among these servers in a term after this one, as soon as there is one.
async fn next_leader(cfg: &Config, servers: &[usize], after: u64) -> Checked<usize> {
    let (leader, _) = find_leader(cfg, |i| servers.contains(&i), after + 1).await?;
    Ok(leader)
}

/// Begins a read on a server that leads undisturbed, and returns the index at which it is confirmed.
async fn confirm(cfg: &Config, server: usize) -> Checked<u64> {
    let Some(pending) = cfg.read(server) else {
        return Err(cfg.expected(expectation!("server {server} leads, and takes no read")));
    };
    match cfg.tester().timeout(ANSWER_LIMIT, pending).await {
        Some(Some(index)) => Ok(index),
        Some(None) => Err(cfg.expected(expectation!(
            "server {server} leads undisturbed, and says that it could not confirm a read"
        ))),
        None => Err(cfg.expected(expectation!(
            "server {server} has not confirmed a read within {} ms, though its followers hear it",
            ANSWER_LIMIT.as_millis()
        ))),
    }
}

/// Reads after every command, and many reads in between. Catches a follower that takes reads, an index that is too
/// low, and reads that go through the log.
pub(crate) async fn basic_reads(cfg: &Config) -> Checked<()> {
    let leader = leader(cfg).await?;
    let mut last = 0;
    for _ in 0..10 {
        last = cfg.one(random(cfg), cfg.n(), false).await?;
        let index = confirm(cfg, leader).await?;
        check(cfg, index >= last, || {
            expectation!("a read after the command at index {last} is confirmed at index {index}")
        })?;
        for other in others(cfg, leader) {
            check(cfg, cfg.read(other).is_none(), || {
                expectation!("server {other} does not lead, and takes a read")
            })?;
        }
    }
    for _ in 0..20 {
        confirm(cfg, leader).await?;
    }
    let next = cfg.one(random(cfg), cfg.n(), false).await?;
    check(cfg, next == last + 1, || {
        expectation!(
            "the command after the one at index {last} is at index {next}: between them there were only reads, which \
             should leave nothing in the log"
        )
    })
}

/// Many reads at the same instant. Catches a round of messages for each read.
pub(crate) async fn shared_rounds(cfg: &Config) -> Checked<()> {
    const READS: usize = 200;

    let leader = leader(cfg).await?;
    for _ in 0..5 {
        let before = rpcs(cfg);
        let reads: Vec<Read> = (0..READS).filter_map(|_| Read::begin(cfg, leader)).collect();
        check(cfg, reads.len() == READS, || {
            expectation!("server {leader} leads, and takes {} of {READS} reads", reads.len())
        })?;
        all_end(cfg, &reads, ANSWER_LIMIT, "they came to a leader whose followers hear it").await?;
        let confirmed =
            reads.iter().filter(|read| matches!(read.outcome(), Outcome::Confirmed(_))).count();
        check(cfg, confirmed == READS, || {
            expectation!("server {leader} has confirmed {confirmed} of {READS} reads")
        })?;
        // A round, and another if one was on its way; and as many for heartbeats.
        let most = 4 * (cfg.n() - 1) as u64;
        let used = rpcs(cfg) - before;
        check(cfg, used <= most, || {
            expectation!(
                "{READS} reads at the same instant took {used} RPCs: they should share a round of messages; the limit \
                 is {most}"
            )
        })?;
        cfg.sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Asks a server for reads, again and again, for as long as this.
async fn ask_for_reads(cfg: &Config, server: usize, span: Duration, reads: &mut Vec<Read>) {
    let end = cfg.tester().now() + span;
    while cfg.tester().now() < end {
        reads.extend(Read::begin(cfg, server));
        cfg.sleep(READ_EVERY).await;
    }
}

/// Checks that none of these reads was confirmed; `why` says why it should not be.
fn check_unconfirmed(cfg: &Config, reads: &[Read], why: &str) -> Checked<()> {
    let confirmed = reads.iter().find(|read| matches!(read.outcome(), Outcome::Confirmed(_)));
    check(cfg, confirmed.is_none(), || {
        let server = confirmed.map_or(0, |read| read.server);
        expectation!("server {server} confirms a read that came when {why}")
    })
}

/// A leader is left with a minority, and another leads the rest. Catches a leader that answers reads although it
/// may have been replaced, and reads that wait for ever.
pub(crate) async fn lost_majority(cfg: &Config) -> Checked<()> {
    for _ in 0..5 {
        let old = leader(cfg).await?;
        let old_term = state(cfg, old).term;
        let beside = (old + 1) % cfg.n();
        let majority: Vec<usize> = (0..cfg.n()).filter(|&i| i != old && i != beside).collect();
        confirm(cfg, old).await?;
        cfg.step(|| format!("servers {old} and {beside} are cut off together"));
        for server in [old, beside] {
            cfg.link(server, majority.iter().copied(), false);
        }
        // These may still be confirmed: by a lease, or by an answer that is on its way.
        let mut early = Vec::new();
        while !majority.iter().any(|&i| leads_after(cfg, i, old_term)) {
            ask_for_reads(cfg, old, READ_EVERY, &mut early).await;
            check(cfg, early.len() < 1000, || {
                expectation!("no other server has been elected, with a majority connected")
            })?;
        }
        let mut late = Vec::new();
        ask_for_reads(cfg, old, LONG / 10, &mut late).await;
        let new = next_leader(cfg, &majority, old_term).await?;
        confirm(cfg, new).await?;
        cfg.one(random(cfg), majority.len(), true).await?;
        ask_for_reads(cfg, old, LONG / 2, &mut late).await;
        check_unconfirmed(cfg, &late, "another server led the majority")?;
        for server in [old, beside] {
            cfg.connect(server);
        }
        late.append(&mut early);
        all_end(cfg, &late, END_LIMIT, "the server that took them could learn of the newer term")
            .await?;
    }
    Ok(())
}

/// A leader can send and hears nothing, so its followers follow it and it cannot know that. Catches reads that are
/// confirmed by what was sent instead of by answers, and reads that are forgotten when it steps down.
pub(crate) async fn deaf_leader(cfg: &Config) -> Checked<()> {
    let old = leader(cfg).await?;
    let rest = others(cfg, old);
    cfg.step(|| format!("server {old}, the leader, hears nothing"));
    cfg.deafen(old, rest.iter().copied());
    // What was answered before is on its way, or was a lease.
    cfg.sleep(LOOK_EVERY * 20).await;
    let mut reads = Vec::new();
    ask_for_reads(cfg, old, LONG, &mut reads).await;
    check_unconfirmed(cfg, &reads, "nobody could answer it")?;
    cfg.connect(old);
    cfg.step(|| "all servers hear each other".into());
    let leader = leader(cfg).await?;
    confirm(cfg, leader).await?;
    all_end(cfg, &reads, END_LIMIT, "the server that took them hears the others again").await
}

/// A leader commits a command and is cut off at once, so the one after it does not know how far the log is
/// committed. Catches a new leader that answers before it has committed an entry of its own term.
pub(crate) async fn new_leaders(cfg: &Config) -> Checked<()> {
    const LOOK: Duration = Duration::from_millis(1);

    for _ in 0..4 {
        let old = leader(cfg).await?;
        let old_term = state(cfg, old).term;
        let Some(started) = cfg.start(old, random(cfg)) else { continue };
        while cfg.n_committed(started.index)?.0 == 0 {
            cfg.sleep(LOOK / 10).await;
            if !state(cfg, old).is_leader {
                break;
            }
        }
        cfg.disconnect(old);
        let rest = others(cfg, old);
        let end = cfg.tester().now() + LONG;
        let mut reads = Vec::new();
        while reads.len() < 50 {
            let new = rest.iter().find(|&&i| leads_after(cfg, i, old_term));
            reads.extend(new.and_then(|&new| Read::begin(cfg, new)));
            check(cfg, cfg.tester().now() < end, || {
                expectation!("no new leader takes reads within {} ms", LONG.as_millis())
            })?;
            cfg.sleep(LOOK / 4).await;
        }
        all_end(cfg, &reads, ANSWER_LIMIT, "they came to a new leader").await?;
        let confirmed =
            reads.iter().filter(|read| matches!(read.outcome(), Outcome::Confirmed(_))).count();
        check(cfg, confirmed > 0, || {
            expectation!("a new leader has taken {} reads, and confirmed none", reads.len())
        })?;
        cfg.connect(old);
    }
    Ok(())
}

/// Messages are lost, and answers come late or in another order, while leaders are cut off. Catches reads that an
/// answer to something older confirms, and reads that wait for ever because a message was lost.
///
/// While a leader is to be elected and to lead, answers are prompt. They would take longer than an election time-out
/// otherwise, and then a Raft owes nobody a leader (paper, section 5.6).
pub(crate) async fn late_answers(cfg: &Config) -> Checked<()> {
    for _ in 0..4 {
        let old = leader(cfg).await?;
        let old_term = state(cfg, old).term;
        let mut reads = Vec::new();
        cfg.network().long_reordering(true);
        ask_for_reads(cfg, old, LONG / 5, &mut reads).await;
        cfg.disconnect(old);
        let rest = others(cfg, old);
        ask_for_reads(cfg, old, LONG / 3, &mut reads).await;
        cfg.network().long_reordering(false);
        let new = next_leader(cfg, &rest, old_term).await?;
        cfg.one(random(cfg), rest.len(), true).await?;
        cfg.network().long_reordering(true);
        ask_for_reads(cfg, old, LONG / 10, &mut reads).await;
        ask_for_reads(cfg, new, LONG / 10, &mut reads).await;
        cfg.connect(old);
        cfg.network().long_reordering(false);
        leader(cfg).await?;
        all_end(cfg, &reads, LONG, "all servers were connected").await?;
    }
    Ok(())
}

/// A server that cannot reach the leader asks a follower for its vote all the time, and the follower restarts. Then
/// that server may be elected at once, unless the follower waits. Catches leases that a restart ends.
pub(crate) async fn restarted_voters(cfg: &Config) -> Checked<()> {
    for _ in 0..5 {
        let old = leader(cfg).await?;
        let [voter, candidate] = others(cfg, old)[..] else { unreachable!("there are three") };
        cfg.step(|| format!("no link between servers {old} and {candidate}"));
        cfg.link(old, [candidate], false);
        cfg.sleep(LONG / 2).await;
        restart(cfg, voter);
        cfg.link(old, [voter], false);
        let mut reads = Vec::new();
        ask_for_reads(cfg, old, LONG / 2, &mut reads).await;
        for server in [old, voter, candidate] {
            cfg.connect(server);
        }
        leader(cfg).await?;
        all_end(cfg, &reads, END_LIMIT, "all servers were connected").await?;
    }
    Ok(())
}

/// Reads one after the other, while nothing else happens. Catches reads that cost more than a round of messages,
/// and leases that are not used.
pub(crate) async fn cost_of_reads(cfg: &Config) -> Checked<()> {
    const READS: u32 = 300;
    const PAUSE: Duration = Duration::from_millis(3);

    let leader = leader(cfg).await?;
    let others = cfg.n() as u64 - 1;
    let before = rpcs(cfg);
    cfg.sleep(READS * PAUSE).await;
    let idle = rpcs(cfg) - before;

    let before = rpcs(cfg);
    for _ in 0..READS {
        confirm(cfg, leader).await?;
        cfg.sleep(PAUSE).await;
    }
    let used = rpcs(cfg) - before;
    let has_leases = cfg.lab().implementation().offers.lease_reads.is_some();
    let for_reads = if has_leases { 0 } else { u64::from(READS) * others };
    // Heartbeats may fall into either time.
    let most = for_reads + idle + 4 * others;
    check(cfg, used <= most, || {
        let how = if has_leases { "under a lease reads take none" } else { "a read takes a round" };
        expectation!(
            "{READS} reads took {used} RPCs, and {idle} are sent in that time without them: {how}; the limit is {most}"
        )
    })
}
