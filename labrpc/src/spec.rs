//! What a run is made of, as a value: the names of decisions, and what is to be decided other than the
//! seed says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::node::Node;

/// What is being decided.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Kind {
    /// The place of a woken task among those that are ready: a key, smallest first. Benign: in the
    /// order of waking. `from` is the server, `to` the task's number there.
    Order,
    /// How long a request travels beyond the shortest time, in nanoseconds. Benign: 0.
    RequestTransit,
    /// How long a reply travels beyond the shortest time, in nanoseconds. Benign: 0.
    ReplyTransit,
    /// The short delay of a request on an unreliable network, in milliseconds. Benign: 0.
    RequestDelay,
    /// Whether the request is lost on an unreliable network. Benign: it is not.
    RequestDrop,
    /// Whether the reply is lost on an unreliable network. Benign: it is not.
    ReplyDrop,
    /// Under long reordering, whether and how long the reply is held back, in milliseconds.
    /// Benign: 0, not held back.
    ReplyHold,
    /// How long a call to a server that cannot be reached takes to fail, in milliseconds. Benign: half of
    /// the longest.
    Unreachable,
    /// What the code on a server draws for itself, such as election time-outs. Nothing is benign.
    Dice,
    /// What the test draws: values, victims, pauses. Nothing is benign.
    Workload,
    /// What all random bytes of the standard library are made from, such as the keys of a `HashMap`.
    /// Nothing is benign.
    Entropy,
    /// Under chaos, whether and how long a request is held back, in milliseconds. Benign: 0.
    RequestHold,
    /// Under chaos, how much later a copy of a request arrives, in milliseconds. Benign: 0, no copy.
    RequestCopy,
    /// Under chaos, what a link is like for a second, `n` from the start: 1 cut in this direction, 2
    /// clogged. Benign: 0, open.
    LinkFault,
    /// Under chaos, for how many milliseconds of its `n`-th second a server pauses. Benign: 0.
    Pause,
    /// Under chaos, how much a server's clock is off. Benign: 0.
    ClockSkew,
    /// Under chaos, whether a server crashes at a save. Benign: it does not.
    CrashAtSave,
    /// How much there is of a kind of fault under chaos. Benign: 0, none.
    Configuration,
    /// Whether the next step is taken of a schedule that a test generates, such as a crash or a call. It
    /// always is, but for specifications that say otherwise. Benign: 0, it is not.
    Schedule,
}

/// How many kinds there are.
pub(crate) const KINDS: usize = Kind::Schedule as usize + 1;

impl Kind {
    /// All of them.
    pub const ALL: [Kind; KINDS] = [
        Kind::Order,
        Kind::RequestTransit,
        Kind::ReplyTransit,
        Kind::RequestDelay,
        Kind::RequestDrop,
        Kind::ReplyDrop,
        Kind::ReplyHold,
        Kind::Unreachable,
        Kind::Dice,
        Kind::Workload,
        Kind::Entropy,
        Kind::RequestHold,
        Kind::RequestCopy,
        Kind::LinkFault,
        Kind::Pause,
        Kind::ClockSkew,
        Kind::CrashAtSave,
        Kind::Configuration,
        Kind::Schedule,
    ];

    /// The harmless value of a decision of this kind in `0..bound`, where there is one: 0, and for what
    /// is only a time that must pass anyway, its middle. (A caller that hears at once that a server
    /// cannot be reached may call again at once, without end.)
    pub const fn benign(self, bound: u64) -> u64 {
        match self {
            Kind::Unreachable => bound / 2,
            _ => 0,
        }
    }

    /// Whether decisions of this kind are drawn one after the other, from a generator that is kept; the
    /// others are computed from their addresses.
    pub(crate) const fn is_sequence(self) -> bool {
        matches!(
            self,
            Kind::Dice | Kind::Workload | Kind::Entropy | Kind::CrashAtSave | Kind::Schedule
        )
    }

    /// Whether this kind has a harmless value.
    pub const fn has_benign(self) -> bool {
        !matches!(self, Kind::Dice | Kind::Workload | Kind::Entropy)
    }
}

/// The name of one random decision: the `n`-th (from 0) of its kind between `from` and `to`, or that
/// of the `n`-th call from there to there.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// What is decided.
    pub kind: Kind,
    /// The node that it is about, or the sender.
    pub from: u32,
    /// The receiver, the number of the task, or which of several dice.
    pub to: u32,
    /// How many such decisions, or calls, came before. Never restarts with a server.
    pub n: u64,
}

impl Address {
    /// The decision of this kind about the `n`-th call from one node to another.
    pub fn of_call(kind: Kind, from: Node, to: Node, n: u64) -> Address {
        Address { kind, from: from.raw(), to: to.raw(), n }
    }
}

/// `RequestDrop 2->0 #17`: the kind, the raw numbers of the two parties, and n.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}->{} #{}", self.kind, self.from, self.to, self.n)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As [`Display`](fmt::Display) writes it.
impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let parse = || {
            let (kind, rest) = text.split_once(' ')?;
            let (from, rest) = rest.split_once("->")?;
            let (to, n) = rest.split_once(" #")?;
            let kind = Kind::ALL.into_iter().find(|known| format!("{known:?}") == kind)?;
            let (from, to) = (from.parse().ok()?, to.parse().ok()?);
            Some(Address { kind, from, to, n: n.parse().ok()? })
        };
        parse().ok_or_else(|| {
            format!("{text:?} is no address of a decision, such as \"RequestDrop 2->0 #17\"")
        })
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What a run is made of, beside the code: a seed, and what is to differ from what the seed says.
///
/// Replaying, shrinking, explaining and comparing runs are all runs of a changed `RunSpec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// Decides every choice that nothing below decides.
    pub seed: u64,
    /// Decisions with a given value. A value that is out of the decision's range becomes its largest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<Address, u64>,
    /// Kinds that take their benign value everywhere but at the addresses named with them. A kind
    /// without a benign value is left alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub benign: BTreeMap<Kind, BTreeSet<Address>>,
    /// From this virtual time on, draws come from this second seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redraw: Option<(Duration, u64)>,
}

impl RunSpec {
    /// The plain run of a seed.
    pub fn seed(seed: u64) -> RunSpec {
        RunSpec { seed, ..RunSpec::default() }
    }

    /// The run of a seed in which nothing but these decisions has another than its benign value,
    /// wherever there is one.
    pub fn only(seed: u64, decisions: BTreeMap<Address, u64>) -> RunSpec {
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.has_benign());
        let benign = kinds.map(|kind| (kind, BTreeSet::new())).collect();
        RunSpec { seed, overrides: decisions, benign, redraw: None }
    }
}

/// A decision as it was taken, for the record.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// When, in virtual time since the start of the run.
    #[serde(with = "crate::nanoseconds")]
    pub at: Duration,
    /// Which decision.
    pub address: Address,
    /// Its value, below `bound`.
    pub value: u64,
    /// How many values it could have taken; 0 stands for 2^64.
    pub bound: u64,
}

impl Taken {
    /// Whether it has another value than the harmless one. What has none is not meant.
    pub fn is_fault(&self) -> bool {
        self.address.kind.has_benign() && self.value != self.address.kind.benign(self.bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_survives_being_written_down() {
        let address = |kind, n| Address { kind, from: 2, to: Node::TESTER.raw(), n };
        let kept = address(Kind::ReplyHold, 3);
        let spec = RunSpec {
            seed: u64::MAX,
            overrides: Kind::ALL
                .into_iter()
                .zip(0..)
                .map(|(kind, n)| (address(kind, n), n))
                .collect(),
            benign: BTreeMap::from([(Kind::ReplyHold, BTreeSet::from([kept]))]),
            redraw: Some((Duration::new(3, 7), 9)),
        };
        let bytes = crate::codec::encode(&spec).unwrap();
        assert_eq!(crate::codec::decode::<RunSpec>(&bytes).unwrap(), spec);
    }

    #[test]
    fn what_is_no_address_is_named() {
        for text in ["", "RequestDrop", "Lost 0->1 #2", "RequestDrop 0->x #2", "RequestDrop 0-1 #2"]
        {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
