//! Who acts in a simulated world: a numbered server, a client, or the tester.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A party of the simulated world. Messages go from one node to another, tasks belong to one, and
/// the addresses of random choices name them.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Node(u32);

impl Node {
    /// The test itself: what the harness runs and draws.
    pub const TESTER: Node = Node(u32::MAX);
    const FIRST_CLIENT: u32 = 1 << 24;

    /// The node for which a number stands.
    pub const fn from_raw(raw: u32) -> Node {
        Node(raw)
    }

    /// Server `i`, counted from 0. It keeps its node through crashes and restarts.
    ///
    /// # Panics
    /// If `i` is 2^24 or more.
    pub const fn server(i: usize) -> Node {
        assert!(i < Node::FIRST_CLIENT as usize, "server numbers stay below 2^24");
        Node(i as u32)
    }

    /// Client `i`, counted from 0.
    ///
    /// # Panics
    /// If `i` is 2^24 or more.
    pub const fn client(i: usize) -> Node {
        assert!(i < Node::FIRST_CLIENT as usize, "client numbers stay below 2^24");
        Node(Node::FIRST_CLIENT + i as u32)
    }

    /// The server's number, when this node is a server.
    pub const fn as_server(self) -> Option<usize> {
        if self.0 < Node::FIRST_CLIENT { Some(self.0 as usize) } else { None }
    }

    /// The number that stands for it in the addresses of decisions.
    pub const fn raw(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Node::TESTER => f.write_str("tester"),
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
