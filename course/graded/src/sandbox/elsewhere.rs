//! Stand-ins for systems that do not have these sandbox layers.

use std::io;
use std::path::PathBuf;

use rustix::process::{Gid, Uid};

pub(super) fn become_user(_: Uid, _: Gid) -> io::Result<()> {
    Err(io::Error::other(
        "workers can change their user only on Linux; do not run the grader as root",
    ))
}

pub(super) fn deny_files(_: &[PathBuf], _: &[PathBuf]) -> io::Result<bool> {
    Ok(false)
}

pub(super) fn deny_network() -> io::Result<bool> {
    Ok(false)
}

pub(super) fn deny_calls() -> io::Result<bool> {
    Ok(false)
}
