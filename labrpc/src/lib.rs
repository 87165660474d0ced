//! A simulated world for distributed code: tasks, a virtual clock, every random decision, and the
//! network of MIT 6.824's labs with its faults. This crate knows nothing about Raft.
//!
//! A simulation has one seed, one thread and one virtual clock. The same code with the same seed
//! always gives the same run, bit for bit.
//!
//! Start here: a [`Simulation`] runs a [`World`]. A [`Server`] offers [`Service`]s, whose
//! [`Method`]s are called through the [`ClientEnd`]s of the [`Network`]. Code gets its tasks, time
//! and random numbers from a [`Runtime`].
//!
//! | module | what it does |
//! |---|---|
//! | `simulation` | runs one world from beginning to end |
//! | `executor`, `task`, `timers` | tasks and their order, the clock, groups that crash together |
//! | `runtime` | the simulated code's view of these: spawn, sleep, dice |
//! | `sync` | a signal and a channel, for tasks that wait for each other |
//! | `spec` | everything that determines a run, as a value: [`RunSpec`], the [`Kind`]s of decisions, their [`Address`]es |
//! | `decisions`, `random`, `chance` | every random decision, and how it is computed |
//! | `network` | client ends, servers, and the life of a request |
//! | `faults` | whether and when a message arrives, and the faults of servers; its map says how to add one |
//! | `guard` | the standard library's clock and entropy inside a simulation |
//! | `codec`, `nanoseconds` | how values are encoded |
//! | `event`, `data`, `recorder`, `notes`, `hash` | the record of a run and its fingerprint |
//! | `trouble` | why a run ended early |
//! | `node` | servers, clients and the tester |
//!
//! ```
//! use labrpc::{Method, Node, RunSpec, Service, Simulation};
//!
//! const DOUBLE: Method<u64, u64> = Method::new("Math.Double");
//!
//! let outcome = Simulation::new(RunSpec::seed(1)).run(|world| async move {
//!     let server = world.server(0);
//!     server.add_service(Service::new().method(DOUBLE, |n| async move { 2 * n }));
//!     world.network().add_server(Node::server(0), &server);
//!
//!     let end = world.network().make_end(Node::client(0));
//!     world.network().connect(end.id(), Node::server(0));
//!     world.network().enable(end.id(), true);
//!     end.call(DOUBLE, &21).await
//! });
//! assert_eq!(outcome.result, Ok(Some(42)));
//! assert!(outcome.elapsed.as_micros() >= 20, "a round trip takes time");
//! ```
//!
//! There are no streams, sockets or disks, because the labs use none. As in the course's network,
//! no message is duplicated and only replies are held back for long; [`Chaos`] adds such faults to
//! requests.

mod acts;
mod chance;
mod codec;
mod data;
mod decisions;
mod event;
mod executor;
mod faults;
mod guard;
mod hash;
pub mod nanoseconds;
mod network;
mod node;
mod notes;
mod random;
mod recorder;
mod runtime;
mod simulation;
mod spec;
pub mod sync;
mod task;
mod timers;
mod trouble;

pub use acts::{Act, Deed};
pub use chance::Ratio;
pub use codec::{CodecError, decode, decode_first, encode, encode_into};
pub use data::Data;
pub use event::{Event, Lost, Name, Timed, Watch};
pub use executor::Limits;
pub use faults::chaos::Chaos;
pub use guard::{Offence, is_guarded};
pub use hash::{derived_seed, hash_bytes};
pub use network::{
    Call, ClientEnd, Content, Delivery, EndId, Failed, Method, Network, Observer, Read, Sent,
    Server, Service,
};
pub use node::Node;
pub use runtime::{Dice, JoinHandle, Runtime, Sleep};
pub use simulation::{Outcome, Simulation, World};
pub use spec::{Address, Kind, RunSpec, Taken};
pub use task::TaskInfo;
pub use trouble::{NameOf, Trouble};
