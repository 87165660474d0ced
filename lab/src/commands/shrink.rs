//! `lab shrink`: the fewest decisions that still make a run fail, as a file and as a story.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::failure_record::FailureRecord;
use crate::plain;
use crate::records::RunRecord;
use crate::repro::Repro;
use crate::shrink::{self, Effort, End, Shrunk};
use crate::workers::{Answer, Bounds, Keep, Pool, Runs, Settings};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use labraft::Verdict;
use labrpc::RunSpec;

use crate::outcome::{CommandError, INTERRUPT, Outcome};
use crate::selector::{Selection, Selector};
use crate::session::{Common, Session, program};
use crate::show::Show;

/// The arguments of `lab shrink`.
#[derive(Args)]
pub(crate) struct Shrink {
    #[command(flatten)]
    selector: Selector,
    /// Make at most this many runs. A run of more than 10,000 events counts as several. What is left then
    /// can be shrunk further: `lab shrink FILE` with the repro file.
    #[arg(long, value_name = "RUNS", default_value_t = DEFAULT_BUDGET)]
    budget: u64,
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
        let report = match shrink_one(&wanted, &mut runs, self.budget, !self.json)? {
            Shrinking::Done(report) => report,
            Shrinking::Interrupted => return Ok(Outcome::Interrupted),
            Shrinking::DoesNotRepeat(what) => {
                eprintln!("lab: {what}");
                return Ok(Outcome::Judged(Verdict::Failed));
            }
        };
        report.repro.write(&path).map_err(|error| {
            CommandError::Usage(format!("{} cannot be written: {error}", path.display()))
        })?;
        self.show.show(&report.answer)?;
        let mut out = io::stdout().lock();
        match self.json {
            true => writeln!(out, "{}", report.json(&path))?,
            false => write!(out, "{}", report.words(&path, session))?,
        }
        drop(out);
        let replay = session.with_file("replay", &path);
        self.show.write(&report.answer, &replay, &report.story)?;
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
    steps: usize,
}

/// The number of needed decisions that are described in text.
const SENTENCES_SHOWN: usize = 25;

/// What came of shrinking a run.
pub(crate) enum Shrinking {
    Done(Box<ShrinkReport>),
    /// It was interrupted before the search began.
    Interrupted,
    /// The run does not fail as it did when the same build made it before. The sentence says so.
    DoesNotRepeat(String),
}

/// Shrinks a run in a worker.
pub(crate) fn shrink_one(
    wanted: &Selection,
    runs: &mut Runs<'_>,
    budget: u64,
    show_progress: bool,
) -> Result<Shrinking, CommandError> {
    let Selection { test, spec, known, .. } = wanted;
    let earlier = known.as_ref().and_then(|known| known.shrunk);
    let Some(first) = runs.run(test, spec.clone(), Keep::Decisions)? else {
        return Ok(Shrinking::Interrupted);
    };
    if let Some(what) = does_not_repeat(&first.record, wanted) {
        return Ok(Shrinking::DoesNotRepeat(what));
    }
    let failure = what_fails(&first)?;
    runs.set_bounds(bounds_for(&first.record));
    let bar = progress_bar(budget, show_progress);
    let shrunk = shrink::shrink(
        spec,
        &failure,
        first.decisions,
        earlier,
        budget,
        &mut |spec: &RunSpec, keep| runs.run(test, spec.clone(), keep),
        &mut |progress| {
            bar.set_position(progress.spent);
            bar.set_message(format!("{} decisions are left", progress.left));
        },
    )?;
    bar.finish_and_clear();
    runs.set_bounds(None);
    // What the search has found is kept even if Ctrl-C interrupted it; a second Ctrl-C ends the
    // program at once.
    INTERRUPT.store(false, Ordering::Relaxed);
    let record = shrunk.record.as_ref().unwrap_or(&first.record);
    let mut repro = Repro::new(record, shrunk.spec.clone()).ok_or_else(|| {
        CommandError::Internal("the record of the failed run contains no failure".into())
    })?;
    repro.shrunk = Some(shrunk.effort);
    let Some(answer) = runs.run(test, shrunk.spec.clone(), Keep::Events)? else {
        return Ok(Shrinking::Interrupted);
    };
    let story = shrink::tell(&shrunk.needed, &answer.events);
    let steps = shrink::protocol_steps(&answer.events, &repro.failure);
    Ok(Shrinking::Done(Box::new(ShrinkReport { repro, answer, shrunk, earlier, story, steps })))
}

/// Says so if the run failed in a different way when the same build made it before.
pub(crate) fn does_not_repeat(now: &RunRecord, wanted: &Selection) -> Option<String> {
    let known = wanted.known.as_ref().filter(|known| known.build == now.build)?;
    let then = known.failure.as_ref()?;
    let now_it = match &now.failure {
        Some(failure) if failure.is_same(then) => return None,
        Some(failure) => format!("fails in a different way: {}", plain::line(&failure.headline())),
        None => "passes".into(),
    };
    let (test, seed, headline) = (wanted.test.name, wanted.spec.seed, then.headline());
    let mut check = format!("{} run {test} --seed {seed} --check-determinism", program());
    check += &format!(" --implementation {}", now.implementation);
    for argument in wanted.conditions.arguments() {
        check += &format!(" {argument}");
    }
    Some(format!(
        "{test}, seed {seed}, failed before ({}), but in the same build it now {now_it}. The run does \
         not repeat, so nothing can be left out of it. For the first difference: {check}",
        plain::line(&headline)
    ))
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

/// The failure that the search must preserve.
pub(crate) fn what_fails(answer: &Answer) -> Result<FailureRecord, CommandError> {
    let record = &answer.record;
    let what = match (&record.failure, record.verdict) {
        (Some(_), Verdict::Crashed | Verdict::Hung) => {
            "did not finish, so its decisions are not known and it cannot be shrunk; the replay shows \
             its last events"
        }
        (Some(failure), _) => return Ok(failure.clone()),
        (None, _) => "passes: there is nothing to shrink",
    };
    Err(CommandError::Usage(format!("{}, seed {}, {what}", record.test, record.seed)))
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
    /// The run, its failure, and the faults and steps that it needs, in one line.
    pub(crate) fn headline(&self) -> String {
        let ShrinkReport { repro, steps, .. } = self;
        let Repro { test, spec, failure, .. } = repro;
        format!(
            "{test}, seed {}: {}; {}, then {steps} steps of the protocol",
            spec.seed,
            plain::line(&failure.headline()),
            self.needs()
        )
    }

    /// How many of the original run's faults are needed, and how many calls.
    fn needs(&self) -> String {
        let Effort { of, .. } = self.shrunk.effort;
        match self.shrunk.faults_and_calls() {
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
        let ShrinkReport { repro, shrunk, story, steps, .. } = self;
        let Repro { test, spec, failure, .. } = repro;
        let mut text =
            format!("{test}, seed {}: {}\n", spec.seed, plain::block(&failure.reason, "  "));
        text += &format!("{}\n", self.needs());
        for (number, sentence) in (1..).zip(story).take(SENTENCES_SHOWN) {
            text += &format!("  {number}. {}\n", plain::line(sentence));
        }
        if story.len() > SENTENCES_SHOWN {
            text +=
                &format!("  and {} more; --json lists them all\n", story.len() - SENTENCES_SHOWN);
        }
        let at = failure.at.unwrap_or(0.0);
        text += &format!("then it fails at {at:.6} s, after {steps} steps of the protocol\n");
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
        text
    }

    /// How many runs were made, in this search and before it.
    fn runs(&self) -> String {
        let all = self.shrunk.effort.runs;
        match self.earlier {
            None => format!("{all} runs"),
            Some(Effort { runs, .. }) => {
                format!("{} runs, after {runs} of an earlier search", all - runs)
            }
        }
    }

    fn json(&self, path: &Path) -> serde_json::Value {
        let ShrinkReport { repro, shrunk, story, steps, .. } = self;
        serde_json::json!({
            "test": repro.test,
            "seed": repro.spec.seed,
            "reason": repro.failure.reason,
            "property": repro.failure.cause.kind.property(),
            "needed": story,
            "faults": shrunk.faults_and_calls().0,
            "of": shrunk.effort.of,
            "steps": steps,
            "virtual_seconds": repro.failure.at,
            "runs": shrunk.effort.runs,
            "complete": shrunk.end == End::Smallest,
            "repro": path,
        })
    }
}
