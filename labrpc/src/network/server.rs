//! Servers, services, and the methods that they handle.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::network::delivery::Responder;
use crate::network::method::Method;
use crate::runtime::Runtime;
use crate::task::BoxFuture;

pub(crate) struct Handler {
    pub(crate) method: &'static str,
    pub(crate) registered_at: &'static Location<'static>,
    /// Creates the task that decodes a request, handles it and sends the reply. No code of the
    /// handler runs before the task is polled.
    pub(crate) make: Box<dyn Fn(Vec<u8>, Responder) -> BoxFuture>,
}

/// A set of handlers, which are added to a server together.
#[derive(Default)]
pub struct Service {
    handlers: Vec<Handler>,
}

impl Service {
    /// Creates a service without handlers.
    pub fn new() -> Service {
        Service::default()
    }

    /// Adds the handler of a method. For each request, it runs as a task of the server.
    #[track_caller]
    pub fn method<Args, Reply, Handle, Future_>(
        mut self,
        method: Method<Args, Reply>,
        handle: Handle,
    ) -> Service
    where
        Args: DeserializeOwned + 'static,
        Reply: Serialize + Debug + 'static,
        Handle: Fn(Args) -> Future_ + 'static,
        Future_: Future<Output = Reply> + 'static,
    {
        let handle = Rc::new(handle);
        let make = move |mut buffer: Vec<u8>, responder: Responder| -> BoxFuture {
            let handle = handle.clone();
            Box::pin(async move {
                responder.begin();
                let args = codec::decode(&buffer).unwrap_or_else(|error| {
                    panic!("the arguments of {} cannot be decoded: {error}", method.name())
                });
                let reply = handle(args).await;
                buffer.clear();
                codec::encode_into(&reply, &mut buffer).unwrap_or_else(|error| {
                    panic!("the reply to {} cannot be encoded: {error}", method.name())
                });
                responder.reply(buffer, &reply);
            })
        };
        self.handlers.push(Handler {
            method: method.name(),
            registered_at: Location::caller(),
            make: Box::new(make),
        });
        self
    }
}

pub(crate) struct ServerState {
    pub(crate) runtime: Runtime,
    pub(crate) handlers: RefCell<Vec<Handler>>,
    pub(crate) count: Cell<u64>,
    /// The number of replies sent to other servers.
    pub(crate) answers: Cell<u64>,
    /// The number of calls made to servers.
    pub(crate) calls: Cell<u64>,
    /// Whether the network has this server under its name: it has been added, and neither deleted nor replaced
    /// since.
    pub(crate) is_known: Cell<bool>,
}

impl ServerState {
    /// Drops the handlers while nothing is borrowed, because the values that a handler owns may
    /// have destructors that use the network.
    pub(crate) fn clear(&self) {
        let handlers = self.handlers.take();
        drop(handlers);
    }
}

impl Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.0.runtime.node())
    }
}

/// One incarnation of a server, with its services and its tasks.
///
/// It receives requests once it has been added with
/// [`Network::add_server`](crate::Network::add_server).
#[derive(Clone)]
pub struct Server(pub(crate) Rc<ServerState>);

impl Server {
    pub(crate) fn new(runtime: Runtime) -> Server {
        Server(Rc::new(ServerState {
            runtime,
            handlers: RefCell::default(),
            count: Cell::new(0),
            answers: Cell::new(0),
            calls: Cell::new(0),
            is_known: Cell::new(false),
        }))
    }

    /// Adds the handlers of a service. A handler replaces any earlier one for the same method.
    pub fn add_service(&self, service: Service) {
        let mut handlers = self.0.handlers.borrow_mut();
        for handler in service.handlers {
            handlers.retain(|known| known.method != handler.method);
            handlers.push(handler);
        }
    }

    /// The runtime with which this server's tasks are spawned.
    #[inline]
    pub fn runtime(&self) -> &Runtime {
        &self.0.runtime
    }

    /// The number of requests that have arrived at this incarnation.
    pub fn count(&self) -> u64 {
        self.0.count.get()
    }

    /// The number of replies that this incarnation has sent to other servers, not counting those to
    /// clients.
    #[inline]
    pub fn answers(&self) -> u64 {
        self.0.answers.get()
    }

    /// The number of calls that this incarnation has made to servers since it was added to the network.
    /// They are counted only after [`Network::count_calls`](crate::Network::count_calls).
    #[inline]
    pub fn calls(&self) -> u64 {
        self.0.calls.get()
    }

    /// See [`World::crash`](crate::World::crash).
    pub(crate) fn crash(&self) {
        self.0.runtime.crash();
        self.0.clear();
    }
}
