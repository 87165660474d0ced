//! `lab replay`: repeats a run bit for bit, and checks that it is the run that was recorded.

use std::io::{self, Write};
use std::path::Path;

use crate::failure_record::FailureRecord;
use crate::records::RunRecord;
use crate::workers::{Audited, Keep, Pool, Settings};
use crate::{report, shrink};
use clap::Args;
use labraft::Verdict;
use labrpc::RunSpec;

use crate::outcome::{CommandError, INTERRUPT, Outcome};
use crate::selector::{PreviousRun, Selection, Selector};
use crate::session::{Common, Session};
use crate::show::Show;

/// The arguments of `lab replay`.
#[derive(Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    selector: Selector,
    #[command(flatten)]
    show: Show,
    /// Look for servers and clients that know more than they were told; see `lab run --help`.
    #[arg(long)]
    audit: bool,
    /// Run this many other seeds first, to see whether they change the run.
    #[arg(long, hide = true, default_value_t = 0)]
    earlier_runs: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Replay {
    /// Replays the runs, and returns the worst verdict.
    pub(crate) fn run(&self, session: &Session<'_>) -> Result<Outcome, CommandError> {
        let mut worst = Verdict::Passed;
        for wanted in self.selector.all(session, &self.common.out)? {
            match self.run_one(&wanted, session)? {
                Some(verdict) => worst = worst.max(verdict),
                None => return Ok(Outcome::Interrupted),
            }
        }
        Ok(Outcome::Judged(worst))
    }

    /// Replays one run; `None` if it was interrupted.
    fn run_one(
        &self,
        wanted: &Selection,
        session: &Session<'_>,
    ) -> Result<Option<Verdict>, CommandError> {
        let Selection { test, spec, conditions, .. } = wanted;
        let settings = session.settings(&self.common.out, true);
        let audited = if self.audit { Audited::Everything } else { Audited::Nothing };
        let settings = Settings { conditions: *conditions, audited, ..settings };
        let pool = Pool::new(settings, &INTERRUPT);
        let mut runs = pool.runs();
        for earlier in 1..=self.earlier_runs {
            let spec = RunSpec::seed(spec.seed.wrapping_add(earlier));
            runs.run(test, spec, Keep::Result)?;
        }
        let Some(answer) = runs.run(test, spec.clone(), self.show.keep())? else { return Ok(None) };
        self.show.show(&answer)?;
        let mut out = io::stdout().lock();
        let replay = match &wanted.repro {
            Some(path) => session.with_file("replay", path),
            None => session.replay(test.name, spec.seed, *conditions),
        };
        write!(out, "{}", report::course_words(test, &answer, &replay))?;
        writeln!(out, "{}", compare(&answer.record, wanted, &self.common.out))?;
        drop(out);
        let story = match *spec == RunSpec::seed(spec.seed) {
            true => Vec::new(),
            false => shrink::tell(&answer.decisions, &answer.events),
        };
        self.show.write(spec, &answer, &replay, &story)?;
        Ok(Some(answer.record.verdict))
    }
}

/// Describes whether this is the run that was recorded, and if not, why it may differ.
fn compare(record: &RunRecord, wanted: &Selection, out: &Path) -> String {
    if record.fingerprint.is_empty() {
        return "the run never finished, so it has no fingerprint".into();
    }
    let fingerprint = &record.fingerprint;
    let Some(known) = &wanted.known else {
        let out = out.display();
        return format!("fingerprint {fingerprint}; no earlier run of this seed is kept in {out}");
    };
    let failure = if wanted.repro.is_some() { compare_failure(record, known) } else { "" };
    let is_same_build = known.build == record.build;
    let earlier = &known.fingerprint;
    let commit = match known.build.commit.as_str() {
        "" => "another build",
        commit => &format!("another build ({commit})"),
    };
    let verdict = match (earlier == fingerprint, is_same_build) {
        (true, true) if known.failure == record.failure => {
            "the same run as recorded, bit for bit".to_string()
        }
        (true, true) => format!(
            "NOT the recorded run, though the same build made it and the same events happened in it: \
             {}; something in it is not deterministic",
            outcomes(record, known)
        ),
        (true, false) if is_same_failure(record, known) => {
            "the same run as recorded, although another build made it".to_string()
        }
        (true, false) => format!(
            "the same events as recorded, but judged in another way by {commit}: {}",
            outcomes(record, known)
        ),
        (false, false) => {
            format!("differs from the recorded run ({earlier}), which was made by {commit}")
        }
        (false, true) => format!(
            "NOT the recorded run, {earlier}, though the same build made it: something in it is not \
             deterministic"
        ),
    };
    format!("{failure}fingerprint {fingerprint}: {verdict}")
}

/// Whether both runs passed, or failed in the same way.
fn is_same_failure(record: &RunRecord, known: &PreviousRun) -> bool {
    match (&record.failure, &known.failure) {
        (Some(now), Some(then)) => now.is_same(then),
        (now, then) => now.is_none() && then.is_none(),
    }
}

/// How the run ended now, and how it had ended.
fn outcomes(record: &RunRecord, known: &PreviousRun) -> String {
    let told = |failure: &Option<FailureRecord>| match failure {
        None => "passed".to_string(),
        Some(failure) => format!("failed ({})", failure.reason),
    };
    let (now, then) = (told(&record.failure), told(&known.failure));
    match now == then {
        true => format!("it {now}, with other details"),
        false => format!("it {now}, and {then} when it was recorded"),
    }
}

/// Describes in one line whether the run fails as the repro file says.
fn compare_failure(record: &RunRecord, known: &PreviousRun) -> &'static str {
    match record.failure {
        Some(_) if is_same_failure(record, known) => "it fails as the file says\n",
        Some(_) if known.failure.is_none() => "it fails, and no longer passes as the file says\n",
        Some(_) => "it fails, but not as the file says\n",
        None if known.failure.is_none() => "it passes as the file says\n",
        None => "it no longer fails as the file says\n",
    }
}
