//! The conditions of a run: what its result depends on besides test, seed and program.

use labraft::{Profile, Without};
use serde::{Deserialize, Serialize};

/// The faults that a run meets, and what it is judged by.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// The profile of faults.
    pub profile: Profile,
    /// The properties and thresholds by which the run is not judged.
    pub without: Without,
}

impl Conditions {
    /// The options that set these conditions; none for the defaults.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if self.profile != Profile::default() {
            arguments.extend(["--profile".into(), self.profile.name().into()]);
        }
        if !self.without.is_empty() {
            arguments.extend(["--without".into(), self.without.to_string()]);
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_name_what_differs_from_the_defaults() {
        assert!(Conditions::default().arguments().is_empty());
        let without = Without::NOTHING.and("next-index").unwrap().and("rpc-count").unwrap();
        let conditions = Conditions { profile: Profile::Chaos, without };
        let arguments = ["--profile", "chaos", "--without", "next-index,rpc-count"];
        assert_eq!(conditions.arguments(), arguments);
    }
}
