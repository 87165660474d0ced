//! `course.toml`: its keys, their defaults, and the checks on their values.
//!
//! The reference for teachers is in docs/course/grading.md; a new key must be added there too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use labraft::{Part, Test};
use serde::Deserialize;

use super::{CONTROLLER, KV, RAFT, directory};
use crate::handout::scope::Parts;
use ::tests::SUITE;
use graded::sandbox::Layer;

/// The length of the shortest secret allowed. A shorter one could be found by brute force.
const MIN_SECRET_BYTES: usize = 16;
/// The most seeds of one kind, public or hidden, for each test.
const MAX_SEEDS: u64 = 1_000_000;
/// The most faults of a search. With three it takes longer than a class can be graded.
const MAX_FAULTS: usize = 2;
/// The points of a scenario of the part `search`, which the suite gives none.
const SEARCH_POINTS: u32 = 5;

/// The keys of the file. Any other key is an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Course {
    /// The course's name, for reports.
    #[serde(default = "Course::default_name")]
    pub(crate) name: String,
    /// The file with the key of the hidden seeds, relative to the directory of the configuration.
    pub(super) secret: PathBuf,
    /// The names of the parts that are graded.
    #[serde(default = "Course::default_parts")]
    pub(super) parts: Vec<String>,
    /// Whether students see which hidden seeds failed, and why.
    #[serde(default)]
    pub(super) publish: bool,
    /// Whether a single violation of a safety property costs all points of the test.
    #[serde(default = "yes")]
    pub(super) zero_on_safety: bool,
    #[serde(default)]
    pub(super) probe: ProbeRule,
    /// Steps for partial credit, as rising pairs: the share of the seeds that must pass, and the
    /// share of the points given for that. Without steps, points are proportional to the seeds that
    /// pass.
    #[serde(default)]
    pub(super) steps: Vec<(f64, f64)>,
    #[serde(default)]
    pub(super) seeds: SeedCounts,
    /// The points of tests, by name, that differ from those of the suite.
    #[serde(default)]
    pub(super) points: BTreeMap<String, u32>,
    #[serde(default)]
    pub(super) search: SearchDepth,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) isolation: Isolation,
}

/// What a Raft's `probe` has to do with its points. By either rule nobody gains by leaving it out.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ProbeRule {
    /// A run in which a server does not answer `probe` has not passed.
    #[default]
    Required,
    /// All runs are judged as if no Raft had a `probe`.
    Ignored,
}

/// How many seeds each test is run under.
#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SeedCounts {
    /// Seeds that students know: 0, 1, 2 and so on.
    pub(super) public: u64,
    /// Seeds that are computed from the secret.
    pub(super) hidden: u64,
}

/// How far the scenarios of the part `search` are searched, if it is graded.
#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SearchDepth {
    /// The most faults that a run may have.
    pub(super) faults: usize,
}

impl Default for SearchDepth {
    fn default() -> SearchDepth {
        SearchDepth { faults: 1 }
    }
}

impl Default for SeedCounts {
    fn default() -> SeedCounts {
        SeedCounts { public: 20, hidden: 200 }
    }
}

/// Limits on time and memory for building and running a submission. Those on the size of a
/// submission are `lab::submit::submission::BOUNDS`.
#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    /// Real time of a build, in seconds.
    pub(super) build_seconds: u64,
    /// Memory of each process of a build, in MiB.
    pub(super) build_memory_mib: u64,
    /// Real time of a run, in seconds; after that it counts as hung.
    pub(super) run_seconds: u64,
    /// Memory of a run, in MiB.
    pub(super) run_memory_mib: u64,
    /// Real time of all runs of a program, in minutes. Runs that are not done by then count as
    /// failed.
    pub(super) total_minutes: u64,
    /// The number of hung runs of a test, in the order of its seeds, after which the rest of its
    /// runs count as failed.
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

impl Limits {
    fn check(&self) -> Result<(), String> {
        for (name, value, least) in [
            ("build_seconds", self.build_seconds, 1),
            ("build_memory_mib", self.build_memory_mib, 512),
            ("run_seconds", self.run_seconds, 1),
            ("run_memory_mib", self.run_memory_mib, 128),
            ("total_minutes", self.total_minutes, 1),
            ("hung_runs", self.hung_runs as u64, 1),
        ] {
            if value < least {
                return Err(format!("limits: {name} is {value}, but must be at least {least}"));
            }
        }
        Ok(())
    }
}

/// What the course requires of the sandbox.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Isolation {
    /// The sandbox layers that the machine must have. If one is missing, nothing is graded.
    pub(super) require: Vec<Layer>,
    /// The user ID under which runs execute if the grader itself is run by root.
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
        Parts::default().course().map(|part| part.name().to_string()).collect()
    }

    /// Reads the configuration file of a course.
    ///
    /// # Errors
    /// If it cannot be read, or has a wrong key or value. The message says where.
    pub(crate) fn read(path: &Path) -> Result<Course, String> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Course::parse(&text, path.parent().unwrap_or(Path::new("")))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Reads the file's text. The secret's path is relative to `directory`.
    fn parse(text: &str, directory: &Path) -> Result<Course, String> {
        let mut course: Course = toml::from_str(text).map_err(|error| error.to_string())?;
        course.secret = directory.join(&course.secret);
        course.check()?;
        Ok(course)
    }

    fn check(&self) -> Result<(), String> {
        self.check_parts_and_points()?;
        self.check_steps()?;
        let SeedCounts { public, hidden } = self.seeds;
        if public + hidden == 0 || public.max(hidden) > MAX_SEEDS {
            return Err(format!(
                "seeds: there must be at least 1, and at most {MAX_SEEDS} of each kind"
            ));
        }
        if self.search.faults > MAX_FAULTS {
            return Err(format!(
                "search: faults is {}, but must be at most {MAX_FAULTS}",
                self.search.faults
            ));
        }
        self.limits.check()?;
        if self.isolation.user == 0 {
            return Err("isolation: user 0 is root, which has all rights".into());
        }
        Ok(())
    }

    fn check_parts_and_points(&self) -> Result<(), String> {
        let known = Part::COURSE.into_iter().chain([Part::Search]);
        let known: Vec<&str> = known.map(Part::name).collect();
        if let Some(part) = self.parts.iter().find(|part| !known.contains(&part.as_str())) {
            return Err(format!(
                "parts: unknown part {part:?}; the parts are {}",
                known.join(", ")
            ));
        }
        for name in self.points.keys() {
            if SUITE.iter().all(|test| test.name != name) {
                return Err(format!("points: there is no test {name:?}; see `lab list`"));
            }
            if self.tests().all(|(test, _)| test.name != name) {
                return Err(format!("points: {name} is not in a part that is graded"));
            }
        }
        if self.tests().next().is_none() {
            return Err("parts: at least one part must be graded".into());
        }
        Ok(())
    }

    fn check_steps(&self) -> Result<(), String> {
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        if self.steps.iter().any(|&(seeds, points)| !is_share(seeds) || !is_share(points)) {
            return Err("steps: shares must be between 0 and 1".into());
        }
        if !self.steps.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1) {
            return Err(
                "steps: the shares must increase from pair to pair; each pair is [share of seeds, share of \
                 points], such as [[0.5, 0.25], [1.0, 1.0]]"
                    .into(),
            );
        }
        Ok(())
    }

    /// The tests that are graded and the points of each, in the suite's order. The scenarios of the part `search` are
    /// about a submission's Raft, so that of lab 4 is not among them.
    pub(super) fn tests(&self) -> impl Iterator<Item = (&'static Test, u32)> + '_ {
        let is_graded = |test: &&Test| {
            let is_other_search = test.part == Part::Search && ::tests::is_of_lab_4(test);
            !is_other_search && self.parts.iter().any(|part| part == test.part.name())
        };
        let usual = |test: &Test| match test.part {
            Part::Search => SEARCH_POINTS,
            _ => test.points,
        };
        let points =
            move |test: &Test| self.points.get(test.name).copied().unwrap_or_else(|| usual(test));
        SUITE.iter().filter(is_graded).map(move |test| (test, points(test)))
    }

    /// Whether a part about the files in this directory is graded.
    pub(super) fn grades(&self, of: &str) -> bool {
        self.tests().any(|(test, _)| directory(test.part) == of)
    }

    /// Whether the scenarios of the part `search` are graded, one of which needs a key/value service.
    pub(super) fn searches(&self) -> bool {
        self.tests().any(|(test, _)| test.part == Part::Search)
    }

    /// Whether lab 4 is graded.
    pub(super) fn has_lab_4(&self) -> bool {
        self.tests().any(|(test, _)| test.part.is_sharded())
    }

    /// Whether the files in this directory have to do with what is graded: they are, or it is built on them.
    pub(super) fn uses(&self, of: &str) -> bool {
        match of {
            RAFT => true,
            KV => self.grades(KV) || self.has_lab_4(),
            CONTROLLER => self.has_lab_4(),
            _ => self.grades(of),
        }
    }

    /// Reads the key of the hidden seeds.
    ///
    /// # Errors
    /// If the file cannot be read, or is too short.
    pub(super) fn read_secret(&self) -> Result<Vec<u8>, String> {
        let path = self.secret.display();
        let hint = "make one with `head -c 32 /dev/urandom > FILE; chmod 600 FILE`";
        let secret = fs::read(&self.secret)
            .map_err(|error| format!("cannot read the secret {path}: {error}; {hint}"))?;
        if secret.len() < MIN_SECRET_BYTES {
            return Err(format!(
                "the secret {path} has {} bytes, but must have at least {MIN_SECRET_BYTES}; {hint}",
                secret.len()
            ));
        }
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SHARDS;
    use super::*;

    fn parse(text: &str) -> Result<Course, String> {
        Course::parse(&format!("secret = \"key\"\n{text}"), Path::new("course"))
    }

    #[test]
    fn keys_that_are_missing_have_defaults() {
        let course = parse("").unwrap();
        assert_eq!(course.secret, Path::new("course/key"));
        assert_eq!((course.seeds.public, course.seeds.hidden), (20, 200));
        assert_eq!(course.tests().count(), 51);
        assert_eq!(course.tests().map(|(_, points)| points).sum::<u32>(), 200);
        assert_eq!(course.probe, ProbeRule::Required);
        assert!(course.zero_on_safety && !course.publish && course.steps.is_empty());
        assert_eq!(course.isolation.require, [Layer::Landlock, Layer::Seccomp]);
    }

    #[test]
    fn parts_and_points_can_be_set() {
        let course = parse("parts = [\"2A\"]\n[points]\nInitialElection2A = 50\n").unwrap();
        let tests: Vec<_> = course.tests().map(|(test, points)| (test.name, points)).collect();
        assert_eq!(tests[0], ("InitialElection2A", 50));
        assert!(tests.len() == 3 && course.grades(RAFT) && !course.grades(KV));
        assert!(course.uses(RAFT) && !course.uses(KV) && !course.uses(CONTROLLER));
    }

    #[test]
    fn lab_4_is_graded_where_it_is_wanted() {
        let course = parse("parts = [\"4A\", \"4B\"]\n[points]\nBasic4A = 20\n").unwrap();
        let (count, points) = (course.tests().count(), course.tests().map(|(_, points)| points));
        assert_eq!((count, points.sum::<u32>()), (13, 82));
        assert!(course.has_lab_4() && course.grades(SHARDS) && !course.grades(KV));
        assert!([RAFT, KV, CONTROLLER, SHARDS].iter().all(|each| course.uses(each)));
        let only = parse("parts = [\"4A\"]").unwrap();
        assert!(only.uses(KV) && only.uses(CONTROLLER) && !only.uses(SHARDS));
    }

    #[test]
    fn searches_are_graded_where_they_are_wanted() {
        let course = parse("parts = [\"2A\", \"search\"]\n[points]\nShortVotes = 9\n").unwrap();
        let searched = course.tests().filter(|(test, _)| test.part == Part::Search);
        let points: Vec<_> = searched.map(|(test, points)| (test.name, points)).collect();
        assert!(points.contains(&("ShortElections", 5)) && points.contains(&("ShortVotes", 9)));
        assert_eq!(course.search.faults, 1);
        assert_eq!(parse("[search]\nfaults = 2").unwrap().search.faults, 2);
    }

    #[test]
    fn errors_name_the_key_or_the_line() {
        for (text, hint) in [
            ("publsh = true", "unknown field `publsh`"),
            ("publsh = true", "line 2"),
            ("[seeds]\nsecret = 3", "unknown field `secret`"),
            ("[limits]\nrun_seconds = \"3\"", "line 3"),
            ("[limits]\nrun_seconds = 0", "run_seconds is 0"),
            ("probe = \"optional\"", "expected `required` or `ignored`"),
            ("parts = [\"2X\"]", "unknown part \"2X\""),
            ("parts = [\"3A\"]\n[points]\nBasic4A = 3", "not in a part that is graded"),
            ("parts = []", "at least one part"),
            ("[search]\nfaults = 3", "faults is 3"),
            ("[points]\nInitialElection2B = 3", "no test \"InitialElection2B\""),
            ("parts = [\"2A\"]\n[points]\nBackup2B = 3", "not in a part that is graded"),
            ("steps = [[1.0, 1.0], [0.5, 0.5]]", "must increase"),
            ("steps = [[0.5, 1.5]]", "between 0 and 1"),
            ("[seeds]\npublic = 0\nhidden = 0", "at least 1"),
            ("[isolation]\nrequire = [\"moat\"]", "moat"),
            ("[isolation]\nuser = 0", "root"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
        assert!(Course::parse("", Path::new("")).unwrap_err().contains("secret"));
    }

    #[test]
    fn a_damaged_file_is_read_or_refused() {
        let whole = "secret = \"key\"\nparts = [\"2A\", \"3B\"]\npublish = true\n\
                     steps = [[0.5, 0.25], [1.0, 1.0]]\n[seeds]\npublic = 20\nhidden = 200\n\
                     [points]\nInitialElection2A = 10\n[limits]\nrun_seconds = 20\n\
                     run_memory_mib = 999\ntotal_minutes = 30\n\
                     [isolation]\nrequire = [\"landlock\"]\nuser = 65534\n";
        Course::parse(whole, Path::new("")).unwrap();
        for copy in lab::damage::damaged(whole.as_bytes()) {
            let Ok(text) = String::from_utf8(copy) else { continue };
            if let Ok(course) = Course::parse(&text, Path::new("")) {
                assert!(course.tests().map(|(_, points)| u64::from(points)).sum::<u64>() < 1 << 40);
            }
        }
    }

    #[test]
    fn a_secret_that_is_too_short_is_refused() {
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
