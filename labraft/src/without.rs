//! What a run is not judged by: properties, thresholds and probes that were left out by name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::property::Property;

/// A bound of the course's tests on what a Raft or a service may use, and of the tests beyond them. A
/// Raft that is designed differently can miss it without being wrong.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// The number of RPCs for an election, for an agreement, and in an idle second.
    RpcCount,
    /// The number of bytes in RPCs.
    RpcBytes,
    /// The size of the saved state and of the snapshot.
    SavedSize,
    /// The number of tasks of an idle server.
    TaskCount,
    /// The virtual time that an operation takes on average.
    OperationTime,
    /// The virtual time of a whole test: 120 s.
    TestTime,
    /// The number of terms that elections take, and the spread of election time-outs.
    Elections,
}

impl Threshold {
    /// All thresholds, in the order of the enum.
    pub const ALL: [Threshold; 7] = [
        Threshold::RpcCount,
        Threshold::RpcBytes,
        Threshold::SavedSize,
        Threshold::TaskCount,
        Threshold::OperationTime,
        Threshold::TestTime,
        Threshold::Elections,
    ];

    /// The stable name, such as `rpc-count`, on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Threshold::RpcCount => "rpc-count",
            Threshold::RpcBytes => "rpc-bytes",
            Threshold::SavedSize => "saved-size",
            Threshold::TaskCount => "task-count",
            Threshold::OperationTime => "operation-time",
            Threshold::TestTime => "test-time",
            Threshold::Elections => "elections",
        }
    }
}

/// The name that leaves out what Rafts show of their inside.
const PROBE: &str = "probe";
const PLACE_OF_PROBE: usize = Property::COUNT + Threshold::ALL.len();

/// A set of properties and thresholds by which a run is not judged, and whether it is judged without
/// probes. Written as a list of names.
#[derive(Copy, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<String>", try_from = "Vec<String>")]
pub struct Without {
    /// A bit for each property, then one for each threshold, then one for probes.
    bits: u128,
}

impl Without {
    /// A run is judged by everything.
    pub const NOTHING: Without = Without { bits: 0 };

    /// A run is judged as if its Raft had no [`probe`](crate::Raft::probe).
    pub const fn probe() -> Without {
        Without { bits: 1 << PLACE_OF_PROBE }
    }

    /// The names that can be left out: of all properties, then of all thresholds, then `probe`.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let properties = Property::all().map(Property::name);
        properties.chain(Threshold::ALL.map(Threshold::name)).chain([PROBE])
    }

    /// The set with one name added.
    ///
    /// # Errors
    /// If nothing that can be left out has this name. The error lists all names.
    pub fn and(self, name: &str) -> Result<Without, String> {
        let place = Without::names().position(|known| known == name).ok_or_else(|| {
            let names: Vec<&str> = Without::names().collect();
            format!(
                "{name:?} is no property, no threshold and not \"probe\"; these can be left out: {}",
                names.join(", ")
            )
        })?;
        Ok(Without { bits: self.bits | 1 << place })
    }

    /// Whether nothing is left out.
    pub const fn is_empty(&self) -> bool {
        self.bits == 0
    }

    /// Whether runs are judged by this property.
    pub const fn includes(self, property: Property) -> bool {
        self.bits & 1 << property as u64 == 0
    }

    /// Whether runs are judged by this threshold.
    pub const fn has_threshold(self, threshold: Threshold) -> bool {
        let place = Property::COUNT + threshold as usize;
        self.bits & 1 << place == 0
    }

    /// Whether runs are judged by what Rafts show with [`probe`](crate::Raft::probe).
    pub const fn has_probes(self) -> bool {
        self.bits & 1 << PLACE_OF_PROBE == 0
    }

    /// The names of what is left out.
    fn left_out(self) -> impl Iterator<Item = &'static str> {
        let names = Without::names().enumerate();
        names.filter(move |(place, _)| self.bits & 1 << place != 0).map(|(_, name)| name)
    }
}

impl From<Without> for Vec<String> {
    fn from(without: Without) -> Vec<String> {
        without.left_out().map(String::from).collect()
    }
}

impl TryFrom<Vec<String>> for Without {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Without, String> {
        names.iter().try_fold(Without::default(), |without, name| without.and(name))
    }
}

impl fmt::Display for Without {
    /// The names, separated by commas, as on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.left_out().collect::<Vec<_>>().join(","))
    }
}

impl fmt::Debug for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Without({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_leaves_out_exactly_what_it_names() {
        for name in Without::names() {
            let without = Without::default().and(name).unwrap();
            assert_eq!(without.to_string(), name);
            let properties = Property::all().filter(|&property| !without.includes(property));
            let thresholds = Threshold::ALL.into_iter().filter(|&t| !without.has_threshold(t));
            let probe = (!without.has_probes()).then_some(PROBE);
            let left_out: Vec<&str> = properties
                .map(Property::name)
                .chain(thresholds.map(Threshold::name))
                .chain(probe)
                .collect();
            assert_eq!(left_out, [name]);
        }
        assert!(Without::names().count() <= u128::BITS as usize);
    }

    #[test]
    fn it_is_written_as_a_list_of_names() {
        let without = Without::default().and("election-timer").unwrap().and("rpc-count").unwrap();
        let text = serde_json::to_string(&without).unwrap();
        assert_eq!(text, r#"["election-timer","rpc-count"]"#);
        assert_eq!(serde_json::from_str::<Without>(&text).unwrap(), without);
        let error = serde_json::from_str::<Without>(r#"["timer"]"#).unwrap_err().to_string();
        assert!(error.contains("\"timer\" is no property"), "{error}");
        assert!(Without::names().all(|name| error.contains(name)), "{error}");
    }
}
