// SOLUTION FILE
//! The replicated state: the data, and the clerks' sessions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::message::{Action, Answer, Operation, Refusal, Reply};
use crate::replica::StateMachine;

/// How many sessions are kept. Each takes 24 bytes in a snapshot.
pub const MAX_SESSIONS: usize = 1000;

/// The state of the service after the log up to some index.
///
/// Two stores that began empty and applied the same operations are equal, whether by way of
/// snapshots or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    data: BTreeMap<String, String>,
    /// By number. That is the index at which a session was opened, so no number is used twice.
    sessions: BTreeMap<u64, Session>,
}

/// What is remembered of a clerk.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    /// The number of the clerk's last write; its earlier writes have taken effect too.
    last_write: u64,
    /// The index at which the session was last used.
    used: u64,
}

impl Store {
    /// The value of a key; empty for an absent key.
    pub fn value(&self, key: &str) -> String {
        self.data.get(key).cloned().unwrap_or_default()
    }

    /// Opens the session of this number. If there are too many, the one that has been unused for
    /// longest is dropped.
    fn open(&mut self, index: u64) -> Answer {
        self.sessions.insert(index, Session { last_write: 0, used: index });
        if self.sessions.len() > MAX_SESSIONS {
            let longest_unused = self.sessions.iter().min_by_key(|(_, session)| session.used);
            if let Some((&session, _)) = longest_unused {
                self.sessions.remove(&session);
            }
        }
        Answer::Opened(index)
    }
}

impl StateMachine for Store {
    type Command = Operation;
    type Answer = Reply;

    fn apply(&mut self, index: u64, operation: Operation) -> Reply {
        let Operation { id, session, action } = operation;
        let mut session = self.sessions.get_mut(&session);
        if let Some(session) = &mut session {
            session.used = index;
        }
        let (key, value, is_append) = match action {
            Action::Open => return Ok(self.open(index)),
            Action::Get { key } => return Ok(Answer::Value(self.value(&key))),
            Action::Put { key, value } => (key, value, false),
            Action::Append { key, value } => (key, value, true),
        };
        let session = session.ok_or(Refusal::SessionExpired)?;
        // Another copy of it may have been applied before.
        if id.number > session.last_write {
            session.last_write = id.number;
            if is_append {
                self.data.entry(key).or_default().push_str(&value);
            } else {
                self.data.insert(key, value);
            }
        }
        Ok(Answer::Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::OperationId;

    /// A store, and the entries that were applied to it one after the other.
    #[derive(Default)]
    struct Log {
        store: Store,
        last_index: u64,
    }

    impl Log {
        fn apply(&mut self, session: u64, number: u64, action: Action) -> Reply {
            let id = OperationId { clerk: session, number };
            self.last_index += 1;
            self.store.apply(self.last_index, Operation { id, session, action })
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
    fn a_snapshot_remembers_which_writes_have_taken_effect() {
        let mut log = Log::default();
        let session = log.open();
        log.append(session, 1, "a").unwrap();
        let bytes = labrpc::encode(&log.store).unwrap();
        let mut restored = Log { store: labrpc::decode(&bytes).unwrap(), ..log };
        assert_eq!(restored.store, log.store);
        restored.append(session, 1, "a").unwrap();
        assert_eq!(restored.value(), "a");
    }

    #[test]
    fn sessions_are_bounded_and_a_write_in_a_dropped_one_is_refused() {
        let mut log = Log::default();
        let dropped = log.open();
        let used = log.open();
        log.append(dropped, 1, "a").unwrap();
        for number in 1..=MAX_SESSIONS as u64 {
            // A Get keeps its clerk's session, too.
            log.apply(used, number, Action::Get { key: "k".into() }).unwrap();
            log.open();
        }
        assert_eq!(log.store.sessions.len(), MAX_SESSIONS);
        // Late copies of everything that the clerk of the dropped session ever sent.
        log.apply(0, 1, Action::Open).unwrap();
        log.apply(dropped, 2, Action::Get { key: "k".into() }).unwrap();
        for number in [1, 3] {
            assert_eq!(log.append(dropped, number, "a"), Err(Refusal::SessionExpired));
        }
        assert_eq!(log.append(used, 2000, "b"), Ok(Answer::Written));
        assert_eq!(log.value(), "ab");
    }
}
