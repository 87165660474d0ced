//! The desk: all runs that were made so far, each from another by a touch.
//!
//! A run is its specification, so the desk keeps specifications and results, and only a few runs with their
//! events. Any other is made again when somebody looks at it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use labraft::{HarnessEvent, Test};
use labrpc::{RunSpec, Timed};
use serde::Serialize;

use super::kept::{self, Keeping};
use super::runner::Runner;
use super::story::{Step, Story};
use super::touch::{Done, Touch, Touched, what_was_done};
use crate::conditions::Conditions;
use crate::session::file_command;
use crate::view;
use crate::workers::{Answer, Skipped};

/// How many runs are kept with their events.
const KEPT_RUNS: usize = 6;
/// How many runs there can be. Nobody makes as many by hand.
const MOST_TRIES: usize = 5000;
/// The longest name of a run, in characters.
const LONGEST_NAME: usize = 60;

/// What is opened.
pub(crate) struct Opened {
    pub(crate) test: &'static Test,
    pub(crate) implementation: &'static str,
    pub(crate) conditions: Conditions,
    pub(crate) spec: RunSpec,
    /// The words for the first run, such as its test and seed.
    pub(crate) words: String,
    /// The command that replays the first run.
    pub(crate) replay: String,
    pub(crate) story: Option<Story>,
    /// The directory for what is kept.
    pub(crate) kept: PathBuf,
    /// The implementation, if commands have to name it.
    pub(crate) named: Option<&'static str>,
}

/// A run that was made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Try {
    id: usize,
    /// The run from which it was made.
    parent: Option<usize>,
    /// A name that somebody gave it.
    name: String,
    /// What was done to the other run.
    words: String,
    #[serde(flatten)]
    end: End,
    /// Where it was kept.
    kept: Option<String>,
    /// What is done in it at times of its own.
    done: Vec<Done>,
    /// How many of the acts are commands.
    commands: usize,
    /// How many decisions are forced.
    forced: usize,
    /// Whether it is another run with one touch more.
    #[serde(skip)]
    is_touch: bool,
    #[serde(skip)]
    spec: RunSpec,
}

/// How a run ended when it was made last.
#[derive(Clone, Debug, Serialize)]
struct End {
    verdict: &'static str,
    /// Why it did not pass.
    reason: Option<String>,
    /// When it failed, in virtual seconds.
    at: Option<f64>,
    fingerprint: String,
    /// Which build of the program made it.
    #[serde(skip)]
    build: u64,
}

impl End {
    fn of(answer: &Answer, build: u64) -> End {
        let failure = answer.record.failure.as_ref();
        End {
            verdict: answer.record.verdict.name(),
            reason: failure.map(|failure| failure.reason.clone()),
            at: failure.and_then(|failure| failure.at),
            fingerprint: answer.record.fingerprint.clone(),
            build,
        }
    }
}

/// A step of a story, for the page.
#[derive(Clone, Debug, Serialize)]
struct ShownStep {
    say: String,
    run: usize,
    show: Option<(f64, f64)>,
}

#[derive(Default)]
struct Inner {
    tries: Vec<Try>,
    recent: VecDeque<(usize, Arc<Answer>)>,
    steps: Vec<ShownStep>,
    /// The run that the page shows, which is made again when the program was built again.
    shown: usize,
    /// How often the program was built again.
    build: u64,
    /// Raised with each run that the page did not ask for.
    news: u64,
}

/// All runs that were made so far. All methods may be called from any thread.
pub(crate) struct Desk {
    opened: Opened,
    runner: Runner,
    inner: Mutex<Inner>,
    has_news: Condvar,
}

/// An answer to the page, or a sentence that says why there is none.
type Told<T> = Result<T, String>;

impl Desk {
    /// Makes the first run, or all runs of a story.
    pub(crate) fn open(opened: Opened, runner: Runner) -> Told<Desk> {
        let inner = Mutex::default();
        let desk = Desk { opened, runner, inner, has_news: Condvar::new() };
        let spec = desk.opened.spec.clone();
        let root = desk.make(None, spec, desk.opened.words.clone(), None)?.0;
        let Some(story) = &desk.opened.story else { return Ok(desk) };
        let mut last = root;
        for Step { say, spec, show } in &story.steps {
            if let Some(spec) = spec {
                let words: String = say.chars().take(LONGEST_NAME).collect();
                last = desk.make(Some(last), spec.clone(), words, None)?.0;
            }
            let step = ShownStep { say: say.clone(), run: last, show: *show };
            desk.inner().steps.push(step);
        }
        Ok(desk)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run with this specification, which is made unless this build has made it; and with how many
    /// events of `known` it begins. That many are expected at least.
    fn make(
        &self,
        parent: Option<usize>,
        spec: RunSpec,
        words: String,
        known: Option<(&Answer, usize)>,
    ) -> Told<(usize, usize)> {
        let build = self.inner().build;
        let is_it = |known: &&Try| known.spec == spec && known.end.build == build;
        if let Some(known) = self.inner().tries.iter().find(is_it) {
            return Ok((known.id, 0));
        }
        // Nothing is locked while the run is made, so the page is alive meanwhile.
        let (answer, same) = self.run_after(&spec, known)?;
        let names = HarnessEvent::names_in(&answer.events);
        let mut inner = self.inner();
        if inner.tries.len() >= MOST_TRIES {
            return Err(format!("there are {MOST_TRIES} runs already; open the page again"));
        }
        let id = inner.tries.len();
        inner.tries.push(Try {
            id,
            parent,
            name: String::new(),
            words,
            end: End::of(&answer, build),
            kept: None,
            done: what_was_done(&spec.acts, &names),
            commands: spec.acts.iter().filter(|act| act.deed.is_command()).count(),
            forced: spec.forced.len(),
            is_touch: known.is_some(),
            spec,
        });
        inner.remember(id, Arc::new(answer));
        Ok((id, same))
    }

    /// Makes a run that is expected to begin with the first events of another one. Returns with how many it
    /// does.
    fn run_after(&self, spec: &RunSpec, known: Option<(&Answer, usize)>) -> Told<(Answer, usize)> {
        let Some((known, same)) = known else { return Ok((self.runner.run(spec.clone(), 0)?, 0)) };
        let expected = &known.events[..same.min(known.events.len())];
        let mut answer = self.runner.run(spec.clone(), expected.len())?;
        match answer.skipped.take() {
            // It did not end by itself, and has the events that are known.
            None => Ok((answer, 0)),
            Some(skipped) if skipped == Skipped::of(expected) => {
                let mut events = expected.to_vec();
                events.append(&mut answer.events);
                answer.events = events;
                Ok((answer, expected.len()))
            }
            // The code under test is not deterministic.
            Some(_) => Ok((self.runner.run(spec.clone(), 0)?, 0)),
        }
    }

    /// A run with its events. If it has to be made again, this build of the program may end it otherwise.
    fn answer(&self, id: usize) -> Told<Arc<Answer>> {
        let (spec, build, known) = {
            let inner = self.inner();
            let known = inner.recent.iter().find(|(number, _)| *number == id);
            (inner.a_try(id)?.spec.clone(), inner.build, known.map(|(_, answer)| answer.clone()))
        };
        if let Some(answer) = known {
            return Ok(answer);
        }
        let answer = Arc::new(self.runner.run(spec, 0)?);
        let mut inner = self.inner();
        inner.try_mut(id)?.end = End::of(&answer, build);
        inner.remember(id, answer.clone());
        Ok(answer)
    }

    /// Touches a run. Returns the run that this makes, and with how many events of the other it begins, as far as
    /// that is known.
    pub(crate) fn touch(&self, on: usize, touch: &Touch) -> Told<(usize, usize)> {
        let answer = self.answer(on)?;
        let spec = self.inner().a_try(on)?.spec.clone();
        let servers = servers_in(&answer.events);
        let names = HarnessEvent::names_in(&answer.events);
        let Touched { spec, words, same } = touch.apply(&spec, &answer.events, servers, &names)?;
        self.make(Some(on), spec, words, Some((&*answer, same)))
    }

    /// The data of a run for the page, as JSON, after a line with what the desk knows of it. The page has the
    /// first `known_events` already.
    pub(crate) fn data(&self, id: usize, known_events: usize) -> Told<Vec<u8>> {
        let answer = self.answer(id)?;
        self.inner().shown = id;
        let known = self.inner().a_try(id)?.clone();
        let mut bytes = serde_json::to_vec(&known).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        let replay = self.replay_of(&known);
        let done = self.inner().done_until(id);
        bytes.extend(view::page_data(&answer, &replay, &done, known_events));
        Ok(bytes)
    }

    fn replay_of(&self, known: &Try) -> String {
        match (&known.kept, known.id) {
            (Some(path), _) => file_command("replay", Path::new(path), self.opened.named),
            (None, 0) => self.opened.replay.clone(),
            (None, _) => String::new(),
        }
    }

    /// The page, which asks for the runs itself.
    pub(crate) fn page(&self) -> String {
        view::live_page(&self.opened.words)
    }

    /// All runs, and the story if there is one, as JSON.
    pub(crate) fn state(&self) -> String {
        let inner = self.inner();
        let story = self.opened.story.as_ref().map(|story| &story.title);
        let is_world = labraft::world_named(self.opened.test.name).is_some();
        let state = serde_json::json!({
            "tries": inner.tries,
            "news": inner.news,
            "world": is_world,
            "story": story.map(|title| serde_json::json!({ "title": title, "steps": inner.steps })),
        });
        state.to_string()
    }

    /// The state as soon as there is news since `known`, or after some time.
    pub(crate) fn news_since(&self, known: u64, wait: Duration) -> String {
        let inner = self.inner();
        let waited = self.has_news.wait_timeout_while(inner, wait, |inner| inner.news == known);
        drop(waited);
        self.state()
    }

    /// Gives a run a name.
    pub(crate) fn name(&self, id: usize, name: &str) -> Told<()> {
        let name: String = name.trim().chars().take(LONGEST_NAME).collect();
        self.inner().try_mut(id)?.name = name;
        Ok(())
    }

    /// Keeps a run in a file, and returns what the page says about it.
    pub(crate) fn keep(&self, id: usize, keeping: &Keeping) -> Told<serde_json::Value> {
        let known = self.inner().a_try(id)?.clone();
        let answer = self.answer(id)?;
        let opened = &self.opened;
        let (path, is_there) = kept::repro(&answer, &known.spec, keeping, &opened.kept)?;
        let shown = path.display().to_string();
        self.inner().try_mut(id)?.kept = Some(shown.clone());
        let mut told = serde_json::json!({
            "path": shown,
            "replaced": is_there,
            "replay": file_command("replay", &path, opened.named),
            "open": file_command("open", &path, opened.named),
        });
        if keeping.is_test() {
            let (path, text) = kept::test(&answer, &path, keeping)?;
            told["test"] = serde_json::json!({ "path": path, "text": text });
        }
        Ok(told)
    }

    /// Keeps runs as a story: each with a sentence, and with the period to show.
    pub(crate) fn keep_story(&self, title: &str, steps: &[StepToKeep]) -> Told<serde_json::Value> {
        let mut made: Vec<Step> = Vec::new();
        let mut last = None;
        for StepToKeep { run, say, show } in steps {
            let spec = self.inner().a_try(*run)?.spec.clone();
            let is_same = last.replace(*run) == Some(*run);
            made.push(Step { say: say.clone(), spec: (!is_same).then_some(spec), show: *show });
        }
        let opened = &self.opened;
        let story = Story {
            profile: opened.conditions.profile,
            without: opened.conditions.without,
            ..Story::new(title, opened.test.name, opened.implementation, made)
        };
        let path = kept::story(&story, &opened.kept)?;
        let open = file_command("open", Path::new(&path), opened.named);
        Ok(serde_json::json!({ "path": path, "open": open }))
    }

    /// Makes the run that the page shows again, with the program as it is now.
    pub(crate) fn rebuilt(&self, digest: String) {
        self.runner.renew(digest);
        let (shown, spec) = {
            let mut inner = self.inner();
            inner.build += 1;
            inner.recent.clear();
            let shown = inner.shown;
            (shown, inner.tries[shown].spec.clone())
        };
        if let Err(what) = self.make(Some(shown), spec, "the program was built again".into(), None)
        {
            eprintln!("lab: the run cannot be made again: {what}");
            return;
        }
        self.inner().news += 1;
        self.has_news.notify_all();
    }
}

/// A step of a story that the page wants kept.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepToKeep {
    run: usize,
    say: String,
    show: Option<(f64, f64)>,
}

impl Inner {
    fn a_try(&self, id: usize) -> Told<&Try> {
        self.tries.get(id).ok_or_else(|| no_run(id))
    }

    fn try_mut(&mut self, id: usize) -> Told<&mut Try> {
        self.tries.get_mut(id).ok_or_else(|| no_run(id))
    }

    /// What was done in a run, one text for each step: the acts that it was opened with, and each touch since.
    fn done_until(&self, id: usize) -> Vec<String> {
        let mut touches = Vec::new();
        let mut at = id;
        while let Try { parent: Some(parent), is_touch: true, words, .. } = &self.tries[at] {
            touches.push(words.clone());
            at = *parent;
        }
        let acts = self.tries[at].done.iter().map(|done| done.words.clone());
        acts.chain(touches.into_iter().rev()).collect()
    }

    fn remember(&mut self, id: usize, answer: Arc<Answer>) {
        self.recent.push_front((id, answer));
        self.recent.truncate(KEPT_RUNS);
    }
}

fn no_run(id: usize) -> String {
    format!("no run has the number {id}")
}

/// How many servers a run has.
fn servers_in(events: &[Timed]) -> usize {
    // All clusters are made before any time has passed.
    let at_first = events.iter().take_while(|timed| timed.at.is_zero());
    at_first.map(HarnessEvent::servers_in).max().unwrap_or(0)
}
