//! The key/value model where written values can be told apart: then each answer of a Get shows which
//! writes it saw, in which order, and the search needs neither strings nor many choices.
//!
//! It requires that the values written to the key are all different, that none is empty, and that none
//! is the beginning of another: then an answer is a row of written values in only one way. A Put starts
//! a new row. All answers that begin with the same Put (or with none) must be beginnings of the longest
//! of them, the Put's *chain*. For example, from these answers of Gets, where `a` and `d` were put and the
//! others appended, come two chains:
//!
//! ```text
//!   answers:  "ab"  "abc"  "d"  "de"          chains:  a b c   and   d e
//! ```
//!
//! Two rules follow, and both are exact:
//!
//! - While a Get of the present chain is not placed, the only write that can be next is the chain's
//!   next one, and only after the Gets that saw the present value: after any other write, those Gets
//!   could never be placed.
//! - When all Gets of the present chain are placed, the value cannot be seen again until another
//!   Put: all such states are one, [`KeyState::Unseen`]. In it, a write that no Get saw can be placed at
//!   any time without changing what comes after.

use std::collections::BTreeMap;

use super::history::{Input, Operation, shortened};
use super::search::{Interval, Model};

/// The operations of one key that matter: answered Gets, and writes that were answered or seen.
pub(super) struct Chains {
    roles: Vec<Role>,
    chains: Vec<Chain>,
}

/// What an operation is to the chains.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Role {
    /// A Get that saw this many writes of a chain.
    Get { chain: usize, seen: usize },
    /// The Put that begins a chain.
    FirstOf { chain: usize },
    /// A write at this place of a chain.
    At { chain: usize, place: usize },
    /// A write that no Get saw.
    Unseen,
}

/// The longest row of writes that any Get saw after one Put, or after none.
struct Chain {
    /// The writes in the order of their places, by their numbers.
    writes: Vec<usize>,
    /// By a number of writes: how many Gets saw exactly as many.
    gets: Vec<usize>,
}

impl Chain {
    fn new(writes: Vec<usize>) -> Chain {
        let gets = vec![0; writes.len() + 1];
        Chain { writes, gets }
    }

    fn push(&mut self, write: usize) {
        self.writes.push(write);
        self.gets.push(0);
    }
}

/// Why there are no chains.
pub(super) enum Unfit {
    /// An answer can be read in several ways.
    Ambiguous,
    /// The answers contradict one another in any order.
    Contradiction(String),
}

/// The chain without a Put.
const INITIAL: usize = 0;

impl Chains {
    /// The chains of a key's operations, and when each operation that matters was under way.
    pub(super) fn new(operations: &[&Operation]) -> Result<(Chains, Vec<Interval>), Unfit> {
        let values = Values::new(operations)?;
        let mut builder = Builder::new(operations);
        for (i, operation) in operations.iter().enumerate() {
            if operation.is_get() && operation.answered.is_some() {
                let writes = values.of_answer(&operation.output)?;
                builder.add_get(i, &writes)?;
            }
        }
        Ok(builder.finish())
    }

    /// The state when this many writes of a chain are placed, and none of the Gets that saw exactly
    /// these.
    fn at(&self, chain: usize, placed: usize) -> KeyState {
        self.seen_here(chain, placed, self.chains[chain].gets[placed])
    }

    fn seen_here(&self, chain: usize, placed: usize, gets_left: usize) -> KeyState {
        let is_whole = placed == self.chains[chain].writes.len();
        if gets_left == 0 && is_whole {
            KeyState::Unseen
        } else {
            KeyState::Seen { chain, placed, gets_left }
        }
    }
}

/// Builds the chains, Get by Get.
struct Builder<'a> {
    operations: &'a [&'a Operation],
    /// By the operation's number. Operations without a role were not seen so far.
    roles: BTreeMap<usize, Role>,
    chains: Vec<Chain>,
}

impl<'a> Builder<'a> {
    fn new(operations: &'a [&'a Operation]) -> Builder<'a> {
        Builder { operations, roles: BTreeMap::new(), chains: vec![Chain::new(Vec::new())] }
    }

    /// A Get saw these writes, in this order.
    fn add_get(&mut self, get: usize, writes: &[usize]) -> Result<(), Unfit> {
        let chain = self.chain_of(writes);
        // The Put that begins a chain has its place already.
        let first_place = usize::from(chain != INITIAL);
        for place in first_place..writes.len() {
            self.add_write(chain, place, writes)?;
        }
        let seen = writes.len();
        self.chains[chain].gets[seen] += 1;
        self.roles.insert(get, Role::Get { chain, seen });
        Ok(())
    }

    /// The chain that an answer of these writes belongs to, which is a new one if it begins with a Put
    /// that was not seen before.
    fn chain_of(&mut self, writes: &[usize]) -> usize {
        let Some(&first) = writes.first().filter(|&&first| self.is_put(first)) else {
            return INITIAL;
        };
        if let Some(Role::FirstOf { chain }) = self.roles.get(&first) {
            return *chain;
        }
        let chain = self.chains.len();
        self.chains.push(Chain::new(vec![first]));
        self.roles.insert(first, Role::FirstOf { chain });
        chain
    }

    fn is_put(&self, write: usize) -> bool {
        matches!(self.operations[write].input, Input::Put(_))
    }

    /// An answer has `writes[place]` at this place of its chain.
    fn add_write(&mut self, chain: usize, place: usize, writes: &[usize]) -> Result<(), Unfit> {
        let write = writes[place];
        let text = self.operations[write].written().unwrap_or_default();
        if self.is_put(write) {
            return contradiction(format!("the answer has {text:?} put after others"));
        }
        let here = Role::At { chain, place };
        match self.roles.get(&write) {
            // It makes the chain longer.
            None if place == self.chains[chain].writes.len() => {
                self.chains[chain].push(write);
                self.roles.insert(write, here);
                Ok(())
            }
            // Another answer had it at the same place.
            Some(role) if *role == here => Ok(()),
            Some(_) if writes[..place].contains(&write) => {
                contradiction(format!("the answer has {text:?} twice"))
            }
            _ => {
                contradiction(format!("two answers do not agree on what was there before {text:?}"))
            }
        }
    }

    /// The chains, with the operations that matter numbered anew, and their intervals.
    fn finish(self) -> (Chains, Vec<Interval>) {
        let mut roles = Vec::new();
        let mut intervals = Vec::new();
        for (i, operation) in self.operations.iter().enumerate() {
            let role = self.roles.get(&i).copied().unwrap_or(Role::Unseen);
            // A write that was neither seen nor answered need not have happened; an unanswered Get says
            // nothing.
            let matters =
                role != Role::Unseen || (!operation.is_get() && operation.answered.is_some());
            if matters {
                roles.push(role);
                intervals.push(operation.interval());
            }
        }
        (Chains { roles, chains: self.chains }, intervals)
    }
}

fn contradiction<T>(what: String) -> Result<T, Unfit> {
    Err(Unfit::Contradiction(what))
}

/// The value of the key, as far as it matters.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyState {
    /// It stands in a chain of which not all Gets are placed.
    Seen {
        /// The chain.
        chain: usize,
        /// How many of its writes are placed.
        placed: usize,
        /// How many of the Gets that saw exactly these writes are not placed.
        gets_left: usize,
    },
    /// No Get that is left saw it.
    Unseen,
}

impl Model for Chains {
    type State = KeyState;

    fn initial(&self) -> KeyState {
        self.at(INITIAL, 0)
    }

    fn apply(&self, state: &KeyState, operation: usize) -> Option<KeyState> {
        match (self.roles[operation], *state) {
            (Role::Unseen, KeyState::Unseen) => Some(KeyState::Unseen),
            (Role::FirstOf { chain }, KeyState::Unseen) => Some(self.at(chain, 1)),
            (Role::Get { chain, seen }, KeyState::Seen { chain: present, placed, gets_left })
                if (chain, seen) == (present, placed) =>
            {
                Some(self.seen_here(chain, placed, gets_left - 1))
            }
            (
                Role::At { chain, place },
                KeyState::Seen { chain: present, placed, gets_left: 0 },
            ) if (chain, place) == (present, placed) => Some(self.at(chain, placed + 1)),
            _ => None,
        }
    }

    fn is_eager(&self, operation: usize) -> bool {
        matches!(self.roles[operation], Role::Get { .. } | Role::Unseen)
    }
}

/// The written values of a key, sorted, each with the number of its write.
struct Values<'a>(Vec<(&'a str, usize)>);

impl<'a> Values<'a> {
    fn new(operations: &[&'a Operation]) -> Result<Values<'a>, Unfit> {
        let written = operations.iter().enumerate();
        let mut values: Vec<_> =
            written.filter_map(|(i, operation)| Some((operation.written()?, i))).collect();
        values.sort_unstable();
        // All that begin with a value follow it directly; the empty one begins them all.
        let is_ambiguous = values.windows(2).any(|pair| pair[1].0.starts_with(pair[0].0));
        let has_empty = values.first().is_some_and(|first| first.0.is_empty());
        if is_ambiguous || has_empty { Err(Unfit::Ambiguous) } else { Ok(Values(values)) }
    }

    /// The writes whose values an answer is made of.
    fn of_answer(&self, answer: &str) -> Result<Vec<usize>, Unfit> {
        let mut writes = Vec::new();
        let mut rest = answer;
        while !rest.is_empty() {
            // Anything between a value and what begins with it would begin with the value as well.
            let place = self.0.partition_point(|&(value, _)| value <= rest);
            let found = place.checked_sub(1).map(|place| self.0[place]);
            let Some((value, write)) = found.filter(|(value, _)| rest.starts_with(value)) else {
                let rest = shortened(rest);
                return contradiction(format!(
                    "the answer has {rest}, which no client had asked to write by then"
                ));
            };
            writes.push(write);
            rest = &rest[value.len()..];
        }
        Ok(writes)
    }
}
