//! The versions of the files that hold one run: repro files and recordings. Both begin with an object
//! whose `format` names the kind of file and its version.

use serde::Deserialize;

#[derive(Deserialize)]
struct Head {
    format: String,
}

/// Checks that an object's `format` is `expected`. It comes before anything else in the file is read,
/// so that an older or newer file is not reported as damaged.
///
/// # Errors
/// When the text is not such an object, or its format is another.
pub(crate) fn check(text: &str, expected: &str) -> Result<(), String> {
    let Head { format } =
        serde_json::from_str(text).map_err(|error| format!("it is damaged: {error}"))?;
    if format != expected {
        return Err(format!("its format is {format:?}, but this lab reads {expected:?}"));
    }
    Ok(())
}
