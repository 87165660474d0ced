//! Checks that tests make: which server leads, what is committed, and whether servers reach agreement.

use std::time::Duration;

use bytes::Bytes;

use super::{Applied, Config, Slot};
use crate::command::{Command, show};
use crate::failure::Checked;
use crate::raft::Started;
use crate::reason::{Accepted, Reason};

const MILLISECOND: Duration = Duration::from_millis(1);

impl Config {
    /// Returns the connected leader of the highest term. Checks up to ten times, waiting about half a
    /// second before each check.
    ///
    /// # Errors
    /// If two connected servers are leaders in the same term, or the tenth check still finds no leader.
    pub async fn check_one_leader(&self) -> Checked<usize> {
        for _ in 0..10 {
            let pause = 450 + self.dice().below(100) as u32;
            self.sleep(pause * MILLISECOND).await;
            // The term and server of each connected leader, sorted by term.
            let mut leaders: Vec<(u64, usize)> = Vec::new();
            for i in (0..self.n()).filter(|&i| self.is_connected(i)) {
                if let Some(state) = self.state(i)
                    && state.is_leader
                {
                    leaders.push((state.term, i));
                }
            }
            leaders.sort_unstable();
            if let Some(pair) = leaders.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                let term = pair[0].0;
                let servers: Vec<usize> = leaders
                    .iter()
                    .filter(|leader| leader.0 == term)
                    .map(|leader| leader.1)
                    .collect();
                let found_at = servers.last().copied();
                return Err(self.failure(found_at, Reason::TwoLeaders { term, servers }));
            }
            if let Some(&(_, leader)) = leaders.last() {
                return Ok(leader);
            }
        }
        Err(self.failure(None, Reason::NoLeader))
    }

    /// Returns the current term of the connected servers, or 0 if none is both connected and running.
    ///
    /// # Errors
    /// If two connected servers are in different terms.
    pub fn check_terms(&self) -> Checked<u64> {
        let mut first: Option<(usize, u64)> = None;
        for i in (0..self.n()).filter(|&i| self.is_connected(i)) {
            let Some(state) = self.state(i) else { continue };
            match first {
                None => first = Some((i, state.term)),
                Some((j, term)) if term != state.term => {
                    let terms = [(j, term), (i, state.term)];
                    return Err(self.failure(Some(i), Reason::TermsDiffer { terms }));
                }
                Some(_) => {}
            }
        }
        Ok(first.map_or(0, |(_, term)| term))
    }

    /// Checks that no connected server believes that it is the leader.
    ///
    /// # Errors
    /// If a connected server believes that it is the leader.
    pub fn check_no_leader(&self) -> Checked<()> {
        for i in (0..self.n()).filter(|&i| self.is_connected(i)) {
            if self.state(i).is_some_and(|state| state.is_leader) {
                return Err(self.failure(Some(i), Reason::UnexpectedLeader { server: i }));
            }
        }
        Ok(())
    }

    /// Returns how many servers have applied a command at this index, and the command. Disconnected and
    /// crashed servers count too.
    ///
    /// # Errors
    /// If two servers applied different commands at this index.
    pub fn n_committed(&self, index: u64) -> Checked<(usize, Option<Bytes>)> {
        let mut count = 0;
        let mut found: Option<(usize, Bytes)> = None;
        for (i, slot) in self.servers().iter().enumerate() {
            let Some(Applied::Command(command)) = slot.log.get(index as usize) else { continue };
            match &found {
                Some((j, other)) if other != command => {
                    let applied = Box::new([(i, show(command)), (*j, show(other))]);
                    let reason = Reason::CommitMismatch { index, applied };
                    return Err(self.failure(Some(i), reason));
                }
                _ => found = Some((i, command.clone())),
            }
            count += 1;
        }
        Ok((count, found.map(|(_, command)| command)))
    }

    /// Returns whether a server has applied an internal entry at this index. See
    /// [`Implementation::with_internal_entries`](crate::Implementation::with_internal_entries).
    pub fn is_internal(&self, index: u64) -> bool {
        let is_internal = |slot: &Slot| slot.log.get(index as usize) == Some(&Applied::Internal);
        self.servers().iter().any(is_internal)
    }

    /// Waits until at least `n` servers have applied a command at this index, and returns the command.
    /// If `start_term` is given, returns `None` as soon as a server is in a later term.
    ///
    /// # Errors
    /// If fewer than `n` servers have applied a command after about half a minute, or two servers applied
    /// different commands.
    pub async fn wait(
        &self,
        index: u64,
        n: usize,
        start_term: Option<u64>,
    ) -> Checked<Option<Bytes>> {
        let mut pause = 10 * MILLISECOND;
        for _ in 0..30 {
            if self.n_committed(index)?.0 >= n {
                break;
            }
            self.sleep(pause).await;
            if pause < Duration::from_secs(1) {
                pause *= 2;
            }
            if let Some(start_term) = start_term {
                let moved_on = |i| self.state(i).is_some_and(|state| state.term > start_term);
                if (0..self.n()).any(moved_on) {
                    return Ok(None);
                }
            }
        }
        let (applied, command) = self.n_committed(index)?;
        if applied < n {
            return Err(self.failure(None, Reason::TooFew { index, applied, wanted: n }));
        }
        Ok(command)
    }

    /// Proposes a command to the leader, waits until at least `expected_servers` servers have applied it,
    /// and returns its index. With `retry`, the command is proposed again if this takes more than two
    /// seconds, so it may be committed twice.
    ///
    /// # Errors
    /// If the servers do not agree within about ten seconds or, without `retry`, within two seconds of the
    /// first proposal; or if two servers applied different commands at its index.
    pub async fn one(
        &self,
        command: impl Into<Command>,
        expected_servers: usize,
        retry: bool,
    ) -> Checked<u64> {
        let command = command.into();
        let bytes = command.to_bytes();
        let no_agreement = |accepted| {
            let command = command.to_string();
            let reason = Reason::NoAgreement { command, wanted: expected_servers, accepted };
            self.failure(None, reason)
        };
        let began = self.tester().now();
        let mut accepted = None;
        // The last server tried. It is incremented before use, so server 1 is tried first.
        let mut next = 0;
        while self.tester().now() - began < Duration::from_secs(10) {
            let Some(Started { index, .. }) = self.start_anywhere(&mut next, &bytes) else {
                self.sleep(50 * MILLISECOND).await;
                continue;
            };
            let is_leader = self.state(next).is_some_and(|state| state.is_leader);
            accepted = Some(Accepted { server: next, is_leader });
            let accepted_at = self.tester().now();
            while self.tester().now() - accepted_at < Duration::from_secs(2) {
                let (applied, value) = self.n_committed(index)?;
                if applied > 0 && applied >= expected_servers && value.as_ref() == Some(&bytes) {
                    return Ok(index);
                }
                self.sleep(20 * MILLISECOND).await;
            }
            if !retry {
                return Err(no_agreement(accepted));
            }
        }
        Err(no_agreement(accepted))
    }

    /// Proposes a command to the connected servers in turn, starting after `next`, until one accepts it.
    fn start_anywhere(&self, next: &mut usize, command: &Bytes) -> Option<Started> {
        for _ in 0..self.n() {
            *next = (*next + 1) % self.n();
            if self.is_connected(*next)
                && let Some(started) = self.start_bytes(*next, command)
            {
                return Some(started);
            }
        }
        None
    }
}
