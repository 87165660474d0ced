//! raft-rs's log lines in the log of a run (`--log`).
//!
//! raft-rs logs with `slog`, and the lab shows what is logged with `tracing`.

use std::fmt::{self, Write as _};

use slog::{Drain, KV as _, Key, Logger, Never, OwnedKVList, Record, Serializer, o};

/// The logger for raft-rs.
pub fn logger() -> Logger {
    Logger::root(ToTracing, o!())
}

struct ToTracing;

impl Drain for ToTracing {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        if tracing::enabled!(tracing::Level::DEBUG) {
            let mut line = Line(record.msg().to_string());
            // Only a failing `Serializer` makes this fail.
            let _ = record.kv().serialize(record, &mut line);
            tracing::debug!("{}", line.0);
        }
        Ok(())
    }
}

/// A message, followed by its fields.
struct Line(String);

impl Serializer for Line {
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        write!(self.0, " {key}={value}")?;
        Ok(())
    }
}
