//! The tests of the simulated world as one program, so that what they use is linked once and they share the
//! processors.

mod acts;
mod chaos;
mod choices;
mod common;
mod crash;
mod executor;
mod guard;
mod labrpc;
mod network;
mod sync;
mod trouble;
mod values;
