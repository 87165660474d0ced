//! `lab open`, as its page talks to it.

use std::process::Command;

use crate::common::{lab, show};
use crate::page::Open;
use serde_json::{Value, json};

/// The first event with this variant (see the page's columns), from this server to that one.
fn event(data: &Value, what: u64, from: &str, to: &str) -> usize {
    let nodes: Vec<&str> =
        data["nodes"].as_array().unwrap().iter().map(|node| node.as_str().unwrap()).collect();
    let place = |name: &str| nodes.iter().position(|node| *node == name).unwrap() as u64;
    let columns = &data["columns"];
    let is_it = |e: &usize| {
        columns["what"][e] == what
            && columns["node"][e] == place(from)
            && columns["peer"][e] == place(to)
    };
    (0..columns["what"].as_array().unwrap().len()).find(is_it).unwrap()
}

#[test]
fn only_its_own_page_can_talk_to_it() {
    let open = Open::start(lab(), "gate", &["InitialElection2A", "--seed", "1"]);
    let Open { host, path, .. } = &open;
    let state = format!("{path}state");
    let (status, page) = open.get(path, "");
    assert!(status == 200 && page.contains("<title>InitialElection2A, seed 1</title>"), "{status}");
    assert_eq!(open.get(&state, "").0, 200);
    assert_eq!(open.get(&state, &format!("Origin: http://{host}\r\n")).0, 200);
    for refused in [
        open.get("/", ""),
        open.get("/state", ""),
        open.get("/00000000000000000000000000000000/state", ""),
        open.get(&state, "Origin: http://evil.example\r\n"),
        open.get(&state, "Origin: null\r\n"),
        open.get(&state, "Sec-Fetch-Site: cross-site\r\n"),
        open.raw(&format!(
            "GET {state} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        )),
        open.raw(&format!(
            "GET {state} HTTP/1.1\r\nHost: 127.0.0.1:1\r\nConnection: close\r\n\r\n"
        )),
    ] {
        assert_eq!(refused.0, 403, "{}", refused.1);
        assert!(!refused.1.contains("tries"), "{}", refused.1);
    }
    assert_eq!(open.get(&format!("{path}etc/passwd"), "").0, 404);
    assert_eq!(open.get(&format!("{path}touch"), "").0, 404, "a touch is a POST");
}

#[test]
fn a_touch_makes_another_run_and_a_kept_one_is_replayed_bit_for_bit() {
    let open = Open::start(lab(), "touches", &["InitialElection2A", "--seed", "1"]);
    let (known, data) = open.run(0);
    assert_eq!((&known["verdict"], &known["parent"]), (&json!("passed"), &Value::Null));
    let sent = event(&data, 0, "server 0", "server 1");
    let (lost, _) = open.touch(0, json!({ "message": { "event": sent, "fate": "drop" } }));
    assert_eq!((&lost["id"], &lost["parent"]), (&json!(1), &json!(0)));
    assert!(lost["words"].as_str().unwrap().starts_with("lose RequestVote S0 to S1"), "{lost}");
    assert_ne!(lost["fingerprint"], known["fingerprint"]);
    let (again, _) = open.touch(0, json!({ "message": { "event": sent, "fate": "drop" } }));
    assert_eq!(again["id"], lost["id"], "the same touch is the same run");
    for (number, touch) in (2..).zip([
        json!({ "message": { "event": sent, "fate": "now" } }),
        json!({ "message": { "event": sent, "fate": { "later": 700 } } }),
        json!({ "message": { "event": sent, "fate": { "twice": 20 } } }),
        json!({ "acts": ["0.5s luck 1"] }),
        json!({ "acts": ["0.5s cut 0->1"] }),
        json!({ "acts": ["0.5s partition 0 | 1 2", "0.6s pause 1 0.1s"] }),
        json!({ "acts": ["0.1s leap 2 1s"] }),
        json!({ "acts": ["0.1s crash 0"] }),
    ]) {
        let (known, _) = open.touch(0, touch.clone());
        assert_eq!(known["id"], number, "{touch}");
    }
    // What the page knows from the run that was touched is left out.
    let (late, rest) = open.touch(0, json!({ "acts": ["2s pause 1 0.1s"] }));
    let (_, whole) = open.run(late["id"].as_u64().unwrap() as usize);
    let count = |data: &Value| data["columns"]["what"].as_array().unwrap().len();
    let left_out = rest["known"][0].as_u64().unwrap() as usize;
    assert!(left_out > 100 && left_out + count(&rest) == count(&whole), "{left_out}");
    // Two of three are down: now the test fails. The touches of a run add up.
    let (failed, _) = open.touch(9, json!({ "acts": ["0.2s crash 1"] }));
    assert_eq!(
        (&failed["verdict"], failed["done"].as_array().unwrap().len()),
        (&json!("failed"), 2)
    );
    let (status, kept) =
        open.post("keep", &json!({ "run": 11, "keep": { "name": "two down", "test": "fails" } }));
    assert_eq!(status, 200, "{kept}");
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let file = open.out.join("kept/two-down.json");
    assert_eq!(kept["path"], json!(file));
    assert!(kept["test"]["text"].as_str().unwrap().contains("fails_as_kept"), "{kept}");
    assert!(open.out.join("kept/two_down.rs").is_file());
    let output = lab().arg("replay").arg(&file).arg("--out").arg(&open.out).output().unwrap();
    let text = show(&output);
    assert!(text.contains("it fails as the file says"), "{text}");
    assert!(text.contains("the same run as recorded, bit for bit"), "{text}");
    assert!(text.contains(failed["fingerprint"].as_str().unwrap()), "{text}");
    let text = std::fs::read_to_string(&file).unwrap();
    tests::kept(&text, &[raft::REFERENCE]).fails_as_kept();
    assert_eq!(open.post("name", &json!({ "run": 11, "name": " both gone " })).0, 200);
    assert_eq!(open.state()["tries"][11]["name"], "both gone");
}

#[test]
fn servers_of_lab_4_are_touched_by_number_and_told_by_name() {
    let open = Open::start(lab(), "shards", &["JoinLeave4B", "--seed", "0"]);
    let (before, data) = open.run(0);
    assert_eq!(before["verdict"], "passed");
    assert_eq!(data["names"][11], "102/2");
    let crashed = |data: &Value| {
        let facts = data["facts"].as_array().unwrap();
        let is_it = |fact: &&Value| fact[1]["fact"] == "stopped" && fact[1]["server"] == 11;
        facts.iter().filter(is_it).count()
    };
    assert_eq!(crashed(&data), 0);
    let (known, _) = open.touch(0, json!({ "acts": ["0.4s crash 11", "0.5s cut 9->10"] }));
    assert_eq!(known["words"], "crash 102/2 at 0.400000 s, cut 102/0 to 102/1 at 0.500000 s");
    assert_eq!(known["verdict"], "passed", "two of three servers are enough");
    assert_ne!(known["fingerprint"], before["fingerprint"]);
    let (_, data) = open.run(1);
    assert_eq!(crashed(&data), 1);
    let texts = data["texts"].as_array().unwrap();
    for told in ["what if: crash 102/2", "crash 102/2", "cut 102/0->102/1"] {
        assert!(texts.contains(&json!(told)), "{told}");
    }
    let sent = event(&data, 0, "101/1", "101/0");
    let (lost, _) = open.touch(1, json!({ "message": { "event": sent, "fate": "drop" } }));
    let words = lost["words"].as_str().unwrap();
    assert!(words.starts_with("lose ") && words.contains(" 101/1 to 101/0 at "), "{words}");
}

#[test]
fn a_passing_run_is_kept_and_a_story_walks_through_both() {
    let open = Open::start(lab(), "story", &["--servers", "3"]);
    assert_eq!(open.state()["world"], true);
    let (known, _) = open.touch(0, json!({ "acts": ["1s crash 0"] }));
    assert_eq!(known["verdict"], "passed");
    assert_eq!(
        open.post("keep", &json!({ "run": 1, "keep": { "name": "one", "test": "passes" } })).0,
        200
    );
    let file = open.out.join("kept/one.json");
    let output = lab().arg("replay").arg(&file).arg("--out").arg(&open.out).output().unwrap();
    assert!(show(&output).contains("it passes as the file says"), "{}", show(&output));
    tests::kept(&std::fs::read_to_string(&file).unwrap(), &[raft::REFERENCE]).passes();
    let steps = json!([
        { "run": 0, "say": "Three servers.", "show": null },
        { "run": 1, "say": "One crashes.", "show": [0.9, 1.4] },
        { "run": 1, "say": "And now?", "show": null },
    ]);
    let (status, kept) = open.post("story", &json!({ "title": "A crash", "steps": steps }));
    assert_eq!(status, 200, "{kept}");
    let file = open.out.join("kept/a-crash.story.json");
    let walked = Open::start(lab(), "walk", &[file.to_str().unwrap()]);
    let state = walked.state();
    assert_eq!(state["story"]["title"], "A crash");
    let runs: Vec<u64> = state["story"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["run"].as_u64().unwrap())
        .collect();
    assert_eq!(runs, [0, 1, 1]);
    assert_eq!(state["tries"][1]["fingerprint"], known["fingerprint"]);
}

#[test]
fn what_cannot_be_done_is_said_and_leaves_the_page_alive() {
    let open = Open::start(lab(), "wrong", &["InitialElection2A", "--seed", "1"]);
    for (path, body, why) in [
        ("touch", json!({ "on": 7, "touch": { "acts": ["1s crash 0"] } }), "number 7"),
        ("touch", json!({ "on": 0, "touch": { "acts": ["1s crash 3"] } }), "no server 3"),
        ("touch", json!({ "on": 0, "touch": { "acts": ["1s dance 0"] } }), "is not an act"),
        ("touch", json!({ "on": 0, "touch": { "undo": [0] } }), "no such act"),
        (
            "touch",
            json!({ "on": 0, "touch": { "message": { "event": 99999, "fate": "drop" } } }),
            "no event",
        ),
        (
            "touch",
            json!({ "on": 0, "touch": { "message": { "event": 0, "fate": "drop" } } }),
            "not about a message",
        ),
        ("touch", json!([]), "not understood"),
        ("keep", json!({ "run": 0, "keep": { "name": "../.." } }), "letters and digits"),
        ("keep", json!({ "run": 0, "keep": { "name": "x", "test": "fails" } }), "the run passes"),
        ("story", json!({ "title": "x", "steps": [] }), "at least one step"),
    ] {
        let (status, told) = open.post(path, &body);
        assert!(status == 400 && told.contains(why), "{path} {body}: {status} {told}");
    }
    assert_eq!(open.run(0).0["verdict"], "passed");
    let output = lab().args(["open", "--servers", "10"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", show(&output));
    let output = lab().arg("open").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", show(&output));
}

#[test]
fn a_program_that_was_built_again_makes_the_open_run_again() {
    let directory = crate::common::scratch("open-rebuilt");
    std::fs::create_dir_all(&directory).unwrap();
    let program = directory.join("lab");
    std::fs::copy(env!("CARGO_BIN_EXE_lab"), &program).unwrap();
    let open = Open::start(Command::new(&program), "rebuilt", &["--servers", "3"]);
    let (known, _) = open.touch(0, json!({ "acts": ["1s crash 1"] }));
    // Another program that does the same: one more byte after its end.
    let mut bytes = std::fs::read(&program).unwrap();
    bytes.push(0);
    let new = directory.join("new");
    std::fs::copy(&program, &new).unwrap();
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(&new, &program).unwrap();
    let (status, news) = open.get(&format!("{}news/0", open.path), "");
    let news: Value = serde_json::from_str(&news).unwrap();
    assert_eq!((status, &news["news"]), (200, &json!(1)), "{news}");
    let again = &news["tries"][2];
    assert_eq!(
        (&again["parent"], &again["words"]),
        (&json!(1), &json!("the program was built again"))
    );
    assert_eq!(again["fingerprint"], known["fingerprint"], "it does the same");
    let program = |data: &Value| data["record"]["build"]["program"].clone();
    let (_, before) = open.run(0);
    let (_, after) = open.touch(2, json!({ "acts": ["1s crash 0"] }));
    assert_eq!(
        program(&before),
        program(&after),
        "by now, the first run is made by the new program as well"
    );
    assert_ne!(program(&after), json!(""));
}
