//! Part 2A, election: one leader per term, and a new one whenever a majority can talk.

use std::time::Duration;

use labraft::{Checked, Config, RAFT_ELECTION_TIMEOUT};

use crate::steps::check;

/// Three servers elect one leader and keep it while nothing fails. Catches a Raft that elects nobody
/// or two, whose followers do not adopt the leader's term, and warns of one whose heartbeats do not
/// hold back new elections.
pub(crate) async fn initial_election(cfg: &Config) -> Checked<()> {
    cfg.check_one_leader().await?;

    // A while for the followers to hear of the election.
    cfg.sleep(Duration::from_millis(50)).await;
    let term1 = cfg.check_terms()?;
    check(cfg, term1 >= 1, || format!("term is {term1}, but should be at least 1"))?;

    // Without a failure, leader and term stay.
    cfg.sleep(2 * RAFT_ELECTION_TIMEOUT).await;
    let term2 = cfg.check_terms()?;
    if term1 != term2 {
        let warning = "term changed even though there were no failures";
        cfg.lab().warn(format!("{warning}: from {term1} to {term2}"));
    }

    cfg.check_one_leader().await?;
    Ok(())
}

/// A cut-off leader is replaced, gives way when it is back, and nobody leads without a majority.
/// Catches servers that do not adopt a higher term, that win with too few votes, and elections that
/// wait for a server that does not answer.
pub(crate) async fn re_election(cfg: &Config) -> Checked<()> {
    let leader1 = cfg.check_one_leader().await?;

    // Without the leader, a new one is elected.
    cfg.disconnect(leader1);
    cfg.check_one_leader().await?;

    // The old leader is back, and becomes a follower.
    cfg.connect(leader1);
    let leader2 = cfg.check_one_leader().await?;

    // Without a majority, nobody is elected.
    let next = (leader2 + 1) % cfg.n();
    cfg.disconnect(leader2);
    cfg.disconnect(next);
    cfg.sleep(2 * RAFT_ELECTION_TIMEOUT).await;
    cfg.check_no_leader()?;

    // With a majority, somebody is.
    cfg.connect(next);
    cfg.check_one_leader().await?;

    // One server more changes nothing about that.
    cfg.connect(leader2);
    cfg.check_one_leader().await?;
    Ok(())
}

/// Nine times, up to three of seven servers are cut off, and the others have a leader. Catches split
/// votes that are not resolved, votes that are given twice, and terms that run away.
pub(crate) async fn many_elections(cfg: &Config) -> Checked<()> {
    cfg.check_one_leader().await?;
    for _ in 1..10 {
        // They may coincide.
        let victims = [(); 3].map(|()| cfg.dice().below(cfg.n() as u64) as usize);
        for i in victims {
            cfg.disconnect(i);
        }
        // Either the old leader is among the four or more that are left, or they elect a new one.
        cfg.check_one_leader().await?;
        for i in victims {
            cfg.connect(i);
        }
    }
    cfg.check_one_leader().await?;
    Ok(())
}
