//! Support for the properties' tests: three servers whose states a test can set.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labrpc::{Delivery, Node};

use super::{Contract, Invariants, News, Persistence, SharedMessages, Traffic};
use crate::message::RaftMessage;
use crate::offer::Offers;
use crate::property::{Holds, Property, Severity};
use crate::raft::{
    ApplyMsg, EntryProbe, FollowerProbe, HandedUp, Probe, Raft, RaftState, Role, Started,
};
use crate::waypoint::Reached;
use crate::without::Without;

/// A Raft that does nothing by itself.
struct Puppet(RefCell<RaftFields>);

/// The state that a test can set.
#[derive(Clone, Default)]
pub(super) struct RaftFields {
    pub(super) term: u64,
    /// `None` is a follower.
    pub(super) role: Option<Role>,
    pub(super) voted_for: Option<usize>,
    /// Terms and commands, from index 1 on.
    log: Vec<(u64, &'static str)>,
    /// The last index that a snapshot covers.
    pub(super) covered: u64,
    /// The term of the entry at that index.
    pub(super) snapshot_term: Option<u64>,
    pub(super) lowest_written: Option<u64>,
    pub(super) commit_index: u64,
    pub(super) last_applied: u64,
    pub(super) followers: Vec<FollowerProbe>,
    pub(super) transferee: Option<usize>,
}

impl RaftFields {
    /// Becomes a follower without a vote in a newer term.
    pub(super) fn adopt_term(&mut self, term: u64) {
        self.term = term;
        self.role = None;
        self.voted_for = None;
    }

    /// Writes an entry, a term and a command, at an index of the log or just after its end.
    pub(super) fn write(&mut self, index: u64, entry: (u64, &'static str)) {
        let place = index as usize - 1;
        if place == self.log.len() {
            self.log.push(entry);
        } else {
            self.log[place] = entry;
        }
        self.note_written(index);
    }

    /// The last index of the log.
    pub(super) fn last_index(&self) -> u64 {
        self.log.len() as u64
    }

    /// Removes all entries after an index.
    pub(super) fn truncate(&mut self, last_index: u64) {
        self.log.truncate(last_index as usize);
        self.note_written(last_index + 1);
    }

    fn note_written(&mut self, index: u64) {
        let lowest = self.lowest_written.unwrap_or(index);
        self.lowest_written = Some(lowest.min(index));
    }

    /// Gives a server a snapshot up to an index.
    pub(super) fn cover(&mut self, covered: u64, commit_index: u64, last_applied: u64) {
        self.covered = covered;
        self.commit_index = commit_index;
        self.last_applied = last_applied;
    }
}

impl Raft for Puppet {
    fn start(&self, _: Bytes) -> Option<Started> {
        None
    }

    fn state(&self) -> RaftState {
        let fields = self.0.borrow();
        RaftState { term: fields.term, is_leader: fields.role == Some(Role::Leader) }
    }

    fn snapshot(&self, _: u64, _: Bytes) {}

    fn kill(&self) {}

    fn probe(&self) -> Option<Probe> {
        let mut fields = self.0.borrow_mut();
        Some(Probe {
            term: fields.term,
            role: fields.role.unwrap_or(Role::Follower),
            voted_for: fields.voted_for,
            first_index: fields.covered + 1,
            last_index: fields.log.len() as u64,
            commit_index: fields.commit_index,
            last_applied: fields.last_applied,
            lowest_written: fields.lowest_written.take(),
            followers: fields.followers.clone(),
        })
    }

    fn entry(&self, index: u64) -> Option<EntryProbe> {
        let fields = self.0.borrow();
        if index <= fields.covered {
            return None;
        }
        let &(term, command) = fields.log.get(index as usize - 1)?;
        Some(EntryProbe { term, command: Bytes::from_static(command.as_bytes()) })
    }

    fn snapshot_term(&self) -> Option<u64> {
        self.0.borrow().snapshot_term
    }

    fn transferee(&self) -> Option<usize> {
        self.0.borrow().transferee
    }
}

/// What the course asks of a Raft from lab 2C on.
pub(super) const CONTRACT: Contract = Contract {
    persistence: Persistence::Required,
    has_internal_entries: false,
    offers: Offers::NOTHING,
    reads: None,
    without: Without::NOTHING,
};

/// Three servers, and their checks.
pub(super) struct Stage {
    rafts: Vec<Rc<Puppet>>,
    pub(super) reached: Reached,
    pub(super) invariants: Invariants,
    pub(super) traffic: Traffic,
    pub(super) now: Duration,
    /// The messages between the servers, if steps are judged.
    messages: SharedMessages,
}

impl Stage {
    /// Three servers without entries, which have to keep this contract.
    pub(super) fn with_contract(contract: Contract) -> Stage {
        let reached = Reached::default();
        let mut stage = Stage {
            reached: reached.clone(),
            rafts: (0..3).map(|_| Rc::new(Puppet(RefCell::default()))).collect(),
            invariants: Invariants::new(3, contract),
            traffic: Traffic::default(),
            now: Duration::from_secs(1),
            messages: SharedMessages::new(0..3, |_| None),
        };
        stage.invariants.note_waypoints(reached);
        for server in 0..3 {
            assert_eq!(stage.restart(server, |_| ()), Ok(()));
        }
        stage
    }

    /// Server 0 leads term 1; all three have its two entries.
    pub(super) fn with_leader() -> Stage {
        let mut stage = Stage::with_contract(CONTRACT);
        for server in 0..3 {
            stage.holds(server, |raft| {
                raft.term = 1;
                raft.voted_for = Some(0);
                raft.write(1, (1, "a"));
                raft.write(2, (1, "b"));
                if server == 0 {
                    raft.role = Some(Role::Leader);
                    raft.followers = vec![FollowerProbe { next_index: 3, match_index: 0 }; 3];
                }
            });
        }
        stage.save();
        stage
    }

    /// Three servers without entries, every step of which is judged by figure 2.
    pub(super) fn judged(persistence: Persistence) -> Stage {
        Stage::judged_by(Contract { persistence, ..CONTRACT })
    }

    /// The same with this contract.
    pub(super) fn judged_by(contract: Contract) -> Stage {
        let mut stage = Stage::with_contract(contract);
        stage.invariants.judge_steps(stage.messages.clone());
        stage
    }

    /// A server sends a request, in the step that is checked next. Returns the request's mark.
    pub(super) fn sends(&self, from: usize, to: usize, message: RaftMessage) -> u64 {
        let mark = self.messages.keep(message);
        self.messages.send(from, to, None, mark);
        mark
    }

    /// A server answers a request, in the step that is checked next. Returns the answer's mark.
    pub(super) fn answers(
        &self,
        from: usize,
        to: usize,
        request: u64,
        message: RaftMessage,
    ) -> u64 {
        let mark = self.messages.keep(message);
        self.messages.send(from, to, Some(request), mark);
        mark
    }

    /// A server reads a request, in the step that is checked next. Returns the request's mark.
    pub(super) fn reads(&self, to: usize, from: usize, message: RaftMessage) -> u64 {
        let mark = self.messages.keep(message);
        self.messages.deliver(from, to, None, mark);
        mark
    }

    /// A server reads the answer to a request of its own, in the step that is checked next.
    pub(super) fn reads_answer(&self, to: usize, from: usize, request: u64, message: RaftMessage) {
        let mark = self.messages.keep(message);
        self.messages.deliver(from, to, Some(request), mark);
    }

    /// A message of a server reaches another.
    pub(super) fn hears(&mut self, to: usize, from: usize) {
        self.invariants.heard((from, to), self.now);
    }

    /// A server learns that no reply to a request of its own will come, in the step that is checked next.
    pub(super) fn fails(&self, from: usize, to: usize, request: u64) {
        self.messages.fail(from, to, request);
    }

    /// Changes a server, and checks it. A slip is returned like a broken promise.
    pub(super) fn change(&mut self, server: usize, change: impl FnOnce(&mut RaftFields)) -> Holds {
        change(&mut self.rafts[server].0.borrow_mut());
        self.invariants.polled(server, self.now);
        self.ask(server)
    }

    /// Checks a server that has done nothing. A slip is returned like a broken promise.
    pub(super) fn ask(&mut self, server: usize) -> Holds {
        let raft = &self.rafts[server];
        self.invariants.check(server, (&**raft, None), self.traffic, self.now)?;
        self.news()
    }

    /// A server says that it has accepted a command. A slip is returned like a broken promise.
    pub(super) fn accepts(&mut self, server: usize, command: &Bytes, started: Started) -> Holds {
        self.invariants.accepted(server, command, started, &*self.rafts[server])?;
        self.news()
    }

    /// A server says that it has begun to hand over leadership. A slip is returned like a broken promise.
    pub(super) fn hands_over(&mut self, server: usize, to: usize) -> Holds {
        self.invariants.hands_over(server, to, &*self.rafts[server])?;
        self.news()
    }

    fn news(&mut self) -> Holds {
        match self.invariants.take_news().into_iter().next() {
            Some(News::Slip(slip)) => Err(slip),
            Some(News::NoProbe) | None => Ok(()),
        }
    }

    /// All servers save what they are.
    pub(super) fn save(&mut self) {
        self.traffic.saves += 1;
        for server in 0..3 {
            self.holds(server, |_| ());
        }
    }

    /// Asserts that all properties hold after this change.
    #[track_caller]
    pub(super) fn holds(&mut self, server: usize, change: impl FnOnce(&mut RaftFields)) {
        assert_eq!(self.change(server, change), Ok(()));
    }

    /// Asserts that the property is broken after this change, with these words in the evidence.
    #[track_caller]
    pub(super) fn breaks(
        &mut self,
        property: Property,
        words: &str,
        server: usize,
        change: impl FnOnce(&mut RaftFields),
    ) {
        assert_broken(self.change(server, change), property, words);
    }

    /// Asserts that this change is a slip.
    #[track_caller]
    pub(super) fn slips(&mut self, server: usize, change: impl FnOnce(&mut RaftFields)) {
        let slip = self.change(server, change).expect_err("a slip should be reported");
        assert_eq!(slip.property.severity(), Severity::Slip, "{slip}");
    }

    /// Crashes a server and starts it again in this state.
    pub(super) fn restart(&mut self, server: usize, change: impl FnOnce(&mut RaftFields)) -> Holds {
        self.invariants.stopped(server);
        self.invariants.started(server, &Bytes::new(), self.now);
        self.change(server, change)
    }

    /// Server 1 restarts with this saved snapshot, after another server was seen to have the snapshot
    /// `ab` of everything up to index 2.
    pub(super) fn restart_from(
        saved_snapshot: &'static str,
        change: impl FnOnce(&mut RaftFields),
    ) -> Holds {
        let mut stage = Stage::with_leader();
        assert_eq!(stage.invariants.applied(0, &snapshot(2, "ab")), Ok(()));
        stage.invariants.stopped(1);
        stage.invariants.started(1, &Bytes::from_static(saved_snapshot.as_bytes()), stage.now);
        stage.change(1, change)
    }

    /// The leader's matchIndex for a follower becomes this.
    pub(super) fn matched(&mut self, follower: usize, match_index: u64) -> Holds {
        self.change(0, |raft| raft.followers[follower].match_index = match_index)
    }
}

/// Asserts that the property is broken, with these words in the evidence.
#[track_caller]
pub(super) fn assert_broken(checked: Holds, property: Property, words: &str) {
    let violation = checked.expect_err("a violation should be reported");
    assert_eq!(violation.property, property, "{violation}");
    assert!(violation.evidence.contains(words), "{violation}");
}

/// A command as it is handed to a service.
pub(super) fn command(index: u64, text: &'static str) -> HandedUp {
    HandedUp::Message(ApplyMsg::Command { index, command: Bytes::from_static(text.as_bytes()) })
}

/// A snapshot as it is handed to a service.
pub(super) fn snapshot(index: u64, text: &'static str) -> HandedUp {
    let snapshot = Bytes::from_static(text.as_bytes());
    HandedUp::Message(ApplyMsg::Snapshot { index, term: 1, snapshot })
}

/// A message without contents between two servers. The times are those of the call and of the message itself.
pub(super) fn message(
    (from, to): (usize, usize),
    is_reply: bool,
    (called_at, sent_at): (Duration, Duration),
) -> Delivery<'static> {
    Delivery {
        from: Node::server(from),
        to: Node::server(to),
        bytes: &[],
        is_reply,
        called_at,
        sent_at,
    }
}
