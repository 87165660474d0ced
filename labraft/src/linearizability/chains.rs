//! The key/value model where written values can be told apart: then each answer of a Get says which
//! writes it saw, in which order, and the search needs neither strings nor much choice.
//!
//! It takes that the values written to the key are different, that none is empty, and that none is
//! the beginning of another: then an answer is a row of written values in one way only. A Put starts
//! such a row anew. All answers that begin with the same Put (or with none) must be beginnings of the
//! longest of them, the Put's *chain*. Two rules follow, and both are exact:
//!
//! - While a Get of the present chain is not placed, the only write that can be next is the chain's
//!   next one, and not before the Gets that saw the present value: with any other the Gets could never
//!   be placed.
//! - When all Gets of the present chain are placed, the value cannot be seen any more until another
//!   Put: all such states are one, [`State::Unseen`]. In it, a write that no Get saw can be placed at
//!   any time without changing what comes after.

use std::collections::BTreeMap;

use super::history::{Input, Operation, shortened};
use super::plain::interval;
use super::search::{Interval, Model};

/// The operations of one key that matter: answered Gets, and writes that were answered or seen.
pub(super) struct Chains {
    roles: Vec<Role>,
    chains: Vec<Chain>,
}

/// What an operation is to the chains.
#[derive(Copy, Clone)]
enum Role {
    /// Saw so many writes of a chain.
    Get { chain: usize, seen: usize },
    /// Begins a chain.
    FirstOf { chain: usize },
    /// Stands at this place of a chain.
    At { chain: usize, place: usize },
    /// A write that no Get saw.
    Unseen,
}

/// The longest row of writes that began with one Put, or with none.
struct Chain {
    writes: Vec<usize>,
    /// How many Gets saw so many of them.
    gets: Vec<usize>,
}

/// Why there are no chains.
pub(super) enum Unfit {
    /// An answer can be read in several ways.
    Ambiguous,
    /// The answers contradict one another, whatever the order.
    Contradiction(String),
}

/// The chain without a Put.
const INITIAL: usize = 0;

impl Chains {
    /// The chains of a key's operations, and when each operation that matters was under way.
    pub(super) fn new(operations: &[&Operation]) -> Result<(Chains, Vec<Interval>), Unfit> {
        let values = Values::new(operations)?;
        let mut roles: BTreeMap<usize, Role> = BTreeMap::new();
        let mut chains = vec![Chain { writes: Vec::new(), gets: vec![0] }];
        for (i, operation) in operations.iter().enumerate() {
            if !operation.is_get() || operation.answered.is_none() {
                continue;
            }
            let writes = values.of_answer(&operation.output)?;
            let begins_with_put =
                writes.first().filter(|&&first| matches!(operations[first].input, Input::Put(_)));
            let chain = match begins_with_put.map(|&put| (put, roles.get(&put))) {
                None => INITIAL,
                Some((_, Some(&Role::FirstOf { chain }))) => chain,
                Some((put, _)) => {
                    roles.insert(put, Role::FirstOf { chain: chains.len() });
                    chains.push(Chain { writes: vec![put], gets: vec![0; 2] });
                    chains.len() - 1
                }
            };
            let skip = usize::from(chain != INITIAL);
            for (place, &write) in writes.iter().enumerate().skip(skip) {
                let row = &mut chains[chain].writes;
                let text = || operations[write].written().unwrap_or_default();
                if let Input::Put(_) = operations[write].input {
                    return contradiction(format!("the answer has {:?} put after others", text()));
                }
                match roles.get(&write) {
                    None if place == row.len() => {
                        row.push(write);
                        chains[chain].gets.push(0);
                        roles.insert(write, Role::At { chain, place });
                    }
                    Some(&Role::At { chain: c, place: p }) if (c, p) == (chain, place) => {}
                    Some(_) if writes[..place].contains(&write) => {
                        return contradiction(format!("the answer has {:?} twice", text()));
                    }
                    _ => {
                        return contradiction(format!(
                            "two answers do not agree on what was there before {:?}",
                            text()
                        ));
                    }
                }
            }
            let seen = writes.len();
            chains[chain].gets[seen] += 1;
            roles.insert(i, Role::Get { chain, seen });
        }
        let mut intervals = Vec::new();
        let roles = operations.iter().enumerate().filter_map(|(i, operation)| {
            let role = roles.get(&i).copied().unwrap_or(Role::Unseen);
            // What nobody saw and nobody was told of need not have happened.
            if matches!(role, Role::Unseen) && (operation.is_get() || operation.answered.is_none())
            {
                return None;
            }
            intervals.push(interval(operation));
            Some(role)
        });
        let roles = roles.collect();
        Ok((Chains { roles, chains }, intervals))
    }

    /// The state when so many writes of a chain were placed, and none of the Gets that saw just these.
    fn at(&self, chain: usize, placed: usize) -> State {
        self.seen_here(chain, placed, self.chains[chain].gets[placed])
    }

    fn seen_here(&self, chain: usize, placed: usize, gets_left: usize) -> State {
        if gets_left == 0 && placed == self.chains[chain].writes.len() {
            return State::Unseen;
        }
        State::Seen { chain, placed, gets_left }
    }
}

fn contradiction<T>(what: String) -> Result<T, Unfit> {
    Err(Unfit::Contradiction(what))
}

/// Where the key's value stands.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// In a chain of which not all Gets are placed.
    Seen {
        /// Which.
        chain: usize,
        /// How many of its writes are placed.
        placed: usize,
        /// How many Gets that saw just these are not placed.
        gets_left: usize,
    },
    /// At a value that no Get that is left saw.
    Unseen,
}

impl Model for Chains {
    type State = State;

    fn initial(&self) -> State {
        self.at(INITIAL, 0)
    }

    fn apply(&self, state: &State, operation: usize) -> Option<State> {
        match (self.roles[operation], *state) {
            (Role::Unseen, State::Unseen) => Some(State::Unseen),
            (Role::FirstOf { chain }, State::Unseen) => Some(self.at(chain, 1)),
            (Role::Get { chain, seen }, State::Seen { chain: present, placed, gets_left })
                if (chain, seen) == (present, placed) =>
            {
                Some(self.seen_here(chain, placed, gets_left - 1))
            }
            (Role::At { chain, place }, State::Seen { chain: present, placed, gets_left: 0 })
                if (chain, place) == (present, placed) =>
            {
                Some(self.at(chain, placed + 1))
            }
            _ => None,
        }
    }

    fn is_eager(&self, operation: usize) -> bool {
        matches!(self.roles[operation], Role::Get { .. } | Role::Unseen)
    }
}

/// The written values of a key, sorted, each with its write.
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
                    "the answer has {rest}, which nobody had asked to write by then"
                ));
            };
            writes.push(write);
            rest = &rest[value.len()..];
        }
        Ok(writes)
    }
}
