//! The program's commands, one file each.

pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod hint;
pub(crate) mod list;
pub(crate) mod merge;
pub(crate) mod open;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod search;
pub(crate) mod shrink;
pub(crate) mod watch;
