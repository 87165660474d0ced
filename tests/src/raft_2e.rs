//! Part 2E, which is optional: a leader that a majority hears and answers leads on, whatever other
//! servers do, and one that a majority does not answer steps down. See Ongaro's thesis, sections 9.6,
//! 6.2 and 4.2.3.
//!
//! The network is reliable in all of these tests, so a leader that is deposed was deposed by the
//! servers, and not by bad luck.

use std::time::Duration;

use labraft::{Checked, Config, Part, RAFT_ELECTION_TIMEOUT, expectation};

use crate::reigns::{Reign, others, reign, state};
use crate::steps::{LOOK_EVERY, check, find_leader, random, restart};

/// How long a server is cut off or disturbs the others: several election time-outs of any Raft.
const LONG: Duration = Duration::from_secs(3);
/// How long a server that is back may take to disturb the others.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// How often commands are started while something is wrong.
const ROUNDS: usize = 6;

/// The election time-out that the Raft under test declares.
fn election_timeout(cfg: &Config) -> Duration {
    cfg.lab().implementation().offers.stable_leader.unwrap_or(RAFT_ELECTION_TIMEOUT)
}

/// Checks that the leader still leads the same term; `why` says what should not have deposed it.
fn check_reign(cfg: &Config, Reign { leader, term }: Reign, why: &str) -> Checked<()> {
    let now = state(cfg, leader);
    check(cfg, now.is_leader && now.term == term, || {
        let role = if now.is_leader { "leads" } else { "does not lead" };
        expectation!(
            "server {leader} led term {term}, and {role} term {} after {why}: a leader that a majority hears and answers should lead on",
            now.term
        )
    })
}

/// Checks that the terms of these servers have not grown.
fn check_terms(cfg: &Config, servers: &[usize], term: u64, why: &str) -> Checked<()> {
    for &server in servers {
        let now = state(cfg, server).term;
        check(cfg, now <= term, || {
            expectation!(
                "server {server} is in term {now}, and was in {term} before {why}: a server that cannot win an election should not begin one"
            )
        })?;
    }
    Ok(())
}

/// Has servers agree on commands for a while, and checks that the same leader leads.
async fn agree_under(cfg: &Config, reign: Reign, servers: usize, why: &str) -> Checked<()> {
    for _ in 0..ROUNDS {
        check_reign(cfg, reign, why)?;
        cfg.one(random(cfg), servers, false).await?;
        cfg.sleep(LONG / ROUNDS as u32).await;
    }
    check_reign(cfg, reign, why)
}

/// A follower is cut off for a while and comes back. Catches a server that raises its term while it
/// can reach nobody, and then deposes a leader that nothing is wrong with.
pub(crate) async fn returning_server(cfg: &Config) -> Checked<()> {
    let reign = reign(cfg, Part::Raft2E).await?;
    for step in 1..cfg.n() {
        let victim = (reign.leader + step) % cfg.n();
        cfg.disconnect(victim);
        cfg.sleep(LONG).await;
        check_terms(cfg, &[victim], reign.term, "it was cut off")?;
        cfg.connect(victim);
        cfg.sleep(AFTERWARDS).await;
        check_reign(cfg, reign, "a server that was cut off came back")?;
        cfg.one(random(cfg), cfg.n(), false).await?;
    }
    check_reign(cfg, reign, "all servers came back")
}

/// A follower can send and hears nothing: not the leader, and no answers. Catches voters that do not
/// disregard it, and servers that raise their term without asking first.
pub(crate) async fn deaf_server(cfg: &Config) -> Checked<()> {
    let reign = reign(cfg, Part::Raft2E).await?;
    let deaf = (reign.leader + 1) % cfg.n();
    cfg.step(|| format!("server {deaf} hears nothing"));
    cfg.deafen(deaf, others(cfg, deaf));
    agree_under(cfg, reign, cfg.n() - 1, "a server heard nothing").await?;
    check_terms(cfg, &[deaf], reign.term, "it heard nothing")?;
    cfg.step(|| format!("server {deaf} hears the others again"));
    cfg.connect(deaf);
    cfg.sleep(AFTERWARDS).await;
    check_reign(cfg, reign, "a server heard the others again")
}

/// A leader is cut off, together with a minority or alone. Catches a leader that goes on leading
/// although no majority answers, and terms that grow in a minority.
pub(crate) async fn lost_majority(cfg: &Config) -> Checked<()> {
    let first = reign(cfg, Part::Raft2E).await?;
    let second = (first.leader + 1) % cfg.n();
    let majority: Vec<usize> = (0..cfg.n()).filter(|&i| i != first.leader && i != second).collect();
    cfg.step(|| format!("servers {} and {second} are cut off together", first.leader));
    for server in [first.leader, second] {
        cfg.link(server, majority.iter().copied(), false);
    }
    wait_until_it_steps_down(cfg, first).await?;
    cfg.sleep(LONG).await;
    check_terms(cfg, &[first.leader, second], first.term, "they lost the majority")?;

    let next = next_reign(cfg, &majority, first.term).await?;
    for server in [first.leader, second] {
        cfg.connect(server);
    }
    cfg.sleep(AFTERWARDS).await;
    check_reign(cfg, next, "a minority came back")?;
    cfg.one(random(cfg), cfg.n(), false).await?;
    Ok(())
}

/// Checks that a leader that too few servers answer steps down in time: it looks once in each
/// election time-out.
async fn wait_until_it_steps_down(cfg: &Config, Reign { leader, .. }: Reign) -> Checked<()> {
    // It looks when its timer fires, and has to be looked at.
    let limit = 2 * election_timeout(cfg) + 4 * LOOK_EVERY;
    let began = cfg.tester().now();
    while state(cfg, leader).is_leader {
        let took = cfg.tester().now() - began;
        check(cfg, took <= limit, || {
            expectation!(
                "server {leader} still leads {} ms after it lost its majority; the limit is {} ms",
                took.as_millis(),
                limit.as_millis()
            )
        })?;
        cfg.sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Waits until one of these servers leads in a term after this one.
async fn next_reign(cfg: &Config, servers: &[usize], term: u64) -> Checked<Reign> {
    let (leader, term) = find_leader(cfg, |i| servers.contains(&i), term + 1).await?;
    Ok(Reign { leader, term })
}

/// A leader can send and hears nothing, so its heartbeats keep the others quiet, and it commits
/// nothing. Catches a leader that does not look whether it is answered, and a lease that does not
/// end.
pub(crate) async fn deaf_leader(cfg: &Config) -> Checked<()> {
    let first = reign(cfg, Part::Raft2E).await?;
    let rest = others(cfg, first.leader);
    cfg.step(|| format!("server {}, the leader, hears nothing", first.leader));
    cfg.deafen(first.leader, rest.iter().copied());
    wait_until_it_steps_down(cfg, first).await?;
    let next = next_reign(cfg, &rest, first.term).await?;
    // It still sends: from here on it is a deaf server like any other.
    agree_under(cfg, next, cfg.n() - 1, "the old leader heard nothing").await?;
    cfg.connect(first.leader);
    cfg.sleep(AFTERWARDS).await;
    check_reign(cfg, next, "the old leader heard the others again")?;
    cfg.one(random(cfg), cfg.n(), false).await?;
    Ok(())
}

/// Two servers cannot reach each other, and one of them leads; all others reach both. Then the
/// leader reaches only one of five, which reaches all. Catches voters that give way to a candidate
/// although they hear their leader, and one that goes on hearing a leader without a majority.
pub(crate) async fn bridge(cfg: &Config) -> Checked<()> {
    let first = reign(cfg, Part::Raft2E).await?;
    let rest = others(cfg, first.leader);
    cfg.step(|| format!("no link between servers {} and {}", first.leader, rest[0]));
    cfg.link(first.leader, [rest[0]], false);
    agree_under(cfg, first, cfg.n() - 1, "one server could not reach it").await?;
    check_terms(cfg, &rest, first.term, "one of them could not reach the leader")?;

    let (between, far) = rest.split_first().expect("there are other servers");
    cfg.link(first.leader, [*between], true);
    cfg.step(|| format!("server {} reaches only server {between}", first.leader));
    cfg.link(first.leader, far.iter().copied(), false);
    wait_until_it_steps_down(cfg, first).await?;
    let next = next_reign(cfg, &rest, first.term).await?;
    agree_under(cfg, next, cfg.n() - 1, "the old leader reached one server").await
}

/// A follower misses entries; then the leader fails, and the follower has to let the other one win.
/// Catches pre-votes for a log that is behind, and elections that are begun in vain.
pub(crate) async fn old_log(cfg: &Config) -> Checked<()> {
    for _ in 0..2 {
        let first = reign(cfg, Part::Raft2E).await?;
        let behind = (first.leader + 1) % cfg.n();
        cfg.disconnect(behind);
        for _ in 0..3 {
            cfg.one(random(cfg), cfg.n() - 1, false).await?;
        }
        cfg.disconnect(first.leader);
        cfg.connect(behind);
        let rest = others(cfg, first.leader);
        let next = next_reign(cfg, &rest, first.term).await?;
        check(cfg, next.leader != behind, || {
            expectation!("server {behind} leads, and its log lacks what was committed")
        })?;
        check(cfg, next.term == first.term + 1, || {
            expectation!(
                "it took the terms {} to {} to elect server {}, the only one that can be elected: server {behind} should have asked first",
                first.term + 1,
                next.term,
                next.leader
            )
        })?;
        cfg.one(random(cfg), cfg.n() - 1, false).await?;
        cfg.connect(first.leader);
        cfg.one(random(cfg), cfg.n(), true).await?;
        check_reign(cfg, next, "the old leader came back")?;
    }
    Ok(())
}

/// Followers crash and restart, again and again. Catches a server that stands for election after a
/// restart without asking, and voters that let it.
pub(crate) async fn restarts(cfg: &Config) -> Checked<()> {
    let reign = reign(cfg, Part::Raft2E).await?;
    for round in 0..2 * cfg.n() {
        let victim = (reign.leader + 1 + round % (cfg.n() - 1)) % cfg.n();
        cfg.crash1(victim);
        cfg.sleep(LONG / 10).await;
        restart(cfg, victim);
        // It stands alone for a while, as far as it can see.
        cfg.deafen(victim, others(cfg, victim));
        cfg.sleep(LONG / 3).await;
        check_reign(cfg, reign, "a follower restarted")?;
        cfg.connect(victim);
        cfg.one(random(cfg), cfg.n(), false).await?;
    }
    check_reign(cfg, reign, "followers restarted")
}
