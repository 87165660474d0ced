//! What is replicated: the data, and the clerks' sessions.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::message::{Action, Operation, OperationId, Refusal, Reply};

/// How many sessions are kept, of 24 bytes each.
pub const MAX_SESSIONS: usize = 1000;

/// The state of the service after the log up to some index.
///
/// Two stores that began empty and applied the same operations at the same indexes are equal,
/// whether by way of snapshots or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    data: BTreeMap<String, String>,
    sessions: BTreeMap<u64, Session>,
}

/// What is remembered of a clerk.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    /// The number of the last operation; those before it are done.
    last: u64,
    /// The index of the log at which it was applied.
    index: u64,
}

impl Store {
    /// Applies what stands at `index` of the log: what it answers.
    pub fn apply(&mut self, index: u64, operation: Operation) -> Reply {
        let Operation { id, key, action } = operation;
        let last = self.sessions.get(&id.session).map(|session| session.last);
        let is_write = action != Action::Get;
        if is_write && last.is_none() && id.number > 1 {
            return Err(Refusal::SessionExpired);
        }
        let last = last.unwrap_or(0);
        if id.number > last || !is_write {
            self.remember(OperationId { number: id.number.max(last), ..id }, index);
        }
        match action {
            Action::Get => return Ok(self.data.get(&key).cloned().unwrap_or_default()),
            _ if id.number <= last => {}
            Action::Put(value) => {
                self.data.insert(key, value);
            }
            Action::Append(value) => self.data.entry(key).or_default().push_str(&value),
        }
        Ok(String::new())
    }

    fn remember(&mut self, OperationId { session, number }: OperationId, index: u64) {
        self.sessions.insert(session, Session { last: number, index });
        if self.sessions.len() > MAX_SESSIONS {
            let longest_at_rest = self.sessions.iter().min_by_key(|(_, session)| session.index);
            if let Some((&session, _)) = longest_at_rest {
                self.sessions.remove(&session);
            }
        }
    }

    /// The store as bytes.
    pub fn snapshot(&self) -> Bytes {
        labrpc::encode(self).expect("maps of numbers and strings can be encoded").into()
    }

    /// The store that a snapshot holds; the empty one when there is no snapshot.
    ///
    /// # Panics
    /// When the bytes are not a store's: then a Raft has handed over something else than it was given.
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

    fn operation(session: u64, number: u64, action: Action) -> Operation {
        Operation { id: OperationId { session, number }, key: "k".into(), action }
    }

    fn append(session: u64, number: u64, value: &str) -> Operation {
        operation(session, number, Action::Append(value.into()))
    }

    /// Applies operations one after the other, from an index on: the last one's answer.
    fn apply(
        store: &mut Store,
        from: u64,
        operations: impl IntoIterator<Item = Operation>,
    ) -> Reply {
        let applied = (from..).zip(operations).map(|(index, next)| store.apply(index, next));
        applied.last().expect("there is an operation")
    }

    #[test]
    fn an_absent_key_is_empty_and_can_be_appended_to() {
        let mut store = Store::default();
        let get = |number| operation(1, number, Action::Get);
        assert_eq!(apply(&mut store, 1, [get(1)]), Ok("".into()));
        assert_eq!(apply(&mut store, 2, [append(1, 2, "a"), get(3)]), Ok("a".into()));
        let put = operation(1, 4, Action::Put("b".into()));
        assert_eq!(apply(&mut store, 4, [put, append(1, 5, "c"), get(6)]), Ok("bc".into()));
    }

    #[test]
    fn a_write_takes_effect_once_however_often_it_is_in_the_log() {
        let mut store = Store::default();
        let (first, second) = (append(1, 1, "a"), append(1, 2, "b"));
        let log = [first.clone(), first.clone(), second.clone(), first, second];
        assert!(log.into_iter().zip(1..).all(|(next, index)| store.apply(index, next).is_ok()));
        assert_eq!(store.apply(6, operation(2, 1, Action::Get)), Ok("ab".into()));
    }

    #[test]
    fn what_was_done_is_remembered_through_a_snapshot() {
        let mut store = Store::default();
        apply(&mut store, 1, [append(1, 1, "a"), append(2, 1, "b")]).unwrap();
        let mut restored = Store::restore(&store.snapshot());
        assert_eq!(restored, store);
        apply(&mut restored, 3, [append(1, 1, "a"), append(2, 1, "b")]).unwrap();
        assert_eq!(restored.apply(5, operation(3, 1, Action::Get)), Ok("ab".into()));
        assert_eq!(Store::restore(b""), Store::default());
    }

    #[test]
    fn a_get_reads_anew_in_each_try() {
        let mut store = Store::default();
        let get = operation(1, 1, Action::Get);
        apply(&mut store, 1, [get.clone(), append(2, 1, "b")]).unwrap();
        assert_eq!(store.apply(3, get), Ok("b".into()));
    }

    #[test]
    fn sessions_are_bounded_and_whoever_lost_its_own_is_told_rather_than_served_twice() {
        let mut store = Store::default();
        apply(&mut store, 1, [append(0, 1, "a"), append(0, 2, "b")]).unwrap();
        let others = (1..=MAX_SESSIONS as u64).map(|session| append(session, 1, ""));
        apply(&mut store, 3, others).unwrap();
        assert_eq!(store.sessions.len(), MAX_SESSIONS);
        assert_eq!(store.apply(2000, append(0, 2, "b")), Err(Refusal::SessionExpired));
        // The others keep theirs, and the dropped clerk can begin a new one.
        assert_eq!(store.apply(2001, append(1, 1, "x")), Ok("".into()));
        let log = [append(7777, 1, "c"), operation(7777, 2, Action::Get)];
        assert_eq!(apply(&mut store, 2002, log), Ok("abc".into()));
    }

    #[test]
    fn a_get_keeps_its_clerks_session_alive() {
        let mut store = Store::default();
        apply(&mut store, 1, [append(0, 1, "a"), append(1, 1, "b")]).unwrap();
        let others = (2..MAX_SESSIONS as u64).map(|session| append(session, 1, ""));
        apply(&mut store, 3, others).unwrap();
        let log = [operation(0, 2, Action::Get), append(5555, 1, "")];
        apply(&mut store, 1500, log).unwrap();
        assert!(store.sessions.contains_key(&0) && !store.sessions.contains_key(&1));
        assert_eq!(store.apply(1502, append(0, 3, "c")), Ok("".into()));
    }
}
