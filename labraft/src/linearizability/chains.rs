//! A faster key/value model for histories in which all written values are distinguishable. Each answer
//! to a Get then shows which writes it saw and in which order, so the search does not handle strings and
//! has few choices.
//!
//! The values written to the key must all be different, none may be empty, and none may be a prefix of
//! another. An answer can then be split into written values in only one way. All answers that begin with
//! the same Put, or with no Put, must be prefixes of the longest of them, which is the Put's *chain*. For
//! example, if `a` and `d` were written by Puts and the other letters by Appends, these answers form two
//! chains:
//!
//! ```text
//!   answers:  "ab"  "abc"  "d"  "de"          chains:  a b c   and   d e
//! ```
//!
//! Two rules follow, neither of which loses a valid order:
//!
//! - Until all Gets of the current chain are placed, the only write that can come next is the next one
//!   of the chain, and it must follow all Gets that saw the current value. After any other write, the
//!   remaining Gets could never be placed.
//! - Once all Gets of the current chain are placed, no remaining Get sees the value until another Put
//!   begins a chain. All such states are therefore represented by [`KeyState::Unseen`], in which a write
//!   that no Get saw can be placed without affecting later operations.

use std::collections::BTreeMap;

use super::history::{Input, Operation, shortened};
use super::search::{Interval, Model};

/// The operations of one key that constrain the order: answered Gets, and writes that were answered or
/// seen by a Get.
pub(super) struct Chains {
    roles: Vec<Role>,
    chains: Vec<Chain>,
}

/// How an operation relates to the chains.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Role {
    /// A Get that saw the first `seen` writes of a chain.
    Get { chain: usize, seen: usize },
    /// The Put that begins a chain.
    FirstOf { chain: usize },
    /// An Append at a position of a chain, counted from 0.
    At { chain: usize, place: usize },
    /// A write that no Get saw.
    Unseen,
}

/// The longest sequence of writes that any Get saw, beginning with a given Put or with no Put.
struct Chain {
    /// The operation numbers of the writes, in order.
    writes: Vec<usize>,
    /// `gets[n]` is the number of Gets that saw exactly the first `n` writes.
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

/// Why the operations of a key cannot be arranged in chains.
pub(super) enum Unfit {
    /// The written values are not distinguishable, so answers could be split in several ways.
    Ambiguous,
    /// No order can explain the answers, for the reason given.
    Contradiction(String),
}

/// The index of the chain that begins with no Put, from the initial empty value.
const INITIAL: usize = 0;

impl Chains {
    /// Builds the chains of a key's operations. Also returns the intervals of the operations that
    /// constrain the order.
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

    /// Returns the state after the first `placed` writes of a chain, before any Get that saw exactly
    /// these writes.
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

/// Builds the chains from one answered Get after another.
struct Builder<'a> {
    operations: &'a [&'a Operation],
    /// The roles by operation number. Operations that no Get has seen so far are absent.
    roles: BTreeMap<usize, Role>,
    chains: Vec<Chain>,
}

impl<'a> Builder<'a> {
    fn new(operations: &'a [&'a Operation]) -> Builder<'a> {
        Builder { operations, roles: BTreeMap::new(), chains: vec![Chain::new(Vec::new())] }
    }

    /// Adds a Get whose answer consists of these writes, in this order.
    fn add_get(&mut self, get: usize, writes: &[usize]) -> Result<(), Unfit> {
        let chain = self.chain_of(writes);
        // The Put that begins a chain is already in it.
        let first_place = usize::from(chain != INITIAL);
        for place in first_place..writes.len() {
            self.add_write(chain, place, writes)?;
        }
        let seen = writes.len();
        self.chains[chain].gets[seen] += 1;
        self.roles.insert(get, Role::Get { chain, seen });
        Ok(())
    }

    /// Returns the chain to which an answer of these writes belongs, after creating it if the answer
    /// begins with a Put that no earlier answer contained.
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

    /// Adds `writes[place]` to the chain at position `place`, or checks that it is already there.
    fn add_write(&mut self, chain: usize, place: usize, writes: &[usize]) -> Result<(), Unfit> {
        let write = writes[place];
        let text = self.operations[write].written().unwrap_or_default();
        if self.is_put(write) {
            return contradiction(format!(
                "the answer contains the Put of {text:?} after other writes"
            ));
        }
        let here = Role::At { chain, place };
        match self.roles.get(&write) {
            // The write extends the chain.
            None if place == self.chains[chain].writes.len() => {
                self.chains[chain].push(write);
                self.roles.insert(write, here);
                Ok(())
            }
            // Another answer had the write at the same position.
            Some(role) if *role == here => Ok(()),
            Some(_) if writes[..place].contains(&write) => {
                contradiction(format!("the answer contains {text:?} twice"))
            }
            _ => contradiction(format!("two answers disagree on what precedes {text:?}")),
        }
    }

    /// Returns the chains and the intervals of the operations that constrain the order, which are
    /// renumbered from 0.
    fn finish(self) -> (Chains, Vec<Interval>) {
        let mut roles = Vec::new();
        let mut intervals = Vec::new();
        for (i, operation) in self.operations.iter().enumerate() {
            let role = self.roles.get(&i).copied().unwrap_or(Role::Unseen);
            // A write that was neither seen nor answered may be left out of the order, and an unanswered
            // Get does not constrain it.
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

/// The state of the key, reduced to what the remaining Gets can observe.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyState {
    /// The value belongs to a chain, and some Gets of this chain are not placed yet.
    Seen {
        /// The index of the chain.
        chain: usize,
        /// The number of the chain's writes that are placed.
        placed: usize,
        /// The number of unplaced Gets that saw exactly these writes.
        gets_left: usize,
    },
    /// No unplaced Get saw the current value.
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

/// The values written to a key, sorted, each with the number of the operation that wrote it.
struct Values<'a>(Vec<(&'a str, usize)>);

impl<'a> Values<'a> {
    fn new(operations: &[&'a Operation]) -> Result<Values<'a>, Unfit> {
        let written = operations.iter().enumerate();
        let mut values: Vec<_> =
            written.filter_map(|(i, operation)| Some((operation.written()?, i))).collect();
        values.sort_unstable();
        // In sorted order, a value is directly followed by those that it is a prefix of.
        let is_ambiguous = values.windows(2).any(|pair| pair[1].0.starts_with(pair[0].0));
        let has_empty = values.first().is_some_and(|first| first.0.is_empty());
        if is_ambiguous || has_empty { Err(Unfit::Ambiguous) } else { Ok(Values(values)) }
    }

    /// Splits an answer into written values and returns the operation numbers of their writes.
    fn of_answer(&self, answer: &str) -> Result<Vec<usize>, Unfit> {
        let mut writes = Vec::new();
        let mut rest = answer;
        while !rest.is_empty() {
            // If a written value is a prefix of `rest`, it is the last value not greater than `rest`:
            // it would also be a prefix of any value in between.
            let place = self.0.partition_point(|&(value, _)| value <= rest);
            let found = place.checked_sub(1).map(|place| self.0[place]);
            let Some((value, write)) = found.filter(|(value, _)| rest.starts_with(value)) else {
                let rest = shortened(rest);
                return contradiction(format!(
                    "the answer contains {rest}, which no client had tried to write by then"
                ));
            };
            writes.push(write);
            rest = &rest[value.len()..];
        }
        Ok(writes)
    }
}
