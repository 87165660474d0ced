//! Checks that a seed always gives the same run, in a second process and after a failure.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::outcome::CommandError;
use crate::recording;
use crate::records::{self, RunRecord};
use crate::report::event_line;
use crate::workers::Pool;
use labraft::HarnessEvent;
use labraft::Test;

use crate::seeds::Seeds;
use crate::session::Session;

/// How many pairs of runs are compared to find a difference, which need not appear in every pair.
const TRIES: usize = 5;

/// Common reasons why runs differ, most frequent first.
const SUSPECTS: &str = "usual suspects: addresses as keys or in comparisons; maps whose hasher is \
                        not std's (hashbrown, ahash); statics that outlive a run; \
                        futures::select!; thread ids (fastrand); files; RDRAND, RDTSC and system \
                        calls in assembly";

/// Two runs of one seed that differed.
pub(crate) struct Difference {
    pub(crate) test: String,
    pub(crate) seed: u64,
    /// The fingerprints of the two runs.
    pub(crate) fingerprints: [String; 2],
}

/// The error of a command that cannot compare runs.
pub(crate) fn cannot_compare(error: io::Error) -> CommandError {
    CommandError::Internal(format!("cannot compare runs: {error}"))
}

/// Starts further processes of this program.
pub(crate) struct OtherProcess<'a> {
    session: &'a Session<'a>,
    /// A temporary directory for their results, removed on drop.
    directory: PathBuf,
}

impl<'a> OtherProcess<'a> {
    pub(crate) fn new(session: &'a Session<'a>) -> OtherProcess<'a> {
        let name = format!("lab-self-check-{}", std::process::id());
        OtherProcess { session, directory: std::env::temp_dir().join(name) }
    }

    fn command(&self, arguments: &[&str]) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).args(self.session.common_arguments());
        command.arg("--out").arg(&self.directory).stdin(Stdio::null());
        Ok(command)
    }

    /// The runs whose fingerprints differ from those of another process.
    pub(crate) fn compare(
        &self,
        tests: &[&'static Test],
        seeds: &Seeds,
        jobs: usize,
        here: &BTreeMap<(String, u64), String>,
    ) -> io::Result<Vec<Difference>> {
        _ = std::fs::remove_dir_all(&self.directory);
        std::fs::create_dir_all(&self.directory)?;
        let (seeds, jobs) = (seeds.to_argument(&self.directory)?, jobs.to_string());
        let options = ["--seeds", &seeds, "--jobs", &jobs, "--last-seed-first"];
        let names = tests.iter().map(|test| test.name);
        let arguments: Vec<&str> = ["run"].into_iter().chain(names).chain(options).collect();
        let output = self.command(&arguments)?.output()?;
        let records = records::read(&records::path(&self.directory))?.all;
        if records.len() != here.len() {
            let error = String::from_utf8_lossy(&output.stderr);
            let (ran, wanted) = (records.len(), here.len());
            return Err(io::Error::other(format!(
                "the second process made only {ran} of {wanted} runs: {error}"
            )));
        }
        let differences = records.into_iter().filter_map(|there| {
            let key = (there.test, there.seed);
            let one = here.get(&key)?;
            difference(key, one, there.fingerprint)
        });
        Ok(differences.collect())
    }

    /// Describes the difference: the first event that differs between two further processes.
    pub(crate) fn explain(&self, difference: &Difference) -> io::Result<String> {
        let Difference { test, seed, fingerprints: [one, other] } = difference;
        let mut text = format!(
            "  NOT DETERMINISTIC: {test}, seed {seed}: fingerprint {one} and then {other}\n"
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

    /// The events of a run in another process, one per line. That process first runs `earlier_runs`
    /// other seeds, because state that they leave behind may cause the difference.
    fn log(&self, test: &str, seed: u64, earlier_runs: usize) -> io::Result<Vec<String>> {
        let (seed, earlier_runs) = (seed.to_string(), earlier_runs.to_string());
        std::fs::create_dir_all(&self.directory)?;
        let file = self.directory.join(format!("{earlier_runs}.run"));
        let mut command = self.command(&["replay", test, "--seed", &seed])?;
        command.args(["--earlier-runs", &earlier_runs, "--save"]).arg(&file).output()?;
        let events = recording::load(&file)?.1.events;
        let names = HarnessEvent::names_in(&events);
        Ok(events.iter().map(|event| event_line(event, &names)).collect())
    }
}

impl Drop for OtherProcess<'_> {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The number (from 1) and both versions of the first line that differs.
fn first_difference(one: &[String], other: &[String]) -> Option<(usize, String, String)> {
    let (mut ones, mut others) = (one.iter(), other.iter());
    for number in 1.. {
        match (ones.next(), others.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => {
                let side = |line: Option<&String>| {
                    line.cloned().unwrap_or_else(|| "(the run is over)".into())
                };
                return Some((number, side(a), side(b)));
            }
        }
    }
    None
}

/// Repeats the runs that did not pass, and returns those that differed. Runs that never finished have
/// already been run twice.
pub(crate) fn run_again(
    pool: &Pool<'_>,
    suite: &'static [Test],
    jobs: usize,
    failed: &[&RunRecord],
) -> io::Result<Vec<Difference>> {
    let ended: Vec<&&RunRecord> =
        failed.iter().filter(|record| !record.fingerprint.is_empty()).collect();
    let test = |name: &str| suite.iter().find(|test| test.name == name);
    let pairs = ended.iter().filter_map(|record| Some((test(&record.test)?, record.seed)));
    let mut differences = Vec::new();
    pool.run(pairs, jobs, |answer| {
        let again = answer.record;
        let is_it = |record: &&&&RunRecord| record.seed == again.seed && record.test == again.test;
        if let Some(record) = ended.iter().find(is_it) {
            let key = (again.test.clone(), again.seed);
            differences.extend(difference(key, &record.fingerprint, again.fingerprint));
        }
    })?;
    Ok(differences)
}

/// The difference between two runs with these fingerprints, if there is one.
pub(crate) fn difference(
    (test, seed): (String, u64),
    one: &str,
    other: String,
) -> Option<Difference> {
    (one != other).then(|| Difference { test, seed, fingerprints: [one.into(), other] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named_with_both_sides() {
        let lines = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let differ = |one, other| first_difference(&lines(one), &lines(other));
        assert_eq!(differ("a b c", "a b c"), None);
        assert_eq!(differ("a b c", "a x c").unwrap().0, 2);
        assert_eq!(differ("a", "a b").unwrap().1, "(the run is over)");
    }
}
