//! raft-rs's log lines in the log of a run (`--log`).
//!
//! raft-rs logs with `slog`, the lab shows what is logged with `tracing`.

use slog::{Drain, Logger, Never, OwnedKVList, Record, o};

/// The logger for raft-rs.
pub fn logger() -> Logger {
    Logger::root(ToTracing, o!())
}

struct ToTracing;

impl Drain for ToTracing {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        tracing::debug!("{}", record.msg());
        Ok(())
    }
}
