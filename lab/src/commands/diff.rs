//! `lab diff`: where two runs part.

use std::io::{self, Write};
use std::path::Path;

use crate::workers::{Answer, Keep, Pool, Settings};
use crate::{recording, view};
use clap::Args;
use labraft::Verdict;
use labrpc::{Event, Node, Timed};

use crate::outcome::{CommandError, INTERRUPT, Outcome};
use crate::selector::{Selection, Selector};
use crate::session::{Common, Session};
use crate::show::usual_width;

/// What is said on the command line.
#[derive(Args)]
pub(crate) struct Diff {
    /// A run: TEST:SEED, a repro file, a record, or a run that `replay --save` has written, by this build
    /// or another.
    one: String,
    /// The other run.
    other: String,
    /// How many events to show before the two part, and after.
    #[arg(long, value_name = "N", default_value_t = 8)]
    context: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The run without the moments at which the test itself goes on after a pause: they say nothing.
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
            writeln!(out, "{name}: {verdict} {reason}")?;
        }
        let (one, other) = (without_pauses(one), without_pauses(other));
        let is_same = |(a, b): &(_, _)| a == b;
        let same = one.events.iter().zip(&other.events).take_while(is_same).count();
        if same == one.events.len() && same == other.events.len() {
            writeln!(out, "the two are the same, in all {same} events")?;
            return Ok(Outcome::Judged(Verdict::Passed));
        }
        writeln!(out, "\nthe same up to event {same}:")?;
        let width = usual_width();
        let from = same.saturating_sub(self.context);
        view::lines(&one, from..same, width, "  ", &mut out)?;
        for (sign, name, answer) in [("- ", &self.one, &one), ("+ ", &self.other, &other)] {
            writeln!(out, "then {name}:")?;
            view::lines(answer, same..same + self.context, width, sign, &mut out)?;
        }
        Ok(Outcome::Judged(Verdict::Passed))
    }

    /// The run, with its events.
    fn answer(&self, what: &str, session: &Session<'_>) -> Result<Option<Answer>, CommandError> {
        let path = Path::new(what);
        if recording::is_one(path) {
            return match recording::load(path) {
                Ok(answer) => Ok(Some(answer)),
                Err(error) => Err(CommandError::Usage(error.to_string())),
            };
        }
        let which = match what.rsplit_once(':') {
            Some((test, seed)) if !path.exists() && !what.starts_with('{') => {
                let seed = seed.parse().map_err(|_| {
                    CommandError::Usage(format!(
                        "{what:?}: {seed:?} is no seed; a run is TEST:SEED"
                    ))
                })?;
                Selector::new(test.into(), Some(seed))
            }
            _ => Selector::new(what.into(), None),
        };
        let Selection { test, spec, profile, .. } = which.one(session, &self.common.out)?;
        let settings = session.settings(&self.common.out, false);
        let pool = Pool::new(Settings { profile, ..settings }, &INTERRUPT);
        Ok(pool.runs().run(test, spec, Keep::Events)?)
    }
}
