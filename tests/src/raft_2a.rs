//! Part 2A, election: one leader per term, and a new leader as long as a majority is connected.

use std::time::Duration;

use labraft::{Checked, Config, RAFT_ELECTION_TIMEOUT, expectation};

use crate::steps::check;

/// Three servers elect one leader and keep it while nothing fails. Catches a Raft that elects no
/// leader or two, and followers that do not adopt the leader's term. Warns of heartbeats that do
/// not prevent new elections.
pub(crate) async fn initial_election(cfg: &Config) -> Checked<()> {
    cfg.check_one_leader().await?;

    // Gives the followers time to learn of the election.
    cfg.sleep(Duration::from_millis(50)).await;
    let term1 = cfg.check_terms()?;
    check(cfg, term1 >= 1, || expectation!("term is {term1}, but should be at least 1"))?;

    // Without failures, leader and term stay the same.
    cfg.sleep(2 * RAFT_ELECTION_TIMEOUT).await;
    let term2 = cfg.check_terms()?;
    if term1 != term2 {
        let warning = "term changed even though there were no failures";
        cfg.lab().warn(format!("{warning}: from {term1} to {term2}"));
    }

    cfg.check_one_leader().await?;
    Ok(())
}

/// A leader that is cut off is replaced, and steps down when it is back; without a majority there
/// is no leader. Catches servers that do not adopt a higher term or win with too few votes, and
/// elections that wait for a server that does not answer.
pub(crate) async fn re_election(cfg: &Config) -> Checked<()> {
    let leader1 = cfg.check_one_leader().await?;

    // Without the leader, a new one is elected.
    cfg.disconnect(leader1);
    cfg.check_one_leader().await?;

    // The old leader is back and becomes a follower.
    cfg.connect(leader1);
    let leader2 = cfg.check_one_leader().await?;

    // Without a majority, no leader is elected.
    let next = (leader2 + 1) % cfg.n();
    cfg.disconnect(leader2);
    cfg.disconnect(next);
    cfg.sleep(2 * RAFT_ELECTION_TIMEOUT).await;
    cfg.check_no_leader()?;

    // With a majority, one is.
    cfg.connect(next);
    cfg.check_one_leader().await?;

    // There is still one leader when the last server is back.
    cfg.connect(leader2);
    cfg.check_one_leader().await?;
    Ok(())
}

/// Nine times, up to three of seven servers are cut off, and the others must have a leader. Catches
/// split votes that are never resolved, servers that vote twice in a term, and terms that grow
/// without end.
pub(crate) async fn many_elections(cfg: &Config) -> Checked<()> {
    cfg.check_one_leader().await?;
    for _ in 1..10 {
        // The same server may be drawn more than once.
        let victims = [(); 3].map(|()| cfg.dice().below(cfg.n() as u64) as usize);
        for i in victims {
            cfg.disconnect(i);
        }
        // The old leader is among the four or more servers left, or they elect a new one.
        cfg.check_one_leader().await?;
        for i in victims {
            cfg.connect(i);
        }
    }
    cfg.check_one_leader().await?;
    Ok(())
}
