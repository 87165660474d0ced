//! The command line: `lab run`, `lab replay`, `lab list`.

use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use labraft::records::{self, Record};
use labraft::report;
use labraft::{Implementation, NoSuchTest, RunReport, Test, Verdict, run_test, select};
use labrpc::RunSpec;

use crate::SUITE;
use crate::run::Sweep;

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
    Replay(ReplayArgs),
    /// List the tests.
    List {
        /// Which tests: a part (2, 2C), a name (Backup2B) or a piece of one; none = all.
        patterns: Vec<String>,
    },
}

#[derive(Args)]
struct RunArgs {
    /// Which tests: a part (2, 2C), a name (Backup2B) or a piece of one; none = all.
    patterns: Vec<String>,
    /// Which seeds: N for the first N, from 0; or A..B, without B.
    #[arg(long, value_parser = parse_seeds, conflicts_with = "seed", value_name = "N|A..B")]
    seeds: Option<Range<u64>>,
    /// One seed. The default is seed 0.
    #[arg(long)]
    seed: Option<u64>,
    /// How many simulations to run at a time [default: one for each processor].
    #[arg(long, value_parser = parse_jobs)]
    jobs: Option<usize>,
    /// Run each seed in a second process as well, and compare.
    #[arg(long)]
    check_determinism: bool,
    /// Begin with the last seed: what the second process does.
    #[arg(long, hide = true)]
    last_seed_first: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct ReplayArgs {
    /// The test: its name, or enough of it.
    test: String,
    /// The seed.
    #[arg(long)]
    seed: u64,
    /// Print what happened, event by event.
    #[arg(long)]
    log: bool,
    /// Run so many other seeds before, for comparing runs.
    #[arg(long, hide = true, default_value_t = 0)]
    earlier_runs: u64,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Common {
    /// Which Raft to test [default: the first one that the program has].
    #[arg(long, value_name = "NAME")]
    implementation: Option<String>,
    /// Where the results of runs are kept.
    #[arg(long, value_name = "DIR", default_value = "target/lab")]
    out: PathBuf,
}

fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| {
        text.parse::<u64>().map_err(|_| {
            format!(
                "{text:?} is not a number from 0 to {}; give N or A..B, such as 100 or 5..10",
                u64::MAX
            )
        })
    };
    let range = match text.split_once("..") {
        Some((from, to)) => number(from)?..number(to)?,
        None => 0..number(text)?,
    };
    if range.start > range.end {
        return Err(format!("the range is reversed; did you mean {}..{}?", range.end, range.start));
    }
    if range.is_empty() {
        let from = range.start;
        return Err(format!(
            "the range is empty; A..B ends before B, so one seed is {from}..{}",
            from.saturating_add(1)
        ));
    }
    Ok(range)
}

/// More simulations at a time than any machine has processors for.
const MOST_JOBS: usize = 1024;

fn parse_jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("there must be at least 1 job to get anything done".into()),
        Ok(jobs) if jobs <= MOST_JOBS => Ok(jobs),
        Ok(_) => Err(format!("each job is a thread; {MOST_JOBS} are the most")),
        Err(_) => Err("give a whole number of jobs, such as 2".into()),
    }
}

/// Why a command was not carried out to its end.
pub(crate) enum Stopped {
    /// It cannot be carried out as it was given.
    Wrong(String),
    /// Nobody reads the output any more, as in `lab list | head`.
    OutputClosed,
}

impl From<NoSuchTest> for Stopped {
    fn from(error: NoSuchTest) -> Stopped {
        Stopped::Wrong(error.to_string())
    }
}

/// Of writing to the standard output.
impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stopped::OutputClosed,
            _ => Stopped::Wrong(format!("the output cannot be written: {error}")),
        }
    }
}

/// Everything passed, or there was nothing that could fail.
const PASSED: u8 = 0;
/// A test failed.
const FAILED: u8 = 1;
/// The command was wrong.
const WRONG: u8 = 2;
/// Nothing failed, but of some runs it is not known whether they passed.
const UNKNOWN: u8 = 4;

fn exit_code(worst: Verdict) -> u8 {
    match worst {
        Verdict::Passed => PASSED,
        Verdict::Unknown => UNKNOWN,
        Verdict::Failed => FAILED,
    }
}

/// The whole command line, for these implementations; the first one is the default.
///
/// The exit code is 0 when all tests passed, 1 when one failed, 2 when the command was wrong, 4 when
/// none failed but of some it is not known whether they passed.
///
/// ```no_run
/// # const MINE: labraft::Implementation = raft::REFERENCE;
/// fn main() -> std::process::ExitCode {
///     tests::lab_main(&[MINE])
/// }
/// ```
pub fn lab_main(implementations: &[Implementation]) -> ExitCode {
    let command = Cli::parse().command;
    if !labrpc::is_guarded() {
        eprintln!(
            "lab: on this system the standard library's clock and the order of its hash maps are \
             not simulated; code under test that uses them is not repeatable"
        );
    }
    let done = match command {
        Command::Run(args) => run(&args, implementations),
        Command::Replay(args) => replay(&args, implementations),
        Command::List { patterns } => list(&patterns),
    };
    ExitCode::from(match done {
        Ok(code) => code,
        Err(Stopped::OutputClosed) => PASSED,
        Err(Stopped::Wrong(what)) => {
            eprintln!("error: {what}");
            WRONG
        }
    })
}

fn list(patterns: &[String]) -> Result<u8, Stopped> {
    let mut out = io::stdout().lock();
    let tests = chosen(patterns)?;
    let width = report::name_width(&tests);
    for test in tests {
        let Test { name, part, points, title, .. } = test;
        writeln!(out, "{name:<width$}  {part}  {points:3} points  {title}")?;
    }
    Ok(PASSED)
}

fn run(args: &RunArgs, implementations: &[Implementation]) -> Result<u8, Stopped> {
    let implementation = args.common.implementation(implementations)?;
    let seeds = match (&args.seeds, args.seed) {
        (Some(seeds), _) => seeds.clone(),
        (None, seed) => {
            let seed = seed.unwrap_or(0);
            let end = seed.checked_add(1);
            let largest = || Stopped::Wrong(format!("the largest seed is {}", u64::MAX - 1));
            seed..end.ok_or_else(largest)?
        }
    };
    let worst = Sweep {
        tests: chosen(&args.patterns)?,
        seeds,
        commands: Commands { implementation, implementations },
        jobs: args.jobs.unwrap_or_else(default_jobs),
        out: &args.common.out,
        check_determinism: args.check_determinism,
        last_seed_first: args.last_seed_first,
    }
    .run()?;
    Ok(exit_code(worst))
}

fn replay(args: &ReplayArgs, implementations: &[Implementation]) -> Result<u8, Stopped> {
    let test = match select(SUITE, &args.test)?[..] {
        [test] => test,
        ref several => {
            let names: Vec<&str> = several.iter().map(|test| test.name).collect();
            return Err(Stopped::Wrong(format!(
                "{:?} means {} tests, and one can be replayed: {}",
                args.test,
                names.len(),
                names.join(", ")
            )));
        }
    };
    let implementation = args.common.implementation(implementations)?;
    let out = &args.common.out;
    let known =
        records::latest(out, test.name, args.seed, implementation.name).map_err(|error| {
            Stopped::Wrong(format!("the results in {} cannot be read: {error}", out.display()))
        })?;

    for earlier in 1..=args.earlier_runs {
        let seed = args.seed.wrapping_add(earlier);
        run_test(test, implementation, RunSpec::seed(seed), false);
    }
    let report = run_test(test, implementation, RunSpec::seed(args.seed), args.log);
    let commands = Commands { implementation, implementations };
    let mut out = io::BufWriter::new(io::stdout().lock());
    for timed in &report.record {
        writeln!(out, "{}", report::event_line(timed))?;
    }
    write!(out, "{}", report::course_words(&report, &commands.replay(test, args.seed)))?;
    writeln!(out, "{}", compare(&report, known.as_ref(), &args.common.out))?;
    out.flush()?;
    Ok(exit_code(report.verdict()))
}

/// Whether this is the run that was recorded.
fn compare(report: &RunReport, known: Option<&Record>, out: &Path) -> String {
    let fingerprint = format!("{:016x}", report.fingerprint);
    let Some(known) = known else {
        let out = out.display();
        return format!("fingerprint {fingerprint}; no earlier run of this seed is kept in {out}");
    };
    let is_same_build = known.build == records::build_id();
    let verdict = match (known.fingerprint == fingerprint, is_same_build) {
        (true, true) => "the same run as recorded, bit for bit".to_string(),
        (true, false) => "the same run as recorded, though by another build".to_string(),
        (false, false) => {
            format!("not the recorded run, {}: another build made that one", known.fingerprint)
        }
        (false, true) => format!(
            "NOT the recorded run, {}, though the same build made it: something in it is not \
             deterministic",
            known.fingerprint
        ),
    };
    format!("fingerprint {fingerprint}: {verdict}")
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

/// How to call this program again.
pub(crate) struct Commands<'a> {
    pub(crate) implementation: Implementation,
    implementations: &'a [Implementation],
}

impl Commands<'_> {
    pub(crate) fn replay(&self, test: &Test, seed: u64) -> String {
        let mut command = format!("{} replay {} --seed {seed}", program(), test.name);
        let is_default = self.implementations[0].name == self.implementation.name;
        if !is_default {
            command += &format!(" --implementation {}", self.implementation.name);
        }
        command
    }
}

/// `cargo lab` when it was called so, else the program as it was called.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_else(|| "lab".into());
    let is_lab = Path::new(&called).file_stem().is_some_and(|name| name == "lab");
    if is_lab && std::env::var_os("CARGO").is_some() { "cargo lab".into() } else { called }
}

/// The tests that any of the patterns means, in the suite's order.
fn chosen(patterns: &[String]) -> Result<Vec<&'static Test>, Stopped> {
    if patterns.is_empty() {
        return Ok(SUITE.iter().collect());
    }
    let mut names = Vec::new();
    for pattern in patterns {
        names.extend(select(SUITE, pattern)?.iter().map(|test| test.name));
    }
    Ok(SUITE.iter().filter(|test| names.contains(&test.name)).collect())
}

fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_count_or_a_range() {
        assert_eq!(parse_seeds("3"), Ok(0..3));
        assert_eq!(parse_seeds("5..9"), Ok(5..9));
        for (text, hint) in [
            ("0", "empty"),
            ("4..4", "4..5"),
            ("9..5", "5..9"),
            ("x", "not a number"),
            ("1..", "not a number"),
            ("-1", "not a number"),
        ] {
            let error = parse_seeds(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_not_known_is_no_success_and_no_failure() {
        let codes = [Verdict::Passed, Verdict::Unknown, Verdict::Failed].map(exit_code);
        assert_eq!(codes, [0, 4, 1]);
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
