//! Every random decision of a run, each with an address.
//!
//! A decision is addressed by *(kind, from, to, n)*: the n-th of that kind between those two parties,
//! counted over the whole run. For what is decided about a message, n is the number of its call among
//! all from there to there, whether or not an earlier call needed that decision. A value depends on
//! the seed and the address alone. So one message more on one link does not reshuffle the luck of the
//! others, nor a lost request that of the replies after it; and a decision can be named, kept, changed
//! or made harmless from outside: that is a [`RunSpec`].
//!
//! # From a seed to a value
//!
//! All randomness comes from [`rand_chacha`], whose values are documented to be the same on every
//! platform and in every version. `ChaCha8Rng::seed_from_u64(seed)` is the root: its first 32 bytes
//! are the key of the first [`Kind`], the next 32 bytes that of the second, and so on. A new kind goes
//! to the end of the list, and the others keep their keys.
//!
//! Each *(kind, from, to)* is a stream of its own, and its n-th value is 64 random bits. There are two
//! sorts of streams:
//!
//! - *Sequences* are drawn from one value after the other, as dice are: those of servers and clients,
//!   the test's workload, the standard library's entropy, and others that [`Kind::is_sequence`]
//!   names. A sequence is a ChaCha8 generator: its seed is the kind's key, its stream number is
//!   `from << 32 | to`, and the n-th value is the words 2n and 2n + 1. The generator is kept for the
//!   run. That takes about 350 bytes, and some 9 ns for a draw; one that is made or sought for a
//!   single draw takes some 100 ns.
//! - All other decisions are *computed* from n: about each message, about the order of tasks that are
//!   ready, and about faults under chaos. There are very many of these streams (one for each task), or
//!   they are asked out of order (`n` is a second of the run). Their values are those of a SplitMix64
//!   sequence (Steele, Lea and Flood, OOPSLA 2014) whose starting point is mixed from `from`, `to` and
//!   the first eight bytes of the kind's key. Such a stream is a few words of state, and a draw
//!   takes some 4 ns wherever n is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::hash::{Fingerprint, GOLDEN, mix};
use crate::spec::{Address, KINDS, Kind, RunSpec, Taken};

/// What all streams are made from: the seed in force, which is the second one after its time.
struct Keys {
    /// Which of the run's seeds this is, from 0.
    epoch: u32,
    of_kinds: [[u8; 32]; KINDS],
}

impl Keys {
    fn new(seed: u64, epoch: u32) -> Keys {
        let mut root = ChaCha8Rng::seed_from_u64(seed);
        let mut of_kinds = [[0; 32]; KINDS];
        for key in &mut of_kinds {
            root.fill_bytes(key);
        }
        Keys { epoch, of_kinds }
    }

    /// The starting point of a computed stream. It stands for a sequence in the fingerprint.
    fn start(&self, kind: Kind, from: u32, to: u32) -> u64 {
        let key = &self.of_kinds[kind as usize];
        let word = u64::from_le_bytes(key[..8].try_into().expect("a key has 32 bytes"));
        mix(word ^ mix(pair(from, to)))
    }

    /// The generator of a sequence, about to give the `n`-th value.
    fn generator(&self, kind: Kind, from: u32, to: u32, n: u64) -> ChaCha8Rng {
        let mut generator = ChaCha8Rng::from_seed(self.of_kinds[kind as usize]);
        generator.set_stream(pair(from, to));
        generator.set_word_pos(2 * u128::from(n));
        generator
    }
}

fn pair(from: u32, to: u32) -> u64 {
    u64::from(from) << 32 | u64::from(to)
}

/// The source of one kind of decision between two parties.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Stream {
    kind: Kind,
    from: u32,
    to: u32,
    /// Which of the run's seeds `start` was made from.
    epoch: u32,
    start: u64,
}

impl Stream {
    fn new(keys: &Keys, kind: Kind, from: u32, to: u32) -> Stream {
        Stream { kind, from, to, epoch: keys.epoch, start: keys.start(kind, from, to) }
    }

    /// Makes the stream one of the seed in force, if it is not; then says that it was not.
    #[inline]
    fn renew(&mut self, keys: &Keys) -> bool {
        let is_old = self.epoch != keys.epoch;
        if is_old {
            *self = Stream::new(keys, self.kind, self.from, self.to);
        }
        is_old
    }

    /// The `n`-th value of a computed stream.
    #[inline]
    fn computed(&self, n: u64) -> u64 {
        mix(self.start.wrapping_add(n.wrapping_mul(GOLDEN)))
    }
}

/// A computed stream whose decisions are numbered as they are drawn.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Counted {
    stream: Stream,
    count: u64,
}

impl Counted {
    /// Node and number of a task, from the stream that orders it.
    pub(crate) fn identity(&self) -> u64 {
        pair(self.stream.from, self.stream.to)
    }
}

/// A stream that is drawn from in sequence, with its generator.
struct Sequence {
    stream: Stream,
    /// How many values were drawn.
    count: u64,
    generator: ChaCha8Rng,
}

impl Sequence {
    fn new(keys: &Keys, kind: Kind, from: u32, to: u32) -> Sequence {
        let stream = Stream::new(keys, kind, from, to);
        Sequence { stream, count: 0, generator: keys.generator(kind, from, to, 0) }
    }

    /// The next value.
    #[inline]
    fn next(&mut self, keys: &Keys) -> u64 {
        if self.stream.renew(keys) {
            let Stream { kind, from, to, .. } = self.stream;
            self.generator = keys.generator(kind, from, to, self.count);
        }
        self.count += 1;
        self.generator.next_u64()
    }
}

/// The place of a sequence in the table of [`Choices`].
#[derive(Copy, Clone, Debug)]
pub(crate) struct StreamId(u32);

/// All that is decided about messages from one node to another.
struct LinkStreams {
    /// In the order of [`Kind::OF_LINK`].
    streams: [Stream; Kind::OF_LINK.len()],
    calls: u64,
}

/// A call on a link: what the addresses of its decisions are made of.
#[derive(Copy, Clone, Debug)]
pub(crate) struct CallOnLink {
    link: Link,
    n: u64,
}

/// The place of a link in the table of [`Choices`].
#[derive(Copy, Clone, Debug)]
pub(crate) struct Link(u32);

/// The one place where dice are rolled.
pub(crate) struct Choices {
    spec: RunSpec,
    keys: Keys,
    now: Duration,
    sequences: Vec<Sequence>,
    sequence_index: BTreeMap<(Kind, u32, u32), StreamId>,
    links: Vec<LinkStreams>,
    link_index: BTreeMap<(u32, u32), Link>,
    /// Nothing but the seed decides: the common case.
    plain: bool,
    reached: BTreeSet<Address>,
    taken: Option<Vec<Taken>>,
    fingerprint: Fingerprint,
}

impl Choices {
    pub(crate) fn new(spec: RunSpec, record: bool) -> Choices {
        Choices {
            keys: Keys::new(spec.seed, 0),
            now: Duration::ZERO,
            sequences: Vec::new(),
            sequence_index: BTreeMap::new(),
            links: Vec::new(),
            link_index: BTreeMap::new(),
            plain: spec.overrides.is_empty() && spec.benign.is_empty(),
            reached: BTreeSet::new(),
            taken: record.then(Vec::new),
            fingerprint: Fingerprint::default(),
            spec,
        }
    }

    /// Virtual time has come to `now`: the second seed may begin.
    pub(crate) fn time_is(&mut self, now: Duration) {
        self.now = now;
        if let Some((from, seed)) = self.spec.redraw
            && self.keys.epoch == 0
            && now >= from
        {
            self.keys = Keys::new(seed, 1);
        }
    }

    /// A computed stream that the caller keeps; never make the same one twice.
    pub(crate) fn new_stream(&self, kind: Kind, from: u32, to: u32) -> Counted {
        debug_assert!(!kind.is_sequence(), "{kind:?} is drawn from a sequence");
        Counted { stream: Stream::new(&self.keys, kind, from, to), count: 0 }
    }

    /// The sequence for these three, the same one for each call.
    pub(crate) fn sequence(&mut self, kind: Kind, from: u32, to: u32) -> StreamId {
        debug_assert!(kind.is_sequence(), "{kind:?} is computed");
        if let Some(&id) = self.sequence_index.get(&(kind, from, to)) {
            return id;
        }
        let id = StreamId(self.sequences.len() as u32);
        self.sequences.push(Sequence::new(&self.keys, kind, from, to));
        self.sequence_index.insert((kind, from, to), id);
        id
    }

    /// The link between these two, the same one for each call.
    pub(crate) fn link(&mut self, from: u32, to: u32) -> Link {
        if let Some(&link) = self.link_index.get(&(from, to)) {
            return link;
        }
        let link = Link(self.links.len() as u32);
        let streams = Kind::OF_LINK.map(|kind| Stream::new(&self.keys, kind, from, to));
        self.links.push(LinkStreams { streams, calls: 0 });
        self.link_index.insert((from, to), link);
        link
    }

    /// The next call on a link.
    pub(crate) fn next_call(&mut self, link: Link) -> CallOnLink {
        let calls = &mut self.links[link.0 as usize].calls;
        *calls += 1;
        CallOnLink { link, n: *calls - 1 }
    }

    /// The next value of a sequence, in `0..bound`; a `bound` of 0 stands for 2^64.
    pub(crate) fn draw(&mut self, id: StreamId, bound: u64) -> u64 {
        self.draw_shaped(id, bound, |raw| scale(raw, bound))
    }

    /// The next value of a sequence, of which `shape` decides how likely each one is.
    pub(crate) fn draw_shaped(
        &mut self,
        id: StreamId,
        bound: u64,
        shape: impl FnOnce(u64) -> u64,
    ) -> u64 {
        let sequence = &mut self.sequences[id.0 as usize];
        let n = sequence.count;
        let value = shape(sequence.next(&self.keys));
        let stream = sequence.stream;
        self.decide(&stream, n, bound, value)
    }

    /// The next value of a computed stream, in `0..bound`; a `bound` of 0 stands for 2^64.
    #[inline]
    pub(crate) fn draw_from(&mut self, counted: &mut Counted, bound: u64) -> u64 {
        let n = counted.count;
        counted.count += 1;
        self.compute(&mut counted.stream, n, bound, |raw| scale(raw, bound))
    }

    /// The decision of that kind about a call, in `0..bound`. `shape` turns 64 random bits into a
    /// value, and so decides how likely each one is.
    pub(crate) fn draw_for(
        &mut self,
        CallOnLink { link, n }: CallOnLink,
        kind: Kind,
        bound: u64,
        shape: impl FnOnce(u64) -> u64,
    ) -> u64 {
        let place = kind as usize - Kind::OF_LINK[0] as usize;
        let mut stream = self.links[link.0 as usize].streams[place];
        let value = self.compute(&mut stream, n, bound, shape);
        self.links[link.0 as usize].streams[place] = stream;
        value
    }

    /// The link's two nodes, and the number of the call.
    pub(crate) fn place_of(&self, CallOnLink { link, n }: CallOnLink) -> ((u32, u32), u64) {
        let stream = &self.links[link.0 as usize].streams[0];
        ((stream.from, stream.to), n)
    }

    /// The decision at any address: for those that are rare, or that are asked for out of order.
    pub(crate) fn decide_at(
        &mut self,
        kind: Kind,
        (from, to): (u32, u32),
        n: u64,
        bound: u64,
        shape: impl FnOnce(u64) -> u64,
    ) -> u64 {
        let mut stream = Stream::new(&self.keys, kind, from, to);
        if kind.is_sequence() {
            let raw = self.keys.generator(kind, from, to, n).next_u64();
            return self.decide(&stream, n, bound, shape(raw));
        }
        self.compute(&mut stream, n, bound, shape)
    }

    #[inline]
    fn compute(
        &mut self,
        stream: &mut Stream,
        n: u64,
        bound: u64,
        shape: impl FnOnce(u64) -> u64,
    ) -> u64 {
        stream.renew(&self.keys);
        self.decide(stream, n, bound, shape(stream.computed(n)))
    }

    /// What becomes of the value that was drawn for an address.
    #[inline]
    fn decide(&mut self, stream: &Stream, n: u64, bound: u64, drawn: u64) -> u64 {
        let mut value = drawn;
        let address = Address { kind: stream.kind, from: stream.from, to: stream.to, n };
        if !self.plain {
            value = self.decided(address, bound, value);
        }
        self.fingerprint.add(stream.start ^ value.rotate_left(32), n << 8 | stream.kind as u64);
        if let Some(taken) = &mut self.taken {
            taken.push(Taken { at: self.now, address, value, bound });
        }
        value
    }

    /// What the specification makes of a drawn value.
    #[cold]
    fn decided(&mut self, address: Address, bound: u64, drawn: u64) -> u64 {
        if let Some(&value) = self.spec.overrides.get(&address) {
            self.reached.insert(address);
            return if bound == 0 { value } else { value.min(bound - 1) };
        }
        match self.spec.benign.get(&address.kind) {
            Some(kept) if address.kind.has_benign() && !kept.contains(&address) => {
                address.kind.benign(bound)
            }
            _ => drawn,
        }
    }

    /// Whether to ask about faults that come at this rate: not where there are none, unless the
    /// specification may want one all the same.
    pub(crate) fn may_happen(&self, rate: u64) -> bool {
        rate > 0 || !self.plain
    }

    /// The overrides that the run never came to.
    pub(crate) fn unreached(&self) -> Vec<Address> {
        self.spec.overrides.keys().filter(|a| !self.reached.contains(a)).copied().collect()
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint.value()
    }

    /// The decisions taken so far, when they are recorded.
    pub(crate) fn take_record(&mut self) -> Vec<Taken> {
        self.taken.take().unwrap_or_default()
    }
}

/// A value in `0..bound` in proportion to `raw`. For the bounds in use (below 2^33) every value's
/// chance is right to one part in two thousand million.
pub(crate) fn scale(raw: u64, bound: u64) -> u64 {
    if bound == 0 { raw } else { split(raw, bound).0 }
}

/// Like [`scale`], and the random bits that are left over, for a second question of the same draw.
pub(crate) fn split(raw: u64, bound: u64) -> (u64, u64) {
    let product = u128::from(raw) * u128::from(bound);
    ((product >> 64) as u64, product as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(spec: RunSpec, kind: Kind, count: usize, bound: u64) -> Vec<u64> {
        let mut choices = Choices::new(spec, false);
        if kind.has_benign() {
            let link = choices.link(0, 1);
            return (0..count)
                .map(|_| {
                    let call = choices.next_call(link);
                    choices.draw_for(call, kind, bound, |raw| scale(raw, bound))
                })
                .collect();
        }
        let stream = choices.sequence(kind, 0, 1);
        (0..count).map(|_| choices.draw(stream, bound)).collect()
    }

    #[test]
    fn a_value_depends_on_seed_and_address_alone() {
        let alone = draws(RunSpec::seed(5), Kind::RequestDelay, 100, 1000);
        let mut choices = Choices::new(RunSpec::seed(5), false);
        let (link, other) = (choices.link(0, 1), choices.link(1, 0));
        let draw = |choices: &mut Choices, call, kind| {
            choices.draw_for(call, kind, 1000, |raw| scale(raw, 1000))
        };
        let among_others: Vec<u64> = (0..100)
            .map(|i| {
                let call = choices.next_call(link);
                for _ in 0..i % 3 {
                    let other = choices.next_call(other);
                    draw(&mut choices, other, Kind::RequestDelay);
                    draw(&mut choices, call, Kind::ReplyDrop);
                }
                draw(&mut choices, call, Kind::RequestDelay)
            })
            .collect();
        assert_eq!(alone, among_others);
        assert_ne!(alone, draws(RunSpec::seed(6), Kind::RequestDelay, 100, 1000));
        assert_ne!(alone, draws(RunSpec::seed(5), Kind::ReplyDrop, 100, 1000));
    }

    #[test]
    fn values_are_spread_evenly_within_and_across_streams() {
        // Chi-squared over 27 cells (26 degrees of freedom): above 65 has a chance of 3 in 100,000.
        let chi = |values: &[u64]| {
            let mut cells = [0f64; 27];
            values.iter().for_each(|&v| cells[v as usize] += 1.0);
            let expected = values.len() as f64 / 27.0;
            cells.iter().map(|c| (c - expected).powi(2) / expected).sum::<f64>()
        };
        for seed in 0..20 {
            let within = draws(RunSpec::seed(seed), Kind::RequestDelay, 27_000, 27);
            assert!(chi(&within) < 65.0, "seed {seed}, one stream: {}", chi(&within));
            let choices = Choices::new(RunSpec::seed(seed), false);
            let mut choices_for_draws = Choices::new(RunSpec::seed(seed), false);
            let across: Vec<u64> = (0..27_000)
                .map(|to| {
                    let mut stream = choices.new_stream(Kind::Order, 2, to);
                    choices_for_draws.draw_from(&mut stream, 27)
                })
                .collect();
            assert!(chi(&across) < 65.0, "seed {seed}, first of each: {}", chi(&across));
        }
        let first_of_each_seed: Vec<u64> =
            (0..27_000).map(|s| draws(RunSpec::seed(s), Kind::RequestDelay, 1, 27)[0]).collect();
        assert!(chi(&first_of_each_seed) < 65.0, "{}", chi(&first_of_each_seed));
    }

    #[test]
    fn an_override_changes_one_decision_and_is_reported_when_never_reached() {
        let at = |n| Address { kind: Kind::RequestDelay, from: 0, to: 1, n };
        let mut spec = RunSpec::seed(9);
        spec.overrides = BTreeMap::from([(at(3), 26), (at(4), 99), (at(1000), 1)]);
        let plain = draws(RunSpec::seed(9), Kind::RequestDelay, 10, 27);
        let changed = draws(spec.clone(), Kind::RequestDelay, 10, 27);
        assert_eq!(changed[3..5], [26, 26], "99 is out of range and becomes the largest");
        assert_eq!((&plain[..3], &plain[5..]), (&changed[..3], &changed[5..]));

        let mut choices = Choices::new(spec, false);
        let link = choices.link(0, 1);
        for _ in 0..10 {
            let call = choices.next_call(link);
            choices.draw_for(call, Kind::RequestDelay, 27, |raw| scale(raw, 27));
        }
        assert_eq!(choices.unreached(), [at(1000)]);
    }

    #[test]
    fn a_benign_kind_is_zero_but_where_it_is_kept() {
        let kept = Address { kind: Kind::RequestDelay, from: 0, to: 1, n: 2 };
        let mut spec = RunSpec::seed(1);
        spec.benign.insert(Kind::RequestDelay, BTreeSet::from([kept]));
        spec.benign.insert(Kind::Dice, BTreeSet::new());
        let plain = draws(RunSpec::seed(1), Kind::RequestDelay, 6, 27);
        let calm = draws(spec.clone(), Kind::RequestDelay, 6, 27);
        assert_eq!(calm, [0, 0, plain[2], 0, 0, 0]);
        assert_eq!(draws(spec, Kind::Dice, 6, 0), draws(RunSpec::seed(1), Kind::Dice, 6, 0));
    }

    #[test]
    fn draws_after_the_redraw_time_come_from_the_second_seed() {
        let mut spec = RunSpec::seed(1);
        spec.redraw = Some((Duration::from_secs(1), 77));
        let mut choices = Choices::new(spec, false);
        let stream = choices.sequence(Kind::Dice, 0, 1);
        let before: Vec<u64> = (0..5).map(|_| choices.draw(stream, 0)).collect();
        choices.time_is(Duration::from_secs(1));
        let after: Vec<u64> = (0..5).map(|_| choices.draw(stream, 0)).collect();
        assert_eq!(before, draws_of_dice(1)[..5]);
        assert_eq!(after, draws_of_dice(77)[5..]);
    }

    #[test]
    fn a_sequence_and_its_address_give_the_same_values() {
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.is_sequence());
        for kind in kinds {
            let mut kept = Choices::new(RunSpec::seed(4), false);
            let mut sought = Choices::new(RunSpec::seed(4), false);
            let sequence = kept.sequence(kind, 3, 7);
            for n in 0..100 {
                let value = kept.draw(sequence, 0);
                assert_eq!(value, sought.decide_at(kind, (3, 7), n, 0, |raw| raw), "{kind:?} {n}");
            }
            assert_eq!(kept.fingerprint(), sought.fingerprint());
        }
    }

    fn draws_of_dice(seed: u64) -> Vec<u64> {
        draws(RunSpec::seed(seed), Kind::Dice, 10, 0)
    }
}
