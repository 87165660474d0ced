//! Whether the same seed really is the same run: in another process, and when it failed.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use labraft::records::{self, Record};
use labraft::{Implementation, Test, sweep};

/// How often the two sides of a difference are looked for: it need not show in each pair of runs.
const TRIES: usize = 5;

/// What makes runs differ, most frequent first.
const SUSPECTS: &str = "usual suspects: addresses as keys or in comparisons; maps whose hasher is \
                        not std's (hashbrown, ahash); statics that outlive a run; \
                        futures::select!; files and other system calls; threads";

/// Runs of one seed that were not the same.
pub(crate) struct Difference {
    pub(crate) test: &'static Test,
    pub(crate) seed: u64,
    /// Their fingerprints.
    pub(crate) fingerprints: [String; 2],
}

/// Programs of the same build, in processes of their own.
pub(crate) struct OtherProcess {
    implementation: Implementation,
    /// A place for what they keep, removed in the end.
    directory: PathBuf,
}

impl OtherProcess {
    pub(crate) fn new(implementation: Implementation) -> OtherProcess {
        let name = format!("lab-self-check-{}", std::process::id());
        OtherProcess { implementation, directory: std::env::temp_dir().join(name) }
    }

    fn command(&self, arguments: &[&str]) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).args(["--implementation", self.implementation.name]);
        command.arg("--out").arg(&self.directory).stdin(Stdio::null());
        Ok(command)
    }

    /// The seeds whose fingerprints here are not those that another process comes to.
    pub(crate) fn compare(
        &self,
        test: &'static Test,
        seeds: &Range<u64>,
        jobs: usize,
        here: &BTreeMap<u64, u64>,
    ) -> io::Result<Vec<Difference>> {
        _ = std::fs::remove_dir_all(&self.directory);
        let (seeds, jobs) = (format!("{}..{}", seeds.start, seeds.end), jobs.to_string());
        let mut command = self.command(&["run", test.name, "--seeds", &seeds, "--jobs", &jobs])?;
        let output = command.output()?;
        let records = records::all(&self.directory)?;
        let there: BTreeMap<u64, &Record> =
            records.iter().map(|record| (record.seed, record)).collect();
        if there.len() != here.len() {
            let error = String::from_utf8_lossy(&output.stderr);
            let (ran, wanted) = (there.len(), here.len());
            return Err(io::Error::other(format!(
                "the second process ran {ran} of {wanted} seeds of {}: {error}",
                test.name
            )));
        }
        let pairs = here.iter().map(|(&seed, fingerprint)| {
            (seed, [format!("{fingerprint:016x}"), there[&seed].fingerprint.clone()])
        });
        Ok(pairs
            .filter(|(_, [one, other])| one != other)
            .map(|(seed, fingerprints)| Difference { test, seed, fingerprints })
            .collect())
    }

    /// Says what differs: the first event that is not the same in two further processes.
    pub(crate) fn explain(&self, difference: &Difference) -> io::Result<String> {
        let Difference { test, seed, fingerprints: [one, other] } = difference;
        let mut text = format!(
            "  NOT DETERMINISTIC: {}, seed {seed}: fingerprint {one} and then {other}\n",
            test.name
        );
        let first = self.log(test, *seed, 0)?;
        let mut found = None;
        for earlier_runs in 0..TRIES {
            let second = self.log(test, *seed, earlier_runs)?;
            found = first_difference(&first, &second);
            if found.is_some() {
                break;
            }
        }
        match found {
            Some((number, one, other)) => {
                text += &format!("    first difference: event {number}\n");
                text += &format!("      one run:  {one}\n      another:  {other}\n");
            }
            None => {
                text += &format!("    the events of {} more runs do not differ\n", TRIES + 1);
            }
        }
        text += &format!("    {SUSPECTS}\n");
        Ok(text)
    }

    /// The events of a run in another process, a line each. That process has run so many other seeds
    /// before: what they leave behind may be what makes the difference.
    fn log(&self, test: &Test, seed: u64, earlier_runs: usize) -> io::Result<String> {
        let (seed, earlier_runs) = (seed.to_string(), earlier_runs.to_string());
        let arguments =
            ["replay", test.name, "--seed", &seed, "--log", "--earlier-runs", &earlier_runs];
        let output = self.command(&arguments)?.output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The number, from 1, and both sides of the first line that differs.
fn first_difference(one: &str, other: &str) -> Option<(usize, String, String)> {
    let (mut ones, mut others) = (one.lines(), other.lines());
    for number in 1.. {
        match (ones.next(), others.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => {
                let side = |line: Option<&str>| line.unwrap_or("(the run is over)").to_string();
                return Some((number, side(a), side(b)));
            }
        }
    }
    None
}

/// Runs seeds that failed once more, in this process: those that were not the same run.
pub(crate) fn run_again(
    test: &'static Test,
    implementation: Implementation,
    jobs: usize,
    fingerprints: &BTreeMap<u64, u64>,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    sweep(test, fingerprints.keys().copied(), implementation, jobs, |report| {
        let seed = report.spec.seed;
        if report.fingerprint != fingerprints[&seed] {
            let pair = [fingerprints[&seed], report.fingerprint];
            let fingerprints = pair.map(|fingerprint| format!("{fingerprint:016x}"));
            differences.push(Difference { test, seed, fingerprints });
        }
    });
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named_with_both_sides() {
        let differ = |one, other| first_difference(one, other).map(|found| found.0);
        assert_eq!(differ("a\nb\nc", "a\nb\nc"), None);
        assert_eq!(differ("a\nb\nc", "a\nx\nc"), Some(2));
        assert_eq!(first_difference("a", "a\nb").unwrap().1, "(the run is over)");
    }
}
