//! Notices that the running program was built again, by `lab watch` or by hand.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use crate::outcome::INTERRUPT;
use crate::records::Build;

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(200);

/// Waits a moment of real time.
#[expect(clippy::disallowed_methods, reason = "the lab itself is not simulated")]
pub(crate) fn pause() {
    std::thread::sleep(INTERVAL);
}

/// Calls `on_new` with the program's digest each time its file has changed, until Ctrl-C is pressed.
pub(crate) fn watch_program(program: &Path, mut on_new: impl FnMut(String)) {
    let mut known = stamp(program);
    let mut last_digest = Build::digest(program).ok();
    while !INTERRUPT.load(Ordering::Relaxed) {
        pause();
        let now = stamp(program);
        // A file that is being written has another length soon: it counts once it has come to rest.
        if now.is_none() || now == known {
            continue;
        }
        pause();
        if stamp(program) != now {
            continue;
        }
        known = now;
        let Ok(digest) = Build::digest(program) else { continue };
        if last_digest.as_ref() != Some(&digest) {
            last_digest = Some(digest.clone());
            on_new(digest);
        }
    }
}

/// When a file was written, and its length.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let known = std::fs::metadata(path).ok()?;
    Some((known.modified().ok()?, known.len()))
}
