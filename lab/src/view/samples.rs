//! A small run made by hand, for the tests of the views.

use std::time::Duration;

use labrpc::{Event, Lost, Node, Timed};

use crate::failure_record::FailureRecord;
use crate::records::{Build, RunRecord};
use crate::workers::Answer;
use labraft::{CauseKind, HarnessEvent, Role, ServerState, Verdict};

/// A text that would break a page or a line-based log if it were not escaped.
pub(super) const HOSTILE: &str =
    "</script><script>alert(1)</script> <!-- {{scripts}} \u{2028} \0 \"'&\nserver0 {}";

const METHOD: &str = "Raft.RequestVote";

/// A failed run with these events.
pub(super) fn answer_of(events: Vec<Timed>) -> Answer {
    let failure = FailureRecord {
        at: Some(0.002),
        server: Some(1),
        details: vec![HOSTILE.into()],
        ..FailureRecord::new(HOSTILE, CauseKind::expectation(HOSTILE))
    };
    let pair = ("</title><b>", 7);
    let record = RunRecord::ended(pair, "mine", Verdict::Failed, failure, &Build::default());
    Answer { events, ..Answer::new(record, "") }
}

fn sent(call: u64, to: Node) -> Event {
    Event::Sent { call, to, method: METHOD.into(), bytes: 9, content: HOSTILE.into() }
}

fn delivered(call: u64, from: Node) -> Event {
    Event::Delivered { call, from, method: METHOD.into() }
}

fn replied(call: u64, to: Node) -> Event {
    let held = Duration::from_millis(900);
    Event::Replied { call, to, method: METHOD.into(), bytes: 5, content: "yes".into(), held }
}

fn state(term: u64, role: Role) -> Event {
    HarnessEvent::State(ServerState { term, role, ..ServerState::default() }).event()
}

/// A run of two servers, in which one request arrives twice and is answered once, and another is
/// lost.
pub(super) fn answer() -> Answer {
    let (a, b, tester) = (Node::server(0), Node::server(1), Node::TESTER);
    let links =
        |is_open| HarnessEvent::Links { changed: vec![(0, 1, is_open), (1, 0, is_open)] }.event();
    let called =
        HarnessEvent::Called { call: 0, client: 3, key: HOSTILE.into(), operation: "Get".into() };
    let rows = [
        (
            0,
            tester,
            HarnessEvent::Cluster {
                servers: 2,
                first: 0,
                name: String::new(),
                short: String::new(),
            }
            .event(),
        ),
        (0, tester, HarnessEvent::Started { server: 0 }.event()),
        (0, tester, HarnessEvent::Started { server: 1 }.event()),
        (1, tester, links(true)),
        (2, Node::client(3), called.event()),
        (3, a, Event::Woke { task: "election timer".into() }),
        (3, a, Event::Note { text: HOSTILE.into() }),
        (3, a, HarnessEvent::Saved { state: 40, snapshot: 0 }.event()),
        (3, a, sent(4, b)),
        (3, a, sent(5, b)),
        (3, a, state(1, Role::Candidate)),
        (4, b, delivered(4, a)),
        (4, b, state(1, Role::Follower)),
        (4, b, replied(4, a)),
        (5, b, delivered(4, a)),
        (5, b, replied(4, a)),
        (6, a, Event::Answered { call: 4, from: b, method: METHOD.into() }),
        (6, a, state(1, Role::Leader)),
        (7, tester, links(false)),
        (8, a, Event::Lost { call: 5, to: b, method: METHOD.into(), why: Lost::Dropped }),
        (9, b, Event::Crashed { tasks: 2 }),
        (9, tester, HarnessEvent::Stopped { server: 1 }.event()),
    ];
    let timed = |(at, node, event): (u64, Node, Event)| Timed {
        at: Duration::from_nanos(at * 700),
        node,
        event,
    };
    answer_of(rows.into_iter().map(timed).collect())
}
