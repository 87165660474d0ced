//! `lab explain`: when did a failure become inevitable?

use std::io::{self, Write};
use std::time::Duration;

use crate::explain::{Explained, Point, explain};
use crate::plain;
use crate::view::{self, Columns, Filter};
use crate::workers::{Answer, Keep, Pool, RunOptions, Settings};
use clap::Args;
use labraft::Verdict;
use labrpc::RunSpec;

use crate::commands::shrink::bounds_for;
use crate::outcome::{CommandError, INTERRUPT, Outcome};
use crate::selector::{Selection, Selector};
use crate::session::{Common, Session};
use crate::show::{failed_at, usual_width};
use crate::shrinkable::{does_not_repeat, what_fails};

// BEGIN LAB 4
/// How many changes of shards are shown.
const SHARD_CHANGES_SHOWN: usize = 12;
// END LAB 4

/// The arguments of `lab explain`.
#[derive(Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    selector: Selector,
    /// How many times the rest of the run is redrawn for each moment.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(4..))]
    tries: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Explain {
    /// Finds the moment at which failure became likely, and prints what happened then.
    pub(crate) fn run(&self, session: &Session<'_>) -> Result<Outcome, CommandError> {
        let wanted = self.selector.one(session, &self.common.out)?;
        let Selection { test, spec, conditions, .. } = &wanted;
        let settings = session.settings(&self.common.out, false);
        let pool = Pool::new(Settings { conditions: *conditions, ..settings }, &INTERRUPT);
        let mut runs = pool.runs();
        let Some(answer) = runs.run(test, spec.clone(), Keep::Events)? else {
            return Ok(Outcome::Interrupted);
        };
        if let Some(what) = does_not_repeat(&answer.record, &wanted) {
            eprintln!("lab: {what}");
            return Ok(Outcome::Judged(Verdict::Failed));
        }
        let failure = what_fails(&answer)?;
        let failed_at = failed_at(&answer).unwrap_or_default();
        println!("{}, seed {}: {}", test.name, spec.seed, plain::block(&failure.reason, "  "));
        runs.set_options(RunOptions::within(bounds_for(&answer.record)));
        let found = explain(
            spec,
            &failure,
            failed_at,
            self.tries,
            &mut |spec: &RunSpec, keep| runs.run(test, spec.clone(), keep),
            &mut |_| {},
        )?;
        let Some(found) = found else { return Ok(Outcome::Interrupted) };
        tell(&found, &answer)?;
        // BEGIN LAB 4
        tell_shards(&answer, failed_at)?;
        // END LAB 4
        Ok(Outcome::Judged(Verdict::Passed))
    }
}

fn tell(found: &Explained, answer: &Answer) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "\nhow often it fails the same way if everything up to a time is kept and the rest is redrawn:"
    )?;
    for Point { at, failed, of } in &found.curve {
        let bar = "#".repeat((40 * failed / of) as usize);
        writeln!(out, "{:11.6} s  {failed:>3} of {of}  {bar}", at.as_secs_f64())?;
    }
    let Some((before, after)) = found.jump else {
        writeln!(out, "\nfailure is likely from the beginning: luck has little to do with it")?;
        return Ok(());
    };
    let seconds = |time: Duration| time.as_secs_f64();
    writeln!(
        out,
        "\nfailure becomes likely between {:.6} s and {:.6} s:",
        seconds(before),
        seconds(after)
    )?;
    let near = Filter { from: before, to: after, ..Filter::default() };
    let how = Columns { filter: near, width: usual_width(), colours: false };
    let shown = view::columns(answer, &how, &mut out)?;
    if shown == 0 {
        writeln!(
            out,
            "no event happens in this interval, but a decision about a later event does"
        )?;
    }
    writeln!(out, "\nthe servers at {:.6} s:", seconds(after))?;
    for line in view::servers_at(&answer.events, after) {
        writeln!(out, "  {}", plain::line(&line))?;
    }
    Ok(())
}

// BEGIN LAB 4
/// What groups did with their shards before the failure; nothing in a run without groups.
fn tell_shards(answer: &Answer, failed_at: Duration) -> Result<(), CommandError> {
    let events = &answer.events;
    let last = view::last_shard_changes(events, failed_at, SHARD_CHANGES_SHOWN);
    if last.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(out, "\nthe last changes of shards before the failure:")?;
    for line in last {
        writeln!(out, "{}", plain::line(&line))?;
    }
    writeln!(
        out,
        "\nthe shards at the failure (a number: served; w: waited for; h: handed over):"
    )?;
    for line in view::shards_at(events, failed_at) {
        writeln!(out, "  {}", plain::line(&line))?;
    }
    Ok(())
}
// END LAB 4
