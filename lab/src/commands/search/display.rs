//! What is shown while the runs of a test are searched.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::words::{grouped, with_faults};
use crate::search::{News, Search};

/// The interval between progress lines when standard error is not a terminal.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// The progress of the search of one test.
pub(super) struct Display {
    test: &'static str,
    most_faults: usize,
    jobs: usize,
    shares: usize,
    bar: ProgressBar,
    faults: usize,
    /// The runs of this level.
    total: u64,
    runs: u64,
    /// How many of them had been made when this test's turn began.
    made_before: u64,
    failures: u64,
    /// Seconds that a run takes, with all workers at work.
    seconds_a_run: f64,
    began: Instant,
    said: Instant,
}

impl Display {
    pub(super) fn new(search: &Search<'_>) -> Display {
        Display {
            test: search.test.name,
            most_faults: search.most_faults,
            jobs: search.jobs,
            shares: search.share.of(),
            bar: ProgressBar::hidden(),
            faults: 0,
            total: 0,
            runs: 0,
            made_before: 0,
            failures: 0,
            seconds_a_run: 0.0,
            began: now(),
            said: now(),
        }
    }

    pub(super) fn tell(&mut self, news: News) {
        match news {
            News::Begun { faults, cpu_ms } => self.begin(faults, cpu_ms),
            News::Level { faults, runs, made } => self.begin_level(faults, runs, made),
            News::Made { runs, failures } => self.made(runs, failures),
        }
    }

    fn begin(&mut self, faults: u64, cpu_ms: f64) {
        self.seconds_a_run = cpu_ms / 1000.0 / self.jobs as f64;
        let (mut all, mut with_last) = (1.0, 1.0);
        for level in 1..=self.most_faults {
            // Of two faults, on average half of the places for the second are behind the first.
            with_last *= faults as f64 / level as f64;
            all += with_last;
        }
        let runs = grouped((all / self.shares as f64) as u64);
        let time = about(all / self.shares as f64 * self.seconds_a_run);
        let Display { test, most_faults, .. } = self;
        eprintln!(
            "lab: {test} has {} single faults, so some {runs} runs with at most {most_faults}, {time}",
            grouped(faults)
        );
    }

    fn begin_level(&mut self, faults: usize, runs: u64, made: u64) {
        self.bar.finish_and_clear();
        self.faults = faults;
        self.total = runs;
        self.runs = made;
        self.made_before = made;
        self.began = now();
        self.bar = ProgressBar::new(runs).with_position(made);
        let style = "{elapsed} [{bar:30}] {pos}/{len} runs, {per_sec}, {msg}, {eta} left";
        self.bar
            .set_style(ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()));
        self.bar.reset_eta();
        self.bar.set_message(format!("{} failed", self.failures));
    }

    fn made(&mut self, runs: u64, failures: u64) {
        self.runs += runs;
        self.failures += failures;
        self.bar.set_message(format!("{} failed", self.failures));
        self.bar.inc(runs);
        if !io::stderr().is_terminal() && self.said.elapsed() > PROGRESS_INTERVAL {
            self.said = now();
            let seconds = self.began.elapsed().as_secs_f64();
            let left = about(
                (self.total - self.runs.min(self.total)) as f64 * seconds
                    / (self.runs - self.made_before).max(1) as f64,
            );
            let Display { test, faults, .. } = *self;
            let with = with_faults(faults);
            let (runs, total) = (grouped(self.runs), grouped(self.total));
            let failures = self.failures;
            eprintln!("lab: {test}: {runs} of {total} runs {with}, {failures} failed, {left} left");
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
fn now() -> Instant {
    Instant::now()
}

/// A span for people.
fn about(seconds: f64) -> String {
    match seconds {
        ..1.0 => "less than a second".into(),
        ..120.0 => format!("about {seconds:.0} s"),
        ..7200.0 => format!("about {:.0} minutes", seconds / 60.0),
        ..172_800.0 => format!("about {:.0} hours", seconds / 3600.0),
        _ => format!("about {:.0} days", seconds / 86_400.0),
    }
}
