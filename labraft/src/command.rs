//! The commands that the course's Raft tests propose: numbers and long strings.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A command that a test proposes. The Raft under test sees only its encoded bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A number, as most tests use.
    Int(u64),
    /// A long string, for the test that counts the bytes sent.
    Text(String),
}

impl Command {
    /// Encodes the command as bytes that can be passed to [`Raft::start`](crate::Raft::start).
    pub fn to_bytes(&self) -> Bytes {
        labrpc::encode(self).expect("numbers and strings can always be encoded").into()
    }

    /// Decodes a command; `None` if the bytes are not a valid encoding of one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Command> {
        labrpc::decode(bytes).ok()
    }

    /// The command's number; `None` for a string.
    pub fn as_int(&self) -> Option<u64> {
        match self {
            Command::Int(number) => Some(*number),
            Command::Text(_) => None,
        }
    }
}

impl From<u64> for Command {
    fn from(number: u64) -> Command {
        Command::Int(number)
    }
}

impl From<String> for Command {
    fn from(text: String) -> Command {
        Command::Text(text)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Int(number) => write!(f, "{number}"),
            Command::Text(text) if text.chars().count() <= 20 => write!(f, "{text:?}"),
            Command::Text(text) => {
                let start: String = text.chars().take(12).collect();
                write!(f, "{start:?}... ({} bytes)", text.len())
            }
        }
    }
}

/// Formats an encoded command for a report: the decoded command, or the number of bytes if they
/// cannot be decoded.
pub fn show(bytes: &[u8]) -> String {
    match Command::from_bytes(bytes) {
        Some(command) => command.to_string(),
        None => format!("{} bytes that are not a command of this test", bytes.len()),
    }
}
