//! A server: services with handlers, and the tasks that run for it.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::network::delivery::Responder;
use crate::runtime::Runtime;
use crate::task::BoxFuture;

/// The name of a remote procedure, such as `Raft.AppendEntries`, with the types of its arguments
/// and of its reply. Caller and server share it, so they cannot disagree.
pub struct Method<Args, Reply> {
    name: &'static str,
    types: PhantomData<fn(Args) -> Reply>,
}

impl<Args, Reply> Method<Args, Reply> {
    /// Names a method; by custom `Service.Method`.
    pub const fn new(name: &'static str) -> Method<Args, Reply> {
        Method { name, types: PhantomData }
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<Args, Reply> Clone for Method<Args, Reply> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Args, Reply> Copy for Method<Args, Reply> {}

pub(crate) struct Handler {
    pub(crate) method: &'static str,
    pub(crate) registered_at: &'static Location<'static>,
    /// Makes the task that decodes, handles and answers. Nothing of the handler runs before that
    /// task is polled.
    pub(crate) make: Box<dyn Fn(Vec<u8>, Responder) -> BoxFuture>,
}

/// Handlers that are added to a server together.
#[derive(Default)]
pub struct Service {
    handlers: Vec<Handler>,
}

impl Service {
    /// A service without handlers.
    pub fn new() -> Service {
        Service::default()
    }

    /// Adds the handler of one method. Each request runs it as a task of the server.
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
                let args = codec::decode(&buffer).unwrap_or_else(|error| {
                    panic!("the arguments of {} cannot be decoded: {error}", method.name)
                });
                let reply = handle(args).await;
                buffer.clear();
                codec::encode_into(&reply, &mut buffer).unwrap_or_else(|error| {
                    panic!("the reply of {} cannot be encoded: {error}", method.name)
                });
                responder.reply(buffer, &reply);
            })
        };
        self.handlers.push(Handler {
            method: method.name,
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
    /// How many answers have left for other servers.
    pub(crate) answers: Cell<u64>,
}

impl ServerState {
    /// Forgets the handlers, outside of any borrow: they may hold the last of much.
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

/// One incarnation of a server: its services, its count of requests, and all of its tasks.
///
/// It gets requests after [`Network::add_server`](crate::Network::add_server).
#[derive(Clone)]
pub struct Server(pub(crate) Rc<ServerState>);

impl Server {
    pub(crate) fn new(runtime: Runtime) -> Server {
        Server(Rc::new(ServerState {
            runtime,
            handlers: RefCell::default(),
            count: Cell::new(0),
            answers: Cell::new(0),
        }))
    }

    /// Adds the handlers of a service. A method that is there already is replaced.
    pub fn add_service(&self, service: Service) {
        let mut handlers = self.0.handlers.borrow_mut();
        for handler in service.handlers {
            handlers.retain(|known| known.method != handler.method);
            handlers.push(handler);
        }
    }

    /// What tasks of this server are spawned with.
    pub fn runtime(&self) -> &Runtime {
        &self.0.runtime
    }

    /// How many requests were dispatched to this incarnation.
    pub fn count(&self) -> u64 {
        self.0.count.get()
    }

    /// How many answers have left this incarnation for other servers; clients' do not count.
    pub fn answers(&self) -> u64 {
        self.0.answers.get()
    }

    /// Ends the server's tasks, as [`Runtime::crash`], and forgets its handlers.
    pub fn crash(&self) {
        self.0.runtime.crash();
        self.0.clear();
    }
}
