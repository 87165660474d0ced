//! `lab search`: makes all runs of a test that have at most a few faults, and reports those that fail with
//! the fewest.

mod display;
mod words;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::Args;
use labraft::{Part, Test, Verdict};

use display::Display;
use words::{grouped, with_faults};

use crate::offered;
use crate::outcome::{CommandError, INTERRUPT, Outcome};
use crate::repro::Repro;
use crate::search::faults::run_with;
use crate::search::journal::{Header, Journal};
use crate::search::{FailingSet, Found, Progress, Search};
use crate::seeds::Shard;
use crate::session::{Common, Program, Session, default_jobs, parse_jobs};
use crate::shrinkable::cannot_be_recorded;
use crate::workers::{Answer, Keep, Pool};
use crate::{plain, report, shrink, view};

/// The most causes that are shown.
const CAUSES_SHOWN: usize = 5;

/// Tests of the suite.
type Tests = Vec<&'static Test>;

/// The arguments of `lab search`.
#[derive(Args)]
pub(crate) struct SearchArgs {
    /// Which tests: a part (search, 2A), a name (ShortElections) or part of a name [default: the scenarios
    /// made for it, the part search, after one run without faults of each other test]. The number of runs grows
    /// with the length of a test.
    patterns: Vec<String>,
    /// The most faults that a run may have.
    #[arg(long, value_name = "D", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=3))]
    faults: u8,
    /// The seed of everything that is not a fault, such as the servers' time-outs.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many worker processes to run at a time [default: one per processor].
    #[arg(long, value_parser = parse_jobs)]
    jobs: Option<usize>,
    /// Start no new runs after the first failure, instead of making all runs with as many faults.
    #[arg(long)]
    fail_fast: bool,
    /// Make only the runs that a search with the same options has not made yet.
    #[arg(long)]
    resume: bool,
    /// Make the Kth of N shares of the runs, such as 2/4. By default the share is taken from the
    /// environment of a job array, as by `lab run`.
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    #[command(flatten)]
    common: Common,
}

impl SearchArgs {
    /// Searches the tests, with few faults before more.
    pub(crate) fn run(self, program: &Program<'_>) -> Result<Outcome, CommandError> {
        let share = match self.shard {
            Some(share) => Some(share),
            None => Shard::from_environment(|name| std::env::var(name).ok())
                .map_err(CommandError::Usage)?,
        };
        let share = share.unwrap_or(Shard::WHOLE);
        let session = Session::new(self.common.clone(), program)?;
        let (tests, others) = self.tests(program, &session)?;
        let header = Header::new(
            session.implementation.name,
            session.conditions(),
            self.seed,
            share.to_string(),
            session.build.clone(),
        );
        let mut journal = self.journal(&header)?;
        let pool = Pool::new(session.settings(&self.common.out, false), &INTERRUPT);
        let search = |test, most_faults| Search {
            pool: &pool,
            test,
            seed: self.seed,
            most_faults,
            share,
            jobs: self.jobs.unwrap_or_else(default_jobs),
            fail_fast: self.fail_fast,
        };
        let others = others.into_iter().map(|test| search(test, 0));
        let searches = tests.into_iter().map(|test| search(test, self.faults.into()));
        let mut worst = self.without_faults(others, &session)?;
        worst = worst.max(self.search_all(searches, &session, &mut journal)?);
        if INTERRUPT.load(Ordering::Relaxed) {
            return Ok(Outcome::Interrupted);
        }
        if let Some(what) = pool.disturbances() {
            eprintln!("lab: {what}");
        }
        Ok(Outcome::Judged(worst))
    }

    /// Makes the run without faults of each test, and reports on those that do not pass: nobody has to search for
    /// what needs no fault.
    fn without_faults<'a>(
        &self,
        searches: impl Iterator<Item = Search<'a>>,
        session: &Session<'_>,
    ) -> Result<Verdict, CommandError> {
        let mut worst = Verdict::Passed;
        let mut passed = 0;
        for search in searches.take_while(|_| !INTERRUPT.load(Ordering::Relaxed)) {
            let progress = search.begin(&mut |_| ());
            let found = progress.map_err(|error| self.cannot_go_on(&error))?.found;
            let has_passed = found.is_complete && found.unknown == 0 && found.failures.is_empty();
            if has_passed {
                passed += 1;
            } else {
                worst = worst.max(self.report(&search, session, &found)?);
            }
        }
        if self.patterns.is_empty() {
            let seed = self.seed;
            let what = format!("{passed} tests of other parts pass without faults (seed {seed})");
            writeln!(io::stdout(), "{what}")?;
        }
        Ok(worst)
    }

    /// Searches all tests with no fault, then with one, and so on, because what one fault shows should not have to
    /// wait for all pairs of faults of another test. For the same reason they take turns within each number of
    /// faults, except that a test with a failure is finished at once. Reports on each test when its search is over.
    fn search_all<'a>(
        &self,
        searches: impl Iterator<Item = Search<'a>>,
        session: &Session<'_>,
        journal: &mut Journal,
    ) -> Result<Verdict, CommandError> {
        let mut worst = Verdict::Passed;
        let mut under_way = Vec::new();
        for search in searches {
            let mut display = Display::new(&search);
            let progress = search.begin(&mut |news| display.tell(news));
            under_way.push((progress.map_err(|error| self.cannot_go_on(&error))?, display, search));
        }
        while !under_way.is_empty() && !INTERRUPT.load(Ordering::Relaxed) {
            let mut left = Vec::new();
            let progress = under_way.iter().map(|(progress, ..)| progress);
            let faults = progress.map(Progress::faults).min().unwrap_or_default();
            for (mut progress, mut display, search) in under_way {
                let mut is_due = search.has_more(&progress) && progress.faults() == faults;
                while is_due {
                    let went_on =
                        search.go_on(&mut progress, journal, &mut |news| display.tell(news));
                    display.end();
                    went_on.map_err(|error| self.cannot_go_on(&error))?;
                    is_due = progress.has_failed();
                }
                if search.has_more(&progress) {
                    left.push((progress, display, search));
                } else {
                    worst = worst.max(self.report(&search, session, &progress.found)?);
                }
            }
            under_way = left;
        }
        Ok(worst)
    }

    /// The tests to search, and those of which only the run without faults is made.
    fn tests(
        &self,
        program: &Program<'_>,
        session: &Session<'_>,
    ) -> Result<(Tests, Tests), CommandError> {
        let (chosen, _) = offered::chosen(program, &self.patterns, &session.implementation)?;
        let is_searched = |test: &&Test| !self.patterns.is_empty() || test.part == Part::Search;
        let (searched, others): (Tests, Tests) = chosen.into_iter().partition(is_searched);
        if searched.is_empty() {
            return Err(CommandError::Usage(
                "this program has no scenarios that were made for a search; name a test, such as \
                 InitialElection2A"
                    .into(),
            ));
        }
        Ok((searched, others))
    }

    fn journal(&self, header: &Header) -> Result<Journal, CommandError> {
        let out = &self.common.out;
        let journal = match self.resume {
            true => Journal::resume(out, header),
            false => {
                // Files of an earlier search do not belong to this one.
                _ = fs::remove_dir_all(failures_in(out));
                Journal::begin(out, header)
            }
        };
        journal.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => CommandError::Usage(error.to_string()),
            _ => CommandError::Internal(format!(
                "nothing can be kept in {}: {error}; see --out",
                out.display()
            )),
        })
    }

    fn cannot_go_on(&self, error: &io::Error) -> CommandError {
        CommandError::Internal(format!(
            "{error}\nWhat has been searched is kept in {}; to go on, give the same command with \
             --resume",
            self.common.out.display()
        ))
    }

    /// Prints what was found, and leaves a repro file and a page for each cause. Returns the worst verdict.
    fn report(
        &self,
        search: &Search<'_>,
        session: &Session<'_>,
        found: &Found,
    ) -> Result<Verdict, CommandError> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", sentence(search, found))?;
        for (number, set) in (1..).zip(found.failures.iter().take(CAUSES_SHOWN)) {
            let name = format!("{}-{}-{number}", search.test.name, search.seed);
            write!(out, "{}", self.report_failure(set, &name, search, session)?)?;
        }
        if found.failures.len() > CAUSES_SHOWN {
            writeln!(out, "  and {} more causes", found.failures.len() - CAUSES_SHOWN)?;
        }
        let worst = found.failures.iter().map(|set| set.record.verdict).max();
        let unknown = if found.unknown > 0 { Verdict::Unknown } else { Verdict::Passed };
        Ok(worst.unwrap_or(unknown))
    }

    /// Tells about the first failing run of a cause: as `lab run` does, and which faults it has.
    fn report_failure(
        &self,
        set: &FailingSet,
        name: &str,
        search: &Search<'_>,
        session: &Session<'_>,
    ) -> Result<String, CommandError> {
        let spec = run_with(search.seed, &set.faults);
        let directory = failures_in(&self.common.out);
        let path = directory.join(format!("{name}.json"));
        let page = directory.join(format!("{name}.html"));
        let replay = session.with_file("replay", &path);
        let again = search.pool.runs().run(search.test, spec.clone(), Keep::Events)?;
        let story = again.as_ref().map_or_else(Vec::new, |answer| story(set, answer));
        let cannot_write = |error| {
            let directory = directory.display();
            CommandError::Internal(format!("cannot write failures to {directory}: {error}"))
        };
        if let Some(repro) = Repro::even_if_unfinished(&set.record, spec) {
            repro.write(&path).map_err(cannot_write)?;
        }
        let mut text = report::failed(&set.record, &replay);
        text += match set.faults.len() {
            0 => "    no fault is needed\n",
            1 => "    the fault:\n",
            _ => "    the faults:\n",
        };
        for (number, sentence) in (1..).zip(&story) {
            text += &format!("      {number}. {}\n", plain::line(sentence));
        }
        if set.count > 1 {
            text += &format!("    {} runs fail for this cause\n", grouped(set.count));
        }
        if let Some(answer) = again {
            fs::write(&page, view::page(&answer, &replay, &story)).map_err(cannot_write)?;
            text += &format!("    page: {}\n", page.display());
            let is_same = answer.record.fingerprint == set.record.fingerprint;
            let had_ended = !set.record.fingerprint.is_empty();
            if let Some(why) = cannot_be_recorded(&answer.record).filter(|_| had_ended) {
                text += &format!("    {why}\n");
            } else if set.has_passed || !is_same || answer.record.verdict != set.record.verdict {
                text += "    the run does not repeat: something in it is not deterministic\n";
            }
        }
        Ok(text)
    }
}

/// Where the files of failures are.
fn failures_in(out: &Path) -> PathBuf {
    out.join("search")
}

/// A sentence for each fault, in their order.
fn story(set: &FailingSet, answer: &Answer) -> Vec<String> {
    let mut faults = answer.decisions.clone();
    let mut left: Vec<_> = set.faults.iter().map(|fault| fault.address).collect();
    faults.retain(|taken| {
        let place = left.iter().position(|address| *address == taken.address);
        place.map(|place| left.swap_remove(place)).is_some()
    });
    let told = shrink::tell(&faults, &answer.events);
    // The decisions of a run that has not finished are not known.
    let untold = left.iter().map(|address| format!("{address} is not neutral"));
    told.into_iter().chain(untold).collect()
}

/// The answer of a search, in a sentence.
fn sentence(search: &Search<'_>, found: &Found) -> String {
    let name = search.test.name;
    let seed = search.seed;
    let share = match search.share {
        Shard::WHOLE => String::new(),
        share => format!(" of share {share}"),
    };
    let total = grouped(found.runs.iter().sum());
    let last = found.runs.len().saturating_sub(1);
    let with_last = with_faults(last);
    let failed: u64 = found.failures.iter().map(|set| set.count).sum();
    if failed > 0 {
        if last == 0 {
            return format!("{name}: the run without faults fails");
        }
        let of = grouped(found.runs.last().copied().unwrap_or(0));
        let rest = if found.is_complete { "" } else { " that were made" };
        let fail = if failed == 1 { "fails" } else { "fail" };
        let failed = grouped(failed);
        return format!(
            "{name}: {failed} of {of} runs{share}{rest} {with_last} {fail}, and all with fewer faults pass"
        );
    }
    let unknown = match found.unknown {
        0 => String::new(),
        count => format!(", except for {} without a verdict", grouped(count)),
    };
    if !found.is_complete {
        return format!(
            "{name}: interrupted; the {total} runs{share} that were made pass{unknown}"
        );
    }
    let levels = found.runs.iter().enumerate();
    let levels: Vec<String> = levels
        .map(|(faults, &runs)| format!("{} {}", grouped(runs), with_faults(faults)))
        .collect();
    let levels = levels.join(", ");
    let most = search.most_faults;
    if most == 0 {
        let verdict = if found.unknown == 0 { "passes" } else { "has no verdict" };
        return format!("{name}: the run without faults {verdict} (seed {seed})");
    }
    let faults = if most == 1 { "fault" } else { "faults" };
    format!(
        "{name}: all {total} runs{share} with at most {most} {faults} pass{unknown} ({levels}; seed {seed})"
    )
}
