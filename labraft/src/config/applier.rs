//! The service of the Raft tests. It logs what each server applies and compares the logs.

use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labrpc::Server;
use serde::{Deserialize, Serialize};

use super::{Applied, Config, SNAPSHOT_INTERVAL, Slot};
use crate::cluster::NewServer;
use crate::harness_event::HarnessEvent;
use crate::raft::{ApplyMsg, HandedUp, Raft};
use crate::reason::Reason;

/// The number that the service adds to a server's index to get a random number generator of its own from
/// `client_dice`. It is far above any real client number.
const SLOW_DICE: u32 = u32::MAX / 4;

/// The contents of a snapshot: the last index that it covers, and all commands up to that index. Raft
/// indexes start at 1, so `log[0]` is `None`, and so is each internal entry.
///
/// Snapshots hold the whole history, so their commands are not copied: they are those of the service's log when
/// one is made, and parts of the snapshot's bytes when one is read.
#[derive(Serialize, Deserialize)]
struct Snapshot<Command> {
    last_included_index: u64,
    log: Vec<Option<Command>>,
}

impl Config {
    /// Spawns the task that processes the apply messages of server `i`. It ends when the server stops.
    pub(super) fn spawn_applier(&self, i: usize, new: NewServer) {
        let config = self.clone();
        let NewServer { raft, mut applied, server, .. } = new;
        server.runtime().clone().spawn_detached("applier", async move {
            let dice = config.client_dice(SLOW_DICE + i as u32);
            while let Some(handed_up) = applied.receive_at(Location::caller()).await {
                let longest = config.slowness.get();
                if !longest.is_zero() {
                    server.runtime().sleep(dice.span(Duration::ZERO, longest)).await;
                }
                config.service_runs(false);
                let applied = if config.snapshot {
                    config.apply_with_snapshots(i, &server, &raft, handed_up)
                } else {
                    config.apply_plain(i, &server, handed_up)
                };
                if let Err(reason) = applied {
                    config.lab().fail(Some(i), reason);
                }
            }
        });
    }

    /// Processes a message for tests without snapshots: checks entries and ignores snapshots.
    fn apply_plain(&self, i: usize, server: &Server, handed_up: HandedUp) -> Result<(), Reason> {
        match handed_up {
            HandedUp::Message(ApplyMsg::Command { index, command }) => {
                self.check_logs(i, server, index, Applied::Command(command))
            }
            HandedUp::Message(ApplyMsg::Snapshot { .. }) => Ok(()),
            HandedUp::Internal { index } => self.check_logs(i, server, index, Applied::Internal),
        }
    }

    /// Processes a message for tests with snapshots: entries must arrive in order without gaps, and every
    /// [`SNAPSHOT_INTERVAL`] entries the service makes a snapshot.
    fn apply_with_snapshots(
        &self,
        i: usize,
        server: &Server,
        raft: &Rc<dyn Raft>,
        handed_up: HandedUp,
    ) -> Result<(), Reason> {
        let (index, entry) = match handed_up {
            HandedUp::Message(ApplyMsg::Snapshot { index, snapshot, .. }) => {
                note_applied(server, index, &snapshot, || HarnessEvent::Restored { index });
                return self.install(i, Some(index), &snapshot);
            }
            HandedUp::Message(ApplyMsg::Command { index, command }) => {
                (index, Applied::Command(command))
            }
            HandedUp::Internal { index } => (index, Applied::Internal),
        };
        let expected = self.servers()[i].last_applied + 1;
        if index != expected {
            return Err(Reason::ApplyOutOfOrder { index, expected: Some(expected) });
        }
        self.check_logs(i, server, index, entry)?;
        self.servers_mut()[i].last_applied = index;
        if (index + 1).is_multiple_of(SNAPSHOT_INTERVAL) {
            let snapshot = self.encode_snapshot(i, index);
            self.service_runs(true);
            server.runtime().act(|| raft.snapshot(index, snapshot));
        }
        Ok(())
    }

    /// Logs an entry that server `i` applied, after checking that no server applied another one at this
    /// index and that server `i` has already applied the preceding index.
    fn check_logs(
        &self,
        i: usize,
        server: &Server,
        index: u64,
        entry: Applied,
    ) -> Result<(), Reason> {
        let bytes = if let Applied::Command(command) = &entry { &command[..] } else { &[] };
        note_applied(server, index, bytes, || HarnessEvent::Applied {
            index,
            command: entry.show(),
        });
        let mut servers = self.servers_mut();
        let place = index as usize;
        for (j, slot) in servers.iter().enumerate() {
            let other = slot.log.get(place).unwrap_or(&Applied::Nothing);
            if *other != Applied::Nothing && *other != entry {
                let applied = Box::new([(i, entry.show()), (j, other.show())]);
                return Err(Reason::CommitMismatch { index, applied });
            }
        }
        let Slot { log, max_index, .. } = &mut servers[i];
        if index > 1 && log.get(place - 1).is_none_or(|before| *before == Applied::Nothing) {
            return Err(Reason::ApplyOutOfOrder { index, expected: None });
        }
        if log.len() <= place {
            log.resize(place + 1, Applied::Nothing);
        }
        log[place] = entry;
        *max_index = index.max(*max_index);
        Ok(())
    }

    fn encode_snapshot(&self, i: usize, index: u64) -> Bytes {
        let log = &self.servers()[i].log;
        let snapshot = Snapshot {
            last_included_index: index,
            log: log.iter().take(index as usize + 1).map(Applied::command).collect(),
        };
        labrpc::encode(&snapshot).expect("a list of commands can be encoded").into()
    }

    /// Restores the service of server `i` from its saved snapshot, if there is one, when it starts.
    pub(super) fn load_snapshot(&self, i: usize, snapshot: &Bytes) {
        if !snapshot.is_empty()
            && let Err(reason) = self.install(i, None, snapshot)
        {
            self.lab().fail(Some(i), reason);
        }
    }

    /// Replaces the log of server `i` with the contents of a snapshot. Like the course's harness, it
    /// accepts snapshots that are older than the log.
    fn install(&self, i: usize, index: Option<u64>, snapshot: &Bytes) -> Result<(), Reason> {
        let bad = |what: String| Reason::BadSnapshot { index: index.unwrap_or(0), what };
        let decoded: Snapshot<&[u8]> = labrpc::decode(snapshot)
            .map_err(|error| bad(format!("was not made by the service: {error}")))?;
        let last = decoded.last_included_index;
        if index.is_some_and(|index| index != last) {
            return Err(bad(format!("covers everything up to {last}")));
        }
        let mut servers = self.servers_mut();
        let applied = |command: Option<&[u8]>| match command {
            Some(command) => Applied::Command(snapshot.slice_ref(command)),
            None => Applied::Internal,
        };
        servers[i].log = decoded.log.into_iter().map(applied).collect();
        servers[i].last_applied = last;
        Ok(())
    }
}

/// Adds an applied command or snapshot to the run's fingerprint and records it as an event.
fn note_applied(server: &Server, index: u64, bytes: &[u8], fact: impl FnOnce() -> HarnessEvent) {
    server.runtime().fingerprint(index, labrpc::hash_bytes(bytes));
    server.runtime().record(|| fact().event());
}
