//! What services are given: commands in the order of the log, each once, and snapshots that stand for
//! what was applied. All of it is seen at the border, without looking into a Raft.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::command::show;
use crate::property::{Checked, Property, violated};
use crate::raft::{ApplyMsg, Probe};

/// The services of a run, and what they were given.
pub(super) struct Services {
    servers: Vec<Service>,
    /// By index: the command that was applied there first, and on which server.
    applied: Vec<Option<(Bytes, usize)>>,
    /// By index: the snapshots that were made of what is up to there.
    snapshots: BTreeMap<u64, Vec<Bytes>>,
}

/// What is known of one server's service.
#[derive(Default)]
struct Service {
    /// Up to here it has everything; `None` when it started from a snapshot that nobody knows.
    applied: Option<u64>,
    /// The last index of the newest snapshot that it made itself.
    own_snapshot: u64,
}

impl Services {
    pub(super) fn new(servers: usize) -> Services {
        Services {
            servers: (0..servers).map(|_| Service::default()).collect(),
            applied: Vec::new(),
            snapshots: BTreeMap::new(),
        }
    }

    /// Server `i` starts, and its service from this snapshot; without one it is empty.
    pub(super) fn started(&mut self, i: usize, snapshot: &Bytes) {
        let known = self.snapshots.iter().rev().find(|(_, all)| all.contains(snapshot));
        let known = known.map(|(&index, _)| index);
        let applied = if snapshot.is_empty() { Some(0) } else { known };
        self.servers[i] = Service { applied, own_snapshot: 0 };
    }

    /// Server `i` hands this to its service.
    pub(super) fn applied(&mut self, i: usize, message: &ApplyMsg) -> Checked {
        match message {
            ApplyMsg::Command { index, command } => self.command(i, *index, command),
            ApplyMsg::Snapshot { index, snapshot, .. } => {
                if let Some(applied) = self.servers[i].applied.filter(|applied| applied > index) {
                    return violated(
                        Property::Snapshot,
                        format!(
                            "server {i} hands its service a snapshot up to {index}, which takes it \
                             back: it has applied {applied}"
                        ),
                    );
                }
                self.remember(*index, snapshot);
                self.servers[i].applied = Some(*index);
                Ok(())
            }
        }
    }

    fn command(&mut self, i: usize, index: u64, command: &Bytes) -> Checked {
        if let Some(applied) = self.servers[i].applied.filter(|applied| applied + 1 != index) {
            return violated(
                Property::ApplyOrder,
                format!(
                    "server {i} hands its service the command at index {index}; the service has all up \
                     to {applied}, so {} is due",
                    applied + 1
                ),
            );
        }
        self.servers[i].applied = Some(index);
        let place = index as usize;
        if self.applied.len() <= place {
            self.applied.resize(place + 1, None);
        }
        let (first, server) = self.applied[place].get_or_insert_with(|| (command.clone(), i));
        if first == command {
            return Ok(());
        }
        let (ours, theirs) = (show(command), show(first));
        violated(
            Property::StateMachineSafety,
            format!(
                "server {i} applies {ours} at index {index}, where server {server} applied {theirs}"
            ),
        )
    }

    /// The service of server `i` makes a snapshot of everything up to `index`.
    pub(super) fn makes_snapshot(&mut self, i: usize, index: u64, snapshot: &Bytes) -> Checked {
        let service = &mut self.servers[i];
        if let Some(applied) = service.applied.filter(|&applied| applied < index) {
            return violated(
                Property::Snapshot,
                format!(
                    "the service of server {i} makes a snapshot up to {index}, and has applied {applied} \
                     only"
                ),
            );
        }
        service.own_snapshot = service.own_snapshot.max(index);
        self.remember(index, snapshot);
        Ok(())
    }

    /// Whether a log of server `i` that begins behind `index` shows a snapshot that came from a leader.
    pub(super) fn is_installed(&self, i: usize, index: u64) -> bool {
        index > self.servers[i].own_snapshot
    }

    fn remember(&mut self, index: u64, snapshot: &Bytes) {
        let known = self.snapshots.entry(index).or_default();
        if !known.contains(snapshot) {
            known.push(snapshot.clone());
        }
    }

    /// What the log and the snapshot of server `i` have to do with one another.
    pub(super) fn check(&self, i: usize, last: Option<&Probe>, probe: &Probe) -> Checked {
        let Probe { first_index, commit_index, last_applied, .. } = *probe;
        let covered = first_index - 1;
        if commit_index < covered {
            return violated(
                Property::Snapshot,
                format!(
                    "the log of server {i} begins at {first_index}, behind a snapshot of what is \
                     committed up to {covered}; it takes {commit_index} for committed"
                ),
            );
        }
        if let Some(last) = last {
            return match first_index < last.first_index {
                false => Ok(()),
                true => violated(
                    Property::Snapshot,
                    format!(
                        "the log of server {i} begins at {first_index}; it began at {} before: an older \
                         snapshot has taken the place of a newer one",
                        last.first_index
                    ),
                ),
            };
        }
        let Some(has) = self.servers[i].applied else { return Ok(()) };
        if has < covered {
            return violated(
                Property::Snapshot,
                format!(
                    "server {i} starts with a log that begins at {first_index} and a snapshot up to \
                     {has}: what is between them is lost"
                ),
            );
        }
        if last_applied != has {
            return violated(
                Property::ApplyOrder,
                format!(
                    "server {i} starts and takes {last_applied} for applied; its service has what the \
                     saved snapshot covers, up to {has}"
                ),
            );
        }
        Ok(())
    }
}
