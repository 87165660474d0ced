//! The commands of the course's tests: numbers, and long strings.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A command of a test. A Raft sees its bytes only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A number.
    Int(u64),
    /// A text, in the test that counts bytes.
    Text(String),
}

impl Command {
    /// The bytes that a Raft is given.
    pub fn to_bytes(&self) -> Bytes {
        labrpc::encode(self).expect("numbers and texts can be encoded").into()
    }

    /// The command that these bytes are, if they are one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Command> {
        labrpc::decode(bytes).ok()
    }

    /// The number, if it is one.
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

/// How a report shows a command: as the number or text that it is, or else its size.
pub fn show(bytes: &[u8]) -> String {
    match Command::from_bytes(bytes) {
        Some(command) => command.to_string(),
        None => format!("{} bytes that are no command of this test", bytes.len()),
    }
}
