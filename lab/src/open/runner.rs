//! Makes the runs of a page, one after the other, in one worker.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;

use labraft::Test;
use labrpc::RunSpec;

use crate::outcome::INTERRUPT;
use crate::workers::{Answer, Keep, Pool, Settings};

/// What the worker's thread is asked to do.
enum Order {
    /// Make a run, of which this many of the first events are known.
    Run(RunSpec, usize, Sender<io::Result<Option<Answer>>>),
    /// Start the program anew for the next run, because it was built again. Its digest is given.
    Renew(String),
}

/// A handle of the thread that has the worker. It ends when all handles have gone.
#[derive(Clone, Debug)]
pub(crate) struct Runner(Sender<Order>);

impl Runner {
    /// Starts the thread. It starts the worker when the first run is asked for.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(settings: Settings, test: &'static Test) -> io::Result<Runner> {
        let (sender, orders) = channel();
        Builder::new().name("runner".into()).spawn(move || serve(settings, test, &orders))?;
        Ok(Runner(sender))
    }

    /// Makes a run and waits for it. A run that hangs or dies is an answer, too. The answer leaves out this many
    /// of the first events.
    ///
    /// # Errors
    /// A sentence, when there is no answer: the worker cannot be started, or the command is being ended.
    pub(crate) fn run(&self, spec: RunSpec, skip: usize) -> Result<Answer, String> {
        let (sender, answer) = channel();
        let gone = || "the command is being ended".to_string();
        self.0.send(Order::Run(spec, skip, sender)).map_err(|_| gone())?;
        match answer.recv() {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) | Err(_) => Err(gone()),
            Ok(Err(error)) => Err(error.to_string()),
        }
    }

    /// Has all further runs made by the program as it is now.
    pub(crate) fn renew(&self, digest: String) {
        // If the thread has gone, so has the command.
        _ = self.0.send(Order::Renew(digest));
    }
}

fn serve(settings: Settings, test: &'static Test, orders: &Receiver<Order>) {
    let mut settings = settings;
    loop {
        let pool = Pool::new(settings.clone(), &INTERRUPT);
        let mut runs = pool.runs();
        let digest = loop {
            match orders.recv() {
                Ok(Order::Run(spec, skip, sender)) => {
                    // Who asked may have gone meanwhile.
                    _ = sender.send(runs.run_from(test, spec, Keep::Events, skip));
                }
                Ok(Order::Renew(digest)) => break digest,
                Err(_) => return,
            }
        };
        settings = with_digest(settings, digest);
    }
}

/// The settings for a program with another digest, which its workers are told in their command.
fn with_digest(settings: Settings, digest: String) -> Settings {
    let mut settings = settings;
    let command = &mut settings.command;
    if let Some(place) = command.iter().position(|word| word == "--program")
        && let Some(word) = command.get_mut(place + 1)
    {
        word.clone_from(&digest);
    }
    settings.build.program = digest;
    settings
}
