//! `lab open`: a run in the browser that can be touched.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use labraft::{Test, test_or_world, world_of};
use labrpc::RunSpec;

use crate::conditions::Conditions;
use crate::open::{Desk, Opened, Runner, Server, Story, pause, watch_program};
use crate::outcome::{CommandError, INTERRUPT, Outcome};
use crate::selector::{Selection, Selector};
use crate::session::{Common, Session};
use crate::workers::Settings;

/// The longest time that a run of a page may work before it counts as hung. Somebody is waiting for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The arguments of `lab open`.
#[derive(Args)]
#[command(
    after_help = "A run that hangs is given up after ten seconds, or after --wall-limit if that is less."
)]
pub(crate) struct Open {
    /// A test's name, or enough of it to be unique; a repro file; a record of a run; a run saved with
    /// --save; or a story.
    #[arg(required_unless_present = "servers", conflicts_with = "servers")]
    what: Option<String>,
    /// The seed [default: 0 without a test].
    #[arg(long)]
    seed: Option<u64>,
    /// Open a world without a test: this many servers, and nothing that happens but what you do.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    servers: Option<u8>,
    /// The port of the page on the loopback address [default: the first free one from 8824 on].
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Print the address, but start no browser.
    #[arg(long)]
    no_browser: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Open {
    /// Serves the page until Ctrl-C is pressed.
    pub(crate) fn run(&self, session: &Session<'_>) -> Result<Outcome, CommandError> {
        let opened = self.opened(session)?;
        let program = std::env::current_exe()?;
        let settings = session.settings(&self.common.out, false);
        let conditions = opened.conditions;
        let wall_limit = settings.wall_limit.min(PATIENCE);
        let runner = Runner::start(Settings { conditions, wall_limit, ..settings }, opened.test)?;
        let desk = Arc::new(Desk::open(opened, runner).map_err(CommandError::Internal)?);
        let server = Server::start(desk.clone(), self.port)
            .map_err(|error| CommandError::Usage(format!("the page cannot be served: {error}")))?;
        let mut out = io::stdout();
        writeln!(out, "page: {}  (Ctrl-C ends it)", server.address)?;
        out.flush()?;
        if !self.no_browser {
            start_browser(&server.address);
        }
        std::thread::Builder::new().name("rebuilt".into()).spawn(move || {
            watch_program(&program, |digest| desk.rebuilt(digest));
        })?;
        while !INTERRUPT.load(Ordering::Relaxed) {
            pause();
        }
        Ok(Outcome::Interrupted)
    }

    fn opened(&self, session: &Session<'_>) -> Result<Opened, CommandError> {
        let blank = |test, spec, conditions, words: String, replay| Opened {
            test,
            implementation: session.implementation.name,
            conditions,
            spec,
            words,
            replay,
            story: None,
            kept: self.common.out.join("kept"),
            named: session.named(),
        };
        if let Some(servers) = self.servers {
            let world = world_of(usize::from(servers)).ok_or_else(|| {
                CommandError::Usage("a world has 1 to 9 servers (--servers)".into())
            })?;
            let spec = RunSpec::seed(self.seed.unwrap_or(0));
            let replay = session.replay(world.name, spec.seed, session.conditions());
            let words = format!("{servers} servers, seed {}", spec.seed);
            return Ok(blank(world, spec, session.conditions(), words, replay));
        }
        let what = self.what.clone().unwrap_or_default();
        let path = PathBuf::from(&what);
        if path.is_file() && Story::is_one(&path) {
            return self.of_story(&path, session, blank);
        }
        let wanted = Selector::new(what, self.seed).one(session, &self.common.out)?;
        let Selection { test, spec, conditions, repro, .. } = wanted;
        let replay = match &repro {
            Some(path) => session.with_file("replay", path),
            None => session.replay(test.name, spec.seed, conditions),
        };
        let file = repro.map(|path| format!(", {}", path.display())).unwrap_or_default();
        let words = format!("{}, seed {}{file}", test.name, spec.seed);
        Ok(blank(test, spec, conditions, words, replay))
    }

    fn of_story(
        &self,
        path: &Path,
        session: &Session<'_>,
        blank: impl Fn(&'static Test, RunSpec, Conditions, String, String) -> Opened,
    ) -> Result<Opened, CommandError> {
        let wrong = |what: String| {
            CommandError::Usage(format!("{} is not a story: {what}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let story = Story::parse(&text).map_err(wrong)?;
        let test = test_or_world(session.suite(), &story.test)
            .ok_or_else(|| wrong(format!("no test is called {:?}", story.test)))?;
        let spec = story.steps.first().and_then(|step| step.spec.clone()).unwrap_or_default();
        let conditions = Conditions { profile: story.profile, without: story.without };
        let opened = blank(test, spec, conditions, story.title.clone(), String::new());
        Ok(Opened { story: Some(story), ..opened })
    }
}

/// Opens an address in the browser, if there is one and somebody can see it.
fn start_browser(address: &str) {
    let has_screen = std::env::var_os("DISPLAY").is_some()
        || std::env::var_os("WAYLAND_DISPLAY").is_some()
        || cfg!(target_os = "macos");
    if !has_screen {
        return;
    }
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    // The address was printed: without a browser, it can be opened by hand.
    _ = quiet(Command::new(opener).arg(address));
}
