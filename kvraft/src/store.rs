// SOLUTION FILE
//! What is replicated: the data, and the clerks' sessions.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::message::{Action, Answer, Operation, Refusal, Reply};

/// How many sessions are kept, of 24 bytes each.
pub const MAX_SESSIONS: usize = 1000;

/// The state of the service after the log up to some index.
///
/// Two stores that began empty and applied the same operations are equal, whether by way of
/// snapshots or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// The index of the log up to which everything is applied.
    applied: u64,
    data: BTreeMap<String, String>,
    /// By the index at which each was opened: no two sessions ever have the same number.
    sessions: BTreeMap<u64, Session>,
}

/// What is remembered of a clerk.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    /// The number of the last write; those before it are done.
    last_write: u64,
    /// The index at which the session was last used.
    used: u64,
}

impl Store {
    /// The index of the log up to which everything is applied.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Applies what stands at `index` of the log: what it answers.
    ///
    /// # Panics
    /// When it is not the next index: then a Raft has left something out, or said it twice.
    pub fn apply(&mut self, index: u64, operation: Operation) -> Reply {
        let due = self.applied + 1;
        assert!(index == due, "the Raft handed up index {index} where {due} was due");
        self.applied = index;
        let Operation { id, session, action } = operation;
        let mut session = self.sessions.get_mut(&session);
        if let Some(session) = &mut session {
            session.used = index;
        }
        let (key, value, is_append) = match action {
            Action::Open => return Ok(self.open(index)),
            Action::Get { key } => {
                return Ok(Answer::Value(self.data.get(&key).cloned().unwrap_or_default()));
            }
            Action::Put { key, value } => (key, value, false),
            Action::Append { key, value } => (key, value, true),
        };
        let session = session.ok_or(Refusal::SessionExpired)?;
        // Another copy of it may have been applied before.
        if id.number > session.last_write {
            session.last_write = id.number;
            match is_append {
                true => self.data.entry(key).or_default().push_str(&value),
                false => _ = self.data.insert(key, value),
            }
        }
        Ok(Answer::Written)
    }

    fn open(&mut self, index: u64) -> Answer {
        self.sessions.insert(index, Session { last_write: 0, used: index });
        if self.sessions.len() > MAX_SESSIONS {
            let longest_at_rest = self.sessions.iter().min_by_key(|(_, session)| session.used);
            if let Some((&session, _)) = longest_at_rest {
                self.sessions.remove(&session);
            }
        }
        Answer::Opened(index)
    }

    /// The store as bytes.
    pub fn snapshot(&self) -> Bytes {
        labrpc::encode(self).expect("maps of numbers and strings can be encoded").into()
    }

    /// The store that a snapshot holds; the empty one when there is no snapshot.
    ///
    /// # Panics
    /// When the bytes are not a store's: then a Raft has handed over something else than it was
    /// given.
    pub fn restore(snapshot: &[u8]) -> Store {
        if snapshot.is_empty() {
            return Store::default();
        }
        labrpc::decode(snapshot)
            .unwrap_or_else(|error| panic!("the snapshot is not one of this service: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::OperationId;

    /// A store and its log.
    #[derive(Default)]
    struct Log(Store);

    impl Log {
        fn apply(&mut self, session: u64, number: u64, action: Action) -> Reply {
            let id = OperationId { clerk: session, number };
            self.0.apply(self.0.applied() + 1, Operation { id, session, action })
        }

        fn open(&mut self) -> u64 {
            match self.apply(0, 1, Action::Open) {
                Ok(Answer::Opened(session)) => session,
                other => panic!("{other:?}"),
            }
        }

        fn append(&mut self, session: u64, number: u64, value: &str) -> Reply {
            self.apply(session, number, Action::Append { key: "k".into(), value: value.into() })
        }

        fn value(&mut self) -> String {
            match self.apply(0, 1, Action::Get { key: "k".into() }) {
                Ok(Answer::Value(value)) => value,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_absent_key_is_empty_and_can_be_appended_to() {
        let mut log = Log::default();
        let session = log.open();
        assert_eq!(log.value(), "");
        assert_eq!(log.append(session, 1, "a"), Ok(Answer::Written));
        assert_eq!(log.value(), "a");
        let put = Action::Put { key: "k".into(), value: "b".into() };
        assert_eq!(log.apply(session, 2, put), Ok(Answer::Written));
        assert_eq!(log.append(session, 3, "c"), Ok(Answer::Written));
        assert_eq!(log.value(), "bc");
    }

    #[test]
    fn a_write_takes_effect_once_however_often_it_is_in_the_log() {
        let mut log = Log::default();
        let session = log.open();
        for (number, value) in [(1, "a"), (1, "a"), (2, "b"), (1, "a"), (2, "b")] {
            assert_eq!(log.append(session, number, value), Ok(Answer::Written));
        }
        assert_eq!(log.value(), "ab");
    }

    #[test]
    fn what_was_done_is_remembered_through_a_snapshot() {
        let mut log = Log::default();
        let session = log.open();
        log.append(session, 1, "a").unwrap();
        let mut restored = Log(Store::restore(&log.0.snapshot()));
        assert_eq!(restored.0, log.0);
        restored.append(session, 1, "a").unwrap();
        assert_eq!(restored.value(), "a");
        assert_eq!(Store::restore(b""), Store::default());
    }

    #[test]
    fn sessions_are_bounded_and_whoever_lost_its_own_is_told_rather_than_served_twice() {
        let mut log = Log::default();
        let (dropped, used) = (log.open(), log.open());
        log.append(dropped, 1, "a").unwrap();
        for number in 1..=MAX_SESSIONS as u64 {
            // A Get keeps its clerk's session, too.
            log.apply(used, number, Action::Get { key: "k".into() }).unwrap();
            log.open();
        }
        assert_eq!(log.0.sessions.len(), MAX_SESSIONS);
        // Late copies of all that the dropped session ever said.
        log.apply(0, 1, Action::Open).unwrap();
        log.apply(dropped, 2, Action::Get { key: "k".into() }).unwrap();
        for number in [1, 3] {
            assert_eq!(log.append(dropped, number, "a"), Err(Refusal::SessionExpired));
        }
        assert_eq!(log.append(used, 2000, "b"), Ok(Answer::Written));
        assert_eq!(log.value(), "ab");
    }

    #[test]
    #[should_panic(expected = "handed up index 3 where 2 was due")]
    fn a_log_with_a_hole_is_not_taken() {
        let mut log = Log::default();
        let session = log.open();
        let id = OperationId { clerk: 1, number: 1 };
        _ = log.0.apply(3, Operation { id, session, action: Action::Open });
    }
}
