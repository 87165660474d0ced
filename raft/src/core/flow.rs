// SOLUTION FILE
//! Flow control: a leader keeps its entries from a server that does not answer, and has room for them once it does.
//!
//! A server that has answered neither a heartbeat nor anything else by the time of the next heartbeat is *silent*: it
//! has crashed or is cut off. Then it is sent *probes*, which are requests without entries, and not all that it lacks
//! again and again. When it answers, what it lacks follows at once, though requests of its silence may still be in
//! flight.
//!
//! ```text
//! heartbeat          1         2         3         4
//! leader     -e-e-e--e-e-e-e-e-p-p-p-p---p-p-p-p-e-e-e-    e a request with entries, p a probe
//! follower       x cut off                      a          a its first answer
//! ```
//!
//! `next_index` moves on with answers, as in figure 2, and not at sending, as in many Rafts; `docs/performance.md`
//! has both measured.

use super::contact::Contact;
use super::{Core, Message};
use crate::message::AppendEntriesArgs;

/// While a follower has this many requests to answer, new entries wait for one of its answers or
/// for the next heartbeat, and then travel together.
const MAX_IN_FLIGHT: usize = 4;
/// With so many heartbeats since its last answer, a server is silent.
const SILENT_AFTER: usize = 2;

impl Core {
    /// Adds flow control to a server that has just been made.
    #[must_use]
    pub fn with_flow_control(self) -> Core {
        Core { contacts: Some(Vec::new()), ..self }
    }

    /// This server has begun to lead.
    pub(super) fn begin_flow_control(&mut self) {
        if let Some(contacts) = &mut self.contacts {
            *contacts = vec![Contact::default(); self.servers];
        }
    }

    /// A leader is about to send heartbeats to all others.
    pub(super) fn count_heartbeat(&mut self) {
        self.contacts.iter_mut().flatten().for_each(|contact| contact.unanswered += 1);
    }

    /// A request of this leader's present term has ended, which is still counted as in flight: with an answer or
    /// without.
    pub(super) fn note_contact(&mut self, server: usize, has_answered: bool) {
        let is_silent = self.is_silent(server);
        let Some(contacts) = &mut self.contacts else { return };
        let contact = &mut contacts[server];
        let remaining = self.followers[server].in_flight - 1;
        contact.given_up = contact.given_up.min(remaining);
        if has_answered {
            contact.unanswered = 0;
            if is_silent {
                contact.given_up = remaining;
            }
        }
    }

    /// Whether a server is sent probes only.
    pub(super) fn is_silent(&self, server: usize) -> bool {
        let contact = self.contacts.as_ref().map(|contacts| contacts[server]);
        contact.is_some_and(|contact| contact.unanswered >= SILENT_AFTER)
    }

    /// Whether a server may be sent new entries before the next heartbeat.
    pub(super) fn has_room(&self, server: usize) -> bool {
        let given_up = self.contacts.as_ref().map_or(0, |contacts| contacts[server].given_up);
        self.followers[server].in_flight - given_up < MAX_IN_FLIGHT
    }

    /// Asks a silent server whether its log ends where the entries for it begin, or where this log begins if those are
    /// in the snapshot by now.
    pub(super) fn send_probe(&mut self, to: usize) {
        let follower = &mut self.followers[to];
        follower.in_flight += 1;
        follower.next_index = follower.next_index.max(self.log.first_index());
        let prev_log_index = follower.next_index - 1;
        let prev_log_term = self.log.term(prev_log_index);
        let args = AppendEntriesArgs {
            term: self.current_term,
            leader_id: self.me,
            prev_log_index,
            prev_log_term: prev_log_term.expect("the log knows the term before its first entry"),
            entries: Vec::new(),
            leader_commit: self.commit_index,
        };
        self.send(to, Message::AppendEntries(args));
    }
}
