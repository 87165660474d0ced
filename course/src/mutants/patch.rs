//! The patches in `course/mutants`, and the header lines that describe each: four, and a fifth for a bug in what
//! goes beyond the course.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::outcome::CommandError;
use labraft::Property;

/// What a bug breaks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Breaks {
    /// A property that the lab checks.
    Property(Property),
    /// Liveness: the cluster no longer makes progress.
    Liveness,
    /// Speed, or the use of resources such as memory and messages.
    Performance,
    /// What the harness requires of a Raft, as documented at its interface.
    Contract,
}

impl Breaks {
    /// The values that are not properties.
    const OTHER: [Breaks; 3] = [Breaks::Liveness, Breaks::Performance, Breaks::Contract];

    fn all() -> impl Iterator<Item = Breaks> {
        Property::all().map(Breaks::Property).chain(Breaks::OTHER)
    }

    /// The name in patches and in the tables.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Breaks::Property(property) => property.name(),
            Breaks::Liveness => "liveness",
            Breaks::Performance => "performance",
            Breaks::Contract => "contract",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Breaks> {
        Breaks::all().find(|breaks| breaks.name() == name)
    }

    /// Whether committed data can be lost or contradicted, so that the lab should name a property.
    pub(super) const fn is_safety(self) -> bool {
        matches!(self, Breaks::Property(property) if property.is_safety())
    }
}

/// What a known bug is in.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Raft,
    /// Raft with the optional parts: the header names the implementation `extended`.
    Extended,
    /// The same with reads under leases: the header names the implementation `leases`.
    Leases,
    /// The key/value service of lab 3.
    Kv,
    /// The controller or the sharded service of lab 4.
    Shards,
}

impl Subject {
    /// The implementation to test, if it is not the program's first.
    pub(super) const fn implementation(self) -> Option<&'static str> {
        match self {
            Subject::Extended => Some("extended"),
            Subject::Leases => Some("leases"),
            Subject::Raft | Subject::Kv | Subject::Shards => None,
        }
    }
}

/// A known bug, as a patch to the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    /// Its name, which is also that of its file.
    pub(super) id: String,
    pub(super) breaks: Breaks,
    pub(super) subject: Subject,
    pub(super) path: PathBuf,
}

impl Patch {
    fn parse(path: &Path, text: &str) -> Result<Patch, String> {
        let wrong = |what: String| format!("{}: {what}", path.display());
        let mut lines = text.lines();
        let mut field = |name: &str| {
            let line = lines.next().unwrap_or_default();
            let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
            let value = value.map(str::trim).filter(|value| !value.is_empty());
            value
                .map(String::from)
                .ok_or_else(|| wrong(format!("expected {name:?} and a value, found {line:?}")))
        };
        let (id, _what, _source) = (field("id")?, field("what")?, field("source")?);
        let property = field("property")?;
        let implementation = match lines.next() {
            None | Some("") => None,
            Some(line) => Some(line.strip_prefix("implementation: ").ok_or_else(|| {
                wrong(format!(
                    "expected \"implementation\" and a value, or an empty line, found {line:?}"
                ))
            })?),
        };
        if path.file_stem().is_none_or(|stem| stem != id.as_str()) {
            return Err(wrong(format!("its id is {id:?}, which is not the name of its file")));
        }
        let breaks = Breaks::from_name(&property).ok_or_else(|| {
            let known: Vec<&str> = Breaks::all().map(Breaks::name).collect();
            wrong(format!("{property:?} is not one of: {}", known.join(", ")))
        })?;
        let changed: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect();
        let subjects = [
            (Subject::Raft, &["raft/src/"][..]),
            (Subject::Kv, &["kvraft/src/"]),
            // What it shares with lab 3 may have to be changed with it.
            (Subject::Shards, &["shardctrler/src/", "shardkv/src/", "kvraft/src/"]),
        ];
        let is_in = |places: &[&str]| {
            let is_place = |file: &&str| places.iter().any(|place| file.starts_with(place));
            !changed.is_empty() && changed.iter().all(is_place)
        };
        let subject = subjects.into_iter().find(|(_, places)| is_in(places));
        let (subject, _) = subject.ok_or_else(|| {
            wrong(format!(
                "it must change only raft, only kvraft, or only lab 4 with what it shares with kvraft, not \
                 {changed:?}"
            ))
        })?;
        let subject = match (implementation, subject) {
            (None, subject) => subject,
            (Some("extended"), Subject::Raft) => Subject::Extended,
            (Some("leases"), Subject::Raft) => Subject::Leases,
            (Some(other), _) => {
                return Err(wrong(format!(
                    "its implementation is {other:?}; it may be \"extended\" or \"leases\", for a patch of raft"
                )));
            }
        };
        Ok(Patch { id, breaks, subject, path: path.into() })
    }
}

/// Reads all patches in a directory, in the order of their names.
pub(super) fn read_all(directory: &Path) -> Result<Vec<Patch>, String> {
    let cannot = |path: &Path, error| format!("cannot read {}: {error}", path.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| cannot(directory, error))? {
        let path = entry.map_err(|error| cannot(directory, error))?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            paths.push(path);
        }
    }
    paths.sort_by(|a, b| a.file_stem().cmp(&b.file_stem()));
    let read = |path: &PathBuf| {
        Patch::parse(path, &fs::read_to_string(path).map_err(|error| cannot(path, error))?)
    };
    paths.iter().map(read).collect()
}

/// Runs `git apply` in a directory. The arguments come before the patch.
pub(crate) fn git_apply(
    directory: &Path,
    patch: &Path,
    arguments: &[&str],
) -> Result<(), CommandError> {
    let mut command = Command::new("git");
    command.current_dir(directory).arg("apply").args(arguments).arg(patch);
    // In a directory below a repository, git would apply the paths to the repository, and change
    // nothing.
    if let Some(parent) = directory.parent() {
        command.env("GIT_CEILING_DIRECTORIES", parent);
    }
    let output = command.output().map_err(|error| {
        CommandError::Usage(format!("cannot run git, which is needed: {error}"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(CommandError::Usage(format!("{} does not apply:\n{}", patch.display(), error.trim_end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "id: no-vote\nwhat: It forgets.\nsource: student notes\n\
                        property: election-safety\n\ndiff --git a/raft/src/core.rs b/raft/src/core.rs\n\
                        --- a/raft/src/core.rs\n+++ b/raft/src/core.rs\n@@ -1 +1 @@\n-a\n+b\n";

    fn parse(text: &str) -> Result<Patch, String> {
        Patch::parse(Path::new("course/mutants/no-vote.patch"), text)
    }

    #[test]
    fn a_header_describes_its_patch() {
        let patch = parse(GOOD).unwrap();
        assert_eq!(patch.id, "no-vote");
        let safety = Breaks::Property(Property::ElectionSafety);
        assert_eq!((patch.breaks, patch.subject), (safety, Subject::Raft));
        let of_kv = parse(&GOOD.replace("raft/src/core", "kvraft/src/store")).unwrap();
        assert_eq!(of_kv.subject, Subject::Kv);
        let of_shards = parse(&GOOD.replace("raft/src/core", "shardkv/src/store")).unwrap();
        assert_eq!(of_shards.subject, Subject::Shards);
        let of_both = "+++ b/kvraft/src/replica.rs\n+++ b/shardkv/src/store.rs\n";
        let of_both = parse(&GOOD.replace("+++ b/raft/src/core.rs\n", of_both)).unwrap();
        assert_eq!(of_both.subject, Subject::Shards);
        let extended = "election-safety\nimplementation: extended\n";
        let of_extended = parse(&GOOD.replace("election-safety\n", extended)).unwrap();
        assert_eq!(of_extended.subject, Subject::Extended);
        let leases = "election-safety\nimplementation: leases\n";
        let of_leases = parse(&GOOD.replace("election-safety\n", leases)).unwrap();
        assert_eq!(of_leases.subject.implementation(), Some("leases"));
    }

    #[test]
    fn a_damaged_patch_is_read_or_refused() {
        for copy in lab::damage::damaged(GOOD.as_bytes()) {
            if let Ok(patch) = parse(&String::from_utf8_lossy(&copy)) {
                assert_eq!(patch.id, "no-vote");
            }
        }
    }

    #[test]
    fn mistakes_in_a_header_are_reported() {
        for (from, to, hint) in [
            ("source: student notes\n", "", "\"source\""),
            ("what: It forgets.", "what: ", "\"what\""),
            ("no-vote", "yes-vote", "its id is \"yes-vote\""),
            ("election-safety", "safety", "not one of: election-safety"),
            ("raft/src/core.rs", "labraft/src/lab.rs", "only raft, only kvraft, or only lab 4"),
            ("+++ b/raft/src/core.rs\n", "", "only raft, only kvraft, or only lab 4"),
            ("-safety\n", "-safety\nimplementation: other\n", "implementation is \"other\""),
            ("-safety\n", "-safety\nimplementing: extended\n", "found \"implementing: extended\""),
        ] {
            let error = parse(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains("no-vote.patch") && error.contains(hint), "{error}");
        }
    }
}
