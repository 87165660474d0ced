// SOLUTION FILE
//! How scripts write logs and messages.

use std::fmt::{self, Display};
use std::str::FromStr;

use bytes::Bytes;
use labraft::Role;
use raft::core::{Core, Message};
use raft::log::{Log, decode_state};
use raft::message::{
    AppendEntriesReply, AppendOutcome, Entry, InstallSnapshotReply, PreVoteReply, RequestVoteReply,
    TimeoutNowReply,
};

/// Entries as a script writes them: `1:a 2:b`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries(pub(crate) Vec<Entry>);

impl FromStr for Entries {
    type Err = String;

    fn from_str(text: &str) -> Result<Entries, String> {
        text.split_whitespace().map(parse_entry).collect::<Result<_, _>>().map(Entries)
    }
}

fn parse_entry(word: &str) -> Result<Entry, String> {
    let wrong = || format!("{word:?} is not an entry such as 2:x");
    let (term, command) = word.split_once(':').ok_or_else(wrong)?;
    let term = term.parse().map_err(|_| wrong())?;
    Ok(Entry { term, command: Bytes::copy_from_slice(command.as_bytes()) })
}

impl Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> =
            self.0.iter().map(|entry| format!("{}:{}", entry.term, text(&entry.command))).collect();
        write!(f, "[{}]", words.join(" "))
    }
}

/// The bytes of a command or a snapshot.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A log, and what a snapshot has replaced of it.
pub(crate) fn log(log: &Log) -> String {
    let entries = Entries(log.entries_from(log.first_index()));
    match log.last_included_index() {
        0 => format!("log {entries}"),
        index => {
            format!("snapshot up to {index} (term {}), log {entries}", log.last_included_term())
        }
    }
}

/// Describes the state that the core would save now.
pub(crate) fn saved(core: &Core) -> String {
    let state = decode_state(&core.saved().0.to_vec()).expect("a core's own state can be read");
    let vote = match state.voted_for {
        Some(server) => server.to_string(),
        None => "none".into(),
    };
    format!("term {}, vote {vote}, {}", state.current_term, log(&state.log))
}

/// A role and its term.
pub(crate) fn role(role: Role, term: u64) -> String {
    match role {
        Role::Follower => format!("a follower in term {term}"),
        Role::Candidate => format!("a candidate in term {term}"),
        Role::Leader => format!("the leader of term {term}"),
    }
}

/// The name of a request's procedure.
pub(crate) fn procedure(message: &Message) -> &'static str {
    match message {
        Message::RequestVote(_) => "RequestVote",
        Message::TransferVote(_) => "marked RequestVote",
        Message::PreVote(_) => "PreVote",
        Message::TimeoutNow(_) => "TimeoutNow",
        Message::AppendEntries(_) => "AppendEntries",
        Message::InstallSnapshot(_) => "InstallSnapshot",
    }
}

/// A request with its arguments.
pub(crate) fn request(message: &Message) -> String {
    let name = procedure(message);
    match message {
        Message::RequestVote(args) | Message::TransferVote(args) => format!(
            "{name}, term {}: last entry {} (term {})",
            args.term, args.last_log_index, args.last_log_term
        ),
        Message::PreVote(args) => format!(
            "{name} for term {}: last entry {} (term {})",
            args.next_term, args.last_log_index, args.last_log_term
        ),
        Message::TimeoutNow(args) => format!("{name}, term {}", args.term),
        Message::AppendEntries(args) => format!(
            "{name}, term {}: after {} (term {}) {}, commit {}",
            args.term,
            args.prev_log_index,
            args.prev_log_term,
            Entries(args.entries.clone()),
            args.leader_commit
        ),
        Message::InstallSnapshot(args) => format!(
            "{name}, term {}: up to {} (term {}) \"{}\"",
            args.term,
            args.last_included_index,
            args.last_included_term,
            text(&args.data)
        ),
    }
}

/// An answer to any of the requests.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    RequestVote(RequestVoteReply),
    PreVote(PreVoteReply),
    AppendEntries(AppendEntriesReply),
    InstallSnapshot(InstallSnapshotReply),
    TimeoutNow(TimeoutNowReply),
}

impl Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::RequestVote(reply) => {
                let vote = if reply.vote_granted { "granted" } else { "refused" };
                write!(f, "term {}: vote {vote}", reply.term)
            }
            Reply::PreVote(reply) => {
                let vote = if reply.vote_granted { "granted" } else { "refused" };
                write!(f, "term {}: pre-vote {vote}", reply.term)
            }
            Reply::AppendEntries(reply) => match reply.outcome {
                AppendOutcome::Success => write!(f, "term {}: success", reply.term),
                AppendOutcome::StaleTerm => write!(f, "term {}: stale term", reply.term),
                AppendOutcome::TooShort { next_index } => {
                    write!(f, "term {}: too short, next index {next_index}", reply.term)
                }
                AppendOutcome::Conflict { term, first_index } => {
                    write!(f, "term {}: conflict, term {term} from {first_index} on", reply.term)
                }
            },
            Reply::InstallSnapshot(reply) => write!(f, "term {}: done", reply.term),
            Reply::TimeoutNow(reply) => write!(f, "term {}", reply.term),
        }
    }
}
