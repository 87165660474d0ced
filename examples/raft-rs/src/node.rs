//! One server's state: raft-rs's [`RawNode`], and what happens to each `Ready`.
//!
//! This file knows neither tasks nor the network. Whoever changes the state (with `step`, `tick`,
//! `propose` or a report) must have the [`Ready`](Node::handle_ready) handled afterwards, at once or
//! in a task of its own. Until then raft-rs has changed its variables and saved nothing.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use labraft::{ApplyMsg, PendingRead, Started};
use raft::eraftpb::{Entry, EntryType, Message, Snapshot};
use raft::{Config, RawNode, SnapshotStatus, StateRole};

use crate::logging::logger;
use crate::reads::Reads;
use crate::storage::{Disk, id_of};

/// How often raft-rs is told that time passes: it counts time in ticks.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// Ticks of an election time-out; raft-rs draws between this and twice as many.
const ELECTION_TICKS: usize = 30;
/// The shortest election time-out: so many ticks.
pub(crate) const ELECTION_TIMEOUT: Duration = TICK.saturating_mul(ELECTION_TICKS as u32);
/// Ticks between heartbeats. The course allows ten heartbeats a second, and a tick is 10 ms.
const HEARTBEAT_TICKS: usize = 10;
/// The most entries in a message, in bytes. The default is one entry.
const MAX_MESSAGE_BYTES: u64 = 1 << 20;

/// What raft-rs has committed and the service is to be told.
pub enum HandUp {
    /// A command, or a snapshot.
    Message(ApplyMsg),
    /// An entry of raft-rs's own: the empty one at the start of each term, or a configuration.
    Internal(u64),
}

impl HandUp {
    fn entry(entry: Entry) -> HandUp {
        // Commands of the lab's tests and services are never empty.
        if entry.get_entry_type() == EntryType::EntryNormal && !entry.data.is_empty() {
            HandUp::Message(ApplyMsg::Command { index: entry.index, command: entry.data })
        } else {
            HandUp::Internal(entry.index)
        }
    }

    fn snapshot(snapshot: &Snapshot) -> HandUp {
        let metadata = snapshot.get_metadata();
        HandUp::Message(ApplyMsg::Snapshot {
            index: metadata.index,
            term: metadata.term,
            snapshot: snapshot.data.clone(),
        })
    }

    /// The last index that it covers.
    pub fn index(&self) -> u64 {
        match self {
            HandUp::Message(ApplyMsg::Command { index, .. } | ApplyMsg::Snapshot { index, .. })
            | HandUp::Internal(index) => *index,
        }
    }
}

/// One server's state.
pub struct Node {
    pub(crate) raw: RefCell<RawNode<Disk>>,
    /// What is committed and not handed up yet, in order.
    to_hand_up: RefCell<VecDeque<HandUp>>,
    /// The last index that was handed up.
    pub(crate) handed_up: Cell<u64>,
    reads: RefCell<Reads>,
}

impl Node {
    /// A server as it is after a start, with what is on its disk.
    pub fn new(me: usize, disk: Disk, configure: fn(&mut Config)) -> Node {
        let applied = disk.snapshot.index;
        let mut config = Config {
            id: id_of(me),
            election_tick: ELECTION_TICKS,
            heartbeat_tick: HEARTBEAT_TICKS,
            max_size_per_msg: MAX_MESSAGE_BYTES,
            // The service restores the saved snapshot by itself.
            applied,
            pre_vote: true,
            check_quorum: true,
            ..Config::default()
        };
        configure(&mut config);
        let raw = RawNode::new(&config, disk, &logger()).expect("the configuration is valid");
        Node {
            raw: RefCell::new(raw),
            to_hand_up: RefCell::default(),
            handed_up: Cell::new(applied),
            reads: RefCell::default(),
        }
    }

    /// A message has arrived.
    pub fn step(&self, message: Message) {
        // An error means that the message is of no use here, such as one from a server that is no
        // member. raft-rs has changed nothing then.
        let _ = self.raw.borrow_mut().step(message);
    }

    /// A tick has passed.
    pub fn tick(&self) {
        self.raw.borrow_mut().tick();
    }

    /// Proposes a command, if this server leads. (A follower of raft-rs would forward it to the
    /// leader, but then nobody here would know its index.)
    pub fn propose(&self, command: &Bytes) -> Option<Started> {
        let mut raw = self.raw.borrow_mut();
        if raw.raft.state != StateRole::Leader {
            return None;
        }
        raw.propose(Vec::new(), command.to_vec()).ok()?;
        Some(Started { index: raw.raft.raft_log.last_index(), term: raw.raft.term })
    }

    /// Takes a read, if this server leads.
    pub fn read(&self) -> Option<PendingRead> {
        self.reads.borrow_mut().begin(&self.raw.borrow().raft)
    }

    /// Begins to hand leadership to another server, if this server leads. Returns whether it is doing so.
    pub fn transfer_leadership(&self, to: u64) -> bool {
        let mut raw = self.raw.borrow_mut();
        let raft = &raw.raft;
        // If it is asked to hand over to itself, raft-rs gives up a transfer that is under way.
        let is_other = to != raft.id && raft.prs().get(to).is_some();
        if raft.state != StateRole::Leader || !is_other {
            return false;
        }
        raw.transfer_leader(to);
        raw.raft.lead_transferee == Some(to)
    }

    /// The service's snapshot replaces the log up to `index`.
    pub fn compact(&self, index: u64, snapshot: Bytes) {
        let mut raw = self.raw.borrow_mut();
        // The service has taken the entry at `index`, and may say this first.
        note_applied(&mut raw, index);
        let disk = raw.mut_store();
        if disk.compact(index, snapshot) {
            disk.save();
        }
    }

    /// A message of a leader did not arrive, or nobody knows whether it did. raft-rs takes what it
    /// has sent for received until it is told so.
    pub fn report_lost(&self, message: &Sent) {
        if message.is_told.replace(true) {
            return;
        }
        let mut raw = self.raw.borrow_mut();
        if message.is_snapshot {
            raw.report_snapshot(message.to, SnapshotStatus::Failure);
        } else {
            raw.report_unreachable(message.to);
        }
    }

    /// A message has arrived at the other server. raft-rs sends nothing after a snapshot until it is
    /// told this.
    pub fn report_arrived(&self, message: &Sent) {
        if message.is_snapshot && !message.is_told.replace(true) {
            self.raw.borrow_mut().report_snapshot(message.to, SnapshotStatus::Finish);
        }
    }

    /// Handles everything that raft-rs has ready: sends, saves, and queues what is committed.
    ///
    /// A leader may send entries before it saves them itself (Ongaro's thesis, section 10.2.1); it
    /// counts its own copy later. All other messages are promises, and leave after the save.
    pub fn handle_ready(&self, send: &mut dyn FnMut(Message)) {
        let mut raw = self.raw.borrow_mut();
        let mut reads = self.reads.borrow_mut();
        while {
            reads.begin_round(&mut raw);
            raw.has_ready()
        } {
            let mut ready = raw.ready();
            reads.confirm(ready.take_read_states());
            ready.take_messages().into_iter().for_each(&mut *send);
            let must_save = ready.must_sync();
            let disk = raw.mut_store();
            let installed = ready.snapshot().get_metadata().index;
            if !ready.snapshot().is_empty() {
                disk.install(ready.snapshot().clone());
                self.to_hand_up.borrow_mut().push_back(HandUp::snapshot(ready.snapshot()));
            }
            disk.append(ready.take_entries());
            if let Some(hard_state) = ready.hs() {
                disk.hard_state = hard_state.clone();
            }
            if must_save {
                disk.save();
            }
            ready.take_persisted_messages().into_iter().for_each(&mut *send);
            self.queue(ready.take_committed_entries());

            let mut light = raw.advance_append(ready);
            // If raft-rs stood for election before the service has restored the snapshot, it would look
            // for entries that the snapshot has replaced, and panic.
            note_applied(&mut raw, installed);
            if let Some(commit) = light.commit_index() {
                raw.mut_store().hard_state.commit = commit;
            }
            light.take_messages().into_iter().for_each(&mut *send);
            self.queue(light.take_committed_entries());
        }
        reads.drop_lost(&raw.raft);
    }

    fn queue(&self, committed: Vec<Entry>) {
        self.to_hand_up.borrow_mut().extend(committed.into_iter().map(HandUp::entry));
    }

    /// Whether something is committed and not handed up.
    pub fn has_to_hand_up(&self) -> bool {
        !self.to_hand_up.borrow().is_empty()
    }

    /// Takes the next thing to hand up.
    pub fn next_to_hand_up(&self) -> Option<HandUp> {
        let next = self.to_hand_up.borrow_mut().pop_front()?;
        self.handed_up.set(next.index());
        Some(next)
    }

    /// The service has taken everything up to `index`.
    pub fn applied(&self, index: u64) {
        note_applied(&mut self.raw.borrow_mut(), index);
    }
}

/// Tells raft-rs that everything up to `index` is applied, unless it knows.
fn note_applied(raw: &mut RawNode<Disk>, index: u64) {
    if index > raw.raft.raft_log.applied {
        raw.advance_apply_to(index);
    }
}

/// What has to be remembered of a message for the reports about it.
pub struct Sent {
    to: u64,
    is_snapshot: bool,
    /// Whether raft-rs has been told what became of it.
    is_told: Cell<bool>,
}

impl Sent {
    /// What to remember of a message.
    pub fn new(message: &Message) -> Sent {
        let is_snapshot = !message.get_snapshot().is_empty();
        Sent { to: message.to, is_snapshot, is_told: Cell::new(false) }
    }

    /// Whether it carries a snapshot.
    pub fn is_snapshot(&self) -> bool {
        self.is_snapshot
    }
}
