//! The specification of a run: a seed, and the decisions that differ from what the seed gives. Each
//! decision has an address.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::acts::Act;
use crate::node::Node;

/// Declares the enum together with the list of its variants, so that neither lacks what the other has.
macro_rules! kinds {
    ($(#[$of_enum:meta])* pub enum Kind { $($(#[$of_kind:meta])* $kind:ident,)+ }) => {
        $(#[$of_enum])*
        pub enum Kind {
            $($(#[$of_kind])* $kind,)+
        }

        impl Kind {
            /// All kinds, in the order of the enum.
            pub const ALL: [Kind; KINDS] = [$(Kind::$kind),+];
        }

        /// The number of kinds.
        pub(crate) const KINDS: usize = [$(Kind::$kind),+].len();

        impl Kind {
            /// The kind with this name in the code.
            fn named(name: &str) -> Option<Kind> {
                match name {
                    $(stringify!($kind) => Some(Kind::$kind),)+
                    _ => None,
                }
            }
        }
    };
}

kinds! {
/// What a random decision is about.
///
/// Most kinds have a *neutral* value, which is the harmless outcome: no delay, no loss, no crash. A
/// new kind goes to the end, because the position of a kind determines its random key.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Kind {
    /// The sort key of a woken task among the ready ones; the smallest runs first. `from` is the
    /// node, `to` the number of the task there. Neutral: 0, so that tasks run in the order of
    /// waking.
    Order,
    /// How much longer than the shortest time a request travels, in nanoseconds. Neutral: 0.
    RequestTransit,
    /// How much longer than the shortest time a reply travels, in nanoseconds. Neutral: 0.
    ReplyTransit,
    /// The short delay of a request on an unreliable network, in milliseconds. Neutral: 0.
    RequestDelay,
    /// Whether a request is lost on an unreliable network: 1 if it is. Neutral: 0.
    RequestDrop,
    /// Whether a reply is lost on an unreliable network: 1 if it is. Neutral: 0.
    ReplyDrop,
    /// How long a reply is held back under long reordering, in milliseconds. Neutral: 0.
    ReplyHold,
    /// How long a call to a server that cannot be reached takes to fail, in milliseconds. Neutral:
    /// half of the longest time.
    Unreachable,
    /// A number that the code on a server draws, for example for an election time-out. No neutral
    /// value.
    Dice,
    /// A number that the test draws, for example to choose a server to crash. No neutral value.
    Workload,
    /// The seed of all random bytes that the standard library asks for, such as the keys of a
    /// `HashMap`. No neutral value.
    Entropy,
    /// How long a request is held back under chaos, in milliseconds. Neutral: 0.
    RequestHold,
    /// How much later a copy of a request arrives under chaos, in milliseconds. Neutral: 0, no copy.
    RequestCopy,
    /// The state of a link in one direction during second `n` of the run under chaos: 0 open, 1
    /// cut, 2 clogged. Neutral: 0.
    LinkFault,
    /// How long a server pauses at the start of second `n` of the run under chaos, in milliseconds.
    /// Neutral: 0.
    Pause,
    /// The rate error of a server's clock under chaos. Odd values are fast clocks, even values slow
    /// ones. Neutral: 0, a correct clock.
    ClockSkew,
    /// Whether a server crashes at a save under chaos: 1 if it does. Neutral: 0.
    CrashAtSave,
    /// The rate of one of the faults that chaos adds. Neutral: 0.
    Configuration,
    /// Whether the next step of a generated schedule, such as a crash or a call, takes place. It is
    /// 1 in every run that a seed gives; only a [`RunSpec`] can override it. Neutral: 0, the step is
    /// skipped.
    Schedule,
    /// Whether a server crashes at the end of a poll in which it saved, or sent a request or a reply: 1 if
    /// it does. Asked only in runs with [`RunSpec::asks_all`]. Neutral: 0.
    CrashAfterPoll,
    /// How much later than set a timer of a server fires, in milliseconds. `to` is the number of the
    /// task that waits for it, and `n` how often that task had been woken. Asked only in runs with
    /// [`RunSpec::asks_all`]. Neutral: 0.
    TimerHold,
}
}

impl Kind {
    /// The harmless value of a decision of this kind in `0..bound`, if the kind has one.
    ///
    /// It is 0 for every kind except [`Unreachable`](Kind::Unreachable). A call to a server that
    /// cannot be reached must take some time to fail, or a caller that keeps trying would never let
    /// time pass.
    pub const fn neutral(self, bound: u64) -> u64 {
        match self {
            Kind::Unreachable => bound / 2,
            _ => 0,
        }
    }

    /// Whether decisions of this kind are drawn one after another from a generator. All other
    /// decisions are computed from their addresses.
    pub(crate) const fn is_sequence(self) -> bool {
        matches!(
            self,
            Kind::Dice
                | Kind::Workload
                | Kind::Entropy
                | Kind::CrashAtSave
                | Kind::Schedule
                | Kind::CrashAfterPoll
        )
    }

    /// Whether this kind has a harmless value: one that causes no fault.
    pub const fn has_neutral(self) -> bool {
        !matches!(self, Kind::Dice | Kind::Workload | Kind::Entropy)
    }
}

/// The address of one random decision: its kind, two parties, and a number `n` that counts from 0. For a
/// decision about a message, `n` is the number of the call between the two; otherwise it is the number
/// of earlier decisions of this kind between them.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// What the decision is about.
    pub kind: Kind,
    /// The raw number of the node that the decision is about. For a message this is the sender of
    /// the request.
    pub from: u32,
    /// The raw number of the receiver of the request; for other decisions the number of the task,
    /// or which of several dice.
    pub to: u32,
    /// The number of such decisions, or calls, before this one in the run. A restart of a server
    /// does not reset it.
    pub n: u64,
}

impl Address {
    /// The address of the decision of this kind about the `n`-th call from one node to another.
    pub fn of_call(kind: Kind, from: Node, to: Node, n: u64) -> Address {
        Address { kind, from: from.raw(), to: to.raw(), n }
    }
}

/// Writes the kind, the raw numbers of the two parties and n, as in `RequestDrop 2->0 #17`.
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

/// Parses the form that [`Display`](fmt::Display) writes.
impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let parse = || {
            let (kind, rest) = text.split_once(' ')?;
            let (from, rest) = rest.split_once("->")?;
            let (to, n) = rest.split_once(" #")?;
            let kind = Kind::named(kind)?;
            let (from, to) = (from.parse().ok()?, to.parse().ok()?);
            Some(Address { kind, from, to, n: n.parse().ok()? })
        };
        parse().ok_or_else(|| {
            format!("{text:?} is not the address of a decision, such as \"RequestDrop 2->0 #17\"")
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

/// Everything that determines a run, apart from the code: a seed, and the decisions that differ
/// from what the seed gives.
///
/// Replaying, shrinking, explaining and comparing runs all work by running a modified `RunSpec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// The seed of every decision that no other field determines.
    pub seed: u64,
    /// Decisions with a fixed value. A value above the decision's range is replaced by the largest
    /// value in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<Address, u64>,
    /// Decisions with a fixed value that are made even where they would not come up: a message can be lost on
    /// a reliable network, too. They take precedence over `overrides`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub forced: BTreeMap<Address, u64>,
    /// Kinds whose decisions all take the neutral value, except at the addresses listed here. A kind
    /// without a neutral value is not affected.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub neutral: BTreeMap<Kind, BTreeSet<Address>>,
    /// A virtual time, and a second seed that replaces the first one from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redraw: Option<(Duration, u64)>,
    /// Whether to ask for the faults that a search can put anywhere, even if the network's settings
    /// and the profile exclude them: lost, held and copied messages, crashes of servers, late timers.
    /// A fault that only a search asks for does not happen unless it is overridden.
    #[serde(default, skip_serializing_if = "is_false")]
    pub asks_all: bool,
    /// What is done to the world from outside, at which times. Their order counts only among those of one
    /// time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acts: Vec<Act>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl RunSpec {
    /// The run of a seed, without any changes.
    pub fn seed(seed: u64) -> RunSpec {
        RunSpec { seed, ..RunSpec::default() }
    }

    /// The run of a seed in which these decisions have the given values, and all others their
    /// neutral values, if they have one.
    pub fn only(seed: u64, decisions: BTreeMap<Address, u64>) -> RunSpec {
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.has_neutral());
        let neutral = kinds.map(|kind| (kind, BTreeSet::new())).collect();
        RunSpec { seed, overrides: decisions, neutral, ..RunSpec::default() }
    }

    /// A run of a search: nothing goes wrong but these faults, each of which may be put anywhere. What a
    /// test's generated schedule does takes place.
    pub fn searched(seed: u64, faults: BTreeMap<Address, u64>) -> RunSpec {
        let mut spec = RunSpec::only(seed, faults);
        spec.neutral.remove(&Kind::Schedule);
        RunSpec { asks_all: true, ..spec }
    }
}

/// The record of one decision.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Virtual time since the start of the run.
    #[serde(with = "crate::nanoseconds")]
    pub at: Duration,
    /// The address of the decision.
    pub address: Address,
    /// The value that was decided, which is less than `bound`.
    pub value: u64,
    /// The number of possible values; 0 stands for 2^64.
    pub bound: u64,
    /// For the order of tasks: whether all tasks that were ready together ran in the order of waking, so
    /// that the value made no difference.
    #[serde(default)]
    pub in_turn: bool,
}

impl Taken {
    /// Whether the value differs from the neutral one, and may have made a difference. Always false if
    /// the kind has no neutral value.
    pub fn is_fault(&self) -> bool {
        let Taken { address: Address { kind, .. }, value, bound, in_turn, .. } = *self;
        kind.has_neutral() && value != kind.neutral(bound) && !in_turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_specification_decodes_to_the_same_value() {
        let address = |kind, n| Address { kind, from: 2, to: Node::TESTER.raw(), n };
        let kept = address(Kind::ReplyHold, 3);
        let spec = RunSpec {
            seed: u64::MAX,
            overrides: Kind::ALL
                .into_iter()
                .zip(0..)
                .map(|(kind, n)| (address(kind, n), n))
                .collect(),
            forced: BTreeMap::from([(kept, 5)]),
            neutral: BTreeMap::from([(Kind::ReplyHold, BTreeSet::from([kept]))]),
            redraw: Some((Duration::new(3, 7), 9)),
            asks_all: true,
            acts: vec!["1.5s crash 1".parse().unwrap()],
        };
        let bytes = crate::codec::encode(&spec).unwrap();
        assert_eq!(crate::codec::decode::<RunSpec>(&bytes).unwrap(), spec);
    }

    #[test]
    fn an_address_that_cannot_be_parsed_is_quoted_in_the_error() {
        for text in ["", "RequestDrop", "Lost 0->1 #2", "RequestDrop 0->x #2", "RequestDrop 0-1 #2"]
        {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
