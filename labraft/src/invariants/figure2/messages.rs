//! The messages of a run, and which of them each server has read and sent since it was last judged.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use labrpc::{Failed, Node, Observer, Read, Sent};

use crate::message::{Describe, RaftMessage};

/// The number of messages that are remembered. A message is read 10 s after it was sent at the latest, or not
/// at all; no test sends so many in that time.
const MOST_KEPT: usize = 1 << 16;

/// The messages that were sent last, by their marks, and each server's part in the current step.
pub(super) struct Messages {
    describe: Describe,
    /// The number of the cluster's first server.
    first: usize,
    kept: VecDeque<RaftMessage>,
    /// The mark of the first message that is kept. Mark 0 is that of messages which are not the Raft's.
    first_mark: u64,
    steps: Vec<StepMessages>,
}

/// What a server has read and sent since it was last judged.
#[derive(Default)]
pub(super) struct StepMessages {
    pub(super) read: Vec<ReadMessage>,
    pub(super) sent: Vec<SentMessage>,
    /// Its requests to which no reply will come, as it has learnt: to whom, and their marks.
    pub(super) failed: Vec<(usize, u64)>,
}

/// A message that a server has read.
#[derive(Copy, Clone)]
pub(super) struct ReadMessage {
    pub(super) from: usize,
    pub(super) mark: u64,
    /// The mark of the request that it answers.
    pub(super) answers: Option<u64>,
}

/// A message that a server has sent.
#[derive(Copy, Clone)]
pub(super) struct SentMessage {
    pub(super) to: usize,
    pub(super) mark: u64,
    /// The mark of the request that it answers.
    pub(super) answers: Option<u64>,
}

impl StepMessages {
    fn is_empty(&self) -> bool {
        self.read.is_empty() && self.sent.is_empty() && self.failed.is_empty()
    }
}

impl Messages {
    fn new(servers: Range<usize>, describe: Describe) -> Messages {
        let first = servers.start;
        let steps = servers.map(|_| StepMessages::default()).collect();
        Messages { describe, first, kept: VecDeque::new(), first_mark: 1, steps }
    }

    /// A server's place in its cluster.
    fn place(&self, node: Node) -> Option<usize> {
        node.as_server()?.checked_sub(self.first)
    }

    /// A message, unless it was sent too long ago.
    pub(super) fn get(&self, mark: u64) -> Option<&RaftMessage> {
        self.kept.get(mark.checked_sub(self.first_mark)? as usize)
    }

    /// Whether a server has read or sent anything since it was last judged.
    pub(super) fn has_news(&self, server: usize) -> bool {
        !self.steps[server].is_empty()
    }

    /// Exchanges what a server has read and sent for an empty list, so that both are used again.
    pub(super) fn swap_step(&mut self, server: usize, step: &mut StepMessages) {
        step.read.clear();
        step.sent.clear();
        step.failed.clear();
        std::mem::swap(&mut self.steps[server], step);
    }

    fn keep(&mut self, message: RaftMessage) -> u64 {
        if self.kept.len() == MOST_KEPT {
            self.kept.pop_front();
            self.first_mark += 1;
        }
        self.kept.push_back(message);
        self.first_mark + self.kept.len() as u64 - 1
    }

    fn sent(&mut self, sent: Sent<'_>) -> u64 {
        let (Some(from), Some(to)) = (self.place(sent.from), self.place(sent.to)) else { return 0 };
        let Some(message) = (self.describe)(sent.content) else { return 0 };
        let mark = self.keep(message);
        self.steps[from].sent.push(SentMessage { to, mark, answers: sent.answers });
        mark
    }

    fn read(&mut self, read: Read) {
        let (Some(from), Some(to)) = (self.place(read.from), self.place(read.to)) else { return };
        if read.mark != 0 {
            let Read { mark, answers, .. } = read;
            self.steps[to].read.push(ReadMessage { from, mark, answers });
        }
    }
}

/// The messages of a run, shared by the network's observer and the judge.
#[derive(Clone)]
pub(crate) struct SharedMessages(pub(super) Rc<RefCell<Messages>>);

impl SharedMessages {
    /// No messages yet, between the servers of a cluster, which are given by their numbers.
    pub(crate) fn new(servers: Range<usize>, describe: Describe) -> SharedMessages {
        SharedMessages(Rc::new(RefCell::new(Messages::new(servers, describe))))
    }
}

#[cfg(test)]
impl SharedMessages {
    /// Keeps a message, and returns its mark.
    pub(crate) fn keep(&self, message: RaftMessage) -> u64 {
        self.0.borrow_mut().keep(message)
    }

    /// A server sends a message.
    pub(crate) fn send(&self, from: usize, to: usize, answers: Option<u64>, mark: u64) {
        self.0.borrow_mut().steps[from].sent.push(SentMessage { to, mark, answers });
    }

    /// A server learns that no reply to a request of its own will come.
    pub(crate) fn fail(&self, from: usize, to: usize, mark: u64) {
        self.0.borrow_mut().steps[from].failed.push((to, mark));
    }

    /// A server reads a message.
    pub(crate) fn deliver(&self, from: usize, to: usize, answers: Option<u64>, mark: u64) {
        self.0.borrow_mut().steps[to].read.push(ReadMessage { from, mark, answers });
    }
}

impl Observer for SharedMessages {
    fn sent(&self, message: Sent<'_>) -> u64 {
        self.0.borrow_mut().sent(message)
    }

    fn read(&self, message: Read) {
        self.0.borrow_mut().read(message);
    }

    fn failed(&self, request: Failed) {
        let mut messages = self.0.borrow_mut();
        let places = (messages.place(request.from), messages.place(request.to));
        let (Some(from), Some(to)) = places else { return };
        if request.mark != 0 {
            messages.steps[from].failed.push((to, request.mark));
        }
    }
}
