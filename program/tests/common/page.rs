//! `lab open` as its page talks to it: a small client.

#![allow(dead_code, reason = "each test compiles its own copy and uses only a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::common::scratch;

/// A running `lab open`, which is ended when this is dropped.
pub(crate) struct Open {
    child: Child,
    /// The host and the port, such as `127.0.0.1:8824`.
    pub(crate) host: String,
    /// The path with the token, such as `/0123/`.
    pub(crate) path: String,
    pub(crate) out: PathBuf,
}

impl Drop for Open {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Open {
    /// Starts a program as `open` with these arguments. The name is that of its directory.
    pub(crate) fn start(mut command: Command, name: &str, args: &[&str]) -> Open {
        let out = scratch("open").join(name);
        command.arg("open").args(args).args(["--no-browser", "--out"]).arg(&out);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_whitespace().find(|word| word.starts_with("http://"));
        let address = address.unwrap_or_else(|| panic!("{line}"));
        let (host, path) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
        Open { child, host: host.into(), path: format!("/{path}"), out }
    }

    /// Sends a request as it is, and returns the status and the body of the answer.
    pub(crate) fn raw(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{answer}")), body.into())
    }

    /// Asks for a path, with these further headers.
    pub(crate) fn get(&self, path: &str, headers: &str) -> (u16, String) {
        let host = &self.host;
        self.raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n"
        ))
    }

    /// Posts a body as the page does.
    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, String) {
        let (host, body) = (&self.host, body.to_string());
        self.raw(&format!(
            "POST {}{path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.path,
            body.len()
        ))
    }

    /// Touches a run. Returns what the desk knows of the run that this makes, and its data.
    pub(crate) fn touch(&self, on: usize, touch: Value) -> (Value, Value) {
        let (status, body) = self.post("touch", &json!({ "on": on, "touch": touch }));
        assert_eq!(status, 200, "{body}");
        two(&body)
    }

    /// What the desk knows of a run, and its data.
    pub(crate) fn run(&self, id: usize) -> (Value, Value) {
        let (status, body) = self.get(&format!("{}run/{id}", self.path), "");
        assert_eq!(status, 200, "{body}");
        two(&body)
    }

    /// All that the desk knows.
    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.get(&format!("{}state", self.path), "").1).unwrap()
    }
}

fn two(body: &str) -> (Value, Value) {
    let (known, data) = body.split_once('\n').unwrap();
    (serde_json::from_str(known).unwrap(), serde_json::from_str(data).unwrap())
}
