//! The caller's side of the network: client ends, and the future of a call.

use std::fmt::{self, Debug};
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::network::EndId;
use crate::network::calls::CallId;
use crate::network::delivery::Shared;
use crate::network::method::Method;
use crate::task::Waiting;

/// A node's connection to a server, through which it makes calls.
///
/// The tester decides which server it is connected to, and whether it is enabled.
#[derive(Clone)]
pub struct ClientEnd {
    network: Rc<Shared>,
    id: EndId,
}

impl ClientEnd {
    pub(crate) fn new(network: &Rc<Shared>, id: EndId) -> ClientEnd {
        ClientEnd { network: network.clone(), id }
    }

    /// Identifies the end, for example in [`Network::connect`](crate::Network::connect).
    pub fn id(&self) -> EndId {
        self.id
    }

    /// Calls a method of the server.
    ///
    /// The request is sent now, not when the call is first polled. Awaiting the call gives the
    /// reply, or `None` if there will be none; the handler may have run all the same.
    ///
    /// Callers need no time-out. A call whose message the network drops fails soon after, and a
    /// call to a server that cannot be reached fails after a while. Otherwise the call takes as
    /// long as its handler does. Dropping the call does not stop the request.
    ///
    /// # Panics
    /// Panics if the arguments cannot be encoded.
    #[track_caller]
    pub fn call<Args, Reply>(&self, method: Method<Args, Reply>, args: &Args) -> Call<Reply>
    where
        Args: Serialize + Debug + 'static,
        Reply: DeserializeOwned,
    {
        Call {
            network: self.network.clone(),
            id: self.network.send(self.id, method.name(), args),
            is_taken: false,
            method: method.name(),
            at: Location::caller(),
            reply: PhantomData,
        }
    }
}

impl Debug for ClientEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientEnd({:?})", self.id)
    }
}

/// A future that waits for the reply to a request; returned by [`ClientEnd::call`].
#[must_use = "the request has been sent, but its reply is lost unless this is awaited"]
pub struct Call<Reply> {
    network: Rc<Shared>,
    id: CallId,
    is_taken: bool,
    method: &'static str,
    at: &'static Location<'static>,
    reply: PhantomData<fn() -> Reply>,
}

impl<Reply: DeserializeOwned> Future for Call<Reply> {
    type Output = Option<Reply>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Reply>> {
        let this = &mut *self;
        assert!(!this.is_taken, "a call was polled again after it had completed");
        let waiting = Waiting { what: "the reply to ", detail: this.method, at: this.at };
        let answer = this.network.poll_answer(this.id, context, waiting);
        this.is_taken = answer.is_ready();
        let Poll::Ready(Some(buffer)) = answer else { return answer.map(|_| None) };
        let reply = codec::decode(&buffer);
        this.network.give_back(this.id, buffer);
        match reply {
            Ok(reply) => Poll::Ready(Some(reply)),
            Err(error) => panic!("the reply to {} cannot be decoded: {error}", this.method),
        }
    }
}

impl<Reply> Drop for Call<Reply> {
    fn drop(&mut self) {
        if !self.is_taken {
            self.network.abandon(self.id);
        }
    }
}
