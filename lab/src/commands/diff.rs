//! `lab diff`: the first event in which two runs differ.

use std::io::{self, Write};
use std::path::Path;

use crate::workers::{Answer, Keep, Pool, Settings};
use crate::{plain, recording, view};
use clap::Args;
use labraft::Verdict;
use labrpc::{Event, Node, Timed};

use crate::outcome::{CommandError, INTERRUPT, Outcome};
use crate::selector::{Selection, Selector};
use crate::session::{Common, Session};
use crate::show::usual_width;

/// The arguments of `lab diff`.
#[derive(Args)]
pub(crate) struct Diff {
    /// A run: TEST:SEED, a repro file, a record, or a file written by `replay --save`, by this build
    /// or another.
    one: String,
    /// The run to compare it with, in any of the same forms.
    other: String,
    /// How many events to show before the first difference, and after it.
    #[arg(long, value_name = "N", default_value_t = 8)]
    context: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Removes the events in which the test merely resumes after a pause, which carry no information.
fn without_pauses(mut answer: Answer) -> Answer {
    let is_pause =
        |timed: &Timed| timed.node == Node::TESTER && matches!(timed.event, Event::Woke { .. });
    answer.events.retain(|timed| !is_pause(timed));
    answer
}

impl Diff {
    /// Makes or reads both runs and compares them.
    pub(crate) fn run(&self, session: &Session<'_>) -> Result<Outcome, CommandError> {
        let Some(one) = self.answer(&self.one, session)? else { return Ok(Outcome::Interrupted) };
        let Some(other) = self.answer(&self.other, session)? else {
            return Ok(Outcome::Interrupted);
        };
        let mut out = io::stdout().lock();
        for (name, answer) in [(&self.one, &one), (&self.other, &other)] {
            let verdict = answer.record.verdict.name();
            let reason = answer.record.failure.as_ref().map_or("", |failure| &failure.reason);
            writeln!(out, "{name}: {verdict} {}", plain::line(reason))?;
        }
        let (one, other) = (without_pauses(one), without_pauses(other));
        let is_same = |(a, b): &(_, _)| a == b;
        let same = one.events.iter().zip(&other.events).take_while(is_same).count();
        if same == one.events.len() && same == other.events.len() {
            writeln!(out, "the two runs are the same in all {same} events")?;
            return Ok(Outcome::Judged(Verdict::Passed));
        }
        writeln!(out, "\nthe same up to event {same}:")?;
        let width = usual_width();
        let from = same.saturating_sub(self.context);
        view::lines(&one, from..same, width, "  ", &mut out)?;
        for (sign, name, answer) in [("- ", &self.one, &one), ("+ ", &self.other, &other)] {
            writeln!(out, "then {name}:")?;
            view::lines(answer, same..same.saturating_add(self.context), width, sign, &mut out)?;
        }
        Ok(Outcome::Judged(Verdict::Passed))
    }

    /// Makes or reads the run, and returns it with its events.
    fn answer(&self, what: &str, session: &Session<'_>) -> Result<Option<Answer>, CommandError> {
        let path = Path::new(what);
        if recording::is_one(path) {
            return match recording::load(path) {
                Ok((_, answer)) => Ok(Some(answer)),
                Err(error) => Err(CommandError::Usage(error.to_string())),
            };
        }
        let which = match what.rsplit_once(':') {
            Some((test, seed)) if !path.exists() && !what.starts_with('{') => {
                let seed = seed.parse().map_err(|_| {
                    CommandError::Usage(format!(
                        "{what:?}: {seed:?} is not a seed; write a run as TEST:SEED"
                    ))
                })?;
                Selector::new(test.into(), Some(seed))
            }
            _ => Selector::new(what.into(), None),
        };
        let Selection { test, spec, conditions, .. } = which.one(session, &self.common.out)?;
        let settings = session.settings(&self.common.out, false);
        let pool = Pool::new(Settings { conditions, ..settings }, &INTERRUPT);
        Ok(pool.runs().run(test, spec, Keep::Events)?)
    }
}
