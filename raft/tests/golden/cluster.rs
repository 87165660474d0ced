// SOLUTION FILE
//! A few cores, their disks and services, and the messages between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use bytes::Bytes;
use labraft::{ApplyMsg, HandedUp};
use raft::core::{Core, Message, SentEntries, SentSnapshot};
use raft::log::{Log, PersistentState, decode_state};

use crate::words::{self, Entries, Reply};

/// How many messages `settle` delivers at most: more than any script needs.
const MAX_DELIVERIES: usize = 1000;

/// One server.
struct Server {
    core: Core,
    /// How often it has been started: an answer to an earlier incarnation is dropped.
    incarnation: u32,
    /// What it has saved: the encoded state and the snapshot.
    disk: (Vec<u8>, Bytes),
    /// The service: the commands that it was given, from the first on.
    applied: Vec<String>,
}

/// A request that was sent.
#[derive(Clone)]
struct Request {
    from: usize,
    to: usize,
    message: Message,
    /// The sender's; `None` for a copy that the network has made.
    incarnation: Option<u32>,
    /// The round that it belongs to (part 2G).
    round: u64,
}

/// A message on its way.
#[derive(Clone)]
enum InFlight {
    Request(Request),
    /// The answer to the request with this number.
    Reply {
        request: u64,
        reply: Reply,
    },
}

/// Chooses messages: these, or all on their way from and to these servers.
pub(crate) struct Filter<'a> {
    pub(crate) messages: &'a [u64],
    pub(crate) from: Option<usize>,
    pub(crate) to: Option<usize>,
}

/// What the servers have besides what the course asks for.
#[derive(Clone, Copy, Default)]
pub(crate) enum Extension {
    #[default]
    Nothing,
    /// What parts 2E and 2F are about.
    StableLeader,
    /// What parts 2E to 2G are about.
    Reads,
    /// What `core/flow.rs` is about.
    FlowControl,
}

/// The servers of a script, and what has been said since the last line.
#[derive(Default)]
pub(crate) struct Cluster {
    servers: Vec<Server>,
    /// All requests ever sent, by number.
    requests: BTreeMap<u64, Request>,
    in_flight: BTreeMap<u64, InFlight>,
    messages: u64,
    cut: BTreeSet<usize>,
    extension: Extension,
    dialogue: String,
}

impl Cluster {
    pub(crate) fn new(servers: usize, extension: Extension) -> Cluster {
        let mut cluster = Cluster { extension, ..Cluster::default() };
        for me in 0..servers {
            let core = Core::new(me, servers, PersistentState::default(), Bytes::new());
            let mut core = cluster.extend(core);
            // Every server starts its election timer: that goes without saying.
            core.take_output();
            let disk = (core.saved().0.to_vec(), Bytes::new());
            cluster.servers.push(Server { core, incarnation: 1, disk, applied: Vec::new() });
        }
        cluster
    }

    fn extend(&self, core: Core) -> Core {
        match self.extension {
            Extension::Nothing => core,
            Extension::StableLeader => core.with_stable_leader().with_transfer(),
            Extension::Reads => core.with_stable_leader().with_transfer().with_reads(),
            Extension::FlowControl => core.with_flow_control(),
        }
    }

    /// What has been said since this was last called.
    pub(crate) fn take_dialogue(&mut self) -> String {
        std::mem::take(&mut self.dialogue)
    }

    fn say(&mut self, line: impl Display) {
        self.dialogue += &format!("{line}\n");
    }

    // What happens to a server.

    pub(crate) fn start_from(&mut self, me: usize, term: u64, vote: Option<usize>, log: Entries) {
        let mut saved =
            PersistentState { current_term: term, voted_for: vote, log: Log::default() };
        log.0.into_iter().for_each(|entry| saved.log.append(entry));
        self.boot(me, saved, Bytes::new());
    }

    pub(crate) fn restart(&mut self, me: usize) {
        let (state, snapshot) = self.servers[me].disk.clone();
        let saved = decode_state(&state).expect("what a core has saved can be read");
        self.boot(me, saved, snapshot);
    }

    fn boot(&mut self, me: usize, saved: PersistentState, snapshot: Bytes) {
        let applied = words::text(&snapshot).split_whitespace().map(String::from).collect();
        let core = self.extend(Core::new(me, self.servers.len(), saved, snapshot));
        let server = &mut self.servers[me];
        server.core = core;
        server.incarnation += 1;
        server.applied = applied;
        let (state, snapshot) = server.core.saved();
        server.disk = (state.to_vec(), snapshot);
        let line = format!("{me} starts with {}", words::saved(&self.servers[me].core));
        self.say(line);
        self.call(me, |_| ());
    }

    pub(crate) fn election_timeout(&mut self, me: usize) {
        self.call(me, Core::election_timeout);
        self.apply(me);
    }

    pub(crate) fn lease_timeout(&mut self, me: usize) {
        self.call(me, Core::lease_timeout);
    }

    pub(crate) fn heartbeat_timeout(&mut self, me: usize) {
        self.call(me, Core::heartbeat_timeout);
    }

    pub(crate) fn start(&mut self, me: usize, commands: &[String]) {
        for command in commands {
            match self.servers[me].core.start(Bytes::copy_from_slice(command.as_bytes())) {
                Some(started) => {
                    self.say(format!(
                        "{me} appends {}:{command} at {}",
                        started.term, started.index
                    ));
                }
                None => self.say(self.refusal(me, command)),
            }
        }
        self.call(me, Core::replicate);
        self.apply(me);
    }

    fn refusal(&self, me: usize, command: &str) -> String {
        let why = match self.servers[me].core.transferee() {
            Some(to) => format!("hands over to {to}"),
            None => "does not lead".into(),
        };
        format!("{me} {why}, and does not take {command}")
    }

    pub(crate) fn transfer(&mut self, me: usize, to: usize) {
        let has_begun = self.servers[me].core.transfer_leadership(to);
        let begins = if has_begun { "hands over" } else { "does not hand over" };
        self.say(format!("{me} {begins} to {to}"));
        self.call(me, Core::replicate);
    }

    pub(crate) fn transfer_timeout(&mut self, me: usize) {
        self.call(me, Core::transfer_timeout);
    }

    /// Clients ask a server for so many reads at the same instant.
    pub(crate) fn read(&mut self, me: usize, reads: usize) {
        for _ in 0..reads {
            match self.servers[me].core.read() {
                Some(read) => self.say(format!("{me} takes read {read}")),
                None => self.say(format!("{me} does not lead, and takes no read")),
            }
        }
        self.call(me, Core::replicate);
    }

    pub(crate) fn take_snapshot(&mut self, me: usize, index: u64) {
        let applied = &self.servers[me].applied;
        let covered = &applied[..applied.len().min(index as usize)];
        let snapshot = Bytes::from(covered.join(" "));
        self.call(me, |core| core.take_snapshot(index, snapshot));
    }

    /// Calls a core, and carries out what it asks for, as `raft/src/peer.rs` does.
    fn call<R>(&mut self, me: usize, call: impl FnOnce(&mut Core) -> R) -> R {
        let server = &mut self.servers[me];
        let before = words::role(server.core.role(), server.core.current_term());
        let result = call(&mut server.core);
        let now = words::role(server.core.role(), server.core.current_term());
        let incarnation = server.incarnation;
        let output = server.core.take_output();
        if now != before {
            self.say(format!("{me} is now {now}"));
        }
        if output.must_save {
            let server = &mut self.servers[me];
            let (state, snapshot) = server.core.saved();
            server.disk = (state.to_vec(), snapshot);
            let saved = words::saved(&server.core);
            self.say(format!("{me} saves {saved}"));
        }
        if output.reset_election_timer {
            self.say(format!("{me} restarts its election timer"));
        }
        if output.start_heartbeats {
            self.say(format!("{me} starts its heartbeat timer"));
        }
        if output.restart_lease {
            self.say(format!("{me} restarts its lease timer"));
        }
        if output.start_transfer_timer {
            self.say(format!("{me} starts the timer of its transfer"));
        }
        let round = output.round;
        for (to, message) in output.messages {
            self.send(Request { from: me, to, message, incarnation: Some(incarnation), round }, "");
        }
        for (read, answer) in output.reads {
            match answer {
                Some(index) => self.say(format!("{me} confirms read {read} at index {index}")),
                None => self.say(format!("{me} cannot confirm read {read}")),
            }
        }
        result
    }

    /// Gives the service what is committed.
    fn apply(&mut self, me: usize) {
        while let Some(message) = self.servers[me].core.next_to_apply() {
            match message {
                HandedUp::Message(ApplyMsg::Command { index, command }) => {
                    let command = words::text(&command);
                    self.say(format!("{me} applies {index}: {command}"));
                    self.servers[me].applied.push(command);
                }
                HandedUp::Internal { index } => self.say(format!("{me} applies {index}: a no-op")),
                HandedUp::Message(ApplyMsg::Snapshot { index, snapshot, .. }) => {
                    let snapshot = words::text(&snapshot);
                    self.say(format!("{me} restores the snapshot up to {index}: \"{snapshot}\""));
                    self.servers[me].applied =
                        snapshot.split_whitespace().map(String::from).collect();
                }
            }
        }
    }

    // What happens to messages.

    fn next_number(&mut self) -> u64 {
        self.messages += 1;
        self.messages
    }

    fn send(&mut self, request: Request, remark: &str) {
        let number = self.next_number();
        let Request { from, to, ref message, .. } = request;
        self.say(format!("#{number} {from}->{to} {}{remark}", words::request(message)));
        self.requests.insert(number, request.clone());
        self.in_flight.insert(number, InFlight::Request(request));
    }

    pub(crate) fn copy(&mut self, number: u64) {
        let copied = Request { incarnation: None, ..self.requests[&number].clone() };
        self.send(copied, &format!(" (copy of #{number})"));
    }

    pub(crate) fn cut(&mut self, servers: &[usize]) {
        self.cut.extend(servers);
    }

    pub(crate) fn join(&mut self, servers: &[usize]) {
        self.cut.retain(|server| !servers.contains(server));
    }

    /// From where and to where a message goes.
    fn ends(&self, message: &InFlight) -> (usize, usize) {
        match message {
            InFlight::Request(request) => (request.from, request.to),
            InFlight::Reply { request, .. } => {
                let request = &self.requests[request];
                (request.to, request.from)
            }
        }
    }

    fn chosen(&self, filter: &Filter) -> Vec<u64> {
        if !filter.messages.is_empty() {
            return filter.messages.to_vec();
        }
        let is_chosen = |message: &InFlight| {
            let (from, to) = self.ends(message);
            filter.from.is_none_or(|server| server == from)
                && filter.to.is_none_or(|server| server == to)
        };
        self.in_flight.iter().filter(|(_, message)| is_chosen(message)).map(|(&n, _)| n).collect()
    }

    pub(crate) fn deliver_all(&mut self, filter: &Filter) {
        for number in self.chosen(filter) {
            self.deliver(number);
        }
    }

    pub(crate) fn lose_all(&mut self, filter: &Filter) {
        for number in self.chosen(filter) {
            self.lose(number);
        }
    }

    pub(crate) fn settle(&mut self) {
        for _ in 0..MAX_DELIVERIES {
            let next = self.in_flight.iter().find(|(_, message)| {
                let (from, to) = self.ends(message);
                !self.cut.contains(&from) && !self.cut.contains(&to)
            });
            let Some((&number, _)) = next else { return };
            self.deliver(number);
        }
        panic!("after {MAX_DELIVERIES} messages there are still some on their way");
    }

    fn take(&mut self, number: u64) -> InFlight {
        let message = self.in_flight.remove(&number);
        message.unwrap_or_else(|| panic!("message #{number} is not on its way"))
    }

    fn deliver(&mut self, number: u64) {
        match self.take(number) {
            InFlight::Request(request) => self.deliver_request(number, request),
            InFlight::Reply { request, reply } => self.deliver_reply(number, request, Some(reply)),
        }
    }

    fn lose(&mut self, number: u64) {
        self.say(format!("#{number} is lost"));
        match self.take(number) {
            InFlight::Request(request) if request.incarnation.is_none() => {}
            InFlight::Request(_) => self.deliver_reply(number, number, None),
            InFlight::Reply { request, .. } => self.deliver_reply(number, request, None),
        }
    }

    fn deliver_request(&mut self, number: u64, request: Request) {
        let Request { from, to, message, incarnation, .. } = request;
        self.say(format!("{to} receives #{number}, {} from {from}", words::procedure(&message)));
        let reply = self.call(to, |core| match message {
            Message::RequestVote(args) => Reply::RequestVote(core.request_vote(&args)),
            Message::TransferVote(args) => Reply::RequestVote(core.transfer_vote(&args)),
            Message::PreVote(args) => Reply::PreVote(core.pre_vote(&args)),
            Message::TimeoutNow(args) => Reply::TimeoutNow(core.timeout_now(&args)),
            Message::AppendEntries(args) => Reply::AppendEntries(core.append_entries(args)),
            Message::InstallSnapshot(args) => Reply::InstallSnapshot(core.install_snapshot(args)),
        });
        if incarnation.is_none() {
            self.say(format!("the answer of {to} goes nowhere: {reply}"));
        } else {
            let answer = self.next_number();
            self.say(format!("#{answer} {to}->{from} answer to #{number}, {reply}"));
            self.in_flight.insert(answer, InFlight::Reply { request: number, reply });
        }
        self.apply(to);
    }

    /// The answer to a request arrives, or it becomes clear that none will.
    fn deliver_reply(&mut self, number: u64, request: u64, reply: Option<Reply>) {
        let Request { from, to, message, incarnation, round } = self.requests[&request].clone();
        if reply.is_some() {
            self.say(format!("{from} receives #{number}, the answer of {to} to #{request}"));
        }
        if incarnation != Some(self.servers[from].incarnation) {
            self.say(format!("{from} has restarted since, and waits for no answer"));
            return;
        }
        self.call(from, |core| match (&message, &reply) {
            (
                Message::RequestVote(args) | Message::TransferVote(args),
                Some(Reply::RequestVote(reply)),
            ) => {
                core.request_vote_reply(to, args.term, reply);
            }
            (Message::PreVote(args), Some(Reply::PreVote(reply))) => {
                core.pre_vote_reply(to, args.next_term, reply);
            }
            (Message::TimeoutNow(_), Some(Reply::TimeoutNow(reply))) => {
                core.timeout_now_reply(reply);
            }
            (
                Message::RequestVote(_)
                | Message::TransferVote(_)
                | Message::PreVote(_)
                | Message::TimeoutNow(_),
                None,
            ) => {}
            (Message::AppendEntries(args), Some(Reply::AppendEntries(reply))) => {
                core.append_entries_reply(to, SentEntries::new(args, round), Some(reply));
            }
            (Message::AppendEntries(args), None) => {
                core.append_entries_reply(to, SentEntries::new(args, round), None);
            }
            (Message::InstallSnapshot(args), Some(Reply::InstallSnapshot(reply))) => {
                core.install_snapshot_reply(to, SentSnapshot::new(args, round), Some(reply));
            }
            (Message::InstallSnapshot(args), None) => {
                core.install_snapshot_reply(to, SentSnapshot::new(args, round), None);
            }
            (_, Some(reply)) => panic!("#{request} was answered with {reply:?}"),
        });
        self.apply(from);
    }

    // What servers are.

    pub(crate) fn show(&mut self, servers: &[usize]) {
        let all: Vec<usize> = (0..self.servers.len()).collect();
        let servers = if servers.is_empty() { &all[..] } else { servers };
        for &me in servers {
            let core = &mut self.servers[me].core;
            let saved = words::saved(core);
            let role = words::role(core.role(), core.current_term());
            let probe = core.probe();
            self.say(format!("{me} is {role}: {saved}, commit {}", probe.commit_index));
            for (server, follower) in probe.followers.iter().enumerate() {
                if server != me {
                    self.say(format!(
                        "  server {server}: next {}, match {}",
                        follower.next_index, follower.match_index
                    ));
                }
            }
        }
    }
}
