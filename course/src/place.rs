//! Places that one command writes to at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use lab::outcome::CommandError;

/// Locks a directory, which must exist; see [`lock_file`].
pub(crate) fn lock(place: &Path, advice: &str) -> Result<File, CommandError> {
    // No report is called so: names that begin with a dot are changed.
    lock_file(&place.join(".lock"), advice)
}

/// Locks a file, which is created if there is none, until the returned one is closed, at the latest by
/// the system when the process ends. Its content stays. The error for a file that is locked gives the
/// advice.
pub(crate) fn lock_file(path: &Path, advice: &str) -> Result<File, CommandError> {
    let cannot_use = |error: &io::Error| {
        CommandError::Usage(format!("cannot write {}: {error}", path.display()))
    };
    let opened = OpenOptions::new().create(true).append(true).open(path);
    let file = opened.map_err(|error| cannot_use(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CommandError::Usage(format!(
            "another `course` is writing to {}; {advice}",
            path.parent().filter(|_| path.ends_with(".lock")).unwrap_or(path).display()
        ))),
        Err(TryLockError::Error(error)) => Err(cannot_use(&error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_place_has_one_command_at_a_time() {
        let place = std::env::temp_dir().join(format!("lab-place-lock-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let first = lock(&place, "give this one a folder of its own").unwrap();
        let Err(CommandError::Usage(error)) = lock(&place, "give this one a folder of its own")
        else {
            panic!("a second command was let in");
        };
        assert!(error.contains("another `course`") && error.contains("of its own"), "{error}");
        drop(first);
        drop(lock(&place, "").unwrap());
        fs::remove_dir_all(&place).unwrap();
    }
}
