//! What a course wants: `course.toml`. The reference of its keys is docs/course/grading.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use labraft::{Part, Test};
use serde::Deserialize;

use ::tests::SUITE;
use graded::confine::Layer;

/// The least bytes of a secret: fewer could be tried out.
const SHORTEST_SECRET: usize = 16;

/// A course, as its file has it. A key that is not one of these is an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Course {
    /// What reports call it.
    #[serde(default = "Course::default_name")]
    pub(crate) name: String,
    /// The file with the secret that hidden seeds are made from; relative to the configuration's.
    pub(super) secret: PathBuf,
    /// Which parts are graded.
    #[serde(default = "Course::default_parts")]
    pub(super) parts: Vec<String>,
    /// Whether students see which hidden seeds failed, and why.
    #[serde(default)]
    pub(super) publish: bool,
    /// Whether one violation of a safety property takes all points of its test.
    #[serde(default = "yes")]
    pub(super) zero_on_safety: bool,
    /// From which share of seeds passed on there is which share of the points, rising; without any, the
    /// share of the points is the share of seeds.
    #[serde(default)]
    pub(super) steps: Vec<(f64, f64)>,
    #[serde(default)]
    pub(super) seeds: SeedCounts,
    /// What tests are worth, where that is not what the suite says.
    #[serde(default)]
    pub(super) points: BTreeMap<String, u32>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) isolation: Isolation,
}

/// How many seeds each test is run under.
#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SeedCounts {
    /// Those that everybody knows: 0, 1, 2 and so on.
    pub(super) public: u64,
    /// Those that only the secret gives.
    pub(super) hidden: u64,
}

impl Default for SeedCounts {
    fn default() -> SeedCounts {
        SeedCounts { public: 20, hidden: 200 }
    }
}

/// What a submission may use up.
#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    /// Real seconds that a build may take.
    pub(super) build_seconds: u64,
    /// MiB of memory for each process of a build.
    pub(super) build_memory_mib: u64,
    /// Real seconds that a run may take.
    pub(super) run_seconds: u64,
    /// MiB of memory for a run.
    pub(super) run_memory_mib: u64,
    /// Real minutes for all runs of a submission: what is not done by then has failed.
    pub(super) total_minutes: u64,
    /// After so many hung runs of a test, in the order of its seeds, the others have failed as well.
    pub(super) hung_runs: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            build_seconds: 300,
            build_memory_mib: 8192,
            run_seconds: 20,
            run_memory_mib: 1024,
            total_minutes: 30,
            hung_runs: 3,
        }
    }
}

/// What must stand between a submission and the machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Isolation {
    /// Without these walls nothing is graded.
    pub(super) require: Vec<Layer>,
    /// The user that runs become when the grader is root's.
    pub(super) user: u32,
}

impl Default for Isolation {
    fn default() -> Isolation {
        Isolation { require: vec![Layer::Landlock, Layer::Seccomp], user: 65534 }
    }
}

fn yes() -> bool {
    true
}

impl Course {
    fn default_name() -> String {
        "Raft labs".into()
    }

    fn default_parts() -> Vec<String> {
        Part::COURSE.iter().map(|part| part.name().to_string()).collect()
    }

    /// Reads a course's file.
    ///
    /// # Errors
    /// When it cannot be read, or something in it is not as it should be: what, and where.
    pub(crate) fn read(path: &Path) -> Result<Course, String> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        Course::parse(&text, path.parent().unwrap_or(Path::new("")))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Of the file's text; `directory` is what the secret's path is relative to.
    fn parse(text: &str, directory: &Path) -> Result<Course, String> {
        let mut course: Course = toml::from_str(text).map_err(|error| error.to_string())?;
        course.secret = directory.join(&course.secret);
        course.check()?;
        Ok(course)
    }

    fn check(&self) -> Result<(), String> {
        let known: Vec<&str> = Part::COURSE.iter().map(|part| part.name()).collect();
        if let Some(part) = self.parts.iter().find(|part| !known.contains(&part.as_str())) {
            return Err(format!(
                "parts: there is no part {part:?}; there are {}",
                known.join(", ")
            ));
        }
        for name in self.points.keys() {
            if SUITE.iter().all(|test| test.name != name) {
                return Err(format!("points: there is no test {name:?}; see `lab list`"));
            }
            if self.tests().all(|(test, _)| test.name != name) {
                return Err(format!("points: {name} is of no part that is graded"));
            }
        }
        if self.tests().next().is_none() {
            return Err("parts: there is nothing to grade".into());
        }
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        if self.steps.iter().any(|&(seeds, points)| !is_share(seeds) || !is_share(points)) {
            return Err("steps: shares are between 0 and 1".into());
        }
        if !self.steps.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1) {
            return Err(
                "steps: they are to rise, the share of seeds first: [[0.5, 0.25], [1.0, 1.0]]"
                    .into(),
            );
        }
        let (seeds, limits) = (self.seeds, self.limits);
        if seeds.public + seeds.hidden == 0 || seeds.public.max(seeds.hidden) > 1_000_000 {
            return Err("seeds: there must be 1 at least, and 1000000 of a kind at most".into());
        }
        for (name, value, least) in [
            ("build_seconds", limits.build_seconds, 1),
            ("build_memory_mib", limits.build_memory_mib, 512),
            ("run_seconds", limits.run_seconds, 1),
            ("run_memory_mib", limits.run_memory_mib, 128),
            ("total_minutes", limits.total_minutes, 1),
            ("hung_runs", limits.hung_runs as u64, 1),
        ] {
            if value < least {
                return Err(format!(
                    "limits: {name} is {value}; the least that makes sense is {least}"
                ));
            }
        }
        if self.isolation.user == 0 {
            return Err("isolation: user 0 is root, and no other user".into());
        }
        Ok(())
    }

    /// The tests that are graded, with their points, in the suite's order.
    pub(super) fn tests(&self) -> impl Iterator<Item = (&'static Test, u32)> + '_ {
        let is_graded = |test: &&Test| self.parts.iter().any(|part| part == test.part.name());
        let points = |test: &Test| self.points.get(test.name).copied().unwrap_or(test.points);
        SUITE.iter().filter(is_graded).map(move |test| (test, points(test)))
    }

    /// Whether the key/value service is graded.
    pub(super) fn has_kv(&self) -> bool {
        self.tests().any(|(test, _)| test.part.is_kv())
    }

    /// Whether Raft itself is graded.
    pub(super) fn has_raft(&self) -> bool {
        self.tests().any(|(test, _)| !test.part.is_kv())
    }

    /// The secret's bytes.
    ///
    /// # Errors
    /// When there are too few of them, or none that can be read.
    pub(super) fn read_secret(&self) -> Result<Vec<u8>, String> {
        let path = self.secret.display();
        let hint = "make one with `head -c 32 /dev/urandom > FILE; chmod 600 FILE`";
        let secret = fs::read(&self.secret)
            .map_err(|error| format!("the secret {path} cannot be read: {error}; {hint}"))?;
        match secret.len() {
            SHORTEST_SECRET.. => Ok(secret),
            short => {
                Err(format!("the secret {path} has {short} bytes, and 16 are the least; {hint}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Course, String> {
        Course::parse(&format!("secret = \"key\"\n{text}"), Path::new("course"))
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let course = parse("").unwrap();
        assert_eq!(course.secret, Path::new("course/key"));
        assert_eq!((course.seeds.public, course.seeds.hidden), (20, 200));
        assert_eq!(course.tests().count(), 51);
        assert_eq!(course.tests().map(|(_, points)| points).sum::<u32>(), 200);
        assert!(course.zero_on_safety && !course.publish && course.steps.is_empty());
        assert_eq!(course.isolation.require, [Layer::Landlock, Layer::Seccomp]);
    }

    #[test]
    fn parts_and_points_are_the_course_s_own() {
        let course = parse("parts = [\"2A\"]\n[points]\nInitialElection2A = 50\n").unwrap();
        let tests: Vec<_> = course.tests().map(|(test, points)| (test.name, points)).collect();
        assert_eq!(tests[0], ("InitialElection2A", 50));
        assert!(tests.len() == 3 && course.has_raft() && !course.has_kv());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, hint) in [
            ("publsh = true", "unknown field `publsh`"),
            ("publsh = true", "line 2"),
            ("[seeds]\nsecret = 3", "unknown field `secret`"),
            ("[limits]\nrun_seconds = \"3\"", "line 3"),
            ("[limits]\nrun_seconds = 0", "run_seconds is 0"),
            ("parts = [\"2E\"]", "no part \"2E\""),
            ("parts = []", "nothing to grade"),
            ("[points]\nInitialElection2B = 3", "no test \"InitialElection2B\""),
            ("parts = [\"2A\"]\n[points]\nBackup2B = 3", "of no part that is graded"),
            ("steps = [[1.0, 1.0], [0.5, 0.5]]", "to rise"),
            ("steps = [[0.5, 1.5]]", "between 0 and 1"),
            ("[seeds]\npublic = 0\nhidden = 0", "1 at least"),
            ("[isolation]\nrequire = [\"walls\"]", "walls"),
            ("[isolation]\nuser = 0", "root"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
        assert!(Course::parse("", Path::new("")).unwrap_err().contains("secret"));
    }

    #[test]
    fn a_secret_must_not_be_guessable() {
        let place = std::env::temp_dir().join(format!("lab-secret-{}", std::process::id()));
        let course = Course { secret: place.clone(), ..parse("").unwrap() };
        assert!(course.read_secret().unwrap_err().contains("/dev/urandom"));
        fs::write(&place, "password").unwrap();
        assert!(course.read_secret().unwrap_err().contains("has 8 bytes"));
        fs::write(&place, [7; 32]).unwrap();
        assert_eq!(course.read_secret().unwrap(), [7; 32]);
        fs::remove_file(&place).unwrap();
    }
}
