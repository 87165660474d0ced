//! State and options that commands share: the program's tests and implementations, common options, and
//! how to start this program again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use labraft::{Implementation, Profile, Test, Without, select};

use crate::conditions::Conditions;
use crate::outcome::CommandError;
use crate::records::{Build, RunRecord};
use crate::seeds::MOST_TIME;
use crate::workers::{Audited, Settings};

/// The parts that make up a program: tests, implementations and build information.
#[derive(Clone, Debug)]
pub struct Program<'a> {
    /// The tests.
    pub suite: &'static [Test],
    /// The implementations to test; the first one is the default.
    pub implementations: &'a [Implementation],
    /// What the program was built from, as far as its build script knows.
    pub build: Build,
}

impl Program<'_> {
    /// The tests that match any of the patterns, in the suite's order; all tests if there are no patterns.
    pub(crate) fn chosen(&self, patterns: &[String]) -> Result<Vec<&'static Test>, CommandError> {
        if patterns.is_empty() {
            return Ok(self.suite.iter().collect());
        }
        let mut names = Vec::new();
        for pattern in patterns {
            names.extend(select(self.suite, pattern)?.iter().map(|test| test.name));
        }
        Ok(self.suite.iter().filter(|test| names.contains(&test.name)).collect())
    }

    /// The implementation with this name, or the default if there is no name.
    pub(crate) fn implementation(
        &self,
        name: Option<&str>,
    ) -> Result<Implementation, CommandError> {
        let found = match name {
            None => self.implementations.first(),
            Some(name) => self.implementations.iter().find(|known| known.name == name),
        };
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = self.implementations.iter().map(|known| known.name).collect();
            CommandError::Usage(format!(
                "there is no implementation {:?}; choose from {}",
                name.unwrap_or(""),
                names.join(", ")
            ))
        })
    }

    /// The name to pass to `--implementation`; `None` for the default.
    pub(crate) fn named<'n>(&self, implementation: &'n str) -> Option<&'n str> {
        let is_default = self.implementations.first().is_some_and(|it| it.name == implementation);
        (!is_default).then_some(implementation)
    }
}

#[derive(Args, Clone)]
pub(crate) struct Common {
    /// Which Raft to test [default: the program's first].
    #[arg(long, value_name = "NAME")]
    pub(crate) implementation: Option<String>,
    /// Which faults to simulate: go, those of the course's network; or chaos, more and worse ones.
    #[arg(long, value_name = "NAME", value_parser = parse_profile, default_value = "go")]
    profile: Profile,
    /// Checks to leave out: properties, thresholds of the course, or `probe`, separated by commas. An
    /// unknown name prints the full list.
    #[arg(long, value_name = "NAMES", value_parser = parse_without, default_value = "", hide_default_value = true)]
    without: Without,
    /// The directory for results.
    #[arg(long, value_name = "DIR", default_value = "target/lab")]
    pub(crate) out: PathBuf,
    /// How much memory a worker process may use, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(128..=MOST_MEMORY))]
    pub(crate) memory: u64,
    /// How many seconds a run may work before it counts as hung; time in which its process is stopped, or has
    /// no processor, does not count. This limit only ends code that never returns; virtual time and events
    /// decide everything else.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=MOST_TIME.as_secs()))]
    wall_limit: u64,
}

/// The maximum for `--jobs`, more than any machine has processors.
const MOST_JOBS: usize = 1024;

/// The maximum for `--memory`, in MiB: an exbibyte.
const MOST_MEMORY: u64 = 1 << 40;

/// Parses a profile of faults.
///
/// # Errors
/// When it is neither `go` nor `chaos`.
pub fn parse_profile(text: &str) -> Result<Profile, String> {
    let all = [Profile::Go, Profile::Chaos];
    let found = all.into_iter().find(|profile| profile.name() == text);
    found.ok_or_else(|| "there are two profiles, go and chaos".into())
}

/// Parses names of properties and thresholds, and `probe`, separated by commas.
fn parse_without(text: &str) -> Result<Without, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.into_iter().try_fold(Without::NOTHING, |without, name| without.and(name))
}

/// Parses a number of jobs.
///
/// # Errors
/// When it is not a number from 1 to 1024.
pub fn parse_jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("the number of jobs must be at least 1".into()),
        Ok(jobs) if jobs <= MOST_JOBS => Ok(jobs),
        Ok(_) => Err(format!("each job is a process; at most {MOST_JOBS} are allowed")),
        Err(_) => Err("give a whole number of jobs, such as 2".into()),
    }
}

/// The context of one command: the program, the implementation under test, and the common options.
pub(crate) struct Session<'a> {
    pub(crate) program: &'a Program<'a>,
    pub(crate) implementation: Implementation,
    pub(crate) build: Build,
    common: Common,
}

impl<'a> Session<'a> {
    pub(crate) fn new(common: Common, program: &'a Program<'a>) -> Result<Self, CommandError> {
        let implementation = program.implementation(common.implementation.as_deref())?;
        let build = Build::of_this_program(program.build.clone());
        Ok(Session { program, implementation, build, common })
    }

    /// The program's tests.
    pub(crate) fn suite(&self) -> &'static [Test] {
        self.program.suite
    }

    /// The conditions of the command's runs.
    pub(crate) fn conditions(&self) -> Conditions {
        Conditions { profile: self.common.profile, without: self.common.without }
    }

    /// The command that replays the run of a record.
    pub(crate) fn replay_of(&self, record: &RunRecord) -> String {
        self.replay(&record.test, record.seed, record.conditions())
    }

    /// The command that replays a run.
    pub(crate) fn replay(&self, test: &str, seed: u64, conditions: Conditions) -> String {
        replay_command(test, seed, self.named(), conditions)
    }

    /// The line that gives a repro file to a command, such as `replay`.
    pub(crate) fn with_file(&self, command: &str, path: &Path) -> String {
        file_command(command, path, self.named())
    }

    /// The name of the implementation, if commands have to say which it is.
    pub(crate) fn named(&self) -> Option<&'static str> {
        self.program.named(self.implementation.name)
    }

    /// The options that every further process of this program needs.
    pub(crate) fn common_arguments(&self) -> Vec<String> {
        let Common { memory, wall_limit, .. } = &self.common;
        let mut arguments = vec!["--implementation".into(), self.implementation.name.into()];
        arguments.extend(["--memory".into(), memory.to_string()]);
        arguments.extend(["--wall-limit".into(), wall_limit.to_string()]);
        arguments.extend(self.conditions().arguments());
        arguments
    }

    /// The command line and limits of worker processes.
    pub(crate) fn settings(&self, out: &Path, show_output: bool) -> Settings {
        let program = std::env::current_exe().unwrap_or_else(|_| "lab".into());
        let mut command = vec![program.to_string_lossy().into_owned(), "worker".into()];
        command.extend(self.common_arguments());
        command.extend(["--program".into(), self.build.program.clone()]);
        Settings {
            implementation: self.implementation,
            command,
            conditions: self.conditions(),
            audited: Audited::Nothing,
            memory_bytes: self.common.memory << 20,
            wall_limit: Duration::from_secs(self.common.wall_limit),
            traces: out.join("traces"),
            show_output,
            build: self.build.clone(),
            is_distrusted: false,
        }
    }
}

/// The line that gives a file to a command, with `--implementation` if one is named.
pub(crate) fn file_command(command: &str, path: &Path, implementation: Option<&str>) -> String {
    let line = format!("{} {command} {}", program(), path.display());
    match implementation {
        None => line,
        Some(name) => format!("{line} --implementation {name}"),
    }
}

/// The command that replays a run, with `--implementation` if one is named.
pub(crate) fn replay_command(
    test: &str,
    seed: u64,
    implementation: Option<&str>,
    conditions: Conditions,
) -> String {
    let mut command = format!("{} replay {test} --seed {seed}", program());
    if let Some(name) = implementation {
        command += &format!(" --implementation {name}");
    }
    for argument in conditions.arguments() {
        command += &format!(" {argument}");
    }
    command
}

/// The name to print in commands: `cargo lab` if started that way, otherwise the program's path.
pub(crate) fn program() -> String {
    let called = std::env::args().next().unwrap_or_else(|| "lab".into());
    let is_lab = Path::new(&called).file_stem().is_some_and(|name| name == "lab");
    if is_lab && std::env::var_os("CARGO").is_some() { "cargo lab".into() } else { called }
}

/// One job for each processor.
pub fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
