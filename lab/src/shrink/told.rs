//! Descriptions of decisions: which message or server was affected, when, and how.

use std::collections::BTreeMap;

use labraft::{HarnessEvent, ServerNames};
use labrpc::{Event, Kind, Node, Taken, Timed};

use super::found::is_call;

/// Describes each of these decisions in a sentence. `events` are the events of the run.
pub fn tell(needed: &[Taken], events: &[Timed]) -> Vec<String> {
    let calls = calls(events);
    let names = HarnessEvent::names_in(events);
    needed.iter().map(|taken| sentence(taken, &calls, &names, events)).collect()
}

/// A call, with the virtual time in seconds at which it was made.
struct Call<'a> {
    at: f64,
    method: &'a str,
}

/// All calls in their order, by caller and callee.
type Calls<'a> = BTreeMap<(Node, Node), Vec<Call<'a>>>;

fn calls(events: &[Timed]) -> Calls<'_> {
    let mut calls = Calls::new();
    for timed in events {
        if let Event::Sent { to, method, .. } = &timed.event {
            let method = method.rsplit('.').next().unwrap_or(method);
            let call = Call { at: timed.at.as_secs_f64(), method };
            calls.entry((timed.node, *to)).or_default().push(call);
        }
    }
    calls
}

fn sentence(taken: &Taken, calls: &Calls<'_>, names: &ServerNames, events: &[Timed]) -> String {
    let Taken { address, value, .. } = *taken;
    let at = taken.at.as_secs_f64();
    let nodes = (Node::from_raw(address.from), Node::from_raw(address.to));
    let (from, to) = (names.node_after("S", nodes.0), names.node_after("S", nodes.1));
    let of_call = || match calls.get(&nodes).and_then(|calls| calls.get(address.n as usize)) {
        Some(Call { at, method }) => format!("{method} {from}->{to} at {at:.6} s"),
        None => format!("call {} {from}->{to}", address.n),
    };
    let microseconds = value as f64 / 1000.0;
    match address.kind {
        Kind::Order => {
            format!("a task of {from} runs out of turn at {at:.6} s")
        }
        Kind::RequestTransit => {
            format!(
                "the request of {} takes {microseconds:.1} us longer than the minimum",
                of_call()
            )
        }
        Kind::ReplyTransit => {
            format!("the reply to {} takes {microseconds:.1} us longer than the minimum", of_call())
        }
        Kind::RequestDelay => format!("the request of {} is delayed by {value} ms", of_call()),
        Kind::RequestDrop => format!("the request of {} is lost", of_call()),
        Kind::ReplyDrop => format!("the reply to {} is lost", of_call()),
        Kind::ReplyHold => format!("the reply to {} is held back for {value} ms", of_call()),
        Kind::Unreachable => {
            format!("{}, to an unreachable server, takes {value} ms to fail", of_call())
        }
        Kind::RequestHold => format!("the request of {} is held back for {value} ms", of_call()),
        Kind::RequestCopy => {
            format!("the request of {} arrives a second time {value} ms later", of_call())
        }
        Kind::LinkFault => {
            let what = match value {
                1 => "cut".into(),
                2 => "clogged".into(),
                state => format!("in state {state}"),
            };
            let n = address.n;
            format!("the link {from}->{to} is {what} from {n} s to {} s", n + 1)
        }
        Kind::Pause => format!("{from} pauses for {value} ms, starting at {} s", address.n),
        Kind::ClockSkew => {
            let (parts, how) =
                if value % 2 == 0 { (value / 2, "slow") } else { (value / 2 + 1, "fast") };
            format!("the clock of {from} runs {parts} parts in 1000 too {how}")
        }
        Kind::CrashAtSave => format!("{from} crashes during a save at {at:.6} s"),
        Kind::CrashAfterPoll => format!("{from} crashes right after what it did at {at:.6} s"),
        Kind::TimerHold => format!("a timer that {from} sets at {at:.6} s fires {value} ms late"),
        Kind::Configuration => format!("a fault rate is {value}"),
        Kind::Schedule if is_call(taken) => format!("a client makes a call at {at:.6} s"),
        Kind::Schedule => {
            let steps = events.iter().filter(|timed| timed.at == taken.at);
            let steps = steps.filter_map(|timed| match &timed.event {
                Event::Custom { kind, text, .. }
                    if timed.node == Node::TESTER && kind == "test" =>
                {
                    Some(text.as_str())
                }
                _ => None,
            });
            let steps = match steps.collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "a step without effect".into(),
                steps => steps,
            };
            format!("the schedule at {at:.6} s: {steps}")
        }
        Kind::Dice | Kind::Workload | Kind::Entropy => format!("{address} is {value}"),
    }
}
