//! The first events of a run, which an answer leaves out because the parent knows them from another run.
//!
//! Two runs whose specifications differ from some time on are the same until then. But a Raft may not be
//! deterministic, so the answer says what was left out, and the parent compares it with what it has.

use std::hash::{DefaultHasher, Hash, Hasher};

use labrpc::Timed;
use serde::{Deserialize, Serialize};

/// What was left out: how many events, and a digest of them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// How many events.
    pub events: usize,
    digest: u64,
}

impl Skipped {
    /// The description of these events.
    pub fn of(events: &[Timed]) -> Skipped {
        // Its keys are fixed, so it is the same in every process of one program.
        let mut digest = DefaultHasher::new();
        events.hash(&mut digest);
        Skipped { events: events.len(), digest: digest.finish() }
    }

    /// Leaves out this many of the first events, or all if there are not as many.
    pub(super) fn from_start(events: &mut Vec<Timed>, count: usize) -> Skipped {
        let count = count.min(events.len());
        let skipped = Skipped::of(&events[..count]);
        events.drain(..count);
        skipped
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use labrpc::{Event, Node};

    use super::*;

    fn events(texts: &[&str]) -> Vec<Timed> {
        let note = |text: &&str| Event::Note { text: (*text).into() };
        let timed = |event| Timed { at: Duration::from_secs(1), node: Node::TESTER, event };
        texts.iter().map(note).map(timed).collect()
    }

    #[test]
    fn what_is_left_out_is_known_by_its_content() {
        let mut three = events(&["a", "b", "c"]);
        let skipped = Skipped::from_start(&mut three, 2);
        assert_eq!(three, events(&["c"]));
        assert_eq!(skipped, Skipped::of(&events(&["a", "b"])));
        assert_ne!(skipped, Skipped::of(&events(&["a", "x"])));
        let all = Skipped::from_start(&mut three, 9);
        assert_eq!((all.events, three.len()), (1, 0));
    }
}
