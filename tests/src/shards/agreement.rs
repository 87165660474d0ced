//! The servers of a group agree: those that have applied the same entries of their log show the same. Nothing
//! else may change what they have, and a restart may forget nothing of it.

use std::collections::BTreeMap;

use labraft::{Property, ShardProbe, Violation};

/// What the servers of all groups have shown.
#[derive(Default)]
pub(crate) struct Agreement {
    /// What each server showed when it was last looked at, to look up the rest only when that has changed.
    shown: BTreeMap<usize, ShardProbe>,
    /// What a group shows when it has applied so much of its log, and the first server that has shown it.
    states: BTreeMap<(u64, u64), (usize, ShardProbe)>,
}

impl Agreement {
    /// Looks at a server of a group, given with the names of servers.
    ///
    /// # Errors
    /// If a server of its group, or the same one before, has applied as much and has shown something else.
    pub(crate) fn check(
        &mut self,
        gid: u64,
        (server, name): (usize, &dyn Fn(usize) -> String),
        probe: &ShardProbe,
    ) -> Result<(), Violation> {
        if self.shown.get(&server) == Some(probe) {
            return Ok(());
        }
        self.shown.insert(server, probe.clone());
        let first = || (server, probe.clone());
        let (other, known) = self.states.entry((gid, probe.applied)).or_insert_with(first);
        if known == probe {
            return Ok(());
        }
        let evidence = format!(
            "servers of group {gid} disagree when they have applied the log up to {}: {} {}; {} {}",
            probe.applied,
            name(server),
            show(probe),
            name(*other),
            show(known)
        );
        let servers = vec![*other, server];
        Err(Violation { property: Property::StateMachineSafety, servers, evidence })
    }
}

fn show(ShardProbe { config, served, kept, .. }: &ShardProbe) -> String {
    let served: Vec<usize> = served.iter().collect();
    format!("is in configuration {config}, has shards {served:?} and keeps {kept:?} for others")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_differ_at_an_index_are_found() {
        let mut agreement = Agreement::default();
        let name: &dyn Fn(usize) -> String = &|server| format!("1/{server}");
        let early = ShardProbe { applied: 1, ..ShardProbe::default() };
        let kept = [(2, 0), (2, 1)].into();
        let late = ShardProbe { applied: 9, config: 2, served: (3..5).collect(), kept };
        assert_eq!(agreement.check(1, (7, name), &early), Ok(()));
        assert_eq!(agreement.check(1, (7, name), &late), Ok(()));
        // One that lags behind and catches up, and one of another group.
        assert_eq!(agreement.check(1, (8, name), &early), Ok(()));
        assert_eq!(agreement.check(1, (8, name), &late), Ok(()));
        let other = ShardProbe { config: 1, ..late.clone() };
        assert_eq!(agreement.check(2, (10, name), &other), Ok(()));

        let mut broken = |server: usize, probe: ShardProbe| {
            let violation = agreement.check(1, (server, name), &probe).unwrap_err();
            assert_eq!(violation.property, Property::StateMachineSafety);
            assert!(violation.servers.contains(&server), "{violation}");
            violation.evidence
        };
        let deleted = broken(8, ShardProbe { kept: [(2, 1)].into(), ..late.clone() });
        assert!(deleted.contains("up to 9: 1/8 is in configuration 2"), "{deleted}");
        // The same server without an entry, and one that lags behind.
        let changed = broken(7, ShardProbe { config: 3, ..late.clone() });
        assert!(changed.contains("1/7 is in configuration 3"), "{changed}");
        let behind = broken(9, ShardProbe { config: 1, ..early });
        assert!(behind.contains("up to 1: 1/9"), "{behind}");
    }
}
