//! The caller's side: an end, and a call that is waited for.

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
use crate::network::calls::CallId;
use crate::network::delivery::Shared;
use crate::network::{EndId, Method};
use crate::task::Waiting;

/// One node's way to one server.
#[derive(Clone)]
pub struct ClientEnd {
    network: Rc<Shared>,
    id: EndId,
}

impl ClientEnd {
    pub(crate) fn new(network: &Rc<Shared>, id: EndId) -> ClientEnd {
        ClientEnd { network: network.clone(), id }
    }

    /// The end's name, for the tester.
    pub fn id(&self) -> EndId {
        self.id
    }

    /// Calls a method of the server. The request leaves *now*, with the arguments as they are now;
    /// awaiting the call only waits for the answer: the reply, or `None` when there will be none.
    /// Then the handler may have run or not.
    ///
    /// Every call gets an answer in the end, so that callers need no time-out: at once when the
    /// network dropped it, after a while when the server cannot be reached. It waits for as long as
    /// the handler runs. Dropping the call does not take the request back.
    ///
    /// # Panics
    /// When the arguments cannot be encoded.
    #[track_caller]
    pub fn call<Args, Reply>(&self, method: Method<Args, Reply>, args: &Args) -> Call<Reply>
    where
        Args: Serialize + Debug,
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

/// Waits for the answer to a request that has left; made by [`ClientEnd::call`].
#[must_use = "the request has left, but nobody waits for the answer"]
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
        assert!(!this.is_taken, "a call was polled after it had answered");
        let waiting = Waiting { what: "the answer to ", detail: this.method, at: this.at };
        let answer = this.network.poll_answer(this.id, context, waiting);
        this.is_taken = answer.is_ready();
        let Poll::Ready(Some(buffer)) = answer else { return answer.map(|_| None) };
        let reply = codec::decode(&buffer);
        this.network.give_back(this.id, buffer);
        match reply {
            Ok(reply) => Poll::Ready(Some(reply)),
            Err(error) => panic!("the reply of {} cannot be decoded: {error}", this.method),
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
