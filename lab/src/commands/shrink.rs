//! `lab shrink`: the fewest decisions that still make a run fail, as a file and as a story.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::records::{FailureRecord, RunRecord};
use crate::repro::Repro;
use crate::shrink::{self, End, Shrunk};
use crate::workers::{Answer, Bounds, Keep, Pool, Runs, Settings};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use labraft::Verdict;
use labrpc::RunSpec;

use crate::outcome::{CommandError, INTERRUPT, Outcome};
use crate::selector::{Selection, Selector};
use crate::session::{Common, Session};
use crate::show::Show;

/// What is said on the command line.
#[derive(Args)]
pub(crate) struct Shrink {
    #[command(flatten)]
    selector: Selector,
    /// At most so many runs are made.
    #[arg(long, value_name = "RUNS", default_value_t = DEFAULT_BUDGET)]
    budget: u64,
    /// Where to write the repro file [default: in the results directory].
    #[arg(long, value_name = "FILE")]
    repro: Option<PathBuf>,
    /// Print one JSON object instead of words.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    show: Show,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Enough for most, and some seconds.
pub(crate) const DEFAULT_BUDGET: u64 = 1000;

impl Shrink {
    /// Shrinks a run.
    pub(crate) fn run(&self, session: &Session<'_>) -> Result<Outcome, CommandError> {
        let wanted = self.selector.one(session, &self.common.out)?;
        let path = self.repro.clone().unwrap_or_else(|| {
            let name = format!("{}-{}.json", wanted.test.name, wanted.spec.seed);
            self.common.out.join("repro").join(name)
        });
        let settings = session.settings(&self.common.out, false);
        let pool = Pool::new(Settings { profile: wanted.profile, ..settings }, &INTERRUPT);
        let mut runs = pool.runs();
        let Some(told) = shrink_one(&wanted, &mut runs, self.budget, !self.json)? else {
            return Ok(Outcome::Interrupted);
        };
        told.repro.write(&path).map_err(|error| {
            CommandError::Usage(format!("{} cannot be written: {error}", path.display()))
        })?;
        self.show.show(&told.answer)?;
        let mut out = io::stdout().lock();
        match self.json {
            true => writeln!(out, "{}", told.json(&path))?,
            false => write!(out, "{}", told.words(&path, session))?,
        }
        drop(out);
        let replay = session.replay_file(&path);
        self.show.write(&told.answer, &replay, &told.story)?;
        Ok(match told.shrunk.end {
            End::Interrupted => Outcome::Interrupted,
            End::Smallest | End::Budget => Outcome::Judged(Verdict::Passed),
        })
    }
}

/// A shrunk run, and what there is to say of it.
pub(crate) struct Told {
    pub(crate) repro: Repro,
    /// The shrunk run with its events.
    pub(crate) answer: Answer,
    pub(crate) shrunk: Shrunk,
    /// The decisions that are needed, a sentence each.
    pub(crate) story: Vec<String>,
    steps: usize,
}

/// How many of the needed decisions are told.
const SENTENCES_SHOWN: usize = 25;

/// Shrinks a run in a worker; `None` when it was interrupted before it had begun.
pub(crate) fn shrink_one(
    wanted: &Selection,
    runs: &mut Runs<'_>,
    budget: u64,
    show_progress: bool,
) -> Result<Option<Told>, CommandError> {
    let Selection { test, spec, .. } = wanted;
    let Some(first) = runs.run(test, spec.clone(), Keep::Decisions)? else { return Ok(None) };
    let failure = what_fails(&first)?;
    runs.set_bounds(bounds_for(&first.record));
    let bar = progress_bar(budget, show_progress);
    let shrunk = shrink::shrink(
        spec,
        &failure,
        first.decisions,
        budget,
        &mut |spec: &RunSpec, keep| runs.run(test, spec.clone(), keep),
        &mut |progress| {
            bar.set_position(progress.runs);
            bar.set_message(format!("{} decisions are left", progress.left));
        },
    )?;
    bar.finish_and_clear();
    runs.set_bounds(None);
    // What is found is kept, also when somebody does not want to wait any longer; a second Ctrl-C ends
    // it at once.
    INTERRUPT.store(false, Ordering::Relaxed);
    let record = shrunk.record.as_ref().unwrap_or(&first.record);
    let repro = Repro::new(record, shrunk.spec.clone())
        .ok_or_else(|| CommandError::Internal("the run that failed has no failure".into()))?;
    let Some(answer) = runs.run(test, shrunk.spec.clone(), Keep::Events)? else { return Ok(None) };
    let story = shrink::tell(&shrunk.needed, &answer.events);
    let steps = shrink::protocol_steps(&answer.events, &repro.failure);
    Ok(Some(Told { repro, answer, shrunk, story, steps }))
}

/// What gets much further than a run that failed is not going to fail as it did; unless that is how it
/// failed.
pub(crate) fn bounds_for(record: &RunRecord) -> Option<Bounds> {
    let failure = record.failure.as_ref();
    let is_limit = failure.is_some_and(|failure| failure.cause.kind.is_simulation_limit());
    (!is_limit).then_some(Bounds {
        virtual_time: Duration::from_secs_f64(1.25 * record.virtual_seconds + 2.0),
        events: 2 * record.events + 10_000,
    })
}

/// The failure that is to be kept.
pub(crate) fn what_fails(answer: &Answer) -> Result<FailureRecord, CommandError> {
    let record = &answer.record;
    let what = match (&record.failure, record.verdict) {
        (Some(_), Verdict::Crashed | Verdict::Hung) => {
            "did not come to an end: what it decided is not known, so it cannot be shrunk; the replay \
             shows what it was at"
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

impl Told {
    /// In a line: which run, what it needs, how far it goes.
    pub(crate) fn headline(&self) -> String {
        let Told { repro, steps, .. } = self;
        let Repro { test, spec, failure, .. } = repro;
        format!(
            "{test}, seed {}: {}; {}, then {steps} steps of the protocol",
            spec.seed,
            failure.headline(),
            self.needs()
        )
    }

    /// How much is needed of what there was.
    fn needs(&self) -> String {
        let Shrunk { of, .. } = self.shrunk;
        let calls = |count: usize| match count {
            0 => String::new(),
            1 => " and one call".into(),
            more => format!(" and {more} calls"),
        };
        match self.shrunk.faults_and_calls() {
            (0, 0) => format!("no fault is needed of {of}: the test's own steps are enough"),
            (0, count) => format!("no fault is needed of {of}{}", calls(count)),
            (1, count) => format!("1 fault is needed of {of}{}", calls(count)),
            (faults, count) => format!("{faults} faults are needed of {of}{}", calls(count)),
        }
    }

    fn words(&self, path: &Path, session: &Session<'_>) -> String {
        let Told { repro, shrunk, story, steps, .. } = self;
        let Repro { test, spec, failure, .. } = repro;
        let mut text = format!("{test}, seed {}: {}\n", spec.seed, failure.reason);
        text += &format!("{}\n", self.needs());
        for (number, sentence) in (1..).zip(story).take(SENTENCES_SHOWN) {
            text += &format!("  {number}. {sentence}\n");
        }
        if story.len() > SENTENCES_SHOWN {
            text += &format!("  and {} more; --json has all\n", story.len() - SENTENCES_SHOWN);
        }
        let at = failure.at.unwrap_or(0.0);
        text += &format!("then it fails at {at:.6} s, after {steps} steps of the protocol\n");
        let end = match shrunk.end {
            End::Smallest => "nothing more can be left out",
            End::Budget => "not all was tried (--budget)",
            End::Interrupted => "interrupted: this is the best so far",
        };
        let replay = session.replay_file(path);
        text + &format!("{} runs; {end}\nreplay: {replay}\n", shrunk.runs)
    }

    fn json(&self, path: &Path) -> serde_json::Value {
        let Told { repro, shrunk, story, steps, .. } = self;
        serde_json::json!({
            "test": repro.test,
            "seed": repro.spec.seed,
            "reason": repro.failure.reason,
            "property": repro.failure.property(),
            "needed": story,
            "faults": shrunk.faults_and_calls().0,
            "of": shrunk.of,
            "steps": steps,
            "virtual_seconds": repro.failure.at,
            "runs": shrunk.runs,
            "complete": shrunk.end == End::Smallest,
            "repro": path,
        })
    }
}
