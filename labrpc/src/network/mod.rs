//! The network: client ends, servers, and the life of a request.
//!
//! A call passes through these phases. The numbers are its steps, which the functions in `delivery`
//! refer to:
//!
//! ```text
//! call (1-3) ──> Travelling ──arrives──> Handling ──answers──> Returning ──> Done(Reply)
//!    │               (5)        (6)         │ (7)      │ (8-9)     (10-12)
//!    └──> Failing (4, 5: unreachable or dropped) ──────┴─────────────────> Done(Failed)
//! ```
//!
//! A call is a row in a table, not a task. Only its handler is a task, which belongs to the
//! server's group and so ends when the server crashes.
//!
//! | file | what it is |
//! |---|---|
//! | this | the network as the tester sees it: settings, ends, servers, counts |
//! | `client_end` | the caller's side: client ends, and the future of a call |
//! | `method` | the name of a procedure, with its types |
//! | `server` | services and handlers |
//! | `delivery` | the steps of a call |
//! | `calls` | the tables of ends, links, servers and calls |
//! | `observer` | what an observer sees of messages |
//!
//! These files belong together and import each other. Whether and when a message arrives is decided
//! in `faults`, not here.

mod calls;
mod client_end;
mod delivery;
mod method;
mod observer;
mod server;

use std::cell::{RefCell, RefMut};
use std::ops::Range;
use std::rc::Rc;

use calls::{Call as CallState, End, Tables};
use delivery::Shared;

pub use client_end::{Call, ClientEnd};
pub use delivery::Delivery;
pub use method::Method;
pub use observer::{Content, Failed, Observer, Read, Sent};
pub(crate) use server::ServerState;
pub use server::{Server, Service};

use crate::executor::Executor;
use crate::node::Node;
use crate::recorder::Part;

/// Identifies a client end in its network.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndId(u32);

/// The network of one simulation. It starts reliable, without long delays or long reordering.
#[derive(Clone)]
pub struct Network(Rc<Shared>);

impl Network {
    pub(crate) fn new(executor: &Rc<Executor>) -> Network {
        let tables = RefCell::new(Tables::new());
        let shared = Shared {
            executor: executor.clone(),
            tables,
            on_delivery: RefCell::default(),
            observers: RefCell::default(),
        };
        Network(Rc::new(shared))
    }

    /// Sets whether the network is reliable.
    ///
    /// A reliable network loses nothing, and a message takes 10 to 50 microseconds. An unreliable
    /// one also delays each request by 0 to 26 ms, and loses one in ten requests and one in ten
    /// replies.
    pub fn reliable(&self, yes: bool) {
        self.step(Part::Mode, 0, u64::from(yes));
        self.tables().mode.reliable = yes;
    }

    /// Sets whether two out of three replies are held back, for 200 to 2199 ms.
    pub fn long_reordering(&self, yes: bool) {
        self.step(Part::Mode, 1, u64::from(yes));
        self.tables().mode.long_reordering = yes;
    }

    /// Sets whether a call to a server that cannot be reached takes up to 7 s to fail, instead of
    /// up to 100 ms.
    pub fn long_delays(&self, yes: bool) {
        self.step(Part::Mode, 2, u64::from(yes));
        self.tables().mode.long_delays = yes;
    }

    /// Creates a client end for `from`, which is neither enabled nor connected yet.
    pub fn make_end(&self, from: Node) -> ClientEnd {
        self.step(Part::End, u64::from(from.raw()), 2);
        let mut tables = self.tables();
        let link = tables.link(from, Node::TESTER);
        let end = End { from, to: Node::TESTER, link, is_enabled: false, loses_replies: false };
        tables.ends.push(end);
        ClientEnd::new(&self.0, EndId(tables.ends.len() as u32 - 1))
    }

    /// Connects an end to a server, which need not exist yet.
    pub fn connect(&self, end: EndId, to: Node) {
        self.step(Part::End, u64::from(end.0) << 32 | u64::from(to.raw()), 3);
        let mut tables = self.tables();
        let from = tables.end(end).from;
        let link = tables.link(from, to);
        let end = tables.end(end);
        end.to = to;
        end.link = link;
    }

    /// Enables or disables an end.
    ///
    /// Disabling does not stop requests that have been sent. But if the handler of a request is
    /// still running, its reply will not come back through the disabled end.
    pub fn enable(&self, end: EndId, yes: bool) {
        self.step(Part::End, u64::from(end.0), u64::from(yes));
        self.tables().end(end).is_enabled = yes;
        if !yes {
            self.look_after_handlers(|call| call.end == end);
        }
    }

    /// Has an end lose all replies from now on, or none. Requests are not concerned: together with
    /// [`enable`](Self::enable), this cuts a link in one direction.
    pub fn lose_replies(&self, end: EndId, yes: bool) {
        self.step(Part::End, u64::from(end.0), 4 | u64::from(yes));
        self.tables().end(end).loses_replies = yes;
    }

    /// Adds a server to the network under the name of a node, replacing any server with that name.
    pub fn add_server(&self, name: Node, server: &Server) {
        self.step(Part::Server, u64::from(name.raw()), 1);
        let replaced = self.tables().servers.insert(name, server.0.clone());
        if let Some(replaced) = replaced {
            replaced.is_known.set(false);
        }
        server.0.is_known.set(true);
        self.look_after_handlers(|call| call.to == name);
    }

    /// Removes a server from the network. Its handlers continue to run, but their replies do not
    /// arrive.
    ///
    /// A server that has crashed must be removed as well: until then, calls to it wait for a reply.
    pub fn delete_server(&self, name: Node) {
        self.step(Part::Server, u64::from(name.raw()), 0);
        let deleted = self.tables().servers.remove(&name);
        if let Some(deleted) = deleted {
            deleted.is_known.set(false);
        }
        self.look_after_handlers(|call| call.to == name);
    }

    /// The number of requests that have arrived at the server that now has this name, or 0 if there
    /// is none.
    pub fn count(&self, name: Node) -> u64 {
        self.tables().servers.get(&name).map_or(0, |server| server.count.get())
    }

    /// The number of calls made before the network was closed, including those that failed.
    pub fn total_count(&self) -> u64 {
        self.tables().total_count
    }

    /// The encoded size of the arguments of all these calls and of the replies that arrived, in
    /// bytes.
    pub fn total_bytes(&self) -> u64 {
        self.tables().total_bytes
    }

    /// Has servers count the calls that they make, for [`Server::calls`].
    pub fn count_calls(&self) {
        self.tables().counts_calls = true;
    }

    /// The number of replies that have arrived at a client so far, apart from those to calls that it
    /// had dropped by then.
    pub fn replies(&self, to: Node) -> u64 {
        self.tables().replies.get(&to).copied().unwrap_or(0)
    }

    /// Registers a function that is called with each message that arrives. It must neither use the network
    /// nor change anything that the simulated code can see.
    pub fn on_delivery(&self, observer: impl Fn(Delivery<'_>) + 'static) {
        self.0.on_delivery.borrow_mut().push(Box::new(observer));
    }

    /// Registers an observer of the messages among these servers. No server may have two observers.
    pub fn observe(&self, servers: Range<usize>, observer: impl Observer + 'static) {
        self.0.observers.borrow_mut().push((servers, Rc::new(observer)));
    }

    /// Closes the network: later calls fail at once. Calls that have already been made continue.
    pub fn cleanup(&self) {
        self.step(Part::Mode, 3, 0);
        self.tables().is_closed = true;
    }

    /// Drops all servers and calls, so that nothing of the world outlives the run.
    pub(crate) fn clear(&self) {
        let forgotten = (self.tables().clear(), self.0.on_delivery.take(), self.0.observers.take());
        drop(forgotten);
    }

    fn tables(&self) -> RefMut<'_, Tables> {
        self.0.tables.borrow_mut()
    }

    /// Adds a step of the tester to the fingerprint.
    fn step(&self, part: Part, which: u64, value: u64) {
        self.0.executor.recorder.mix(part, which, value);
    }

    /// Has the callers of these calls, if their handlers are still running, check whether the
    /// server is dead. They do so at the next multiple of 100 ms after the request arrived.
    fn look_after_handlers(&self, is_concerned: impl Fn(&CallState) -> bool) {
        let calls = self.tables().handled(is_concerned);
        for call in calls {
            self.0.set_dead_check(call);
        }
    }

    /// Called when a timer of the network fires, with the number that the network gave to the
    /// timer.
    pub(crate) fn on_message(&self, number: u64) {
        self.0.on_wakeup(number);
    }
}
