//! Answers paired with requests, as in the course: each message is sent as a call, and the messages
//! that the receiver sends back to the caller are the reply.
//!
//! The handler processes raft-rs's `Ready`, so the state is saved before the reply leaves. Messages
//! to other servers are sent as calls of their own.

use std::rc::Rc;

use labraft::{Env, Raft};
use labrpc::{Method, Service};
use raft::ReadOnlyOption;
use raft::eraftpb::Message;

use crate::node::Sent;
use crate::peer::{Carrier, Peer};
use crate::wire::{METHODS, Wire, method_of};

static CARRIER: Carrier = Carrier { send, service, configure: |_| () };
static LEASES: Carrier = Carrier {
    send,
    service,
    configure: |config| config.read_only_option = ReadOnlyOption::LeaseBased,
};

/// Makes and starts an instance.
pub fn make(env: Env) -> Rc<dyn Raft> {
    Peer::start(env, &CARRIER)
}

/// Makes and starts an instance whose leaders confirm reads by themselves, which is not safe: see
/// `docs/stories/raft-rs.md`.
pub fn make_with_leases(env: Env) -> Rc<dyn Raft> {
    Peer::start(env, &LEASES)
}

fn service(peer: &Rc<Peer>) -> Service {
    METHODS.iter().fold(Service::new(), |service, (_, name)| {
        let peer = peer.clone();
        let method: Method<Wire, Vec<Wire>> = Method::new(name);
        service.method(method, move |Wire(message)| std::future::ready(answer(&peer, message)))
    })
}

/// Steps a message, and returns the messages to its sender.
fn answer(peer: &Rc<Peer>, message: Message) -> Vec<Wire> {
    let caller = message.from;
    let mut answers = Vec::new();
    peer.node.step(message);
    peer.handle_ready(|message| {
        if message.to == caller {
            answers.push(Wire(message));
        } else {
            send(peer, message);
        }
    });
    answers
}

/// Sends a request at once, and spawns a task that waits for the answers.
fn send(peer: &Rc<Peer>, message: Message) {
    let sent = Sent::new(&message);
    let call = peer.end_to(&message).call(method_of::<Vec<Wire>>(&message), &Wire(message));
    let peer = peer.clone();
    peer.rt.clone().spawn_detached("call", async move {
        match peer.reply(&sent, call).await {
            Some(answers) => {
                answers.into_iter().for_each(|Wire(answer)| peer.node.step(answer));
                peer.node.report_arrived(&sent);
            }
            None => peer.node.report_lost(&sent),
        }
        peer.handle_ready(|message| send(&peer, message));
    });
}
