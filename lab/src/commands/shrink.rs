//! `lab shrink`: the fewest decisions that still make a run fail, as a file and as a story.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::failure_record::FailureRecord;
use crate::plain;
use crate::records::RunRecord;
use crate::repro::Repro;
use crate::shrink::{self, Budget, Effort, End, Looked, Shrunk, Simpler, Size, Wanted, Worlds};
use crate::workers::{Answer, Bounds, Keep, Pool, RunOptions, Runs, Settings};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use labraft::{Profile, Test, Verdict};
use labrpc::RunSpec;

use crate::outcome::{CommandError, INTERRUPT, Outcome};
use crate::selector::{Selection, Selector};
use crate::session::{Common, Session};
use crate::show::Show;
use crate::shrinkable::{cannot_be_recorded, does_not_repeat, what_fails};

/// The arguments of `lab shrink`.
#[derive(Args)]
pub(crate) struct Shrink {
    #[command(flatten)]
    selector: Selector,
    /// Make at most this many runs. A run of more than 10,000 events counts as several. What is left then
    /// can be shrunk further: `lab shrink FILE` with the repro file.
    #[arg(long, value_name = "RUNS", default_value_t = DEFAULT_BUDGET)]
    budget: u64,
    /// Only leave out faults of this run. Otherwise, if much is left, half of the runs are spent on looking for
    /// a simpler run that fails in the same way.
    #[arg(long)]
    only_this_run: bool,
    /// Where to write the repro file [default: in the results directory].
    #[arg(long, value_name = "FILE")]
    repro: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    show: Show,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Enough runs to finish most searches in a few seconds, and the others within a minute.
pub(crate) const DEFAULT_BUDGET: u64 = 6000;

impl Shrink {
    /// Shrinks a run, writes its repro file and reports it.
    pub(crate) fn run(&self, session: &Session<'_>) -> Result<Outcome, CommandError> {
        let wanted = self.selector.one(session, &self.common.out)?;
        let path = self.repro.clone().unwrap_or_else(|| {
            let name = format!("{}-{}.json", wanted.test.name, wanted.spec.seed);
            self.common.out.join("repro").join(name)
        });
        let settings = session.settings(&self.common.out, false);
        let pool = Pool::new(Settings { conditions: wanted.conditions, ..settings }, &INTERRUPT);
        let mut runs = pool.runs();
        let budget = match self.only_this_run {
            true => Budget::all(self.budget),
            false => Budget::half(self.budget),
        };
        let report = match shrink_one(&wanted, &mut runs, budget, session, !self.json)? {
            Shrinking::Done(report) => report,
            Shrinking::Interrupted => return Ok(Outcome::Interrupted),
            Shrinking::Impossible(what) => {
                eprintln!("lab: {what}");
                return Ok(Outcome::Judged(Verdict::Failed));
            }
        };
        let written = report.write(&path);
        written.map_err(|(path, error)| {
            CommandError::Usage(format!("{} cannot be written: {error}", path.display()))
        })?;
        let simplest = report.simplest(&path);
        self.show.show(simplest.answer)?;
        let mut out = io::stdout().lock();
        match self.json {
            true => writeln!(out, "{}", report.json(&path))?,
            false => write!(out, "{}", report.words(&path, session))?,
        }
        drop(out);
        let replay = session.with_file("replay", &simplest.path);
        self.show.write(simplest.spec, simplest.answer, &replay, simplest.story)?;
        Ok(match report.shrunk.end {
            End::Interrupted => Outcome::Interrupted,
            End::Smallest | End::Budget => Outcome::Judged(Verdict::Passed),
        })
    }
}

/// A shrunk run and what is reported about it.
pub(crate) struct ShrinkReport {
    pub(crate) repro: Repro,
    /// The shrunk run with its events.
    pub(crate) answer: Answer,
    pub(crate) shrunk: Shrunk,
    /// The effort of the search that this one continued.
    earlier: Option<Effort>,
    /// One sentence for each decision that is needed.
    pub(crate) story: Vec<String>,
    size: Size,
    /// A simpler run that fails in the same way.
    simpler: Option<SimplerRun>,
    /// How many runs were made to find it.
    looked: u64,
}

/// Another run that fails in the same way, and is simpler than the run that was shrunk.
struct SimplerRun {
    repro: Repro,
    run: Simpler,
    story: Vec<String>,
}

impl SimplerRun {
    fn new(run: Simpler) -> Result<SimplerRun, CommandError> {
        let repro = Repro { shrunk: None, ..repro_of(&run.answer.record, &run.shrunk)? };
        let story = shrink::tell(&run.shrunk.needed, &run.answer.events);
        Ok(SimplerRun { repro, run, story })
    }
}

/// The simplest run of a report, and its repro file.
pub(crate) struct Simplest<'a> {
    pub(crate) path: PathBuf,
    pub(crate) spec: &'a RunSpec,
    pub(crate) answer: &'a Answer,
    pub(crate) story: &'a [String],
}

/// The number of needed decisions that are described in text.
const SENTENCES_SHOWN: usize = 25;
/// The same if there is a simpler run.
const FEW_SENTENCES: usize = 10;

/// What came of shrinking a run.
pub(crate) enum Shrinking {
    Done(Box<ShrinkReport>),
    /// It was interrupted before the search began.
    Interrupted,
    /// It cannot be done with this run. The sentence says why.
    Impossible(String),
}

/// Shrinks a run in a worker, and looks for a simpler one if much is left of it.
pub(crate) fn shrink_one(
    wanted: &Selection,
    runs: &mut Runs<'_>,
    budget: Budget,
    session: &Session<'_>,
    show_progress: bool,
) -> Result<Shrinking, CommandError> {
    let Selection { test, spec, known, .. } = wanted;
    let test = *test;
    let earlier = known.as_ref().and_then(|known| known.shrunk);
    let Some(first) = runs.run(test, spec.clone(), Keep::Decisions)? else {
        return Ok(Shrinking::Interrupted);
    };
    if let Some(what) = does_not_repeat(&first.record, wanted) {
        return Ok(Shrinking::Impossible(what));
    }
    let failure = what_fails(&first)?;
    let options = RunOptions::within(bounds_for(&first.record));
    let bar = progress_bar(budget.runs, show_progress);
    // What was done by hand stays.
    let with_acts = |found: &RunSpec| RunSpec {
        acts: spec.acts.clone(),
        forced: spec.forced.clone(),
        ..found.clone()
    };
    let mut shrunk = shrink::shrink(
        spec,
        &failure,
        first.decisions,
        earlier,
        budget,
        &mut |found: &RunSpec, keep| Worlds::run(runs, test, &with_acts(found), keep, options),
        &mut |progress| {
            bar.set_position(progress.spent);
            bar.set_message(format!("{} decisions are left", progress.left));
        },
    )?;
    shrunk.spec = with_acts(&shrunk.spec);
    let Some((answer, size)) = with_events(test, &shrunk, runs)? else {
        return Ok(Shrinking::Interrupted);
    };
    if let Some(what) = cannot_be_recorded(&answer.record) {
        return Ok(Shrinking::Impossible(what));
    }
    let mut looked = Looked::default();
    let rest = budget.elsewhere(shrunk.spent);
    if !size.is_plain() && shrunk.end != End::Interrupted && rest > 0 {
        let suite = session.suite();
        let tried = shrunk.effort.seeds;
        let bounds = bounds_for(&answer.record);
        let wanted = Wanted { suite, test, failure: &failure, size, bounds, tried };
        looked = shrink::find_simpler(wanted, rest, runs, &mut |progress| {
            bar.set_position(shrunk.spent + progress.spent);
            bar.set_message("looking for a simpler run that fails in the same way");
        })?;
        shrunk.effort.seeds = looked.tried;
        if looked.is_interrupted {
            shrunk.end = End::Interrupted;
        }
    }
    bar.finish_and_clear();
    keep_what_was_found(runs);
    let repro = repro_of(&answer.record, &shrunk)?;
    let story = shrink::tell(&shrunk.needed, &answer.events);
    let simpler = looked.simplest.map(SimplerRun::new).transpose()?;
    let looked = looked.runs;
    let report = ShrinkReport { repro, answer, shrunk, earlier, story, size, simpler, looked };
    Ok(Shrinking::Done(Box::new(report)))
}

/// The shrunk run with its events, and how much of it there is to read.
fn with_events(
    test: &Test,
    shrunk: &Shrunk,
    runs: &mut Runs<'_>,
) -> Result<Option<(Answer, Size)>, CommandError> {
    keep_what_was_found(runs);
    let Some(answer) = runs.run(test, shrunk.spec.clone(), Keep::Events)? else {
        return Ok(None);
    };
    let steps = answer.record.failure.as_ref();
    let steps = steps.map_or(0, |failure| shrink::protocol_steps(&answer.events, failure));
    let size = Size::of(&shrunk.needed, steps);
    Ok(Some((answer, size)))
}

/// Prepares for further runs after a search. What it has found is kept even if Ctrl-C interrupted it; a second
/// Ctrl-C ends the program at once.
fn keep_what_was_found(runs: &mut Runs<'_>) {
    INTERRUPT.store(false, Ordering::Relaxed);
    runs.set_options(RunOptions::default());
}

fn repro_of(record: &RunRecord, shrunk: &Shrunk) -> Result<Repro, CommandError> {
    let repro = Repro::new(record, shrunk.spec.clone()).ok_or_else(|| {
        CommandError::Internal("the record of the failed run contains no failure".into())
    })?;
    Ok(Repro { shrunk: Some(shrunk.effort), ..repro })
}

/// Limits for the runs of a search. A run that gets much further than the one that failed will not fail in
/// the same way, unless reaching a limit was the failure.
pub(crate) fn bounds_for(record: &RunRecord) -> Option<Bounds> {
    let failure = record.failure.as_ref();
    let is_limit = failure.is_some_and(|failure| failure.cause.kind.is_simulation_limit());
    (!is_limit).then_some(Bounds {
        virtual_time: Duration::from_secs_f64(1.25 * record.virtual_seconds + 2.0),
        events: 2 * record.events + 10_000,
    })
}

fn progress_bar(budget: u64, show: bool) -> ProgressBar {
    if !show || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{pos} of at most {len} runs: {msg}")
        .expect("the template is well-formed");
    ProgressBar::new(budget).with_style(style)
}

impl ShrinkReport {
    /// Writes the repro files, that of the run that was shrunk to `path`.
    ///
    /// # Errors
    /// The file that cannot be written, and why.
    pub(crate) fn write(&self, path: &Path) -> Result<(), (PathBuf, io::Error)> {
        self.repro.write(path).map_err(|error| (path.into(), error))?;
        let simpler = path_of_simpler(path);
        match &self.simpler {
            Some(run) => run.repro.write(&simpler).map_err(|error| (simpler, error)),
            None => {
                // One of an earlier search does not belong to this one.
                _ = std::fs::remove_file(simpler);
                Ok(())
            }
        }
    }

    /// The simplest run that fails in this way.
    pub(crate) fn simplest(&self, path: &Path) -> Simplest<'_> {
        match &self.simpler {
            Some(SimplerRun { run, story, repro }) => {
                let spec = &repro.spec;
                Simplest { path: path_of_simpler(path), spec, answer: &run.answer, story }
            }
            None => {
                let ShrinkReport { repro: Repro { spec, .. }, answer, story, .. } = self;
                Simplest { path: path.into(), spec, answer, story }
            }
        }
    }

    /// The run, its failure, and the faults and steps that it needs, in a line; in another one, the simpler
    /// run, if there is one.
    pub(crate) fn headline(&self) -> String {
        let ShrinkReport { repro, size, .. } = self;
        let Repro { test, spec, failure, .. } = repro;
        let mut text = format!(
            "{test}, seed {}: {}; {}, then {} of the protocol",
            spec.seed,
            plain::line(&failure.headline()),
            self.needs(),
            counted(size.steps, "step"),
        );
        if let Some(simpler) = &self.simpler {
            text += &format!("\n    {}", simpler.headline());
        }
        text
    }

    /// How many of the original run's faults are needed, and how many calls.
    fn needs(&self) -> String {
        let Effort { of, .. } = self.shrunk.effort;
        match (self.size.faults, self.size.calls) {
            (0, 0) => format!("none of the {of} faults is needed: the test's own steps are enough"),
            (0, 1) => format!("none of the {of} faults is needed, but one call is"),
            (0, calls) => format!("none of the {of} faults is needed, but {calls} calls are"),
            (1, 0) => format!("1 of {of} faults is needed"),
            (faults, 0) => format!("{faults} of {of} faults are needed"),
            (faults, 1) => format!("{faults} of {of} faults and one call are needed"),
            (faults, calls) => format!("{faults} of {of} faults and {calls} calls are needed"),
        }
    }

    fn words(&self, path: &Path, session: &Session<'_>) -> String {
        let ShrinkReport { repro, shrunk, story, size, simpler, .. } = self;
        let Repro { test, spec, failure, .. } = repro;
        let mut text =
            format!("{test}, seed {}: {}\n", spec.seed, plain::block(&failure.reason, "  "));
        text += &format!("{}\n", self.needs());
        // With a simpler run to read, the rest of this one can be left to --json.
        let shown = if simpler.is_some() { FEW_SENTENCES } else { SENTENCES_SHOWN };
        text += &sentences(story, shown);
        text += &fails_at(failure, size.steps);
        let end = match shrunk.end {
            End::Smallest => "nothing more can be left out",
            End::Budget => "the search used up its budget (--budget)",
            End::Interrupted => "interrupted: this is the best so far",
        };
        text += &format!("{}; {end}\n", self.runs());
        text += &format!("replay: {}\n", session.with_file("replay", path));
        if shrunk.end != End::Smallest {
            text += &format!("go on:  {}\n", session.with_file("shrink", path));
        }
        if let Some(simpler) = simpler {
            text += &format!("\n{}\n", simpler.headline());
            text += &sentences(&simpler.story, SENTENCES_SHOWN);
            text += &fails_at(&simpler.repro.failure, simpler.run.size.steps);
            let path = path_of_simpler(path);
            text += &format!("replay: {}\n", session.with_file("replay", &path));
        }
        text
    }

    /// How many runs were made, in this search and before it.
    fn runs(&self) -> String {
        let all = self.shrunk.effort.runs;
        let mut text = match self.earlier {
            None => format!("{all} runs"),
            Some(Effort { runs, .. }) => {
                format!("{} runs, after {runs} of an earlier search", all - runs)
            }
        };
        match (self.looked, &self.simpler) {
            (0, _) => {}
            (looked, Some(_)) => text += &format!(", and {looked} to find a simpler one"),
            (looked, None) => text += &format!(", and {looked} that found no simpler one"),
        }
        text
    }

    fn json(&self, path: &Path) -> serde_json::Value {
        let ShrinkReport { repro, shrunk, story, size, .. } = self;
        let mut json = serde_json::json!({
            "test": repro.test,
            "seed": repro.spec.seed,
            "reason": repro.failure.reason,
            "property": repro.failure.cause.kind.property(),
            "needed": story,
            "faults": size.faults,
            "of": shrunk.effort.of,
            "steps": size.steps,
            "virtual_seconds": repro.failure.at,
            "runs": shrunk.effort.runs,
            "complete": shrunk.end == End::Smallest,
            "repro": path,
        });
        if let Some(SimplerRun { repro, run, story }) = &self.simpler {
            json["simpler"] = serde_json::json!({
                "test": repro.test,
                "seed": repro.spec.seed,
                "reason": repro.failure.reason,
                "needed": story,
                "faults": run.size.faults,
                "steps": run.size.steps,
                "virtual_seconds": repro.failure.at,
                "runs": self.looked,
                "repro": path_of_simpler(path),
            });
        }
        json
    }
}

impl SimplerRun {
    fn headline(&self) -> String {
        let Size { faults, calls, steps } = self.run.size;
        let test = &self.repro.test;
        let seed = self.repro.spec.seed;
        let chaos = if self.repro.profile == Profile::Chaos { " under chaos" } else { "" };
        let mut needs = counted(faults, "fault");
        if calls > 0 {
            needs += &format!(" and {}", counted(calls, "call"));
        }
        let steps = counted(steps, "step");
        let how = match self.repro.failure.cause.kind.property() {
            Some(_) => "breaks the same rule",
            None => "fails in the same way",
        };
        format!(
            "another, simpler run {how}: {test}{chaos}, seed {seed}, with {needs}, then {steps}"
        )
    }
}

/// The repro file of the simpler run, beside that of the run that was shrunk.
fn path_of_simpler(path: &Path) -> PathBuf {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}-simpler.json"))
}

/// A sentence in a line each, up to so many.
fn sentences(story: &[String], shown: usize) -> String {
    let mut text = String::new();
    for (number, sentence) in (1..).zip(story).take(shown) {
        text += &format!("  {number}. {}\n", plain::line(sentence));
    }
    if story.len() > shown {
        text += &format!("  and {} more; --json lists them all\n", story.len() - shown);
    }
    text
}

fn fails_at(failure: &FailureRecord, steps: usize) -> String {
    let at = failure.at.unwrap_or(0.0);
    format!("then it fails at {at:.6} s, after {} of the protocol\n", counted(steps, "step"))
}

/// Such as `1 fault` and `2 faults`.
fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
