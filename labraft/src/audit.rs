//! An audit of one run: finds servers and clients that know more than they were told.
//!
//! All servers of a run share one process, so nothing stops them from sharing memory, in a `static`
//! for example. Real servers cannot do that: they know what is on their disk, what their service and
//! their clients ask of them, and what messages tell them. The audit keeps all of that for each server
//! and each client, as bytes, and compares what they do with it. So shared memory is found by what it
//! does, however it is shared.
//!
//! A finding is no proof. The audit looks for bytes as they are: a Raft that compresses commands, or
//! sends a snapshot in pieces, hands up bytes that never arrived in one message.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use labrpc::{Delivery, Node};
use memchr::memmem::{self, Finder};
use serde::{Deserialize, Serialize};

/// The most that an audit keeps, in bytes. A run that sends more is not audited to its end.
const MOST_KEPT_BYTES: usize = 64 << 20;

/// The longest text of a finding, in characters.
const LONGEST_TEXT: usize = 500;

/// Something that a server or a client does, and cannot know from what it was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What cannot be explained.
    pub kind: FindingKind,
    /// The virtual time, in seconds since the start of the run.
    pub at: f64,
    /// The sentence for people, which names the server or the client.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:.6} s, {}", self.at, self.text)
    }
}

/// What a server or a client cannot know.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A server leads a term in which it has not heard from a majority.
    Leader,
    /// A server hands up a command that is in nothing that it was told.
    Command,
    /// A server takes a command that it accepted itself for committed, and has not heard from enough
    /// others since: from a majority if it still leads, otherwise from one.
    Commit,
    /// A server hands up a snapshot that is in nothing that it was told.
    Snapshot,
    /// A client's Get returns a value that no reply to it contains.
    Value,
    /// A server answers a client with a value that no client, server or disk has told it.
    Answer,
    /// The run sent more than an audit can keep.
    GivenUp,
}

/// Who told a server or a client something.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Source {
    /// The disk from which it was started.
    Disk,
    /// Its own service, or the test. With a command comes the term in which the server accepted it.
    Service { accepted: Option<u64> },
    /// A message of this node.
    Message(Node),
}

struct Piece {
    source: Source,
    bytes: Bytes,
    /// Grows from piece to piece, whoever is told.
    order: u64,
}

/// What one server was told since its last start, or one client since its operation began.
#[derive(Default)]
struct Told {
    /// In the order in which it was told.
    pieces: Vec<Piece>,
    /// The order of the last start.
    started: u64,
    /// The term that the server was last seen in.
    term: u64,
    /// The servers that it has heard from in that term.
    heard: BTreeSet<Node>,
    is_leader: bool,
    /// Written values that it was told, by key and place in [`Audit::written`].
    known: BTreeSet<(String, usize)>,
}

impl Told {
    /// The pieces that contain these bytes, the latest first.
    fn containing<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (usize, &'a Piece)> {
        let finder = Finder::new(bytes);
        let pieces = self.pieces.iter().enumerate().rev();
        pieces.filter(move |(_, piece)| finder.find(&piece.bytes).is_some())
    }

    /// Whether a message or the disk contained these bytes.
    fn was_told_from_outside(&self, bytes: &[u8]) -> bool {
        self.containing(bytes).any(|(_, piece)| !matches!(piece.source, Source::Service { .. }))
    }

    /// The number of other servers whose messages came after a piece.
    fn heard_since(&self, piece: usize) -> usize {
        let senders = self.pieces[piece..].iter().filter_map(|piece| match piece.source {
            Source::Message(node) if node.as_server().is_some() => Some(node),
            _ => None,
        });
        senders.collect::<BTreeSet<Node>>().len()
    }
}

/// What everybody in a run was told.
#[derive(Default)]
pub(crate) struct Audit {
    /// The servers of each cluster.
    clusters: Vec<Range<usize>>,
    told: BTreeMap<Node, Told>,
    /// The values that clients wrote to each key, in the order of their calls.
    written: BTreeMap<String, Vec<String>>,
    order: u64,
    kept_bytes: usize,
    has_given_up: bool,
}

/// What a check of the audit has found, if anything: the kind, and the sentence.
pub(crate) type Found = Option<(FindingKind, String)>;

impl Audit {
    /// There is a cluster of these servers.
    pub(crate) fn begin(&mut self, servers: Range<usize>) {
        self.clusters.push(servers);
    }

    /// The servers of the cluster that a server is in.
    fn cluster_of(&self, server: usize) -> Range<usize> {
        self.clusters.iter().find(|servers| servers.contains(&server)).cloned().unwrap_or_default()
    }

    /// Whether two nodes are servers of one cluster.
    fn are_together(&self, one: Node, other: Node) -> bool {
        let (Some(one), Some(other)) = (one.as_server(), other.as_server()) else { return false };
        self.cluster_of(one).contains(&other)
    }

    fn tell(&mut self, node: Node, source: Source, bytes: Bytes) -> Found {
        if self.has_given_up {
            return None;
        }
        self.kept_bytes += bytes.len();
        if self.kept_bytes > MOST_KEPT_BYTES {
            self.has_given_up = true;
            self.told.clear();
            let most = MOST_KEPT_BYTES >> 20;
            let text = format!("the audit ends: messages and disks hold more than {most} MiB");
            return Some((FindingKind::GivenUp, text));
        }
        self.order += 1;
        let piece = Piece { source, bytes, order: self.order };
        self.told.entry(node).or_default().pieces.push(piece);
        None
    }

    fn forget(&mut self, node: Node) {
        let told = self.told.entry(node).or_default();
        self.kept_bytes -= told.pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>();
        *told = Told { started: self.order, ..Told::default() };
    }

    /// A server starts from what is on its disk, and forgets the rest.
    pub(crate) fn started(&mut self, server: usize, state: Vec<u8>, snapshot: Bytes) -> Found {
        let node = Node::server(server);
        if !self.has_given_up {
            self.forget(node);
        }
        self.tell(node, Source::Disk, state.into())
            .or_else(|| self.tell(node, Source::Disk, snapshot))
    }

    /// A server has accepted a command or a snapshot from its service or from the test.
    /// With a command comes the term in which the server accepted it.
    pub(crate) fn given(&mut self, server: usize, bytes: &Bytes, accepted: Option<u64>) -> Found {
        self.tell(Node::server(server), Source::Service { accepted }, bytes.clone())
    }

    /// A message has arrived.
    pub(crate) fn delivered(&mut self, delivery: Delivery<'_>) -> Found {
        let Delivery { from, to, bytes, .. } = delivery;
        let found = self.tell(to, Source::Message(from), Bytes::copy_from_slice(bytes));
        if (to.as_server().is_none() || self.are_together(from, to))
            && let Some(told) = self.told.get_mut(&to)
        {
            told.heard.insert(from);
        }
        found
    }

    /// A server is in this term, and says whether it leads it.
    pub(crate) fn state(&mut self, server: usize, term: u64, is_leader: bool) -> Found {
        let others = self.cluster_of(server).len() / 2;
        let told = self.told.get_mut(&Node::server(server))?;
        if told.term != term {
            told.term = term;
            told.heard.clear();
            told.is_leader = false;
        }
        let was_leader = std::mem::replace(&mut told.is_leader, is_leader);
        if !is_leader || was_leader || told.heard.len() >= others {
            return None;
        }
        let heard = told.heard.len();
        let text = format!(
            "server {server} leads term {term}, but has heard from {heard} other servers in that term, \
             and a majority needs {others}"
        );
        Some((FindingKind::Leader, text))
    }

    /// A server hands up a command, which `show` formats.
    pub(crate) fn command(
        &mut self,
        server: usize,
        index: u64,
        command: &[u8],
        show: fn(&[u8]) -> String,
    ) -> Found {
        let others = self.cluster_of(server).len() / 2;
        let told = self.told.get(&Node::server(server)).filter(|_| !command.is_empty())?;
        let mut missing = None;
        for (place, piece) in told.containing(command) {
            let Source::Service { accepted } = piece.source else { return None };
            // A server that has been replaced learns from its leader what is committed.
            let still_leads = told.is_leader && accepted == Some(told.term);
            let needed = if still_leads { others } else { others.min(1) };
            if told.heard_since(place) >= needed {
                return None;
            }
            missing = Some(needed);
        }
        let command = show(command);
        Some(if let Some(needed) = missing {
            let heard_from = match needed {
                1 => "no other server".to_string(),
                needed => format!("fewer than {needed} other servers"),
            };
            let text = format!(
                "server {server} treats its service's command {command} at index {index} as \
                 committed, although it has heard from {heard_from} since it accepted the command"
            );
            (FindingKind::Commit, text)
        } else {
            let text = format!(
                "server {server} hands up command {command} at index {index}, but has not received \
                 it in a message, from its service or from its disk"
            );
            (FindingKind::Command, text)
        })
    }

    /// A server hands up a snapshot.
    pub(crate) fn snapshot(&mut self, server: usize, index: u64, snapshot: &[u8]) -> Found {
        let told = self.told.get(&Node::server(server)).filter(|_| !snapshot.is_empty())?;
        if told.containing(snapshot).next().is_some() {
            return None;
        }
        let text = format!(
            "server {server} hands up the snapshot of everything up to index {index}, but has not \
             received it in a message, from its service or from its disk"
        );
        Some((FindingKind::Snapshot, text))
    }

    /// A client begins an operation on a key, with the value that it writes, if any.
    pub(crate) fn called(&mut self, client: usize, key: &str, written: Option<&str>) {
        if self.has_given_up {
            return;
        }
        self.forget(Node::client(client));
        if let Some(value) = written.filter(|value| !value.is_empty()) {
            self.written.entry(key.into()).or_default().push(value.into());
        }
    }

    /// A client's Get has returned this value of a key.
    pub(crate) fn read(&mut self, client: usize, key: &str, value: &str) -> Found {
        if self.has_given_up || value.is_empty() {
            return None;
        }
        let told = self.told.get(&Node::client(client))?;
        let reply = told.containing(value.as_bytes()).next().map(|(_, piece)| piece);
        let Some(&Piece { source: Source::Message(from), order, .. }) = reply else {
            let text = format!(
                "client {client} reads a value of {} bytes from key {key:?}, though no reply to it contains \
                 that value",
                value.len()
            );
            return Some((FindingKind::Value, text));
        };
        let server = self.told.get_mut(&from)?;
        // A server that restarted since then may have lost what it knew.
        if order <= server.started {
            return None;
        }
        for (place, written) in self.written.get(key)?.iter().enumerate() {
            let name = (key.to_string(), place);
            if server.known.contains(&name)
                || memmem::find(value.as_bytes(), written.as_bytes()).is_none()
            {
                continue;
            }
            if !server.was_told_from_outside(written.as_bytes()) {
                let text = format!(
                    "{from} answers client {client} with {written:?} of key {key:?}, but has not \
                     received that value in a message or from its disk"
                );
                return Some((FindingKind::Answer, text));
            }
            server.known.insert(name);
        }
        None
    }
}

impl Finding {
    /// A finding at a virtual time.
    pub(crate) fn new((kind, text): (FindingKind, String), at: Duration) -> Finding {
        // A command may be long, and its text comes from the code under test.
        let text = text.chars().take(LONGEST_TEXT).collect();
        Finding { kind, at: at.as_secs_f64(), text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(from: Node, to: Node, bytes: &[u8]) -> Delivery<'_> {
        let at = Duration::ZERO;
        Delivery { from, to, bytes, is_reply: false, called_at: at, sent_at: at }
    }

    fn show(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// An audit of three servers that have started from empty disks.
    fn audit() -> Audit {
        let mut audit = Audit::default();
        audit.begin(0..3);
        for server in 0..3 {
            assert_eq!(audit.started(server, Vec::new(), Bytes::new()), None);
        }
        audit
    }

    fn deliver(audit: &mut Audit, from: Node, to: Node, bytes: &str) {
        assert_eq!(audit.delivered(request(from, to, bytes.as_bytes())), None);
    }

    fn kind(found: Found) -> Option<FindingKind> {
        found.map(|(kind, _)| kind)
    }

    const CLIENT: Node = Node::client(0);
    const A: Node = Node::server(0);
    const B: Node = Node::server(1);
    const C: Node = Node::server(2);

    #[test]
    fn a_command_must_come_from_a_message_the_service_or_the_disk() {
        let mut audit = audit();
        assert_eq!(kind(audit.command(0, 1, b"set x", show)), Some(FindingKind::Command));
        deliver(&mut audit, B, A, "append: set x, set y");
        assert_eq!(audit.command(0, 1, b"set x", show), None);
        assert_eq!(kind(audit.command(2, 1, b"set x", show)), Some(FindingKind::Command));
        audit.started(2, b"log: set x".to_vec(), Bytes::new());
        assert_eq!(audit.command(2, 1, b"set x", show), None);
        audit.started(0, Vec::new(), Bytes::new());
        assert_eq!(kind(audit.command(0, 1, b"set x", show)), Some(FindingKind::Command));
        assert_eq!(audit.command(0, 1, b"", show), None, "an empty command says nothing");
    }

    #[test]
    fn a_leader_commits_its_own_command_when_a_majority_has_answered() {
        let mut audit = audit();
        deliver(&mut audit, B, A, "vote");
        assert_eq!(audit.state(0, 1, false), None);
        deliver(&mut audit, B, A, "vote");
        assert_eq!(audit.state(0, 1, true), None);
        audit.given(0, &Bytes::from("set x"), Some(1));
        assert_eq!(kind(audit.command(0, 1, b"set x", show)), Some(FindingKind::Commit));
        deliver(&mut audit, CLIENT, A, "get");
        assert_eq!(kind(audit.command(0, 1, b"set x", show)), Some(FindingKind::Commit));
        deliver(&mut audit, C, A, "done");
        assert_eq!(audit.command(0, 1, b"set x", show), None);
    }

    #[test]
    fn a_leader_must_have_heard_from_a_majority_in_its_term() {
        let mut audit = audit();
        deliver(&mut audit, B, A, "heartbeat of term 1");
        assert_eq!(kind(audit.state(0, 2, true)), Some(FindingKind::Leader));
        assert_eq!(audit.state(1, 2, false), None);
        deliver(&mut audit, C, B, "vote");
        assert_eq!(audit.state(1, 2, true), None);
    }

    #[test]
    fn a_snapshot_must_come_from_a_message_the_service_or_the_disk() {
        let mut audit = audit();
        assert_eq!(kind(audit.snapshot(0, 9, b"all of it")), Some(FindingKind::Snapshot));
        deliver(&mut audit, B, A, "install: all of it");
        audit.given(1, &Bytes::from("all of it"), None);
        assert_eq!(
            (audit.snapshot(0, 9, b"all of it"), audit.snapshot(1, 9, b"all of it")),
            (None, None)
        );
    }

    #[test]
    fn a_value_must_come_from_a_reply_within_the_operation() {
        let mut audit = audit();
        audit.called(0, "k", None);
        deliver(&mut audit, A, CLIENT, "value: 7");
        assert_eq!(audit.read(0, "k", "7"), None);
        assert_eq!(audit.read(0, "k", ""), None);
        audit.called(0, "k", None);
        assert_eq!(kind(audit.read(0, "k", "7")), Some(FindingKind::Value));
    }

    #[test]
    fn a_server_answers_with_what_it_was_told() {
        let mut audit = audit();
        let read = |audit: &mut Audit| {
            audit.called(0, "k", None);
            deliver(audit, A, CLIENT, "value: one two");
            kind(audit.read(0, "k", "one two"))
        };
        audit.called(1, "k", Some("one "));
        deliver(&mut audit, Node::client(1), A, "put: one ");
        audit.called(1, "k", Some("two"));
        deliver(&mut audit, Node::client(1), B, "append: two");
        assert_eq!(read(&mut audit), Some(FindingKind::Answer), "server 0 was not told the second");
        audit.given(0, &Bytes::from("append: two"), Some(1));
        assert_eq!(read(&mut audit), Some(FindingKind::Answer), "its service may have cheated");
        deliver(&mut audit, B, A, "entry: append: two");
        assert_eq!(read(&mut audit), None);
    }

    #[test]
    fn a_run_that_sends_too_much_is_not_audited_to_its_end() {
        let mut audit = audit();
        let bytes = "x".repeat(MOST_KEPT_BYTES);
        deliver(&mut audit, A, B, &bytes);
        let more = audit.delivered(request(A, B, b"y"));
        assert_eq!(kind(more), Some(FindingKind::GivenUp));
        assert_eq!(audit.delivered(request(A, B, b"z")), None);
        assert_eq!(audit.command(0, 1, b"set x", show), None);
        audit.started(1, Vec::new(), Bytes::new());
        audit.called(0, "k", Some("v"));
        assert_eq!(audit.read(0, "k", "v"), None);
    }
}
