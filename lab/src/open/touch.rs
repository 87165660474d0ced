//! A touch: what somebody does to a run in the page, as a change of the run's specification.
//!
//! The page names an event. What is decided about its message has an address, which is the number of the call
//! between the two nodes; a file has the address, not the event.

use std::collections::BTreeSet;
use std::time::Duration;

use labraft::ServerNames;
use labrpc::{Act, Address, Deed, Event, Kind, Node, RunSpec, Timed};
use serde::{Deserialize, Serialize};

/// What somebody does to a run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Touch {
    /// Decides otherwise about a message.
    Message {
        /// The place, among all events, of the one with which the message leaves or arrives.
        event: usize,
        /// What becomes of it.
        fate: Fate,
    },
    /// Does something at a time, or several things.
    Acts(Vec<Act>),
    /// Takes back what was done at a time: the acts at these places among the run's acts.
    Undo(Vec<usize>),
}

/// What becomes of a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// It is lost.
    Drop,
    /// It arrives as soon as a message can.
    Now,
    /// It arrives this many milliseconds after it was sent.
    Later(u64),
    /// It arrives, and once more this many milliseconds later. Only a request can.
    Twice(u64),
    /// What the seed decides.
    Usual,
}

/// The longest time for which a message can be held back, in milliseconds: the bound of these decisions.
const LONGEST: u64 = 2199;

/// A message of a run.
struct Message<'a> {
    from: Node,
    to: Node,
    /// The number of its call among those between the two.
    n: u64,
    is_reply: bool,
    method: &'a str,
    /// When the request left, in seconds.
    at: f64,
    /// The event with which the message leaves.
    leaves: usize,
}

/// What a touch makes of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    /// The specification of the new run.
    pub(crate) spec: RunSpec,
    /// What was done, in a sentence.
    pub(crate) words: String,
    /// With how many events both runs begin, at least.
    pub(crate) same: usize,
}

impl Touch {
    /// What this makes of the run of `spec`, which has these events and this many servers with these names.
    ///
    /// # Errors
    /// When it cannot be done, with a sentence that says why.
    pub(crate) fn apply(
        &self,
        spec: &RunSpec,
        events: &[Timed],
        servers: usize,
        names: &ServerNames,
    ) -> Result<Touched, String> {
        let mut spec = spec.clone();
        let same = |acts: &[Act]| {
            let first = acts.iter().map(|act| act.at).min().unwrap_or_default();
            events.partition_point(|timed| timed.at < first)
        };
        let (words, same) = match self {
            Touch::Message { event, fate } => {
                let message = message(events, *event)?;
                decide(&mut spec, &message, *fate)?;
                (told(&message, *fate, names), message.leaves)
            }
            Touch::Acts(acts) => (add(&mut spec, acts, servers, names)?, same(acts)),
            Touch::Undo(places) => {
                let gone: Vec<Act> =
                    places.iter().filter_map(|i| spec.acts.get(*i)).cloned().collect();
                if gone.is_empty() {
                    return Err("the run has no such act".into());
                }
                let mut place = 0..;
                spec.acts.retain(|_| place.next().is_none_or(|i| !places.contains(&i)));
                (format!("without: {}", words_of_all(&gone, names)), same(&gone))
            }
        };
        Ok(Touched { spec, words, same })
    }
}

/// Adds acts, and says what they do.
fn add(
    spec: &mut RunSpec,
    acts: &[Act],
    servers: usize,
    names: &ServerNames,
) -> Result<String, String> {
    for act in acts {
        if let Some(server) = act.servers().into_iter().find(|server| *server >= servers) {
            return Err(format!("there is no server {server}: the run has {servers} servers"));
        }
    }
    if acts.is_empty() {
        return Err("nothing is to be done".into());
    }
    spec.acts.extend_from_slice(acts);
    spec.acts.sort_by_key(|act| act.at);
    Ok(words_of_all(acts, names))
}

/// The message that leaves or arrives with an event.
fn message(events: &[Timed], place: usize) -> Result<Message<'_>, String> {
    let Some(timed) = events.get(place) else {
        return Err(format!("the run has no event {place}; it has {}", events.len()));
    };
    let (call, is_reply) = match &timed.event {
        Event::Sent { call, .. } | Event::Delivered { call, .. } | Event::Lost { call, .. } => {
            (*call, false)
        }
        Event::Replied { call, .. } | Event::Answered { call, .. } => (*call, true),
        _ => return Err(format!("event {place} is not about a message")),
    };
    let sends =
        |timed: &Timed| matches!(timed.event, Event::Sent { call: number, .. } if number == call);
    let sent = events.iter().position(sends);
    let sent =
        sent.ok_or_else(|| format!("the request of event {place} is not in the recording"))?;
    let Event::Sent { to, method, .. } = &events[sent].event else {
        return Err(format!("event {place} is not about a message"));
    };
    let from = events[sent].node;
    let is_between = |timed: &&Timed| {
        timed.node == from && matches!(timed.event, Event::Sent { to: other, .. } if other == *to)
    };
    let n = events[..sent].iter().filter(is_between).count() as u64;
    let method = method.rsplit('.').next().unwrap_or(method);
    // With several copies of a request there are several replies, about which the same is decided.
    let replies = |timed: &Timed| matches!(timed.event, Event::Replied { call: number, .. } if number == call);
    let first_reply = events.iter().position(replies).unwrap_or(place);
    let leaves = if is_reply { first_reply } else { sent };
    Ok(Message { from, to: *to, n, is_reply, method, at: timed.at.as_secs_f64(), leaves })
}

/// Forces the decisions about a message.
fn decide(spec: &mut RunSpec, message: &Message<'_>, fate: Fate) -> Result<(), String> {
    let Message { from, to, n, is_reply, .. } = *message;
    let kinds = match is_reply {
        false => [
            Kind::RequestDrop,
            Kind::RequestTransit,
            Kind::RequestDelay,
            Kind::RequestHold,
            Kind::RequestCopy,
        ],
        true => {
            [Kind::ReplyDrop, Kind::ReplyTransit, Kind::ReplyHold, Kind::ReplyHold, Kind::ReplyHold]
        }
    };
    let [drop, transit, delay, hold, copy] = kinds.map(|kind| Address::of_call(kind, from, to, n));
    let forced = &mut spec.forced;
    let mut set = |address: Address, value: u64| {
        forced.insert(address, value);
    };
    match fate {
        Fate::Drop => set(drop, 1),
        Fate::Now => [drop, transit, delay, hold].into_iter().for_each(|address| set(address, 0)),
        Fate::Later(milliseconds) => {
            if milliseconds > LONGEST {
                return Err(format!("a message can be held back for {LONGEST} ms at most"));
            }
            [drop, transit, delay].into_iter().for_each(|address| set(address, 0));
            set(hold, milliseconds);
        }
        Fate::Twice(_) if is_reply => {
            return Err(
                "a reply comes once: its caller has stopped waiting when it has come".into()
            );
        }
        Fate::Twice(milliseconds) => {
            if !(1..=LONGEST).contains(&milliseconds) {
                return Err(format!("the copy of a message comes 1 to {LONGEST} ms later"));
            }
            set(drop, 0);
            set(copy, milliseconds);
        }
        Fate::Usual => {
            for address in [drop, transit, delay, hold, copy] {
                forced.remove(&address);
            }
        }
    }
    Ok(())
}

fn told(message: &Message<'_>, fate: Fate, names: &ServerNames) -> String {
    let Message { from, to, is_reply, method, at, .. } = *message;
    let from = names.node_after("S", from);
    let to = names.node_after("S", to);
    let what = match is_reply {
        false => format!("{method} {from} to {to} at {at:.6} s"),
        true => format!("the reply of {to} to {from}'s {method} at {at:.6} s"),
    };
    match fate {
        Fate::Drop => format!("lose {what}"),
        Fate::Now => format!("deliver {what} at once"),
        Fate::Later(milliseconds) => format!("deliver {what} {milliseconds} ms after it was sent"),
        Fate::Twice(milliseconds) => format!("deliver {what} twice, {milliseconds} ms apart"),
        Fate::Usual => format!("{what} as the seed decides"),
    }
}

/// What was done by one act, or by several that cut links at one time, or heal them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Done {
    pub(crate) words: String,
    /// The places of the acts among the run's.
    acts: Vec<usize>,
}

/// What the acts of a run do.
pub(crate) fn what_was_done(acts: &[Act], names: &ServerNames) -> Vec<Done> {
    let is_together = |a: &Act, b: &Act| {
        let is_same_deed = matches!(
            (&a.deed, &b.deed),
            (Deed::Cut(..), Deed::Cut(..)) | (Deed::Heal(..), Deed::Heal(..))
        );
        a.at == b.at && is_same_deed
    };
    let mut places = 0..acts.len();
    let done = acts.chunk_by(is_together).map(|group| Done {
        words: words_of_all(group, names),
        acts: places.by_ref().take(group.len()).collect(),
    });
    done.collect()
}

/// Acts in words. Links that one server has with others, cut or healed at once in both directions, are told together.
fn words_of_all(acts: &[Act], names: &ServerNames) -> String {
    if let Some((verb, server, others)) = links_of_one(acts) {
        let others: Vec<String> = others.iter().map(|other| names.name("S", *other)).collect();
        let server = names.name("S", server);
        let at = acts[0].at.as_secs_f64();
        return format!("{verb} {server} and {} at {at:.6} s", others.join(", "));
    }
    acts.iter().map(|act| words_of(act, names)).collect::<Vec<_>>().join(", ")
}

/// The verb, the server and the other servers, if all acts cut links between them at one time, or all heal such
/// links, each in both directions.
fn links_of_one(acts: &[Act]) -> Option<(&'static str, usize, BTreeSet<usize>)> {
    let first = acts.first()?;
    let cuts = matches!(first.deed, Deed::Cut(..));
    let mut ways = BTreeSet::new();
    for act in acts {
        match act.deed {
            Deed::Cut(from, to) if cuts => ways.insert((from, to)),
            Deed::Heal(from, to) if !cuts => ways.insert((from, to)),
            _ => return None,
        };
    }
    let &(Deed::Cut(server, _) | Deed::Heal(server, _)) = &first.deed else { return None };
    let others: BTreeSet<usize> =
        ways.iter().filter(|(from, _)| *from == server).map(|(_, to)| *to).collect();
    let both: BTreeSet<(usize, usize)> =
        others.iter().flat_map(|&other| [(server, other), (other, server)]).collect();
    let is_told = both == ways && acts.iter().all(|act| act.at == first.at);
    is_told.then_some((
        if cuts { "cut the links between" } else { "heal the links between" },
        server,
        others,
    ))
}

/// An act in words.
fn words_of(act: &Act, names: &ServerNames) -> String {
    let name = |server: &usize| names.name("S", *server);
    let at = act.at.as_secs_f64();
    let ms = |span: Duration| format!("{:.0} ms", span.as_secs_f64() * 1000.0);
    match &act.deed {
        Deed::Crash(server) => format!("crash {} at {at:.6} s", name(server)),
        Deed::Restart(server) => format!("restart {} at {at:.6} s", name(server)),
        Deed::Pause(server, span) => {
            format!("pause {} at {at:.6} s for {}", name(server), ms(*span))
        }
        Deed::Leap(server, span) => {
            format!("timers of {} fire {} earlier from {at:.6} s on", name(server), ms(*span))
        }
        Deed::Stand(server, span) => {
            format!("timers of {} fire {} later from {at:.6} s on", name(server), ms(*span))
        }
        Deed::Rate(server, rate) => {
            let times = f64::from(*rate) / 1000.0;
            format!("the clock of {} runs {times} times as fast from {at:.6} s on", name(server))
        }
        Deed::Cut(from, to) => format!("cut {} to {} at {at:.6} s", name(from), name(to)),
        Deed::Heal(from, to) => format!("heal {} to {} at {at:.6} s", name(from), name(to)),
        Deed::Partition(groups) => {
            let words = |group: &Vec<usize>| group.iter().map(name).collect::<Vec<_>>().join(" ");
            let groups: Vec<String> = groups.iter().map(words).collect();
            format!("partition {} at {at:.6} s", groups.join(" | "))
        }
        Deed::Luck(seed) => format!("other luck ({seed}) from {at:.6} s on"),
        Deed::Command(server, command) => {
            format!("command {command} to {} at {at:.6} s", name(server))
        }
        Deed::Wait => format!("wait until {at:.3} s"),
    }
}

#[cfg(test)]
mod tests {
    use labraft::HarnessEvent;

    use super::*;

    fn timed(node: Node, event: Event) -> Timed {
        Timed { at: Duration::from_millis(5), node, event }
    }

    fn sent(call: u64, from: usize, to: usize) -> Timed {
        let to = Node::server(to);
        let method = "Raft.RequestVote".into();
        timed(
            Node::server(from),
            Event::Sent { call, to, method, bytes: 1, content: String::new() },
        )
    }

    fn replied(call: u64, from: usize, to: usize) -> Timed {
        let to = Node::server(to);
        let held = Duration::ZERO;
        let method = "Raft.RequestVote".into();
        let content = String::new();
        timed(Node::server(from), Event::Replied { call, to, method, bytes: 1, content, held })
    }

    fn touched(touch: &Touch) -> Result<Touched, String> {
        let events = [sent(0, 1, 2), sent(1, 1, 0), sent(2, 1, 2), replied(2, 2, 1), sent(3, 2, 1)];
        touch.apply(&RunSpec::seed(3), &events, 3, &ServerNames::default())
    }

    #[test]
    fn a_message_is_addressed_by_the_number_of_its_call_between_the_two() {
        let Touched { spec, words, same } =
            touched(&Touch::Message { event: 2, fate: Fate::Drop }).unwrap();
        assert_eq!(same, 2, "nothing before it changes");
        let address = "RequestDrop 1->2 #1".parse().unwrap();
        assert_eq!(spec.forced.into_iter().collect::<Vec<_>>(), [(address, 1)]);
        assert_eq!(words, "lose RequestVote S1 to S2 at 0.005000 s");
        let Touched { spec, words, same } =
            touched(&Touch::Message { event: 3, fate: Fate::Later(300) }).unwrap();
        assert_eq!(same, 3);
        let address = "ReplyHold 1->2 #1".parse().unwrap();
        assert_eq!(spec.forced[&address], 300);
        assert!(words.starts_with("deliver the reply of S2 to S1's RequestVote"), "{words}");
    }

    #[test]
    fn what_the_seed_decides_can_be_restored() {
        let events = [sent(0, 1, 2)];
        let names = ServerNames::default();
        let later = Touch::Message { event: 0, fate: Fate::Later(7) };
        let Touched { spec, .. } = later.apply(&RunSpec::seed(3), &events, 3, &names).unwrap();
        let usual = Touch::Message { event: 0, fate: Fate::Usual };
        assert_eq!(usual.apply(&spec, &events, 3, &names).unwrap().spec, RunSpec::seed(3));
    }

    #[test]
    fn acts_are_kept_in_the_order_of_time_and_can_be_taken_back() {
        let acts = |texts: &[&str]| -> Vec<Act> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let Touched { spec, words, .. } =
            touched(&Touch::Acts(acts(&["2s crash 1", "1s cut 0->1"]))).unwrap();
        assert_eq!(spec.acts, acts(&["1s cut 0->1", "2s crash 1"]));
        assert_eq!(words, "crash S1 at 2.000000 s, cut S0 to S1 at 1.000000 s");
        let undo = Touch::Undo(vec![0]);
        let Touched { spec, words, .. } =
            undo.apply(&spec, &[], 3, &ServerNames::default()).unwrap();
        assert_eq!(
            (spec.acts, &*words),
            (acts(&["2s crash 1"]), "without: cut S0 to S1 at 1.000000 s")
        );
    }

    #[test]
    fn servers_that_have_names_are_called_by_them() {
        let cluster = HarnessEvent::Cluster {
            servers: 3,
            first: 0,
            name: "group 101".into(),
            short: "101".into(),
        };
        let events = [timed(Node::TESTER, cluster.event()), sent(0, 1, 2)];
        let names = HarnessEvent::names_in(&events);
        let told = |touch: Touch| touch.apply(&RunSpec::seed(3), &events, 3, &names).unwrap().words;
        let lost = told(Touch::Message { event: 1, fate: Fate::Drop });
        assert_eq!(lost, "lose RequestVote 101/1 to 101/2 at 0.005000 s");
        let acts = ["1s crash 2", "1s partition 0 | 1 2"].map(|text| text.parse().unwrap());
        assert_eq!(
            told(Touch::Acts(acts.into())),
            "crash 101/2 at 1.000000 s, partition 101/0 | 101/1 101/2 at 1.000000 s"
        );
    }

    #[test]
    fn what_cannot_be_done_says_why() {
        let fails = |touch| touched(&touch).unwrap_err();
        let error = fails(Touch::Acts(vec!["1s crash 3".parse().unwrap()]));
        assert!(error.contains("3 servers"), "{error}");
        let error = fails(Touch::Message { event: 9, fate: Fate::Drop });
        assert!(error.contains("no event 9"), "{error}");
        let error = fails(Touch::Message { event: 3, fate: Fate::Twice(5) });
        assert!(error.contains("a reply comes once"), "{error}");
        let error = fails(Touch::Message { event: 0, fate: Fate::Later(5000) });
        assert!(error.contains("2199 ms"), "{error}");
    }

    #[test]
    fn links_that_are_cut_or_healed_together_are_told_together() {
        let told = |acts: &[&str]| {
            let acts: Vec<Act> = acts.iter().map(|act| act.parse().unwrap()).collect();
            words_of_all(&acts, &ServerNames::default())
        };
        let all = ["2s cut 1->0", "2s cut 0->1", "2s cut 1->2", "2s cut 2->1"];
        assert_eq!(told(&all), "cut the links between S1 and S0, S2 at 2.000000 s");
        assert_eq!(
            told(&all[..3]),
            "cut S1 to S0 at 2.000000 s, cut S0 to S1 at 2.000000 s, cut S1 to S2 at 2.000000 s"
        );
        let healed = "heal the links between S0 and S2 at 2.000000 s";
        assert_eq!(told(&["2s heal 0->2", "2s heal 2->0"]), healed);
        assert_eq!(
            told(&["2s heal 0->2", "2s cut 2->0"]),
            "heal S0 to S2 at 2.000000 s, cut S2 to S0 at 2.000000 s"
        );
        assert_eq!(
            told(&["2s heal 0->2", "3s heal 2->0"]),
            "heal S0 to S2 at 2.000000 s, heal S2 to S0 at 3.000000 s"
        );
    }

    #[test]
    fn what_was_done_at_once_can_be_taken_back_at_once() {
        let acts = ["1s crash 0", "2s cut 0->1", "2s cut 1->0", "2s crash 1", "3s heal 0->1"];
        let acts = acts.map(|act| act.parse().unwrap());
        let done = what_was_done(&acts, &ServerNames::default());
        let places: Vec<&[usize]> = done.iter().map(|done| &*done.acts).collect();
        assert_eq!(places, [&[0][..], &[1, 2], &[3], &[4]]);
        assert_eq!(done[1].words, "cut the links between S0 and S1 at 2.000000 s");
    }
}
