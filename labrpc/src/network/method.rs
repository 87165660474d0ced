//! The methods that callers and servers agree on.

use std::marker::PhantomData;

/// The name of a remote procedure, such as `Raft.AppendEntries`, with the types of its arguments
/// and its reply. The caller and the server use the same constant, so their types always agree.
pub struct Method<Args, Reply> {
    name: &'static str,
    types: PhantomData<fn(Args) -> Reply>,
}

impl<Args, Reply> Method<Args, Reply> {
    /// Creates a method with this name, which by convention has the form `Service.Method`.
    pub const fn new(name: &'static str) -> Method<Args, Reply> {
        Method { name, types: PhantomData }
    }

    /// The full name, such as `Raft.AppendEntries`.
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
