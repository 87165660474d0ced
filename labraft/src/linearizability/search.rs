//! The search for an order of operations: Wing and Gong's algorithm, with Lowe's cache of visited
//! configurations ("Testing for linearizability", 2017).
//!
//! The search builds an order from the front. The next operation must have been called before the first
//! answer among the operations that are not placed yet. If none of these operations is possible, the
//! search backtracks by removing the last one placed. It caches the configurations that it has visited,
//! each a set of placed operations with the resulting state, and does not visit them again.

use std::collections::BTreeSet;

/// A sequential specification: the effect of each operation on the state of an object. Operations are
/// numbered from 0, in the order of their calls.
pub trait Model {
    /// The type of the object's state.
    type State: Clone + Ord;

    /// Returns the state before the first operation.
    fn initial(&self) -> Self::State;

    /// Returns the state after an operation, or `None` if the operation cannot return its recorded answer
    /// in this state.
    fn apply(&self, state: &Self::State, operation: usize) -> Option<Self::State>;

    /// Returns the cost of caching a state, in steps. States that use more memory should cost more.
    fn weight(&self, _: &Self::State) -> u64 {
        1
    }

    /// Returns the cost of making a state, in steps, beyond the attempt itself. States that take longer to make
    /// should cost more.
    fn effort(&self, _: &Self::State) -> u64 {
        0
    }

    /// Returns whether this operation can always be placed as soon as it is possible, because any valid
    /// order that places it later stays valid if it is moved forward. This holds for reads. The search
    /// does not try alternatives to such an operation.
    fn is_eager(&self, operation: usize) -> bool;
}

/// The interval between an operation's call and its answer, as positions in the order of all calls and
/// answers.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The position of the call.
    pub called: u64,
    /// The position of the answer. An operation without an answer may be left out of the order.
    pub answered: Option<u64>,
}

/// The result of a search for an order of the operations.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SearchResult {
    /// A valid order exists.
    Possible,
    /// No valid order exists.
    Impossible,
    /// The budget ran out before the search found an order or ruled one out.
    Unknown {
        /// The number of steps taken: attempts to place an operation, plus the cost of making and caching
        /// states.
        steps: u64,
    },
}

/// Searches for an order of the operations that is valid in the model and in which each operation takes
/// effect between its call and its answer, in at most `budget` steps.
///
/// # Panics
/// If the operations are not in the order of their calls.
pub fn search<M: Model>(model: &M, operations: &[Interval], budget: u64) -> SearchResult {
    search_within(model, operations, budget).0
}

/// The result of a [`search`], and the number of steps that it took.
pub(super) fn search_within<M: Model>(
    model: &M,
    operations: &[Interval],
    budget: u64,
) -> (SearchResult, u64) {
    let mut steps = 0;
    let result = place_all(model, operations, budget, &mut steps);
    (result, steps)
}

fn place_all<M: Model>(
    model: &M,
    operations: &[Interval],
    budget: u64,
    steps: &mut u64,
) -> SearchResult {
    let mut pending = Pending::new(operations);
    let mut state = model.initial();
    let mut tried: BTreeSet<(Placed, M::State)> = BTreeSet::new();
    // The operations placed so far, each with the state before it.
    let mut order: Vec<(usize, M::State)> = Vec::new();
    // Where the search for the next operation to place continues.
    let mut from = pending.first();
    while pending.answered_left > 0 {
        let mut possible = |is_eager: bool, from: usize| {
            pending.candidates(from).find_map(|operation| {
                if model.is_eager(operation) != is_eager {
                    return None;
                }
                *steps += 1;
                let after = model.apply(&state, operation)?;
                *steps += model.effort(&after);
                Some((operation, after, is_eager))
            })
        };
        // After backtracking, no eager operation is possible here: it would have been placed first.
        let eager = if from == pending.first() { possible(true, from) } else { None };
        let found = eager.or_else(|| possible(false, from));
        if *steps > budget {
            return SearchResult::Unknown { steps: *steps };
        }
        if let Some((operation, after, is_eager)) = found {
            let has_choice = !is_eager && pending.has_choice();
            pending.place(operation);
            // Cache only configurations with a choice. Without one, there is only one way to continue.
            if has_choice {
                *steps += model.weight(&after);
            }
            if has_choice && !tried.insert((pending.placed(), after.clone())) {
                pending.take_back(operation);
                from = pending.after(operation);
            } else {
                order.push((operation, std::mem::replace(&mut state, after)));
                from = pending.first();
            }
            continue;
        }
        // Backtrack to the last operation that was not eager.
        loop {
            let Some((operation, before)) = order.pop() else { return SearchResult::Impossible };
            pending.take_back(operation);
            state = before;
            if !model.is_eager(operation) {
                from = pending.after(operation);
                break;
            }
        }
    }
    SearchResult::Possible
}

/// The set of placed operations in a form that can be compared: the words of a bit set, from the one with
/// the first unplaced operation to the last non-empty one, preceded by the index of the first of them.
type Placed = (usize, Box<[u64]>);

/// The calls and answers of the unplaced operations, in order. They form a doubly linked list, so that
/// removed elements can be put back in constant time.
struct Pending {
    /// The elements of the list. The element at index 0 is a sentinel that marks both ends.
    events: Vec<Event>,
    /// The index in `events` of each operation's call.
    calls: Vec<usize>,
    is_placed: Vec<u64>,
    /// The number of unplaced operations that have an answer.
    answered_left: usize,
}

struct Event {
    operation: usize,
    before: usize,
    after: usize,
    /// For a call, the index of its answer, if there is one.
    answer: Option<usize>,
    is_call: bool,
}

impl Pending {
    fn new(operations: &[Interval]) -> Pending {
        assert!(
            operations.is_sorted_by_key(|operation| operation.called),
            "operations must be in call order"
        );
        let mut order: Vec<(u64, bool, usize)> = Vec::new();
        for (i, operation) in operations.iter().enumerate() {
            order.push((operation.called, true, i));
            order.extend(operation.answered.map(|at| (at, false, i)));
        }
        order.sort_unstable();
        let last = order.len();
        let mut calls = vec![0; operations.len()];
        let mut events =
            vec![Event { operation: 0, before: last, after: 1, answer: None, is_call: false }];
        for (place, (_, is_call, operation)) in (1..).zip(order) {
            let after = if place == last { 0 } else { place + 1 };
            events.push(Event { operation, before: place - 1, after, answer: None, is_call });
            if is_call {
                calls[operation] = place;
            } else {
                events[calls[operation]].answer = Some(place);
            }
        }
        events[0].after = usize::from(last > 0);
        let answered_left = operations.iter().filter(|each| each.answered.is_some()).count();
        let is_placed = vec![0; operations.len().div_ceil(64)];
        Pending { events, calls, is_placed, answered_left }
    }

    /// Returns the index of the first event in the list.
    fn first(&self) -> usize {
        self.events[0].after
    }

    /// Returns the index of the event after the call of an unplaced operation.
    fn after(&self, operation: usize) -> usize {
        self.events[self.calls[operation]].after
    }

    /// Iterates over the operations that can come next, which are those called before the first answer,
    /// starting at event `from`.
    fn candidates(&self, from: usize) -> impl Iterator<Item = usize> {
        let mut place = from;
        std::iter::from_fn(move || {
            let event = &self.events[place];
            place = event.after;
            event.is_call.then_some(event.operation)
        })
    }

    /// Returns whether more than one operation can come next.
    fn has_choice(&self) -> bool {
        self.candidates(self.first()).nth(1).is_some()
    }

    fn place(&mut self, operation: usize) {
        let call = self.calls[operation];
        self.unlink(call);
        if let Some(answer) = self.events[call].answer {
            self.unlink(answer);
            self.answered_left -= 1;
        }
        self.is_placed[operation / 64] |= 1 << (operation % 64);
    }

    /// Undoes the most recent [`place`](Self::place), which must have placed this operation.
    fn take_back(&mut self, operation: usize) {
        let call = self.calls[operation];
        if let Some(answer) = self.events[call].answer {
            self.link(answer);
            self.answered_left += 1;
        }
        self.link(call);
        self.is_placed[operation / 64] &= !(1 << (operation % 64));
    }

    fn unlink(&mut self, place: usize) {
        let Event { before, after, .. } = self.events[place];
        self.events[before].after = after;
        self.events[after].before = before;
    }

    fn link(&mut self, place: usize) {
        let Event { before, after, .. } = self.events[place];
        self.events[before].after = place;
        self.events[after].before = place;
    }

    fn placed(&self) -> Placed {
        // The first event in the list is the call of the first unplaced operation.
        let first = self.events[self.first()].operation / 64;
        let words = &self.is_placed[first..];
        let length = words.iter().rposition(|&word| word != 0).map_or(0, |last| last + 1);
        (first, words[..length].into())
    }
}
