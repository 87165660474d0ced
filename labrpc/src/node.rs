//! The parties of a simulated world: servers, clients and the tester.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A party of the simulated world: a server, a client or the tester. Messages go from one node to
/// another, each task belongs to a node, and the addresses of random decisions name nodes.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Node(u32);

impl Node {
    /// The test itself, with the harness that runs it.
    pub const TESTER: Node = Node(u32::MAX);
    /// Whoever carries out [acts](crate::Act): apart from the tester, so that what an act does changes none
    /// of the decisions that are made for the tester.
    pub const OUTSIDE: Node = Node(u32::MAX - 1);
    const FIRST_CLIENT: u32 = 1 << 24;

    /// The node with this number; the inverse of [`raw`](Self::raw).
    pub const fn from_raw(raw: u32) -> Node {
        Node(raw)
    }

    /// Server `i`, counted from 0. A server is the same node after a crash and a restart.
    ///
    /// # Panics
    /// Panics if `i` is 2^24 or more.
    pub const fn server(i: usize) -> Node {
        assert!(i < Node::FIRST_CLIENT as usize, "a server's number must be below 2^24");
        Node(i as u32)
    }

    /// Client `i`, counted from 0.
    ///
    /// # Panics
    /// Panics if `i` is 2^24 or more.
    pub const fn client(i: usize) -> Node {
        assert!(i < Node::FIRST_CLIENT as usize, "a client's number must be below 2^24");
        Node(Node::FIRST_CLIENT + i as u32)
    }

    /// The server's number, or `None` if this node is not a server.
    #[inline]
    pub const fn as_server(self) -> Option<usize> {
        if self.0 < Node::FIRST_CLIENT { Some(self.0 as usize) } else { None }
    }

    /// The node's number in the addresses of decisions: `i` for server `i`, 2^24 + `i` for client
    /// `i`, `u32::MAX` for the tester, and the number before that for [`OUTSIDE`](Self::OUTSIDE).
    #[inline]
    pub const fn raw(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Node::TESTER => f.write_str("tester"),
            Node::OUTSIDE => f.write_str("outside"),
            node => match node.as_server() {
                Some(i) => write!(f, "server {i}"),
                None => write!(f, "client {}", node.0 - Node::FIRST_CLIENT),
            },
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
