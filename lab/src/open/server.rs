//! Serves the page and its runs on the loopback address.
//!
//! Every other page that the browser shows can send requests to this server, and so can every program of the
//! machine. So an address is good for nothing without the token in it, which only the person who started the
//! command has seen. `Host` must be this server's own, or a page that has its name resolved to the loopback
//! address could read answers; and `Origin`, which browsers send along, must be this server's own, too.

use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use oxhttp::model::header::{HOST, HeaderName, ORIGIN};
use oxhttp::model::{Body, Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::desk::{Desk, StepToKeep};
use super::kept::Keeping;
use super::touch::Touch;
use crate::unpredictable;

/// The first port that is tried.
const FIRST_PORT: u16 = 8824;
/// How many ports are tried.
const PORTS: u16 = 200;
/// The longest body of a request.
const MOST_BYTES: u64 = 1 << 20;
/// How long a request for news waits.
const NEWS_WAIT: Duration = Duration::from_secs(20);
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(120);
/// How many connections there can be at once.
const MOST_CONNECTIONS: usize = 64;
/// What the page may load and do: nothing but its own scripts and styles, and requests to this server.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// A server that is listening.
pub(crate) struct Server {
    /// The address of the page, with its token.
    pub(crate) address: String,
}

impl Server {
    /// Starts to serve a desk, on this port or on any that is free.
    ///
    /// # Errors
    /// When no port is free, or the system has no random bytes for a token.
    pub(crate) fn start(desk: Arc<Desk>, port: Option<u16>) -> io::Result<Server> {
        let token = unpredictable::hexadecimal()?;
        let ports: Vec<u16> =
            port.map_or_else(|| (FIRST_PORT..FIRST_PORT + PORTS).collect(), |port| vec![port]);
        for port in ports {
            // The library does not say whether it was the address that it could not have.
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
                continue;
            }
            let gate = Gate { token: token.clone(), port };
            let desk = desk.clone();
            let server = oxhttp::Server::new(move |request| gate.answer(request, &desk))
                .bind((Ipv4Addr::LOCALHOST, port))
                .with_global_timeout(SILENCE)
                .with_max_concurrent_connections(MOST_CONNECTIONS);
            if server.spawn().is_ok() {
                return Ok(Server { address: format!("http://127.0.0.1:{port}/{token}/") });
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "no port is free (--port)"))
    }
}

/// Decides which requests are answered.
struct Gate {
    token: String,
    port: u16,
}

/// An answer: its status, the type of its content, and the content.
type Answered = (StatusCode, &'static str, Vec<u8>);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

impl Gate {
    fn answer(&self, request: &mut Request<Body>, desk: &Desk) -> Response<Body> {
        let (status, kind, content) = match self.path_of(request) {
            Ok(path) => route(&path, request, desk),
            Err(refused) => refused,
        };
        let mut response = Response::new(Body::from(content));
        *response.status_mut() = status;
        let headers = [
            ("content-type", kind),
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ];
        for (name, value) in headers {
            let value = oxhttp::model::HeaderValue::from_static(value);
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
        response
    }

    /// The path after the token, if the request comes from this server's own page.
    fn path_of(&self, request: &Request<Body>) -> Result<String, Answered> {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let refuse = |what: &str| (StatusCode::FORBIDDEN, TEXT, what.into());
        let hosts = [format!("127.0.0.1:{}", self.port), format!("localhost:{}", self.port)];
        let host = header(HOST).unwrap_or_default();
        if !hosts.iter().any(|own| own == host) {
            return Err(refuse("this server answers to its own address only"));
        }
        if request.headers().contains_key(ORIGIN)
            && header(ORIGIN) != Some(&format!("http://{host}"))
        {
            return Err(refuse("this server answers to its own page only"));
        }
        let site = HeaderName::from_static("sec-fetch-site");
        let is_foreign = header(site).is_some_and(|site| site != "same-origin" && site != "none");
        let path = request.uri().path().trim_start_matches('/');
        let (token, rest) = path.split_once('/').unwrap_or((path, ""));
        if is_foreign || !is_same(token, &self.token) {
            return Err(refuse("open the whole address that `lab open` has printed"));
        }
        Ok(rest.to_string())
    }
}

/// Compares two texts in a time that does not depend on where they differ.
fn is_same(a: &str, b: &str) -> bool {
    let differences = a.bytes().zip(b.bytes()).fold(0, |found, (a, b)| found | (a ^ b));
    a.len() == b.len() && differences == 0
}

/// A request to touch a run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TouchRequest {
    on: usize,
    touch: Touch,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameRequest {
    run: usize,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeepRequest {
    run: usize,
    keep: Keeping,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoryRequest {
    title: String,
    steps: Vec<StepToKeep>,
}

fn route(path: &str, request: &mut Request<Body>, desk: &Desk) -> Answered {
    let is_post = request.method() == Method::POST;
    let is_get = request.method() == Method::GET;
    let answer = match path.split_once('/').unwrap_or((path, "")) {
        ("", _) if is_get => {
            let page = desk.page().into_bytes();
            return (StatusCode::OK, "text/html; charset=utf-8", page);
        }
        ("state", _) if is_get => Ok(desk.state().into_bytes()),
        ("news", known) if is_get => {
            Ok(desk.news_since(known.parse().unwrap_or(0), NEWS_WAIT).into_bytes())
        }
        ("run", id) if is_get => number(id).and_then(|id| desk.data(id, 0)),
        ("touch", _) if is_post => body(request).and_then(|TouchRequest { on, touch }| {
            let (made, same) = desk.touch(on, &touch)?;
            desk.data(made, same)
        }),
        ("name", _) if is_post => body(request)
            .and_then(|NameRequest { run, name }| desk.name(run, &name))
            .map(|()| desk.state().into_bytes()),
        ("keep", _) if is_post => body(request)
            .and_then(|KeepRequest { run, keep }| desk.keep(run, &keep))
            .map(|told| told.to_string().into_bytes()),
        ("story", _) if is_post => body(request)
            .and_then(|StoryRequest { title, steps }| desk.keep_story(&title, &steps))
            .map(|told| told.to_string().into_bytes()),
        _ => return (StatusCode::NOT_FOUND, TEXT, "there is nothing here".into()),
    };
    told(answer, JSON)
}

fn told(told: Result<Vec<u8>, String>, kind: &'static str) -> Answered {
    match told {
        Ok(content) => (StatusCode::OK, kind, content),
        Err(what) => (StatusCode::BAD_REQUEST, TEXT, what.into_bytes()),
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text:?} is not the number of a run"))
}

/// Reads the body of a request.
fn body<T: DeserializeOwned>(request: &mut Request<Body>) -> Result<T, String> {
    let mut text = String::new();
    let read = request.body_mut().take(MOST_BYTES).read_to_string(&mut text);
    read.map_err(|error| format!("the request cannot be read: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("the request is not understood: {error}"))
}
