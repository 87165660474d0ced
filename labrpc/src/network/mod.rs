//! The network: client ends, and the life of a request from call to answer.
//!
//! A request passes through these phases (the numbers are those of the twelve steps in the facts of
//! the Go lab):
//!
//! ```text
//! call (1-3) ──> Travelling ──arrives──> Handling ──answers──> Returning ──> Done(Reply)
//!    │               (5)        (6)         │ (7)      │ (8-9)     (10-12)
//!    └──> Failing (4, 5: unreachable or dropped) ──────┴─────────────────> Done(Failed)
//! ```
//!
//! A call is a value in a table, not a task; only the handler is a task, of the server's group.
//!
//! | file | what it is |
//! |---|---|
//! | this | the network as the tester sees it: switches, ends, servers, counts |
//! | `client_end` | the caller's side: an end, and a call that is waited for |
//! | `server` | services, methods, handlers |
//! | `delivery` | the twelve steps |
//! | `calls` | the tables of ends, links and calls |
//!
//! These files are one subject and name one another. What becomes of a message is not decided here but
//! in `faults`.

mod calls;
mod client_end;
mod delivery;
mod server;

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use calls::{Call as CallState, End, Tables};
use delivery::Shared;

pub use client_end::{Call, ClientEnd};
pub(crate) use server::ServerState;
pub use server::{Method, Server, Service};

use crate::executor::Executor;
use crate::node::Node;
use crate::recorder::Part;

/// Names a client end.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndId(u32);

/// The simulated network of one simulation. It starts reliable, without long delays or reordering.
#[derive(Clone)]
pub struct Network(Rc<Shared>);

impl Network {
    pub(crate) fn new(executor: &Rc<Executor>) -> Network {
        let tables = RefCell::new(Tables::new());
        Network(Rc::new(Shared { executor: executor.clone(), tables }))
    }

    /// A reliable network loses nothing and delays by microseconds. An unreliable one delays
    /// requests by 0 to 26 ms and loses one in ten of the requests and of the replies.
    pub fn reliable(&self, yes: bool) {
        self.step(Part::Mode, 0, u64::from(yes));
        self.tables().mode.reliable = yes;
    }

    /// Whether two thirds of the replies are held back for 200 to 2199 ms.
    pub fn long_reordering(&self, yes: bool) {
        self.step(Part::Mode, 1, u64::from(yes));
        self.tables().mode.long_reordering = yes;
    }

    /// Whether a call to a server that cannot be reached takes up to 7 s to fail, not up to 100 ms.
    pub fn long_delays(&self, yes: bool) {
        self.step(Part::Mode, 2, u64::from(yes));
        self.tables().mode.long_delays = yes;
    }

    /// A new end for `from`. It starts disabled and not connected.
    pub fn make_end(&self, from: Node) -> ClientEnd {
        self.step(Part::End, u64::from(from.raw()), 2);
        let mut tables = self.tables();
        let link = tables.link(from, Node::TESTER);
        tables.ends.push(End { from, to: Node::TESTER, link, is_enabled: false });
        ClientEnd::new(&self.0, EndId(tables.ends.len() as u32 - 1))
    }

    /// Sets which server an end talks to. The server need not be there yet.
    pub fn connect(&self, end: EndId, to: Node) {
        self.step(Part::End, u64::from(end.0) << 32 | u64::from(to.raw()), 3);
        let mut tables = self.tables();
        let from = tables.end(end).from;
        let link = tables.link(from, to);
        let end = tables.end(end);
        end.to = to;
        end.link = link;
    }

    /// Enables or disables an end. Requests that are under way are not touched, but no answer of a
    /// handler that is still running comes back through a disabled end.
    pub fn enable(&self, end: EndId, yes: bool) {
        self.step(Part::End, u64::from(end.0), u64::from(yes));
        self.tables().end(end).is_enabled = yes;
        if !yes {
            self.look_after_handlers(|call| call.end == end);
        }
    }

    /// Puts a server under a name, in the place of what was there.
    pub fn add_server(&self, name: Node, server: &Server) {
        self.step(Part::Server, u64::from(name.raw()), 1);
        let replaced = self.tables().servers.insert(name, server.0.clone());
        drop(replaced);
        self.look_after_handlers(|call| call.to == name);
    }

    /// Takes the server away. Its handlers run on, but none of their answers arrive. A server that
    /// has crashed is to be taken away as well: until then calls to it wait for an answer.
    pub fn delete_server(&self, name: Node) {
        self.step(Part::Server, u64::from(name.raw()), 0);
        let deleted = self.tables().servers.remove(&name);
        drop(deleted);
        self.look_after_handlers(|call| call.to == name);
    }

    /// How many requests were dispatched to the server that now has this name; 0 when there is none.
    pub fn count(&self, name: Node) -> u64 {
        self.tables().servers.get(&name).map_or(0, |server| server.count.get())
    }

    /// How many calls were handed to the network, whatever became of them.
    pub fn total_count(&self) -> u64 {
        self.tables().total_count
    }

    /// The bytes of the arguments of all those calls and of the replies that arrived.
    pub fn total_bytes(&self) -> u64 {
        self.tables().total_bytes
    }

    /// Closes the network: later calls fail at once. Those under way go on.
    pub fn cleanup(&self) {
        self.step(Part::Mode, 3, 0);
        self.tables().is_closed = true;
    }

    /// Forgets servers and calls, so that nothing of the world outlives the run.
    pub(crate) fn clear(&self) {
        let forgotten = self.tables().clear();
        drop(forgotten);
    }

    fn tables(&self) -> RefMut<'_, Tables> {
        self.0.tables.borrow_mut()
    }

    /// The tester's steps are part of the fingerprint.
    fn step(&self, part: Part, which: u64, value: u64) {
        self.0.executor.recorder.mix(part, which, value);
    }

    /// Something changed that may make servers dead for callers whose handlers still run: those
    /// callers notice at their next look.
    fn look_after_handlers(&self, is_concerned: impl Fn(&CallState) -> bool) {
        let calls = self.tables().handled(is_concerned);
        for call in calls {
            self.0.set_dead_check(call);
        }
    }

    /// The executor's clock has come to what the network gave it to keep.
    pub(crate) fn on_message(&self, number: u64) {
        self.0.on_wakeup(number);
    }
}
