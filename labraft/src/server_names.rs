//! The names by which people know the servers of a run.
//!
//! Within a run a server has a number. If the run has several clusters, a server also has a name: that of its
//! cluster and its place there, such as `101/2`. [`HarnessEvent::names_in`](crate::HarnessEvent::names_in) reads
//! the names from a recorded run.

use std::fmt;
use std::ops::Range;

use labrpc::Node;

/// The names of the servers of a run, as far as they have any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerNames(Vec<NamedCluster>);

/// A cluster whose servers have names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCluster {
    /// The first part of the names of its servers, such as `101`.
    pub name: String,
    /// The numbers of its servers.
    pub servers: Range<usize>,
}

impl fmt::Display for NamedCluster {
    /// Writes the names of its first and its last server.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NamedCluster { name, servers } = self;
        write!(f, "{name}/0 to {name}/{}", servers.len().saturating_sub(1))
    }
}

impl ServerNames {
    /// Adds a cluster, unless its servers have only numbers: then `name` is empty.
    pub(crate) fn add(&mut self, name: &str, servers: Range<usize>) {
        if !name.is_empty() {
            self.0.push(NamedCluster { name: name.into(), servers });
        }
    }

    /// Whether all servers have only numbers, because there is one cluster.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The clusters whose servers have names, in the order of the servers' numbers.
    pub fn clusters(&self) -> &[NamedCluster] {
        &self.0
    }

    /// The cluster that a server belongs to, if its servers have names.
    pub fn cluster_of(&self, server: usize) -> Option<&NamedCluster> {
        self.0.iter().find(|cluster| cluster.servers.contains(&server))
    }

    /// The server's name, such as `101/2`. A server that has only a number is called `before`, followed by the
    /// number: `S2`, `server 2` or just `2`.
    pub fn name(&self, before: &str, server: usize) -> String {
        match self.cluster_of(server) {
            Some(NamedCluster { name, servers }) => format!("{name}/{}", server - servers.start),
            None => format!("{before}{server}"),
        }
    }

    /// The node's name in full, such as `server 2`, `101/2` or `client 4`.
    pub fn node(&self, node: Node) -> String {
        self.node_after("server ", node)
    }

    /// The node's name. A server that has only a number is called as by [`name`](Self::name).
    pub fn node_after(&self, before: &str, node: Node) -> String {
        node.as_server().map_or_else(|| node.to_string(), |server| self.name(before, server))
    }

    /// The numbers of the servers that a text names: one server by its name or its number, or a whole cluster. `None`
    /// if it names none.
    pub fn numbers(&self, text: &str) -> Option<Range<usize>> {
        let cluster = |name: &str| self.0.iter().find(|cluster| cluster.name == name);
        if let Some(cluster) = cluster(text) {
            return Some(cluster.servers.clone());
        }
        let number = match text.split_once('/') {
            None => text.parse().ok()?,
            Some((name, place)) => {
                let NamedCluster { servers, .. } = cluster(name)?;
                let number = servers.start.checked_add(place.parse().ok()?)?;
                servers.contains(&number).then_some(number)?
            }
        };
        Some(number..number.checked_add(1)?)
    }
}

/// The servers of one cluster by their places in it, for sentences about that cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// The first part of their names; empty if they have only numbers.
    pub(crate) cluster: String,
}

impl Places {
    /// One server: `server 2`, or `101/2`.
    pub(crate) fn one(&self, place: usize) -> String {
        match &*self.cluster {
            "" => format!("server {place}"),
            cluster => format!("{cluster}/{place}"),
        }
    }

    /// Several servers: `servers [0, 2]`, or `101/0 101/2`.
    pub(crate) fn several(&self, places: &[usize]) -> String {
        let servers = if self.cluster.is_empty() { "servers " } else { "" };
        format!("{servers}{}", self.list(places))
    }

    /// Several servers where it is clear that they are servers: `[0, 2]`, or `101/0 101/2`.
    pub(crate) fn list(&self, places: &[usize]) -> String {
        match &*self.cluster {
            "" => format!("{places:?}"),
            _ => places.iter().map(|place| self.one(*place)).collect::<Vec<_>>().join(" "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_after_their_cluster_and_their_place() {
        let mut names = ServerNames::default();
        names.add("ctrl", 0..3);
        names.add("101", 3..6);
        assert_eq!(names.name("S", 0), "ctrl/0");
        assert_eq!(names.name("S", 5), "101/2");
        assert_eq!(names.node(Node::server(3)), "101/0");
        assert_eq!(names.node(Node::client(4)), "client 4");
        assert_eq!(names.name("S", 6), "S6", "no cluster has it");
        for (text, numbers) in [("101/2", 5..6), ("5", 5..6), ("ctrl/0", 0..1), ("101", 3..6)] {
            assert_eq!(names.numbers(text), Some(numbers));
        }
        for text in ["101/3", "102/0", "102/", "101/x", "ctrl2", ""] {
            assert_eq!(names.numbers(text), None, "{text}");
        }
    }

    #[test]
    fn servers_are_named_in_sentences_about_their_cluster() {
        let named = Places { cluster: "101".into() };
        assert_eq!(named.one(2), "101/2");
        assert_eq!(named.several(&[0, 2]), "101/0 101/2");
        let only = Places::default();
        assert_eq!(only.one(2), "server 2");
        assert_eq!(only.several(&[0, 2]), "servers [0, 2]");
        assert_eq!(only.list(&[0, 2]), "[0, 2]");
    }

    #[test]
    fn servers_of_the_only_cluster_have_numbers() {
        let mut names = ServerNames::default();
        names.add("", 0..5);
        assert!(names.is_empty());
        assert_eq!(names.name("S", 4), "S4");
        assert_eq!(names.name("", 4), "4");
        assert_eq!(names.node(Node::server(4)), "server 4");
        assert_eq!(names.numbers("4"), Some(4..5));
    }
}
