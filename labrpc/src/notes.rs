//! The implementation's own `tracing` lines, put into the record beside what the world did.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Metadata, Subscriber};

use crate::event::Event;
use crate::executor::current;

/// Puts this thread's `tracing` events into the record for as long as the guard lives.
pub(crate) fn listen() -> DefaultGuard {
    tracing::subscriber::set_default(Notes)
}

struct Notes;

impl Subscriber for Notes {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let Some(executor) = current() else { return };
        let Some(node) = executor.current_node() else { return };
        let mut line = Line(String::new());
        event.record(&mut line);
        executor.recorder.push(executor.now(), node, || Event::Note(line.0));
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
