//! The service of the Raft tests: it writes down what each server applies, and compares.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labrpc::Server;
use serde::{Deserialize, Serialize};

use super::{Config, SNAPSHOT_INTERVAL, Slot};
use crate::cluster::NewServer;
use crate::command::show;
use crate::harness_event::HarnessEvent;
use crate::raft::{ApplyMsg, Raft};
use crate::reason::Reason;

/// The services' own dice, among those of the test's parallel clients.
const SLOW_DICE: u32 = u32::MAX / 4;

/// What the service puts into a snapshot: its last index, and every command up to it. The place of
/// index 0 is empty.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    last_included_index: u64,
    log: Vec<Option<Bytes>>,
}

impl Config {
    /// Starts the task that takes what server `i` applies. It belongs to that incarnation.
    pub(super) fn spawn_applier(&self, i: usize, new: NewServer) {
        let config = self.clone();
        let NewServer { raft, mut applied, server, .. } = new;
        server.runtime().clone().spawn_detached("applier", async move {
            let dice = config.client_dice(SLOW_DICE + i as u32);
            while let Some(message) = applied.receive().await {
                let longest = config.slowness.get();
                if !longest.is_zero() {
                    server.runtime().sleep(dice.span(Duration::ZERO, longest)).await;
                }
                let applied = if config.snapshot {
                    config.apply_with_snapshots(i, &server, &raft, message)
                } else {
                    config.apply_plain(i, &server, message)
                };
                if let Err(reason) = applied {
                    config.lab().fail(Some(i), reason);
                }
            }
        });
    }

    /// The plain applier ignores snapshots.
    fn apply_plain(&self, i: usize, server: &Server, message: ApplyMsg) -> Result<(), Reason> {
        match message {
            ApplyMsg::Command { index, command } => self.check_logs(i, server, index, command),
            ApplyMsg::Snapshot { .. } => Ok(()),
        }
    }

    fn apply_with_snapshots(
        &self,
        i: usize,
        server: &Server,
        raft: &Rc<dyn Raft>,
        message: ApplyMsg,
    ) -> Result<(), Reason> {
        match message {
            ApplyMsg::Snapshot { index, snapshot, .. } => {
                note_applied(server, index, &snapshot, || HarnessEvent::Restored { index });
                self.install(i, Some(index), &snapshot)
            }
            ApplyMsg::Command { index, command } => {
                let expected = self.servers()[i].last_applied + 1;
                if index != expected {
                    return Err(Reason::ApplyOutOfOrder { index, expected: Some(expected) });
                }
                self.check_logs(i, server, index, command)?;
                self.servers_mut()[i].last_applied = index;
                if (index + 1).is_multiple_of(SNAPSHOT_INTERVAL) {
                    let snapshot = self.encode_snapshot(i, index);
                    server.runtime().act(|| raft.snapshot(index, snapshot));
                }
                Ok(())
            }
        }
    }

    /// Compares with what any server applied at this index, checks that server `i` has the entry
    /// before it, and writes it down.
    fn check_logs(
        &self,
        i: usize,
        server: &Server,
        index: u64,
        command: Bytes,
    ) -> Result<(), Reason> {
        note_applied(server, index, &command, || HarnessEvent::Applied {
            index,
            command: show(&command),
        });
        let mut servers = self.servers_mut();
        let place = index as usize;
        for (j, slot) in servers.iter().enumerate() {
            if let Some(Some(other)) = slot.log.get(place)
                && *other != command
            {
                let applied = Box::new([(i, show(&command)), (j, show(other))]);
                return Err(Reason::CommitMismatch { index, applied });
            }
        }
        let Slot { log, max_index, .. } = &mut servers[i];
        if index > 1 && !matches!(log.get(place - 1), Some(Some(_))) {
            return Err(Reason::ApplyOutOfOrder { index, expected: None });
        }
        if log.len() <= place {
            log.resize(place + 1, None);
        }
        log[place] = Some(command);
        *max_index = index.max(*max_index);
        Ok(())
    }

    fn encode_snapshot(&self, i: usize, index: u64) -> Bytes {
        let log = &self.servers()[i].log;
        let snapshot = Snapshot {
            last_included_index: index,
            log: log.iter().take(index as usize + 1).cloned().collect(),
        };
        labrpc::encode(&snapshot).expect("a list of commands can be encoded").into()
    }

    /// What a service does when it starts: it goes on from the saved snapshot, if there is one.
    pub(super) fn load_snapshot(&self, i: usize, snapshot: &Bytes) {
        if !snapshot.is_empty()
            && let Err(reason) = self.install(i, None, snapshot)
        {
            self.lab().fail(Some(i), reason);
        }
    }

    /// Replaces what server `i` applied by what a snapshot holds. It is not checked that this leads
    /// forward; the course's harness does not either.
    fn install(&self, i: usize, index: Option<u64>, snapshot: &Bytes) -> Result<(), Reason> {
        let bad = |what: String| Reason::BadSnapshot { index: index.unwrap_or(0), what };
        let decoded: Snapshot = labrpc::decode(snapshot)
            .map_err(|error| bad(format!("is not one that the service made: {error}")))?;
        let last = decoded.last_included_index;
        if index.is_some_and(|index| index != last) {
            return Err(bad(format!("covers everything up to {last}")));
        }
        let mut servers = self.servers_mut();
        servers[i].log = decoded.log;
        servers[i].last_applied = last;
        Ok(())
    }
}

fn note_applied(server: &Server, index: u64, bytes: &[u8], fact: impl FnOnce() -> HarnessEvent) {
    server.runtime().fingerprint(index, labrpc::hash_bytes(bytes));
    server.runtime().record(|| fact().event());
}
