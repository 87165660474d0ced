//! A story: runs with a sentence each, through which a reader walks with the arrow keys.

use std::path::Path;

use labraft::{Profile, Without};
use labrpc::RunSpec;
use serde::{Deserialize, Serialize};

use crate::format;

/// The value of the field `format`.
const FORMAT: &str = "lab story 1";

/// A story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Story {
    /// The kind of file and its version.
    pub(crate) format: String,
    /// What it is about.
    pub(crate) title: String,
    /// The test, or the world without one, that its runs are of.
    pub(crate) test: String,
    /// Which Raft was tested when it was made. It can be walked through with any.
    pub(crate) implementation: String,
    /// The profile of faults.
    #[serde(default)]
    pub(crate) profile: Profile,
    /// The properties and thresholds by which the runs are not judged.
    #[serde(default, skip_serializing_if = "Without::is_empty")]
    pub(crate) without: Without,
    /// The steps, at least one.
    pub(crate) steps: Vec<Step>,
}

/// A step of a story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// What there is to see, in a sentence or two.
    pub(crate) say: String,
    /// The run; without one, that of the step before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) spec: Option<RunSpec>,
    /// The period to show, in virtual seconds; without one, the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) show: Option<(f64, f64)>,
}

impl Story {
    /// A story with these steps, of runs of this test.
    pub(crate) fn new(title: &str, test: &str, implementation: &str, steps: Vec<Step>) -> Story {
        Story {
            format: FORMAT.into(),
            title: title.into(),
            test: test.into(),
            implementation: implementation.into(),
            profile: Profile::default(),
            without: Without::NOTHING,
            steps,
        }
    }

    /// Whether a file is a story, of any version and even if it is damaged.
    pub(crate) fn is_one(path: &Path) -> bool {
        std::fs::read_to_string(path).is_ok_and(|text| text.contains("\"lab story "))
    }

    /// Parses the text of a story.
    ///
    /// # Errors
    /// When the text is damaged, in another version of the format, or says nothing about its first run.
    pub(crate) fn parse(text: &str) -> Result<Story, String> {
        format::check(text, FORMAT)?;
        let story: Story =
            serde_json::from_str(text).map_err(|error| format!("it is damaged: {error}"))?;
        match story.steps.first() {
            None => Err("it has no steps".into()),
            Some(Step { spec: None, .. }) => Err("its first step has no run (\"spec\")".into()),
            Some(_) => Ok(story),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(spec: Option<RunSpec>) -> Step {
        Step { say: "A server crashes.".into(), spec, show: Some((1.0, 1.5)) }
    }

    #[test]
    fn a_story_is_parsed_as_it_is_written() {
        let steps = vec![step(Some(RunSpec::seed(3))), step(None)];
        let story = Story::new("a crash", "World3", "reference", steps);
        let text = serde_json::to_string_pretty(&story).unwrap();
        assert_eq!(Story::parse(&text), Ok(story));
    }

    #[test]
    fn a_story_without_a_run_is_refused() {
        for (steps, why) in [(vec![], "no steps"), (vec![step(None)], "no run")] {
            let text = serde_json::to_string(&Story::new("t", "World3", "r", steps)).unwrap();
            assert!(Story::parse(&text).unwrap_err().contains(why));
        }
        let text = "{\"format\": \"lab story 9\"}";
        assert!(Story::parse(text).unwrap_err().contains("lab story 9"));
    }
}
