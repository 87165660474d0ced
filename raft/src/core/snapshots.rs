// SOLUTION FILE
//! Snapshots (paper, section 7 and figure 13).

use bytes::Bytes;
use labraft::Role;

use super::{Core, Message, SentSnapshot};
use crate::message::{InstallSnapshotArgs, InstallSnapshotReply};

impl Core {
    /// Takes a snapshot that the service on this server has made of everything up to `index`, and
    /// lets the log forget what it covers. One that reaches no further than the last is ignored.
    ///
    /// # Panics
    /// If the service has not yet been given everything up to `index`.
    pub fn take_snapshot(&mut self, index: u64, snapshot: Bytes) {
        self.check_invariants();
        assert!(
            index <= self.last_applied,
            "a snapshot up to {index} covers more than the {} applied",
            self.last_applied
        );
        if index > self.log.last_included_index() {
            self.log.compact(index);
            self.snapshot = snapshot;
            self.output.must_save = true;
        }
    }

    pub(super) fn send_snapshot(&mut self, to: usize) {
        let args = InstallSnapshotArgs {
            term: self.current_term,
            leader_id: self.me,
            last_included_index: self.log.last_included_index(),
            last_included_term: self.log.last_included_term(),
            data: self.snapshot.clone(),
        };
        self.send(to, Message::InstallSnapshot(args));
    }

    /// Answers a leader that sends its snapshot, and takes the snapshot if it reaches beyond what
    /// is committed here.
    pub fn install_snapshot(&mut self, args: InstallSnapshotArgs) -> InstallSnapshotReply {
        self.check_invariants();
        let index = args.last_included_index;
        if self.accept_leader(args.term) && index > self.commit_index {
            if self.log.term(index) == Some(args.last_included_term) {
                // The entries behind it stay: they may have been acknowledged.
                self.log.compact(index);
            } else {
                self.log.reset(index, args.last_included_term);
            }
            self.note_written(index);
            self.snapshot = args.data;
            self.commit_index = index;
            self.output.must_save = true;
        }
        InstallSnapshotReply { term: self.current_term }
    }

    /// A follower has answered the request `sent`; `None` if no answer will come. Each request is
    /// answered once, in either way.
    pub fn install_snapshot_reply(
        &mut self,
        from: usize,
        sent: SentSnapshot,
        reply: Option<&InstallSnapshotReply>,
    ) {
        self.check_invariants();
        if let Some(reply) = reply {
            self.observe_term(reply.term);
        }
        if self.role != Role::Leader || sent.term != self.current_term {
            return;
        }
        self.note_answer(from, reply.map(|_| sent.round));
        let follower = &mut self.followers[from];
        follower.in_flight -= 1;
        if reply.is_some() {
            follower.match_index = follower.match_index.max(sent.last_included_index);
            follower.next_index = follower.next_index.max(follower.match_index + 1);
            self.advance_commit_index();
            self.send_new_entries(from);
        }
    }
}
