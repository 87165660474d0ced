//! A simulated world for distributed code: tasks, a virtual clock, every random choice, and the
//! network of MIT 6.824's labs with its faults. It knows nothing of Raft.
//!
//! One simulation is one seed, one thread, one virtual clock. The same code with the same seed is
//! the same run, bit for bit.
//!
//! Start here: [`Simulation`] runs a [`World`]; a [`Server`] offers [`Service`]s whose [`Method`]s
//! are called through [`ClientEnd`]s of the [`Network`]; tasks live with a [`Runtime`].
//!
//! | module | what it is |
//! |---|---|
//! | `simulation` | one world from beginning to end |
//! | `executor`, `timers` | tasks, their order, the clock, groups that crash together |
//! | `runtime` | what simulated code sees of these: spawn, sleep, dice |
//! | `sync` | how tasks wait for one another |
//! | `spec` | what a run is made of, as a value: [`RunSpec`], [`Address`] |
//! | `choice` | every random decision, with an address |
//! | `network` | the life of a request |
//! | `client_end` | the caller's side of it |
//! | `faults` | the constants of the network and the fate of a message |
//! | `server` | services, methods, handlers |
//! | `guard` | the standard library's clock and entropy inside a simulation |
//! | `codec` | values as bytes |
//! | `event`, `notes` | the record of a run and its fingerprint |
//! | `trouble` | how a run ends that does not finish |
//! | `node` | who acts |
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
//! assert!(outcome.elapsed.as_micros() >= 20, "there and back takes time");
//! ```
//!
//! Left out, and why: there are no streams, sockets or disks, for the labs have none; a message is
//! never duplicated and only replies are held back long, as in the course's network.

mod chance;
mod codec;
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

pub use chance::Ratio;
pub use codec::{CodecError, decode, decode_first, encode, encode_into};
pub use event::{Event, Lost, Name, Timed, Watch};
pub use executor::Limits;
pub use faults::chaos::Chaos;
pub use guard::{Offence, is_guarded};
pub use hash::{derived_seed, hash_bytes};
pub use network::{Call, ClientEnd, EndId, Method, Network, Server, Service};
pub use node::Node;
pub use runtime::{Dice, JoinHandle, Runtime, Sleep};
pub use simulation::{Outcome, Simulation, World};
pub use spec::{Address, Kind, RunSpec, Taken};
pub use task::TaskInfo;
pub use trouble::Trouble;
