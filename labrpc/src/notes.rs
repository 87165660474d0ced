//! The implementation's own `tracing` lines, put into the record beside what the world did.

use std::fmt::{Debug, Write};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, set_global_default};
use tracing::{Metadata, Subscriber};

use crate::event::Event;
use crate::executor::current;

/// Puts `tracing` events of recorded runs into their records, from now on.
///
/// One subscriber for the process, which asks at each event whether this thread's run is recorded. A
/// subscriber of one thread alone would not do: whether a line is enabled is kept for all threads,
/// and another thread's first use of that line may have decided that it is not. Until the first
/// recorded run there is none, and lines cost nothing. A program that has set a global subscriber of
/// its own keeps it, and its records are without these lines.
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

    // Spans are not shown: every line already stands with its time and its server.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message, then the other fields as `name=value`.
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
