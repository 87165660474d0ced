//! A run as one self-contained HTML page, which needs neither a network nor any other file.
//!
//! The events are stored as columns of numbers and a table of texts: as JSON, deflated, in base64.
//! So no text of the run can break the page, and even 100,000 events take little space.

use std::collections::BTreeMap;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use labrpc::{Data as Fact, Event, Lost, Node, Timed};
use serde::Serialize;

use crate::records::RunRecord;
use crate::workers::Answer;
use labraft::{EventKind, HarnessEvent, ServerNames};

/// The parts from which [`page`] builds the page.
const FRAME: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: &[&str] = &[
    include_str!("page/model.js"),
    include_str!("page/logs.js"),
    include_str!("page/time.js"),
    include_str!("page/rows.js"),
    // BEGIN LAB 4
    include_str!("page/shards.js"),
    // END LAB 4
    include_str!("page/messages.js"),
    include_str!("page/draw.js"),
    include_str!("page/panel.js"),
    include_str!("page/input.js"),
    include_str!("page/page.js"),
];

/// The parts that make a page of `lab open`, where a run can be touched.
const LIVE_STYLE: &str = include_str!("page/live.css");
const LIVE_SCRIPTS: [&str; 6] = [
    include_str!("page/live/talk.js"),
    include_str!("page/live/compare.js"),
    include_str!("page/live/touches.js"),
    include_str!("page/live/tree.js"),
    include_str!("page/live/story.js"),
    include_str!("page/live/live.js"),
];

/// The version of the data format, which the page's scripts check.
const VERSION: u32 = 3;

/// Builds the page of a run.
///
/// `replay` is the command that repeats the run. The sentences in `story`, if any, are shown below
/// the reason for the failure.
pub fn page(answer: &Answer, replay: &str, story: &[String]) -> String {
    let data = Data::new(answer, replay, story, 0);
    let title = format!("{}, seed {}", answer.record.test, answer.record.seed);
    framed(&title, STYLE, &BASE64.encode(deflated(&data)), &SCRIPTS.concat())
}

/// Builds the page of `lab open`, which asks the server that it comes from for its runs.
pub fn live_page(title: &str) -> String {
    let (main, parts) = SCRIPTS.split_last().expect("there are scripts");
    let scripts = [&parts.concat(), &LIVE_SCRIPTS.concat(), *main].concat();
    framed(title, &[STYLE, LIVE_STYLE].concat(), "", &scripts)
}

/// The data of a run for such a page, as JSON. What belongs to the first `known` events is left out: the page
/// has it from another run that begins with them.
pub fn page_data(answer: &Answer, replay: &str, story: &[String], known: usize) -> Vec<u8> {
    serde_json::to_vec(&Data::new(answer, replay, story, known))
        .expect("plain data can be written to memory")
}

/// Puts the parts of a page into its frame.
fn framed(title: &str, style: &str, data: &str, scripts: &str) -> String {
    let mut page = String::with_capacity(data.len() + (1 << 18));
    let mut rest = FRAME;
    let title = escaped(title);
    let parts = [
        ("{{title}}", &*title),
        ("{{style}}", style),
        ("{{data}}", data),
        ("{{scripts}}", scripts),
    ];
    for (mark, text) in parts {
        let (before, after) =
            rest.split_once(mark).expect("the frame has all marks, in this order");
        page += before;
        page += text;
        rest = after;
    }
    page + rest
}

fn deflated(data: &Data) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    let written = serde_json::to_writer(&mut encoder, data).map_err(std::io::Error::from);
    let finished = written.and_then(|()| encoder.flush()).and_then(|()| encoder.finish());
    finished.expect("plain data can be written to memory")
}

/// Escapes a text for HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            other => escaped.push(other),
        }
    }
    escaped
}

/// The data that the page's scripts read, with the fields under these names.
#[derive(Debug, Serialize)]
struct Data<'a> {
    version: u32,
    record: &'a RunRecord,
    /// The verdict in lower case, such as `failed`.
    verdict: &'static str,
    /// The title of the last part of the test that started.
    begun: Option<&'a str>,
    chaos: Option<&'a str>,
    warnings: &'a [String],
    replay: &'a str,
    story: &'a [String],
    /// The names of all nodes that occur in the events.
    nodes: Vec<String>,
    /// For each node, its number as a server, or -1 if it is not a server.
    servers: Vec<i64>,
    /// The names of all servers by number, if they have any.
    names: Vec<String>,
    /// The names of all kinds of events.
    kinds: Vec<&'static str>,
    /// How many events and texts are left out.
    known: (usize, usize),
    /// The texts that the columns refer to, each once.
    texts: Vec<&'a str>,
    columns: Columns,
    /// The events of the harness as data, each with its place among all events.
    facts: Vec<(usize, &'a Fact)>,
    /// For each reply that was held back, its place among all events and the delay in nanoseconds.
    held: Vec<(usize, u64)>,
}

/// The events, one column per field. -1 stands for a field that an event does not have.
#[derive(Debug, Default, Serialize)]
struct Columns {
    /// Nanoseconds since the previous event.
    after: Vec<u64>,
    /// The node at which it happened, as an index into `nodes`.
    node: Vec<i64>,
    /// The kind by which events are filtered, as an index into `kinds`.
    kind: Vec<u8>,
    /// The variant of [`Event`]: `sent` 0, `delivered` 1, `lost` 2, `replied` 3, `answered` 4,
    /// `woke` 5, `crashed` 6, `note` 7, `custom` 8.
    what: Vec<u8>,
    /// The number of the call; for `crashed`, the number of tasks that were ended.
    call: Vec<i64>,
    /// The node at the other end of the call, as an index into `nodes`.
    peer: Vec<i64>,
    /// The method, the task, or the kind of a custom event, as an index into `texts`.
    name: Vec<i64>,
    /// The content or text, as an index into `texts`; for `lost`, the reason.
    text: Vec<i64>,
    /// The encoded size of the message in bytes.
    bytes: Vec<i64>,
}

/// The fields of an event that only some variants have.
struct Row<'a> {
    what: u8,
    call: i64,
    peer: Option<Node>,
    name: Option<&'a str>,
    text: Option<&'a str>,
    bytes: i64,
}

const NONE: Row<'static> = Row { what: 0, call: -1, peer: None, name: None, text: None, bytes: -1 };

impl<'a> Data<'a> {
    fn new(answer: &'a Answer, replay: &'a str, story: &'a [String], known: usize) -> Data<'a> {
        let mut data = Data {
            version: VERSION,
            record: &answer.record,
            verdict: answer.record.verdict.name(),
            begun: answer.begun.as_deref(),
            chaos: answer.chaos.as_deref(),
            warnings: &answer.warnings,
            replay,
            story,
            nodes: Vec::new(),
            servers: Vec::new(),
            names: Vec::new(),
            kinds: EventKind::all().map(EventKind::name).collect(),
            known: (known, 0),
            texts: Vec::new(),
            columns: Columns::default(),
            facts: Vec::new(),
            held: Vec::new(),
        };
        let names = HarnessEvent::names_in(&answer.events);
        let servers = names.clusters().iter().map(|cluster| cluster.servers.end).max();
        data.names = (0..servers.unwrap_or(0)).map(|server| names.name("S", server)).collect();
        let mut places = Places { names, ..Places::default() };
        let mut last = 0;
        for (number, timed) in answer.events.iter().enumerate() {
            let at = nanoseconds(timed.at);
            if number < known {
                // The tables grow in the same order as in the other run.
                data.enter(timed, &mut places);
            } else {
                data.columns.after.push(at.saturating_sub(last));
                data.add(number, timed, &mut places);
            }
            last = at;
            if number + 1 == known {
                data.known.1 = data.texts.len();
            }
        }
        data.texts.drain(..data.known.1);
        data.servers = places.servers();
        data
    }

    /// Enters the nodes and texts of an event into their tables.
    fn enter(&mut self, timed: &'a Timed, places: &mut Places<'a>) {
        let row = row(&timed.event);
        places.node(timed.node, &mut self.nodes);
        row.peer.map(|peer| places.node(peer, &mut self.nodes));
        row.name.map(|name| places.text(name, &mut self.texts));
        row.text.map(|text| places.text(text, &mut self.texts));
    }

    fn add(&mut self, number: usize, timed: &'a Timed, places: &mut Places<'a>) {
        if let Event::Replied { held, .. } = &timed.event
            && !held.is_zero()
        {
            self.held.push((number, nanoseconds(*held)));
        }
        let row = row(&timed.event);
        self.facts.extend(timed.event.data().map(|data| (number, data)));
        let columns = &mut self.columns;
        columns.node.push(places.node(timed.node, &mut self.nodes));
        columns.kind.push(kind(&timed.event) as u8);
        columns.what.push(row.what);
        columns.call.push(row.call);
        columns.peer.push(row.peer.map_or(-1, |peer| places.node(peer, &mut self.nodes)));
        columns.name.push(row.name.map_or(-1, |name| places.text(name, &mut self.texts)));
        columns.text.push(row.text.map_or(-1, |text| places.text(text, &mut self.texts)));
        columns.bytes.push(row.bytes);
    }
}

fn nanoseconds(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The kind of an event in the page, where a lost message is drawn in the colour of its method.
fn kind(event: &Event) -> EventKind {
    match event {
        Event::Lost { method, .. } => EventKind::of_method(method),
        event => EventKind::of(event),
    }
}

fn row(event: &Event) -> Row<'_> {
    let number = |call: &u64| *call as i64;
    match event {
        Event::Sent { call, to, method, bytes, content } => Row {
            call: number(call),
            peer: Some(*to),
            name: Some(method),
            text: Some(content),
            bytes: *bytes as i64,
            ..NONE
        },
        Event::Delivered { call, from, method } => {
            Row { what: 1, call: number(call), peer: Some(*from), name: Some(method), ..NONE }
        }
        Event::Lost { call, to, method, why } => Row {
            what: 2,
            call: number(call),
            peer: Some(*to),
            name: Some(method),
            text: Some(why_lost(*why)),
            ..NONE
        },
        Event::Replied { call, to, method, bytes, content, .. } => Row {
            what: 3,
            call: number(call),
            peer: Some(*to),
            name: Some(method),
            text: Some(content),
            bytes: *bytes as i64,
        },
        Event::Answered { call, from, method } => {
            Row { what: 4, call: number(call), peer: Some(*from), name: Some(method), ..NONE }
        }
        Event::Woke { task } => Row { what: 5, name: Some(task), ..NONE },
        Event::Crashed { tasks } => Row { what: 6, call: *tasks as i64, ..NONE },
        Event::Note { text } => Row { what: 7, text: Some(text), ..NONE },
        Event::Custom { kind, text, .. } => {
            Row { what: 8, name: Some(kind), text: (!text.is_empty()).then_some(text), ..NONE }
        }
    }
}

/// Why a message was lost, in few enough words to fit beside an arrow.
const fn why_lost(why: Lost) -> &'static str {
    match why {
        Lost::Unreachable => "unreachable",
        Lost::Dropped => "dropped",
        Lost::Dead => "server or link gone",
        Lost::Closed => "network closed",
    }
}

/// The indexes of nodes and texts in their tables.
#[derive(Default)]
struct Places<'a> {
    /// The names of the servers.
    names: ServerNames,
    nodes: BTreeMap<Node, i64>,
    /// By their lengths first: many are long and begin alike, which makes comparing them slow.
    texts: BTreeMap<(usize, &'a str), i64>,
}

impl<'a> Places<'a> {
    fn node(&mut self, node: Node, table: &mut Vec<String>) -> i64 {
        *self.nodes.entry(node).or_insert_with(|| {
            table.push(self.names.node(node));
            table.len() as i64 - 1
        })
    }

    /// For each node in the table, its number as a server, or -1 if it is not a server.
    fn servers(&self) -> Vec<i64> {
        let mut servers = vec![-1; self.nodes.len()];
        for (node, place) in &self.nodes {
            if let Some(server) = node.as_server() {
                servers[*place as usize] = server as i64;
            }
        }
        servers
    }

    fn text(&mut self, text: &'a str, table: &mut Vec<&'a str>) -> i64 {
        *self.texts.entry((text.len(), text)).or_insert_with(|| {
            table.push(text);
            table.len() as i64 - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::view::samples::{HOSTILE, answer_of as answer};

    fn events() -> Vec<Timed> {
        let (one, two) = (Node::server(1), Node::server(2));
        let method = "Raft.RequestVote";
        let held = Duration::from_millis(900);
        let fact = HarnessEvent::Called {
            call: 0,
            client: 3,
            key: HOSTILE.into(),
            operation: "Get".into(),
        };
        let rows = [
            (
                one,
                Event::Sent {
                    call: 4,
                    to: two,
                    method: method.into(),
                    bytes: 9,
                    content: HOSTILE.into(),
                },
            ),
            (two, Event::Delivered { call: 4, from: one, method: method.into() }),
            (
                two,
                Event::Replied {
                    call: 4,
                    to: one,
                    method: method.into(),
                    bytes: 5,
                    content: "yes".into(),
                    held,
                },
            ),
            (one, Event::Lost { call: 4, to: two, method: method.into(), why: Lost::Dropped }),
            (Node::TESTER, fact.event()),
        ];
        let timed = |(i, (node, event))| Timed { at: Duration::from_micros(i), node, event };
        (1..).zip(rows).map(timed).collect()
    }

    /// Extracts a page's data, as its scripts do.
    fn data(page: &str) -> Value {
        let (_, rest) = page.split_once("<script id=\"data\" type=\"text/plain\">").unwrap();
        let (base64, _) = rest.split_once("</script>").unwrap();
        let deflated = BASE64.decode(base64).unwrap();
        let mut json = String::new();
        flate2::read::DeflateDecoder::new(&deflated[..]).read_to_string(&mut json).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn no_text_of_the_run_breaks_the_page() {
        let page = page(&answer(events()), HOSTILE, &[HOSTILE.into()]);
        assert!(!page.contains("alert(1)"), "texts are only in the data");
        assert!(page.contains("<title>&lt;/title&gt;&lt;b&gt;, seed 7</title>"));
        assert_eq!(page.matches("<script").count(), 2, "the data and the scripts");
        assert_eq!(page.matches("</script").count(), 2, "no text closes a script element");
        let data = data(&page);
        assert_eq!(data["replay"], HOSTILE);
        assert_eq!(data["story"][0], HOSTILE);
        assert_eq!(data["record"]["reason"], HOSTILE);
    }

    #[test]
    fn the_page_loads_nothing() {
        let page = page(&answer(events()), "", &[]);
        let loads = ["http:", "https:", "src=", "@import", "url(", "fetch(", "import("];
        for word in loads {
            assert!(!page.contains(word), "{word}");
        }
        assert_eq!(page.matches("<link").count(), 1);
        assert!(page.contains("<link rel=\"icon\" href=\"data:,\">"));
        assert!(!page.contains("{{"), "every mark is replaced");
    }

    #[test]
    fn all_events_can_be_read_back_from_the_page() {
        let data = data(&page(&answer(events()), "", &[]));
        let columns = &data["columns"];
        assert_eq!(columns["after"], serde_json::json!([1000, 1000, 1000, 1000, 1000]));
        assert_eq!(columns["what"], serde_json::json!([0, 1, 3, 2, 8]));
        assert_eq!(columns["call"], serde_json::json!([4, 4, 4, 4, -1]));
        assert_eq!(data["nodes"], serde_json::json!(["server 1", "server 2", "tester"]));
        assert_eq!(columns["node"], serde_json::json!([0, 1, 1, 0, 2]));
        assert_eq!(columns["peer"], serde_json::json!([1, 0, 0, 1, -1]));
        let text = |event: usize, column: &str| {
            let place = columns[column][event].as_u64().unwrap();
            data["texts"][place as usize].as_str().unwrap()
        };
        assert_eq!(text(0, "name"), "Raft.RequestVote");
        assert_eq!(text(0, "text"), HOSTILE);
        assert_eq!(text(3, "text"), "dropped");
        assert_eq!(data["held"], serde_json::json!([[2, 900_000_000]]));
        assert_eq!(data["facts"][0][1]["key"], HOSTILE);
    }

    #[test]
    fn what_a_page_knows_from_another_run_is_left_out() {
        let answer = answer(events());
        let of = |known| -> Value {
            serde_json::from_slice(&page_data(&answer, "", &[], known)).unwrap()
        };
        let whole = of(0);
        let rest = of(3);
        let list = |value: &Value| value.as_array().unwrap().clone();
        assert_eq!(rest["known"][0], 3);
        let texts = rest["known"][1].as_u64().unwrap() as usize;
        assert_eq!(list(&whole["texts"])[texts..], list(&rest["texts"]));
        for (name, column) in whole["columns"].as_object().unwrap() {
            assert_eq!(list(column)[3..], list(&rest["columns"][name]), "{name}");
        }
        assert_eq!((&whole["nodes"], list(&rest["held"]).len()), (&rest["nodes"], 0));
        assert_eq!(whole["facts"], rest["facts"], "the only one is in the rest");
    }

    #[test]
    fn a_run_without_events_has_a_page() {
        let data = data(&page(&answer(Vec::new()), "", &[]));
        assert_eq!(data["columns"]["what"], serde_json::json!([]));
    }
}
