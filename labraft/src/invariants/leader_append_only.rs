//! Leader Append-Only: a leader never overwrites or deletes entries of its log (Raft paper, figure 3).

use super::change::Change;
use crate::property::{Holds, Property, violated};

pub(super) fn check(change: &Change<'_>) -> Holds {
    let Some(before) = change.before_as_leader() else { return Ok(()) };
    let now = change.now;
    let old_last = before.last_index;
    let is_overwritten = now.lowest_written.is_some_and(|lowest| lowest <= old_last);
    if !is_overwritten && now.last_index >= old_last {
        return Ok(());
    }
    let server = change.server;
    let lowest = now.lowest_written.unwrap_or(now.last_index + 1);
    violated(
        Property::LeaderAppendOnly,
        [server],
        format!(
            "server {server}, the leader of term {}, has changed its log from entry {lowest} on; it had \
             entries up to {old_last}",
            now.term
        ),
    )
}

#[cfg(test)]
mod tests {
    use crate::invariants::stage::Stage;
    use crate::property::Property;

    #[test]
    fn a_leader_that_overwrites_its_log_is_reported() {
        let mut stage = Stage::with_leader();
        stage.holds(0, |raft| raft.write(3, (1, "c")));
        stage.breaks(Property::LeaderAppendOnly, "from entry 2 on", 0, |raft| {
            raft.lowest_written = Some(2);
        });
    }

    #[test]
    fn a_leader_that_deletes_entries_is_reported() {
        let mut stage = Stage::with_leader();
        stage.breaks(Property::LeaderAppendOnly, "from entry 2 on", 0, |raft| raft.truncate(1));
    }
}
