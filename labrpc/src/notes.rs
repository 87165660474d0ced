//! Records what the code under test logs with `tracing`, as events of the run.

use std::fmt::{Debug, Write};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, set_global_default};
use tracing::{Metadata, Subscriber};

use crate::event::Event;
use crate::executor::current;

/// Installs a `tracing` subscriber that adds log lines to the records of runs that are recorded.
///
/// There is one subscriber for the whole process, which checks at each line whether the run on this
/// thread is recorded. One subscriber for each thread would not work: `tracing` caches for all
/// threads whether a line is enabled, so another thread that reaches the line first could disable
/// it. Before the first recorded run there is no subscriber, and log lines cost nothing. If the
/// program has already set a global subscriber, that one stays, and log lines are not recorded.
pub(crate) fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| drop(set_global_default(Notes)));
}

struct Notes;

impl Subscriber for Notes {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        current().is_some_and(|executor| executor.recorder.is_on())
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let Some(executor) = current() else { return };
        let Some(node) = executor.current_node() else { return };
        let mut line = Line(String::new());
        event.record(&mut line);
        executor.recorder.push(executor.now(), node, || Event::Note { text: line.0 });
    }

    // Spans are not recorded, because each line already has its time and its server.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The text of a log line: the message, then the other fields as `name=value`.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let separator = if self.0.is_empty() { "" } else { " " };
        let written = if field.name() == "message" {
            write!(self.0, "{separator}{value:?}")
        } else {
            write!(self.0, "{separator}{}={value:?}", field.name())
        };
        written.expect("writing to a string cannot fail");
    }
}
