//! The disk: raft-rs's `Storage` on the lab's [`Persister`].
//!
//! A [`Disk`] holds in memory what the persister holds in bytes. Its methods change the memory, and
//! [`save`](Disk::save) writes everything at once; the caller makes sure that nothing waits between
//! the two.
//!
//! raft-rs numbers servers from 1, because 0 means "nobody": server `me` of the lab is `me + 1`.

use bytes::Bytes;
use labraft::{Persister, Pieces};
use protobuf::Message as _;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot, SnapshotMetadata};
use raft::util::limit_size;
use raft::{Error, GetEntriesContext, RaftState, Storage, StorageError};
use serde::{Deserialize, Serialize};

/// The number of a server in raft-rs.
pub fn id_of(server: usize) -> u64 {
    server as u64 + 1
}

/// The number of a server in the lab.
pub fn server_of(id: u64) -> usize {
    id as usize - 1
}

/// One record of the saved state: first the log's entries, in order, then the rest. Their own
/// contents are encoded as raft-rs does.
#[derive(Serialize, Deserialize)]
enum Record {
    Entry(Bytes),
    Rest { hard_state: Bytes, snapshot: Bytes },
}

/// What a server's disk holds.
pub struct Disk {
    persister: Persister,
    /// Term, vote and commit index.
    pub hard_state: HardState,
    /// Index, term and configuration of the snapshot; index 0 if there is none.
    pub snapshot: SnapshotMetadata,
    /// The service's own part of the snapshot.
    snapshot_data: Bytes,
    /// The log after the snapshot.
    entries: Vec<Entry>,
    /// For each entry, the encoded log up to and including it. They share their memory.
    encoded: Vec<Pieces>,
    /// For the probe: the lowest index that was written since it was last taken.
    pub lowest_written: Option<u64>,
}

impl Disk {
    /// Reads what an earlier incarnation has saved. A new server begins with an empty log and the
    /// configuration of all servers.
    pub fn open(persister: Persister, servers: usize) -> Disk {
        let mut conf_state = ConfState::default();
        conf_state.set_voters((0..servers).map(id_of).collect());
        let mut snapshot = SnapshotMetadata::default();
        snapshot.set_conf_state(conf_state);
        let mut disk = Disk {
            snapshot_data: persister.read_snapshot(),
            hard_state: HardState::default(),
            snapshot,
            entries: Vec::new(),
            encoded: Vec::new(),
            lowest_written: None,
            persister,
        };
        let state = disk.persister.read_state();
        let mut rest = &state[..];
        while !rest.is_empty() {
            disk.read_record(labrpc::decode_first(&mut rest).expect("a record of the saved state"));
        }
        disk
    }

    fn read_record(&mut self, record: Record) {
        match record {
            Record::Entry(bytes) => {
                self.push(Entry::parse_from_bytes(&bytes).expect("a saved entry"));
            }
            Record::Rest { hard_state, snapshot } => {
                self.hard_state = HardState::parse_from_bytes(&hard_state).expect("a hard state");
                self.snapshot = SnapshotMetadata::parse_from_bytes(&snapshot).expect("metadata");
            }
        }
    }

    /// Saves everything: state and snapshot in one step.
    pub fn save(&self) {
        let log = self.encoded.last().cloned().unwrap_or_default();
        let rest = encode(&Record::Rest {
            hard_state: to_bytes(&self.hard_state),
            snapshot: to_bytes(&self.snapshot),
        });
        self.persister.save(log.push(rest), self.snapshot_data.clone());
    }

    /// Writes entries over whatever the log holds from the first of them on.
    pub fn append(&mut self, entries: Vec<Entry>) {
        let Some(first) = entries.first() else { return };
        let keep = (first.index - self.first()) as usize;
        assert!(
            keep <= self.entries.len(),
            "entry {} after a log up to {}",
            first.index,
            self.last()
        );
        self.note_written(first.index);
        self.entries.truncate(keep);
        self.encoded.truncate(keep);
        entries.into_iter().for_each(|entry| self.push(entry));
    }

    fn push(&mut self, entry: Entry) {
        let before = self.encoded.last().cloned().unwrap_or_default();
        self.encoded.push(before.push(encode(&Record::Entry(to_bytes(&entry)))));
        self.entries.push(entry);
    }

    /// Replaces the log with a leader's snapshot.
    pub fn install(&mut self, mut snapshot: Snapshot) {
        self.snapshot = snapshot.take_metadata();
        self.snapshot_data = snapshot.take_data();
        self.note_written(self.first());
        self.entries.clear();
        self.encoded.clear();
    }

    /// Replaces the log up to `index` with the service's snapshot, unless an equal or later snapshot
    /// is there.
    pub fn compact(&mut self, index: u64, data: Bytes) -> bool {
        if index <= self.snapshot.index {
            return false;
        }
        self.snapshot.term = self.entry(index).expect("the service has applied it").term;
        let covered = (index - self.snapshot.index) as usize;
        self.snapshot.index = index;
        self.snapshot_data = data;
        let kept = self.entries.split_off(covered);
        self.entries.clear();
        self.encoded.clear();
        kept.into_iter().for_each(|entry| self.push(entry));
        true
    }

    fn note_written(&mut self, index: u64) {
        self.lowest_written = Some(self.lowest_written.map_or(index, |lowest| lowest.min(index)));
    }

    /// The first index after the snapshot.
    pub fn first(&self) -> u64 {
        self.snapshot.index + 1
    }

    /// The last index of the log; the snapshot's if the log is empty.
    pub fn last(&self) -> u64 {
        self.snapshot.index + self.entries.len() as u64
    }

    /// The entry at an index, if the log holds it.
    pub fn entry(&self, index: u64) -> Option<&Entry> {
        self.entries.get(index.checked_sub(self.first())? as usize)
    }
}

impl Storage for Disk {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState {
            hard_state: self.hard_state.clone(),
            conf_state: self.snapshot.get_conf_state().clone(),
        })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low < self.first() {
            return Err(Error::Store(StorageError::Compacted));
        }
        let place = |index| (index - self.first()) as usize;
        let mut entries = self.entries[place(low)..place(high)].to_vec();
        limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.snapshot.index {
            return Ok(self.snapshot.term);
        }
        let missing =
            if index < self.first() { StorageError::Compacted } else { StorageError::Unavailable };
        self.entry(index).map(|entry| entry.term).ok_or(Error::Store(missing))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        if self.snapshot.index < request_index {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let mut snapshot = Snapshot::default();
        snapshot.set_metadata(self.snapshot.clone());
        snapshot.set_data(self.snapshot_data.clone());
        Ok(snapshot)
    }
}

fn to_bytes(message: &impl protobuf::Message) -> Bytes {
    message.write_to_bytes().expect("raft-rs's types can be encoded").into()
}

fn encode(record: &Record) -> Vec<u8> {
    labrpc::encode(record).expect("a record can be encoded")
}
