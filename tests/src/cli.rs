//! The command line: what there is to say, and what becomes of it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use labraft::records::Build;
use labraft::workers::{self, Settings};
use labraft::{Implementation, NoSuchTest, Profile, Test, Verdict, report, select};

use crate::SUITE;
use crate::course::command::HandoutArgs;
use crate::course::submit::SubmitArgs;
use crate::diff::Diff;
use crate::explain::Explain;
use crate::grade::{Confined, Grade, WorkerRights};
use crate::hint::Hint;
use crate::merge::Merge;
use crate::mutants::Mutants;
use crate::outputs::Outputs;
use crate::replay::Replay;
use crate::run::RunArgs;
use crate::seeds::Seeds;
use crate::shrink::Shrink;

/// A deterministic simulation lab for Raft: MIT 6.824's tests under a virtual clock.
#[derive(Parser)]
#[command(name = "lab", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run tests, each under one seed or many.
    Run(RunArgs),
    /// Run one seed of one test again, bit for bit.
    Replay(Replay),
    /// Find the fewest faults with which a run still fails the same way.
    Shrink(Shrink),
    /// Find the moment from which on a failing run could hardly do otherwise.
    Explain(Explain),
    /// Find the first event in which two runs differ.
    Diff(Diff),
    /// List the tests.
    List {
        /// Which tests: a part (2, 2C), a name (Backup2B) or a piece of one; none = all.
        patterns: Vec<String>,
    },
    /// Put the results of several machines together.
    Merge(MergeArgs),
    /// Build and run again whenever a source changes, what failed last first, until Ctrl-C.
    Watch {
        /// Which tests: a part (2, 2C), a name (Backup2B) or a piece of one.
        #[arg(required = true)]
        patterns: Vec<String>,
        /// Which seeds, once those that failed have passed.
        #[arg(long, value_name = "N|A..B|@FILE", default_value = "20")]
        seeds: String,
        /// Which Raft to test [default: the first one that the program has].
        #[arg(long, value_name = "NAME")]
        implementation: Option<String>,
    },
    /// Grade what students handed in.
    Grade(Grade),
    /// Put known bugs into the reference, one at a time, and say what finds each.
    Mutants(Mutants),
    /// Show a hint for a part of the labs, one at a time.
    Hint(Hint),
    /// Make from the lab's sources what students get: without the solution.
    Handout(HandoutArgs),
    /// Pack what you have written, to be handed in.
    Submit(SubmitArgs),
    /// Print what a shell needs to complete this command's words.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Manual,
    /// Run what the other side says: what the other commands start.
    #[command(hide = true)]
    Worker {
        /// A digest of the program, so that it need not be computed again.
        #[arg(long)]
        program: String,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        rights: WorkerRights,
    },
    /// Become a program with fewer rights: what grading starts.
    #[command(hide = true)]
    Confined(Confined),
}

/// How results are written.
#[derive(Args)]
pub(crate) struct OutputArgs {
    /// What to print on the standard output: text, or json, an object a test.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write a JUnit report.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl From<OutputArgs> for Outputs {
    fn from(args: OutputArgs) -> Outputs {
        Outputs { json: args.format == Format::Json, junit: args.junit }
    }
}

#[derive(Copy, Clone, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Args)]
struct MergeArgs {
    /// The results directories of all shares.
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Which seeds there are to be [default: those that there are of any test].
    #[arg(long, value_name = "N|A..B|@FILE")]
    seeds: Option<Seeds>,
    /// Which tests there are to be [default: those that there are].
    #[arg(long = "test", value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Where the whole is written.
    #[arg(long, value_name = "DIR", default_value = "target/lab-merged")]
    out: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Clone)]
pub(crate) struct Common {
    /// Which Raft to test [default: the first one that the program has].
    #[arg(long, value_name = "NAME")]
    implementation: Option<String>,
    /// Which faults the world has: go, the course's own network; or chaos, others as well.
    #[arg(long, value_name = "NAME", value_parser = parse_profile, default_value = "go")]
    profile: Profile,
    /// Where the results of runs are kept.
    #[arg(long, value_name = "DIR", default_value = "target/lab")]
    pub(crate) out: PathBuf,
    /// How much memory a worker process may use, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(128..))]
    memory: u64,
    /// How many seconds of real time a run may take before it counts as hung. It only ends code that
    /// never returns; virtual time and events decide everything else.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    wall_limit: u64,
}

/// More worker processes at a time than any machine has processors for.
const MOST_JOBS: usize = 1024;

pub(crate) fn parse_profile(text: &str) -> Result<Profile, String> {
    let all = [Profile::Go, Profile::Chaos];
    let found = all.into_iter().find(|profile| profile.name() == text);
    found.ok_or_else(|| "there are two profiles, go and chaos".into())
}

pub(crate) fn parse_jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("there must be at least 1 job to get anything done".into()),
        Ok(jobs) if jobs <= MOST_JOBS => Ok(jobs),
        Ok(_) => Err(format!("each job is a process; {MOST_JOBS} are the most")),
        Err(_) => Err("give a whole number of jobs, such as 2".into()),
    }
}

/// Set when everything is to end as soon as possible.
pub(crate) static STOP: AtomicBool = AtomicBool::new(false);

/// How a command came to its end.
pub(crate) enum Ended {
    /// With a verdict over all that it ran.
    Judged(Verdict),
    /// Early, because somebody wanted it to.
    Interrupted,
}

/// Why a command was not carried out to its end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// It cannot be carried out as it was given.
    Wrong(String),
    /// Something that is none of the code under test's business does not work.
    Broken(String),
    /// Nobody reads the output any more, as in `lab list | head`.
    OutputClosed,
}

impl From<NoSuchTest> for Stopped {
    fn from(error: NoSuchTest) -> Stopped {
        Stopped::Wrong(error.to_string())
    }
}

/// Of writing to the standard output, or of workers that cannot be used.
impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stopped::OutputClosed,
            _ => Stopped::Broken(error.to_string()),
        }
    }
}

/// Everything passed, or there was nothing that could fail.
const PASSED: u8 = 0;
/// A test failed.
const FAILED: u8 = 1;
/// The command was wrong.
const WRONG: u8 = 2;
/// The lab itself broke.
const BROKEN: u8 = 3;
/// Nothing failed, but of some runs it is not known whether they passed.
const UNKNOWN: u8 = 4;
/// Ended by Ctrl-C or a signal, as shells count it.
const INTERRUPTED: u8 = 130;

fn exit_code(ended: Ended) -> u8 {
    match ended {
        Ended::Judged(Verdict::Passed | Verdict::Missed) => PASSED,
        Ended::Judged(Verdict::Unknown) => UNKNOWN,
        Ended::Judged(Verdict::Failed | Verdict::Crashed | Verdict::Hung) => FAILED,
        Ended::Interrupted => INTERRUPTED,
    }
}

/// The whole command line, for these implementations; the first one is the default.
///
/// The exit code is 0 when all tests passed, 1 when one failed, 2 when the command was wrong, 3 when
/// the lab itself broke, 4 when no test failed but of some it is not known whether they passed, 130
/// when it was interrupted.
///
/// Tests run in processes of their own: this program, started again. So a program calls this first
/// thing in `main`.
///
/// ```no_run
/// # const MINE: labraft::Implementation = raft::REFERENCE;
/// fn main() -> std::process::ExitCode {
///     tests::lab_main(&[MINE])
/// }
/// ```
pub fn lab_main(implementations: &[Implementation]) -> ExitCode {
    let command = Cli::parse().command;
    let done = match command {
        Command::Worker { program, common, rights } => {
            worker(program, &common, &rights, implementations)
        }
        Command::Confined(confined) => confined.run(),
        command => {
            if !labrpc::is_guarded() {
                eprintln!(
                    "lab: on this system the standard library's clock and the order of its hash maps \
                     are not simulated; code under test that uses them is not repeatable"
                );
            }
            listen_to_signals();
            match command {
                Command::Run(args) => args.run(implementations),
                Command::Explain(explain) => Commands::new(explain.common.clone(), implementations)
                    .and_then(|them| explain.run(&them)),
                Command::Diff(diff) => Commands::new(diff.common.clone(), implementations)
                    .and_then(|them| diff.run(&them)),
                Command::Shrink(shrink) => Commands::new(shrink.common.clone(), implementations)
                    .and_then(|them| shrink.run(&them)),
                Command::Replay(replay) => Commands::new(replay.common.clone(), implementations)
                    .and_then(|them| replay.run(&them)),
                Command::List { patterns } => list(&patterns),
                Command::Merge(args) => merge(args, implementations),
                Command::Watch { patterns, seeds, implementation } => {
                    watch(patterns, seeds, implementation)
                }
                Command::Mutants(mutants) => mutants.run(),
                Command::Grade(grade) => grade.run(),
                Command::Hint(hint) => hint.run(),
                Command::Handout(handout) => handout.run(),
                Command::Submit(submit) => submit.run(),
                Command::Completions { shell } => completions(shell),
                Command::Manual => manual(),
                Command::Worker { .. } | Command::Confined(_) => {
                    unreachable!("it was carried out above")
                }
            }
        }
    };
    ExitCode::from(match done {
        Ok(ended) => exit_code(ended),
        Err(Stopped::OutputClosed) => PASSED,
        Err(Stopped::Wrong(what)) => {
            eprintln!("error: {what}");
            WRONG
        }
        Err(Stopped::Broken(what)) => {
            eprintln!("lab: this is a fault of the lab or of its machine: {what}");
            BROKEN
        }
    })
}

/// Ctrl-C ends what runs and reports what there is; a second one ends at once.
fn listen_to_signals() {
    let listening = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    });
    if let Err(error) = listening {
        eprintln!("lab: Ctrl-C will end it without a report: {error}");
    }
}

fn list(patterns: &[String]) -> Result<Ended, Stopped> {
    let mut out = io::stdout().lock();
    let tests = chosen(patterns)?;
    let width = report::name_width(tests.iter().map(|test| test.name));
    for test in tests {
        let Test { name, part, points, title, .. } = test;
        writeln!(out, "{name:<width$}  {part}  {points:3} points  {title}")?;
    }
    Ok(Ended::Judged(Verdict::Passed))
}

fn merge(args: MergeArgs, implementations: &[Implementation]) -> Result<Ended, Stopped> {
    Merge {
        directories: args.directories,
        seeds: args.seeds,
        tests: if args.patterns.is_empty() { None } else { Some(chosen(&args.patterns)?) },
        out: args.out,
        outputs: args.output.into(),
    }
    .run(|name| name == implementations[0].name)
}

fn watch(
    patterns: Vec<String>,
    seeds: String,
    implementation: Option<String>,
) -> Result<Ended, Stopped> {
    // What is wrong is said now, and not after each change.
    chosen(&patterns)?;
    seeds.parse::<Seeds>().map_err(Stopped::Wrong)?;
    let mut words = vec!["run".to_string()];
    words.extend(patterns);
    words.extend(["--failed-first", "--fail-fast", "--no-shrink", "--seeds"].map(String::from));
    words.push(seeds);
    words.extend(implementation.into_iter().flat_map(|name| ["--implementation".into(), name]));
    crate::watch::watch(&words.into_iter().map(Into::into).collect::<Vec<_>>())
}

fn worker(
    program: String,
    common: &Common,
    rights: &WorkerRights,
    implementations: &[Implementation],
) -> Result<Ended, Stopped> {
    let implementation = common.implementation(implementations)?;
    let build = Build { program, ..known_build() };
    match workers::serve(SUITE, implementation, common.memory << 20, &build, || rights.give_up()) {
        Ok(()) => Ok(Ended::Judged(Verdict::Passed)),
        Err(error) => Err(Stopped::Broken(format!("as a worker: {error}"))),
    }
}

/// What may be said.
pub(crate) fn grammar() -> clap::Command {
    Cli::command()
}

fn completions(shell: clap_complete::Shell) -> Result<Ended, Stopped> {
    clap_complete::generate(shell, &mut grammar(), "lab", &mut io::stdout());
    Ok(Ended::Judged(Verdict::Passed))
}

fn manual() -> Result<Ended, Stopped> {
    clap_mangen::Man::new(grammar()).render(&mut io::stdout())?;
    Ok(Ended::Judged(Verdict::Passed))
}

impl Common {
    fn implementation(&self, known: &[Implementation]) -> Result<Implementation, Stopped> {
        let found = match &self.implementation {
            None => known.first(),
            Some(name) => known.iter().find(|implementation| implementation.name == name),
        };
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|implementation| implementation.name).collect();
            let wanted = self.implementation.as_deref().unwrap_or("");
            Stopped::Wrong(format!(
                "no implementation is called {wanted:?}; there are: {}",
                names.join(", ")
            ))
        })
    }
}

/// What the program was built from, as its build script saw it; not which program it is.
pub(crate) fn known_build() -> Build {
    Build {
        program: String::new(),
        commit: env!("LAB_COMMIT").into(),
        lock: format!("{:016x}", labrpc::hash_bytes(include_bytes!("../../Cargo.lock"))),
        compiler: env!("LAB_COMPILER").into(),
        profile: env!("LAB_PROFILE").into(),
    }
}

/// How to call this program again.
pub(crate) struct Commands<'a> {
    pub(crate) implementation: Implementation,
    pub(crate) build: Build,
    common: Common,
    implementations: &'a [Implementation],
}

impl<'a> Commands<'a> {
    pub(crate) fn new(
        common: Common,
        implementations: &'a [Implementation],
    ) -> Result<Self, Stopped> {
        let implementation = common.implementation(implementations)?;
        let build = Build::of_this_program(known_build());
        Ok(Commands { implementation, build, common, implementations })
    }

    /// Which faults runs have.
    pub(crate) fn profile(&self) -> Profile {
        self.common.profile
    }

    /// What a person types to see a run again.
    pub(crate) fn replay(&self, test: &str, seed: u64, profile: Profile) -> String {
        let is_default = self.implementations[0].name == self.implementation.name;
        let named = (!is_default).then_some(self.implementation.name);
        replay_command(test, seed, named, profile)
    }

    /// What a person types to see the run of a repro file.
    pub(crate) fn replay_file(&self, path: &Path) -> String {
        let is_default = self.implementations[0].name == self.implementation.name;
        let named = match is_default {
            true => String::new(),
            false => format!(" --implementation {}", self.implementation.name),
        };
        format!("{} replay {}{named}", program(), path.display())
    }

    /// What another process of this program is to be told as well.
    pub(crate) fn common_arguments(&self) -> [String; 8] {
        let Common { memory, wall_limit, profile, .. } = &self.common;
        let (memory, wall_limit) = (memory.to_string(), wall_limit.to_string());
        let words = ["--implementation", self.implementation.name, "--profile", profile.name()];
        let [a, b, c, d] = words.map(String::from);
        [a, b, c, d, "--memory".into(), memory, "--wall-limit".into(), wall_limit]
    }

    /// What worker processes are started with.
    pub(crate) fn settings(&self, out: &Path, show_output: bool) -> Settings {
        let program = std::env::current_exe().unwrap_or_else(|_| "lab".into());
        let mut command = vec![program.to_string_lossy().into_owned(), "worker".into()];
        command.extend(self.common_arguments());
        command.extend(["--program".into(), self.build.program.clone()]);
        Settings {
            implementation: self.implementation,
            command,
            profile: self.common.profile,
            memory_bytes: self.common.memory << 20,
            wall_limit: Duration::from_secs(self.common.wall_limit),
            traces: out.join("traces"),
            show_output,
            build: self.build.clone(),
            is_distrusted: false,
        }
    }
}

/// What a person types to see a run again, with another implementation than the default.
pub(crate) fn replay_command(
    test: &str,
    seed: u64,
    implementation: Option<&str>,
    profile: Profile,
) -> String {
    let mut command = format!("{} replay {test} --seed {seed}", program());
    if let Some(name) = implementation {
        command += &format!(" --implementation {name}");
    }
    if profile != Profile::default() {
        command += &format!(" --profile {}", profile.name());
    }
    command
}

/// `cargo lab` when it was called so, else the program as it was called.
pub(crate) fn program() -> String {
    let called = std::env::args().next().unwrap_or_else(|| "lab".into());
    let is_lab = Path::new(&called).file_stem().is_some_and(|name| name == "lab");
    if is_lab && std::env::var_os("CARGO").is_some() { "cargo lab".into() } else { called }
}

/// The tests that any of the patterns means, in the suite's order.
pub(crate) fn chosen(patterns: &[String]) -> Result<Vec<&'static Test>, Stopped> {
    if patterns.is_empty() {
        return Ok(SUITE.iter().collect());
    }
    let mut names = Vec::new();
    for pattern in patterns {
        names.extend(select(SUITE, pattern)?.iter().map(|test| test.name));
    }
    Ok(SUITE.iter().filter(|test| names.contains(&test.name)).collect())
}

pub(crate) fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_no_success_and_no_failure() {
        let verdicts = [Verdict::Passed, Verdict::Unknown, Verdict::Failed, Verdict::Hung];
        assert_eq!(verdicts.map(|verdict| exit_code(Ended::Judged(verdict))), [0, 4, 1, 1]);
        assert_eq!(exit_code(Ended::Interrupted), 130);
    }

    #[test]
    fn the_command_line_is_well_formed() {
        grammar().debug_assert();
    }
}
