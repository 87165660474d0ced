//! Servers by their names: how a server of one cluster reaches those of another.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use labrpc::{ClientEnd, EndId, Network, Node};

/// The names of the servers of a run. Clones refer to the same names.
#[derive(Clone)]
pub struct Directory(Rc<Inner>);

struct Inner {
    network: Network,
    nodes: RefCell<BTreeMap<String, Node>>,
    /// Every end that was made, by who has it and which server it leads to.
    ends: RefCell<BTreeMap<(Node, Node), Vec<EndId>>>,
    /// Who cannot reach whom at present.
    cut: RefCell<BTreeSet<(Node, Node)>>,
}

/// Makes client ends to servers by their names, for one node: the course's `make_end`.
///
/// Its ends are those of an instance of a server, whose tasks a crash ends, so nothing is sent through them
/// afterwards. In Go a killed instance can go on sending through its ends.
#[derive(Clone)]
pub struct NamedEnds {
    directory: Directory,
    from: Node,
    made: Rc<RefCell<BTreeMap<String, ClientEnd>>>,
}

impl Directory {
    /// Without any names.
    pub fn new(network: Network) -> Directory {
        Directory(Rc::new(Inner {
            network,
            nodes: RefCell::default(),
            ends: RefCell::default(),
            cut: RefCell::default(),
        }))
    }

    /// Gives a name to a node.
    pub fn add(&self, name: &str, node: Node) {
        self.0.nodes.borrow_mut().insert(name.into(), node);
    }

    /// The ends of a node. A server that is started again gets new ones.
    pub fn ends_of(&self, from: Node) -> NamedEnds {
        NamedEnds { directory: self.clone(), from, made: Rc::default() }
    }

    /// Cuts or opens the way from one node to another, for all ends that have been made and will be made.
    pub fn set_way(&self, from: Node, to: Node, enabled: bool) {
        match enabled {
            true => self.0.cut.borrow_mut().remove(&(from, to)),
            false => self.0.cut.borrow_mut().insert((from, to)),
        };
        for &end in self.0.ends.borrow().get(&(from, to)).into_iter().flatten() {
            self.0.network.enable(end, enabled);
        }
    }

    /// Opens all ways.
    pub fn open_all_ways(&self) {
        let cut = self.0.cut.borrow().clone();
        cut.into_iter().for_each(|(from, to)| self.set_way(from, to, true));
    }

    /// A new end of a node, which leads to the server of this name.
    fn make(&self, from: Node, name: &str) -> Option<ClientEnd> {
        let to = *self.0.nodes.borrow().get(name)?;
        let end = self.0.network.make_end(from);
        self.0.network.connect(end.id(), to);
        self.0.network.enable(end.id(), !self.0.cut.borrow().contains(&(from, to)));
        self.0.ends.borrow_mut().entry((from, to)).or_default().push(end.id());
        Some(end)
    }
}

impl NamedEnds {
    /// Returns the end to the server with this name, which is made when it is first asked for; `None` if no server
    /// has the name.
    pub fn end(&self, name: &str) -> Option<ClientEnd> {
        if let Some(end) = self.made.borrow().get(name) {
            return Some(end.clone());
        }
        let end = self.directory.make(self.from, name)?;
        self.made.borrow_mut().insert(name.into(), end.clone());
        Some(end)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({} names)", self.0.nodes.borrow().len())
    }
}

impl fmt::Debug for NamedEnds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamedEnds({})", self.from)
    }
}
