//! A run as Chrome's trace JSON, which Perfetto and other viewers open.
//!
//! Each server is a process (numbered from 1, since Perfetto gives 0 another meaning), and so is
//! the tester; all clients together are one more. Messages are slices of nominally one microsecond,
//! connected by flows: `bind_id` with `flow_out` and `flow_in`. Only messages that arrived have a
//! flow, so every flow has both ends.

use std::collections::{BTreeMap, BTreeSet};

use labrpc::{Event, Node, Timed};
use serde_json::{Value, json};

use crate::workers::Answer;
use labraft::{HarnessEvent, ServerNames, ServerState};

/// The processes of the other nodes.
const TESTER: u64 = 900;
const CLIENTS: u64 = 901;

/// The threads of a process.
const STEPS: u64 = 1;
const ROLE: u64 = 2;
const MESSAGES: u64 = 3;
const DISK: u64 = 4;
const APPLY: u64 = 5;
const TIMERS: u64 = 6;
const LOG: u64 = 7;
// BEGIN LAB 4
const SHARDS: u64 = 8;
// END LAB 4

/// The length of a message's slice in nanoseconds. The message itself takes no time at its sender
/// or receiver, but a slice without length would be invisible.
const NOMINAL: u64 = 1000;

/// Writes the run as a trace, with one trace event per line. The same run always gives the same
/// bytes.
pub fn perfetto(answer: &Answer) -> String {
    let mut trace = Trace::new(&answer.events);
    answer.events.iter().for_each(|timed| trace.add(timed));
    trace.end(answer);
    let mut text = String::from("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n");
    for (i, line) in trace.lines.iter().enumerate() {
        text += if i == 0 { "" } else { ",\n" };
        text += &line.to_string();
    }
    text + "\n]}\n"
}

/// A message: the number of its call, and whether it is the reply.
type Message = (u64, bool);

#[derive(Default)]
struct Trace {
    names: ServerNames,
    lines: Vec<Value>,
    /// The messages that are going to arrive later in the run.
    arriving: BTreeSet<Message>,
    /// The messages whose flow has begun. A request that arrives twice has two replies, but one
    /// flow.
    begun: BTreeSet<Message>,
    /// For each process, the sorted times in nanoseconds at which it sends or receives a message.
    moments: BTreeMap<u64, Vec<u64>>,
    /// For each process, the time in nanoseconds at which it took its current role, and its state
    /// then.
    roles: BTreeMap<u64, (u64, ServerState)>,
    /// The last value of each counter.
    counters: BTreeMap<(u64, &'static str), u64>,
    /// The links that are cut, from one server to another.
    cut: BTreeSet<(usize, usize)>,
    /// The key/value operations in progress, by the number of their call.
    operations: BTreeMap<usize, String>,
    /// The processes (with thread 0) and threads that have been given a name.
    named: BTreeSet<(u64, u64)>,
}

fn process(node: Node) -> u64 {
    match node.as_server() {
        Some(server) => server as u64 + 1,
        None if node == Node::TESTER => TESTER,
        None => CLIENTS,
    }
}

fn nanoseconds(timed: &Timed) -> u64 {
    u64::try_from(timed.at.as_nanos()).unwrap_or(u64::MAX)
}

/// Converts nanoseconds to microseconds, the unit of time in the trace format.
fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1e3
}

impl Trace {
    fn new(events: &[Timed]) -> Trace {
        let names = HarnessEvent::names_in(events);
        let mut trace = Trace { names, ..Trace::default() };
        for timed in events {
            let message = match timed.event {
                Event::Delivered { call, .. } => Some((call, false)),
                Event::Answered { call, .. } => Some((call, true)),
                Event::Sent { .. } | Event::Replied { .. } => None,
                _ => continue,
            };
            trace.arriving.extend(message);
            let moments = trace.moments.entry(process(timed.node)).or_default();
            if moments.last() != Some(&nanoseconds(timed)) {
                moments.push(nanoseconds(timed));
            }
        }
        trace
    }

    fn add(&mut self, timed: &Timed) {
        let (pid, at) = (process(timed.node), nanoseconds(timed));
        match &timed.event {
            Event::Sent { call, to, method, content, .. } => {
                let is_tied = self.begin_flow((*call, false));
                let name = format!("{method} to {}", self.names.node(*to));
                self.message(
                    pid,
                    at,
                    &name,
                    (*call, false),
                    is_tied.then_some("flow_out"),
                    content,
                );
            }
            Event::Delivered { call, from, method } => {
                // If a copy of the request arrives later, it has no flow.
                let is_tied = self.arriving.remove(&(*call, false));
                let name = format!("{method} from {}", self.names.node(*from));
                self.message(pid, at, &name, (*call, false), is_tied.then_some("flow_in"), "");
            }
            Event::Replied { call, to, method, content, .. } => {
                let is_tied = self.begin_flow((*call, true));
                let name = format!("reply to {}: {method}", self.names.node(*to));
                self.message(pid, at, &name, (*call, true), is_tied.then_some("flow_out"), content);
            }
            Event::Answered { call, from, method } => {
                let is_tied = self.arriving.remove(&(*call, true));
                let name = format!("reply from {}: {method}", self.names.node(*from));
                self.message(pid, at, &name, (*call, true), is_tied.then_some("flow_in"), "");
            }
            Event::Lost { method, to, why, .. } => {
                let name = format!("{method} to {} lost: {why}", self.names.node(*to));
                self.moment(pid, MESSAGES, at, &name);
            }
            Event::Woke { task } => self.moment(pid, TIMERS, at, task),
            Event::Crashed { .. } => {
                self.end_role(pid, at);
                self.moment(pid, STEPS, at, "stops");
            }
            Event::Note { text } => self.moment(pid, LOG, at, text),
            Event::Custom { kind, text, .. } => match HarnessEvent::of(timed) {
                Some(fact) => self.fact(pid, at, &fact, text),
                None => self.moment(pid, STEPS, at, &format!("{kind}: {text}")),
            },
        }
    }

    /// Begins the flow of a message, and returns whether it has one: only if it arrives and is the
    /// first of its call.
    fn begin_flow(&mut self, message: Message) -> bool {
        self.arriving.contains(&message) && self.begun.insert(message)
    }

    fn fact(&mut self, pid: u64, at: u64, fact: &HarnessEvent, text: &str) {
        match fact {
            HarnessEvent::State(state) => return self.state(pid, at, state),
            HarnessEvent::Saved { .. } => return self.moment(pid, DISK, at, text),
            HarnessEvent::Applied { .. } | HarnessEvent::Restored { .. } => {
                return self.moment(pid, APPLY, at, text);
            }
            // BEGIN LAB 4
            HarnessEvent::Shards(_) => return self.moment(pid, SHARDS, at, text),
            // END LAB 4
            HarnessEvent::Cluster { servers, first, .. } => {
                let servers = *first..*servers;
                let links_of = |i| servers.clone().map(move |j| (i, j, i == j));
                let all = servers.clone().flat_map(links_of);
                self.links(at, all);
            }
            HarnessEvent::Links { changed } => return self.links(at, changed.iter().copied()),
            HarnessEvent::Called { call, operation, .. } => {
                self.operations.insert(*call, operation.clone());
                return self.span("b", at, "operation", operation, *call as u64, CLIENTS);
            }
            HarnessEvent::Answered { call, .. } => {
                if let Some(operation) = self.operations.remove(call) {
                    self.span("e", at, "operation", &operation, *call as u64, CLIENTS);
                }
                return;
            }
            // Everything else is a moment with its text.
            _ => {}
        }
        self.moment(pid, STEPS, at, text);
    }

    fn state(&mut self, pid: u64, at: u64, state: &ServerState) {
        for (name, value) in [
            ("term", state.term),
            ("committed", state.commit_index),
            ("applied", state.last_applied),
            ("last index", state.last_index),
        ] {
            if self.counters.insert((pid, name), value) == Some(value) {
                continue;
            }
            let line = json!({"ph": "C", "pid": pid, "ts": microseconds(at), "name": name,
                "args": {name: value}});
            self.lines.push(line);
        }
        let is_same = self
            .roles
            .get(&pid)
            .is_some_and(|(_, last)| last.term == state.term && last.role == state.role);
        if !is_same {
            self.end_role(pid, at);
            self.roles.insert(pid, (at, state.clone()));
        }
    }

    fn end_role(&mut self, pid: u64, at: u64) {
        let Some((since, state)) = self.roles.remove(&pid) else { return };
        self.name(pid, ROLE);
        self.lines.push(json!({"ph": "X", "cat": "role", "pid": pid, "tid": ROLE,
            "name": format!("{} of term {}", state.role, state.term),
            "ts": microseconds(since), "dur": microseconds(at - since),
            "args": {"term": state.term, "role": state.role}}));
    }

    /// Adds cut links between servers as slices that may overlap.
    fn links(&mut self, at: u64, changed: impl Iterator<Item = (usize, usize, bool)>) {
        for (from, to, is_open) in changed {
            let has_changed = from != to
                && if is_open { self.cut.remove(&(from, to)) } else { self.cut.insert((from, to)) };
            if has_changed {
                self.cut_span(if is_open { "e" } else { "b" }, at, (from, to));
            }
        }
    }

    fn cut_span(&mut self, phase: &str, at: u64, (from, to): (usize, usize)) {
        let id = (from * 1000 + to) as u64;
        let name = format!("cut {} to {}", self.names.name("", from), self.names.name("", to));
        self.span(phase, at, "cut", &name, id, TESTER);
    }

    fn span(&mut self, phase: &str, at: u64, cat: &str, name: &str, id: u64, pid: u64) {
        self.name(pid, STEPS);
        self.lines.push(json!({"ph": phase, "cat": cat, "name": name, "id": id, "pid": pid,
            "tid": STEPS, "ts": microseconds(at)}));
    }

    fn message(
        &mut self,
        pid: u64,
        at: u64,
        name: &str,
        (call, is_reply): Message,
        flow: Option<&str>,
        content: &str,
    ) {
        self.name(pid, MESSAGES);
        // Slices on the same thread must not overlap.
        let moments = &self.moments[&pid];
        let next = moments.get(moments.partition_point(|moment| *moment <= at));
        let long = next.map_or(NOMINAL, |next| NOMINAL.min(next - at));
        let mut line = json!({"ph": "X", "cat": "rpc", "pid": pid, "tid": MESSAGES, "name": name,
            "ts": microseconds(at), "dur": microseconds(long), "args": {"call": call}});
        if !content.is_empty() {
            line["args"]["content"] = content.into();
        }
        if let Some(flow) = flow {
            line["bind_id"] = format!("0x{:x}", call * 2 + u64::from(is_reply) + 1).into();
            line[flow] = true.into();
        }
        self.lines.push(line);
    }

    fn moment(&mut self, pid: u64, tid: u64, at: u64, name: &str) {
        self.name(pid, tid);
        self.lines.push(json!({"ph": "i", "s": "t", "pid": pid, "tid": tid, "name": name,
            "ts": microseconds(at)}));
    }

    /// Names a process and one of its threads, when they are first used.
    fn name(&mut self, pid: u64, tid: u64) {
        if self.named.insert((pid, 0)) {
            let name = match pid {
                TESTER => "tester and network".into(),
                CLIENTS => "clients".into(),
                server => self.names.name("server ", server as usize - 1),
            };
            self.lines.push(json!({"ph": "M", "pid": pid, "tid": 0, "name": "process_name",
                "args": {"name": name}}));
        }
        if self.named.insert((pid, tid)) {
            let name = match tid {
                STEPS => "steps",
                ROLE => "role",
                MESSAGES => "messages",
                DISK => "saved",
                APPLY => "applied",
                TIMERS => "timers",
                // BEGIN LAB 4
                SHARDS => "shards",
                // END LAB 4
                _ => "log",
            };
            self.lines.push(json!({"ph": "M", "pid": pid, "tid": tid, "name": "thread_name",
                "args": {"name": name}}));
        }
    }

    /// Ends all slices that are still open, and marks the failure.
    fn end(&mut self, answer: &Answer) {
        let at = answer.events.last().map_or(0, nanoseconds);
        for pid in self.roles.keys().copied().collect::<Vec<_>>() {
            self.end_role(pid, at);
        }
        for way in std::mem::take(&mut self.cut) {
            self.cut_span("e", at, way);
        }
        for (call, operation) in std::mem::take(&mut self.operations) {
            self.span("e", at, "operation", &operation, call as u64, CLIENTS);
        }
        if let Some(failure) = &answer.record.failure {
            self.name(TESTER, STEPS);
            let at = failure.at.map_or(microseconds(at), |at| at * 1e6);
            self.lines.push(json!({"ph": "i", "s": "g", "pid": TESTER, "tid": STEPS, "ts": at,
                "name": format!("FAILURE: {}", failure.reason)}));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn lines() -> Vec<Value> {
        let text = perfetto(&samples::answer());
        let trace: Value = serde_json::from_str(&text).unwrap();
        trace["traceEvents"].as_array().unwrap().clone()
    }

    #[test]
    fn slices_have_a_length_and_do_not_reach_into_each_other() {
        let mut threads: BTreeMap<(u64, u64), Vec<(f64, f64)>> = BTreeMap::new();
        for line in lines().iter().filter(|line| line["ph"] == "X") {
            let number = |name: &str| line[name].as_f64().unwrap_or_else(|| panic!("{name}"));
            let thread = (number("pid") as u64, number("tid") as u64);
            threads.entry(thread).or_default().push((number("ts"), number("dur")));
        }
        assert!(threads.len() > 2);
        for slices in threads.values_mut() {
            slices.sort_by(|a, b| a.partial_cmp(b).unwrap());
            for pair in slices.windows(2) {
                let [(a, long), (b, _)] = pair else { unreachable!() };
                assert!(a == b || a + long <= b + 1e-6, "{pair:?}");
            }
        }
    }

    #[test]
    fn every_flow_has_both_ends_and_the_same_call() {
        let mut ends: BTreeMap<String, Vec<bool>> = BTreeMap::new();
        for line in lines() {
            let Some(id) = line["bind_id"].as_str() else {
                assert!(line["flow_out"].is_null() && line["flow_in"].is_null());
                continue;
            };
            assert_eq!(line["ph"], "X", "flows are tied to slices");
            ends.entry(id.into()).or_default().push(line["flow_out"] == true);
        }
        assert_eq!(ends.len(), 2, "a request and a reply arrived");
        assert!(ends.values().all(|ends| *ends == [true, false]), "{ends:?}");
    }

    #[test]
    fn what_overlaps_begins_and_ends_under_one_name() {
        let mut open = BTreeMap::new();
        let mut spans = 0;
        for line in lines() {
            let key = ["cat", "name", "id", "pid"].map(|name| line[name].to_string());
            match line["ph"].as_str().unwrap() {
                "b" => assert!(open.insert(key, ()).is_none(), "begun twice"),
                "e" => {
                    assert!(open.remove(&key).is_some(), "{key:?} ends without having begun");
                    spans += 1;
                }
                _ => {}
            }
        }
        assert!(open.is_empty() && spans >= 3, "{open:?}");
    }

    #[test]
    fn moments_say_how_wide_they_are_and_threads_have_names() {
        let lines = lines();
        let named: BTreeSet<(u64, u64)> = lines
            .iter()
            .filter(|line| line["ph"] == "M")
            .map(|line| (line["pid"].as_u64().unwrap(), line["tid"].as_u64().unwrap()))
            .collect();
        for line in lines.iter().filter(|line| line["tid"].is_u64()) {
            let (pid, tid) = (line["pid"].as_u64().unwrap(), line["tid"].as_u64().unwrap());
            assert!(named.contains(&(pid, tid)), "{line}");
            assert!(line["ph"] != "i" || line["s"] == "t" || line["s"] == "g", "{line}");
        }
        assert!(lines.last().unwrap()["name"].as_str().unwrap().starts_with("FAILURE: "));
    }

    #[test]
    fn the_same_run_gives_the_same_bytes() {
        assert_eq!(perfetto(&samples::answer()), perfetto(&samples::answer()));
    }
}
