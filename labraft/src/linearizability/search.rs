//! The search for an order: Wing and Gong's, with Lowe's memory of what was tried before ("Testing
//! for linearizability", 2017).
//!
//! It builds an order from the front. The next operation must have been called before the first answer
//! among the operations that are not placed yet. When none of these is possible, the last one placed is
//! taken back. What was tried is remembered: the set of placed operations, with the state they lead to.

use std::collections::BTreeSet;

/// What operations do to the state of one object. Operations are known by their numbers.
pub trait Model {
    /// The object's state.
    type State: Clone + Ord;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after an operation, or `None` when it cannot have got its answer in this state.
    fn apply(&self, state: &Self::State, operation: usize) -> Option<Self::State>;

    /// What remembering a state costs, in steps: its size in memory, compared with others.
    fn weight(&self, _: &Self::State) -> u64 {
        1
    }

    /// Whether this operation can be placed at once wherever it is possible, because every order that
    /// places it later would also do with it placed now. This is true of reads. Such an operation is never
    /// taken back to try others.
    fn is_eager(&self, operation: usize) -> bool;
}

/// When an operation was under way, counted in one order of all calls and answers.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The place of the call.
    pub called: u64,
    /// The place of the answer. An operation without an answer may also be left out of the order.
    pub answered: Option<u64>,
}

/// Whether there is an order of the operations.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SearchResult {
    /// There is one.
    Possible,
    /// There is none.
    Impossible,
    /// The budget was used up before either was known.
    Unknown {
        /// How many steps were taken: tries to place an operation.
        steps: u64,
    },
}

/// Searches for an order of the operations that is possible in the model and in which each operation
/// stands between its call and its answer, in at most `budget` steps. Operations come in the order of
/// their calls.
pub fn search<M: Model>(model: &M, operations: &[Interval], budget: u64) -> SearchResult {
    let mut pending = Pending::new(operations);
    let mut state = model.initial();
    let mut tried: BTreeSet<(Placed, M::State)> = BTreeSet::new();
    // What is placed, each with the state before it.
    let mut order: Vec<(usize, M::State)> = Vec::new();
    let mut steps = 0;
    // Where to go on looking for the next operation to place.
    let mut from = pending.first();
    while pending.answered_left > 0 {
        let mut possible = |is_eager: bool, from: usize| {
            pending.candidates(from).find_map(|operation| {
                if model.is_eager(operation) != is_eager {
                    return None;
                }
                steps += 1;
                Some((operation, model.apply(&state, operation)?, is_eager))
            })
        };
        // After a step back there is no eager operation here: it would have been placed before.
        let eager = if from == pending.first() { possible(true, from) } else { None };
        let found = eager.or_else(|| possible(false, from));
        if steps > budget {
            return SearchResult::Unknown { steps };
        }
        if let Some((operation, after, is_eager)) = found {
            let has_choice = !is_eager && pending.has_choice();
            pending.place(operation);
            // Where there is no choice, nothing is remembered: soon there is one, or it is the end.
            if has_choice {
                steps += model.weight(&after);
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
        // The last one that was not the only thing to do.
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

/// A set of placed operations, for comparisons: the words of a bit set, from the first word that is not
/// full to the last one that is not empty.
type Placed = (usize, Box<[u64]>);

/// The calls and answers of the operations that are not placed, in their order: a doubly linked list, so
/// that what was taken out can be put back.
struct Pending {
    /// The first element is not an event: it is both ends of the list.
    events: Vec<Event>,
    /// Where each operation's call is.
    calls: Vec<usize>,
    is_placed: Vec<u64>,
    /// The number of answered operations that are not placed.
    answered_left: usize,
}

struct Event {
    operation: usize,
    before: usize,
    after: usize,
    /// A call's answer, if it has one.
    answer: Option<usize>,
    is_call: bool,
}

impl Pending {
    fn new(operations: &[Interval]) -> Pending {
        assert!(operations.is_sorted_by_key(|operation| operation.called), "in order of the calls");
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

    /// Where the list begins.
    fn first(&self) -> usize {
        self.events[0].after
    }

    /// The event after an operation's call, also of one that was just taken back.
    fn after(&self, operation: usize) -> usize {
        self.events[self.calls[operation]].after
    }

    /// The operations that can be next, from a place on: those called before the first answer.
    fn candidates(&self, from: usize) -> impl Iterator<Item = usize> {
        let mut place = from;
        std::iter::from_fn(move || {
            let event = &self.events[place];
            place = event.after;
            event.is_call.then_some(event.operation)
        })
    }

    /// Whether more than one operation can be next.
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

    /// Undoes the last [`place`](Self::place).
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
        // The first event that is left is the call of the first operation that is not placed.
        let first = self.events[self.first()].operation / 64;
        let words = &self.is_placed[first..];
        let length = words.iter().rposition(|&word| word != 0).map_or(0, |last| last + 1);
        (first, words[..length].into())
    }
}
