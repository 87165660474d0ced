//! Numbers that nobody can predict, for what the code under test and the pages of others must not guess.

use std::fs::File;
use std::io::{self, Read};

/// 128 bits that nobody can predict, in hexadecimal.
///
/// # Errors
/// If the system has none.
pub(crate) fn hexadecimal() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
