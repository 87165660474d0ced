//! One-way messages, as between raft-rs's users: each message is a call whose reply means nothing,
//! and an answer is a call of its own.
//!
//! A handler only steps the message. The task "ready" saves and sends what came of it, of several
//! messages at once if they arrived together. Until then raft-rs's variables differ from the disk,
//! which is why the probe shows the disk.

use std::rc::Rc;

use labraft::{Env, Raft};
use labrpc::{Method, Service};
use raft::eraftpb::Message;

use crate::node::Sent;
use crate::peer::{Carrier, Peer};
use crate::wire::{METHODS, Wire, method_of};

static CARRIER: Carrier = Carrier { send, service, configure: |_| () };
static BATCHING: Carrier =
    Carrier { send, service, configure: |config| config.batch_append = true };

/// Makes and starts an instance.
pub fn make(env: Env) -> Rc<dyn Raft> {
    Peer::start(env, &CARRIER)
}

/// Makes and starts an instance with raft-rs's option `batch_append`, which has a fault: see
/// `docs/stories/raft-rs.md`.
pub fn make_batching(env: Env) -> Rc<dyn Raft> {
    Peer::start(env, &BATCHING)
}

fn service(peer: &Rc<Peer>) -> Service {
    METHODS.iter().fold(Service::new(), |service, (_, name)| {
        let peer = peer.clone();
        let method: Method<Wire, ()> = Method::new(name);
        service.method(method, move |Wire(message)| {
            peer.node.step(message);
            peer.wake();
            std::future::ready(())
        })
    })
}

/// Sends a message at once, and spawns a task that waits for its fate, as a stream between two
/// servers would tell it.
fn send(peer: &Rc<Peer>, message: Message) {
    let sent = Sent::new(&message);
    let call = peer.end_to(&message).call(method_of::<()>(&message), &Wire(message));
    let peer = peer.clone();
    peer.rt.clone().spawn_detached("message", async move {
        match peer.reply(&sent, call).await {
            Some(()) => peer.node.report_arrived(&sent),
            None => peer.node.report_lost(&sent),
        }
        peer.wake();
    });
}
