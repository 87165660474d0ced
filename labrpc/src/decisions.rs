//! Every random decision of a run, each with an address.
//!
//! The address of a decision is *(kind, from, to, n)*: it is the n-th decision of that kind between
//! those two parties, counted over the whole run. For decisions about a message, n is the number of
//! its call among all calls between the two, whether or not earlier calls needed that decision.
//!
//! The value of a decision depends only on the seed and the address; `random.rs` explains how. Thus
//! an additional message on one link does not change what happens on other links, and a lost
//! request does not change what happens to later replies. And because each decision has an address,
//! a [`RunSpec`] can override it or make it neutral.
//!
//! There are two ways to make a decision:
//!
//! - [`decide`](Decisions::decide) takes the subject, such as a message, a ready task or a second
//!   of the run. The caller keeps count of n.
//! - [`draw`](Decisions::draw) takes the next value of a sequence, such as a server's dice.
//!
//! In both, all values in `0..bound` are equally likely, and a `bound` of 0 stands for 2^64. The
//! forms that end in `_shaped` compute the value from 64 random bits with a function, so that some
//! values can be more likely than others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::acts::Deed;
use crate::chance::scale;
use crate::hash::Fingerprint;
use crate::random::{Keys, Subject, computed};
use crate::spec::{Address, Kind, RunSpec, Taken};

/// The place of a woken task among the ready ones.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// No other task is ready.
    Alone,
    /// It runs after all others, as it would if tasks ran in the order of waking.
    Last,
    /// It runs before a task that was woken earlier.
    Earlier,
}

/// The index of a sequence in the table of [`Decisions`].
#[derive(Copy, Clone, Debug)]
pub(crate) struct SequenceId(u32);

/// A stream of decisions that are drawn one after another.
struct Sequence {
    kind: Kind,
    /// The subject of the next decision.
    next: Subject,
    /// Which of the seeds the generator uses.
    luck: usize,
    generator: ChaCha8Rng,
}

/// Makes all random decisions of a run.
pub(crate) struct Decisions {
    spec: RunSpec,
    /// The keys of the current seed.
    keys: Keys,
    /// How many of the seeds in `further` have had their times.
    luck: usize,
    /// The seeds that replace the first one, with their times, in the order of time.
    further: Vec<(Duration, u64)>,
    /// The virtual time, in nanoseconds.
    now: u64,
    sequences: Vec<Sequence>,
    sequence_index: BTreeMap<(Kind, u32, u32), SequenceId>,
    /// Whether there are no overrides, no forced decisions and no neutral kinds, which is the common case.
    is_plain: bool,
    /// How late the specification makes timers, all together.
    timers_late: Duration,
    reached: BTreeSet<Address>,
    record: Option<Vec<Taken>>,
    /// Where in the record the first of the tasks that are ready at the same time was woken.
    together_since: usize,
    /// Whether one of them runs before one that was woken earlier.
    is_out_of_turn: bool,
    fingerprint: Fingerprint,
}

impl Decisions {
    pub(crate) fn new(spec: RunSpec, is_recorded: bool) -> Decisions {
        Decisions {
            keys: Keys::new(spec.seed),
            luck: 0,
            further: further_seeds(&spec),
            now: 0,
            sequences: Vec::new(),
            sequence_index: BTreeMap::new(),
            is_plain: spec.overrides.is_empty()
                && spec.forced.is_empty()
                && spec.neutral.is_empty(),
            timers_late: timers_late(&spec),
            reached: BTreeSet::new(),
            record: is_recorded.then(Vec::new),
            together_since: 0,
            is_out_of_turn: false,
            fingerprint: Fingerprint::default(),
            spec,
        }
    }

    /// Sets the virtual time, in nanoseconds, and switches to another seed when its time has come.
    #[inline]
    pub(crate) fn time_is(&mut self, now: u64) {
        self.now = now;
        while let Some(&(from, seed)) = self.further.get(self.luck)
            && Duration::from_nanos(now) >= from
        {
            self.keys = Keys::new(seed);
            self.luck += 1;
        }
    }

    /// Makes a decision of this kind about a subject: a value from `0..bound`, all equally likely.
    #[inline]
    pub(crate) fn decide(&mut self, kind: Kind, subject: Subject, bound: u64) -> u64 {
        self.decide_shaped(kind, subject, bound, |bits| scale(bits, bound))
    }

    /// Makes a decision of this kind about a subject: a value from `0..bound`, which `shape`
    /// computes from random bits.
    #[inline]
    pub(crate) fn decide_shaped(
        &mut self,
        kind: Kind,
        subject: Subject,
        bound: u64,
        shape: impl FnOnce(u64) -> u64,
    ) -> u64 {
        debug_assert!(!kind.is_sequence(), "{kind:?} is drawn from a sequence");
        let start = self.keys.start(kind, subject.parties);
        let drawn = shape(computed(start, subject.n));
        self.take(subject.address(kind), bound, drawn, start)
    }

    /// The sequence of a kind between two parties, which is created at the first call.
    pub(crate) fn sequence(&mut self, kind: Kind, from: u32, to: u32) -> SequenceId {
        debug_assert!(kind.is_sequence(), "{kind:?} is computed");
        if let Some(&id) = self.sequence_index.get(&(kind, from, to)) {
            return id;
        }
        let id = SequenceId(self.sequences.len() as u32);
        let next = Subject::new(from, to, 0);
        self.sequences.push(Sequence {
            kind,
            next,
            luck: self.luck,
            generator: self.keys.sequence(kind, next.parties, 0),
        });
        self.sequence_index.insert((kind, from, to), id);
        id
    }

    /// Draws the next value of a sequence from `0..bound`, all equally likely.
    pub(crate) fn draw(&mut self, id: SequenceId, bound: u64) -> u64 {
        self.draw_shaped(id, bound, |bits| scale(bits, bound))
    }

    /// Draws the next value of a sequence from `0..bound`, which `shape` computes from random bits.
    pub(crate) fn draw_shaped(
        &mut self,
        id: SequenceId,
        bound: u64,
        shape: impl FnOnce(u64) -> u64,
    ) -> u64 {
        let sequence = &mut self.sequences[id.0 as usize];
        let kind = sequence.kind;
        let subject = sequence.next;
        if sequence.luck != self.luck {
            sequence.generator = self.keys.sequence(kind, subject.parties, subject.n);
            sequence.luck = self.luck;
        }
        sequence.next.n += 1;
        let drawn = shape(sequence.generator.next_u64());
        let start = self.keys.start(kind, subject.parties);
        self.take(subject.address(kind), bound, drawn, start)
    }

    /// Makes the decision at an address and records it. Its value is the drawn one unless the
    /// specification says otherwise.
    #[inline]
    fn take(&mut self, address: Address, bound: u64, drawn: u64, start: u64) -> u64 {
        let mut value = drawn;
        if !self.is_plain {
            value = self.specified(address, bound, drawn);
        }
        self.fingerprint.add(start ^ value.rotate_left(32), address.n << 8 | address.kind as u64);
        if let Some(record) = &mut self.record {
            let at = Duration::from_nanos(self.now);
            keep(record, Taken { at, address, value, bound, in_turn: false });
        }
        value
    }

    /// What the specification makes of a drawn value.
    #[cold]
    fn specified(&mut self, address: Address, bound: u64, drawn: u64) -> u64 {
        let RunSpec { forced, overrides, .. } = &self.spec;
        if let Some(&value) = forced.get(&address).or_else(|| overrides.get(&address)) {
            self.reached.insert(address);
            return if bound == 0 { value } else { value.min(bound - 1) };
        }
        match self.spec.neutral.get(&address.kind) {
            Some(kept) if address.kind.has_neutral() && !kept.contains(&address) => {
                address.kind.neutral(bound)
            }
            _ => drawn,
        }
    }

    /// Whether a fault may happen: if it is turned on, or if the specification has overrides, because one of
    /// them may ask for it.
    pub(crate) fn may_happen(&self, is_on: bool) -> bool {
        is_on || !self.is_plain
    }

    /// Whether to ask for faults that are turned off, because a search may put them anywhere.
    #[inline]
    pub(crate) fn asks_all(&self) -> bool {
        self.spec.asks_all
    }

    /// Whether there may be a fault that is turned off and to be asked for nevertheless.
    #[inline]
    pub(crate) fn may_ask(&self) -> bool {
        self.asks_all() || !self.spec.forced.is_empty()
    }

    /// How late the specification makes timers, all together. In a search no others are.
    #[inline]
    pub(crate) fn timers_late(&self) -> Duration {
        self.timers_late
    }

    /// Whether to ask for a fault that may be turned off, because the specification forces the decision
    /// about it, or because a search may put it anywhere.
    #[inline]
    pub(crate) fn asks_for(&self, kind: Kind, subject: Subject) -> bool {
        self.asks_all() || (!self.is_plain && self.spec.forced.contains_key(&subject.address(kind)))
    }

    /// The overrides whose decisions have not come up.
    pub(crate) fn unreached(&self) -> Vec<Address> {
        let RunSpec { forced, overrides, .. } = &self.spec;
        let all = overrides.keys().chain(forced.keys());
        all.filter(|address| !self.reached.contains(address)).copied().collect()
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint.value()
    }

    /// Notes the place of the task whose key was the last decision.
    ///
    /// Tasks that are ready at the same time may all run in the order of waking, although their keys
    /// are not neutral. Then it makes no difference if the keys are.
    #[inline]
    pub(crate) fn note_place(&mut self, place: Place) {
        if let Some(record) = &self.record {
            let last = record.len() - 1;
            match place {
                Place::Alone => self.begin_together(last),
                Place::Last => {}
                Place::Earlier => self.is_out_of_turn = true,
            }
        }
    }

    /// Marks the keys of the tasks that were ready together, if they made no difference. The next such
    /// tasks begin at this place of the record.
    #[cold]
    fn begin_together(&mut self, next: usize) {
        if let Some(record) = &mut self.record
            && !self.is_out_of_turn
        {
            let together = &mut record[self.together_since..next];
            let orders = together.iter_mut().filter(|taken| taken.address.kind == Kind::Order);
            orders.for_each(|taken| taken.in_turn = true);
        }
        (self.together_since, self.is_out_of_turn) = (next, false);
    }

    /// Takes the decisions made so far; empty unless they are recorded.
    pub(crate) fn take_record(&mut self) -> Vec<Taken> {
        self.begin_together(self.record.as_ref().map_or(0, Vec::len));
        self.record.take().unwrap_or_default()
    }
}

/// Few runs are recorded.
#[cold]
fn keep(record: &mut Vec<Taken>, taken: Taken) {
    record.push(taken);
}

/// The seeds that replace the first one during the run, in the order of their times.
fn further_seeds(spec: &RunSpec) -> Vec<(Duration, u64)> {
    let of_acts = spec.acts.iter().filter_map(|act| match act.deed {
        Deed::Luck(seed) => Some((act.at, seed)),
        _ => None,
    });
    let mut seeds: Vec<(Duration, u64)> = spec.redraw.into_iter().chain(of_acts).collect();
    seeds.sort_by_key(|(at, _)| *at);
    seeds
}

/// How late the timers of a specification are, all together: one of them may wait for another.
fn timers_late(spec: &RunSpec) -> Duration {
    let faults = spec.overrides.iter().chain(&spec.forced);
    let late = faults.filter(|(address, _)| address.kind == Kind::TimerHold);
    late.map(|(_, &value)| Duration::from_millis(value)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first `count` decisions of a kind from party 0 to party 1.
    fn draws(spec: RunSpec, kind: Kind, count: u64, bound: u64) -> Vec<u64> {
        let mut decisions = Decisions::new(spec, false);
        if kind.is_sequence() {
            let sequence = decisions.sequence(kind, 0, 1);
            return (0..count).map(|_| decisions.draw(sequence, bound)).collect();
        }
        (0..count).map(|n| decisions.decide(kind, Subject::new(0, 1, n), bound)).collect()
    }

    #[test]
    fn late_timers_add_up() {
        let address = |kind, n| Address { kind, from: 0, to: 7, n };
        let late = [(address(Kind::TimerHold, 0), 400), (address(Kind::TimerHold, 3), 50)];
        let held = (address(Kind::RequestHold, 1), 1000);
        let timers_late = |spec| Decisions::new(spec, false).timers_late().as_millis();
        assert_eq!(timers_late(RunSpec::searched(0, [held].into())), 0);
        assert_eq!(timers_late(RunSpec::searched(0, [late[0], held, late[1]].into())), 450);
    }

    #[test]
    fn a_value_depends_only_on_the_seed_and_the_address() {
        let alone = draws(RunSpec::seed(5), Kind::RequestDelay, 100, 1000);
        let mut decisions = Decisions::new(RunSpec::seed(5), false);
        let mut among_others = Vec::new();
        for n in 0..100 {
            for other in 0..n % 3 {
                decisions.decide(Kind::RequestDelay, Subject::new(1, 0, other), 1000);
                decisions.decide(Kind::ReplyDrop, Subject::new(0, 1, n), 1000);
            }
            among_others.push(decisions.decide(Kind::RequestDelay, Subject::new(0, 1, n), 1000));
        }
        assert_eq!(alone, among_others);
        assert_ne!(alone, draws(RunSpec::seed(6), Kind::RequestDelay, 100, 1000));
        assert_ne!(alone, draws(RunSpec::seed(5), Kind::ReplyDrop, 100, 1000));
    }

    #[test]
    fn values_are_spread_evenly_within_and_across_streams() {
        // Chi-squared with 26 degrees of freedom: a value above 65 has a probability of 3 in
        // 100,000.
        let chi = |values: &[u64]| {
            let mut cells = [0f64; 27];
            values.iter().for_each(|&v| cells[v as usize] += 1.0);
            let expected = values.len() as f64 / 27.0;
            cells.iter().map(|c| (c - expected).powi(2) / expected).sum::<f64>()
        };
        for seed in 0..20 {
            let within = draws(RunSpec::seed(seed), Kind::RequestDelay, 27_000, 27);
            assert!(chi(&within) < 65.0, "seed {seed}, one stream: {}", chi(&within));
            let mut decisions = Decisions::new(RunSpec::seed(seed), false);
            let across: Vec<u64> = (0..27_000)
                .map(|to| decisions.decide(Kind::Order, Subject::new(2, to, 0), 27))
                .collect();
            assert!(chi(&across) < 65.0, "seed {seed}, first of each: {}", chi(&across));
        }
        let first_of_each_seed: Vec<u64> =
            (0..27_000).map(|s| draws(RunSpec::seed(s), Kind::RequestDelay, 1, 27)[0]).collect();
        assert!(chi(&first_of_each_seed) < 65.0, "{}", chi(&first_of_each_seed));
    }

    #[test]
    fn an_override_changes_one_decision_and_is_reported_if_it_never_comes_up() {
        let at = |n| Address { kind: Kind::RequestDelay, from: 0, to: 1, n };
        let mut spec = RunSpec::seed(9);
        spec.overrides = BTreeMap::from([(at(3), 26), (at(4), 99), (at(1000), 1)]);
        let plain = draws(RunSpec::seed(9), Kind::RequestDelay, 10, 27);
        let changed = draws(spec.clone(), Kind::RequestDelay, 10, 27);
        assert_eq!(
            changed[3..5],
            [26, 26],
            "99 is out of range and is replaced by the largest value"
        );
        assert_eq!((&plain[..3], &plain[5..]), (&changed[..3], &changed[5..]));

        let mut decisions = Decisions::new(spec, false);
        for n in 0..10 {
            decisions.decide(Kind::RequestDelay, Subject::new(0, 1, n), 27);
        }
        assert_eq!(decisions.unreached(), [at(1000)]);
    }

    #[test]
    fn a_neutral_kind_is_zero_except_where_it_is_listed() {
        let kept = Address { kind: Kind::RequestDelay, from: 0, to: 1, n: 2 };
        let mut spec = RunSpec::seed(1);
        spec.neutral.insert(Kind::RequestDelay, BTreeSet::from([kept]));
        spec.neutral.insert(Kind::Dice, BTreeSet::new());
        let plain = draws(RunSpec::seed(1), Kind::RequestDelay, 6, 27);
        let calm = draws(spec.clone(), Kind::RequestDelay, 6, 27);
        assert_eq!(calm, [0, 0, plain[2], 0, 0, 0]);
        assert_eq!(draws(spec, Kind::Dice, 6, 0), draws(RunSpec::seed(1), Kind::Dice, 6, 0));
    }

    #[test]
    fn draws_from_the_given_time_on_come_from_the_second_seed() {
        let mut spec = RunSpec::seed(1);
        spec.redraw = Some((Duration::from_secs(1), 77));
        let mut decisions = Decisions::new(spec, false);
        let sequence = decisions.sequence(Kind::Dice, 0, 1);
        let before: Vec<u64> = (0..5).map(|_| decisions.draw(sequence, 0)).collect();
        decisions.time_is(1_000_000_000);
        let after: Vec<u64> = (0..5).map(|_| decisions.draw(sequence, 0)).collect();
        assert_eq!(before, draws_of_dice(1)[..5]);
        assert_eq!(after, draws_of_dice(77)[5..]);
    }

    #[test]
    fn the_nth_value_of_a_sequence_is_the_one_at_its_address() {
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.is_sequence());
        for kind in kinds {
            let drawn = draws(RunSpec::seed(4), kind, 100, 0);
            let keys = Keys::new(4);
            for (n, value) in (0..).zip(drawn) {
                let subject = Subject::new(0, 1, n);
                let sought = keys.sequence(kind, subject.parties, n).next_u64();
                assert_eq!(value, sought, "{kind:?} {n}");
            }
        }
    }

    fn draws_of_dice(seed: u64) -> Vec<u64> {
        draws(RunSpec::seed(seed), Kind::Dice, 10, 0)
    }
}
