//! A cluster among others: its name, and the numbers and names of its servers in the run.

use std::ops::Range;

use labrpc::{Event, Node};

use super::Cluster;
use super::slot::Instance;
use crate::harness_event::HarnessEvent;
use crate::property::Violation;
use crate::server_names::Places;

impl Cluster {
    /// The cluster's name; empty if it is the only one of the run.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The numbers of its servers in the run.
    pub fn servers(&self) -> Range<usize> {
        self.0.first..self.0.first + self.n()
    }

    /// The number in the run of the server at a place in the cluster.
    pub fn number(&self, i: usize) -> usize {
        self.0.first + i
    }

    /// The name of the server at a place in the cluster, such as `101/2`; `server 2` in the only cluster of a run.
    pub fn server_name(&self, i: usize) -> String {
        self.lab().names().name("server ", self.number(i))
    }

    /// An event of the harness with a text in which servers have their names.
    pub(super) fn named_event(&self, event: &HarnessEvent) -> Event {
        event.event_among(&self.lab().names())
    }

    /// Records an event of a server, if it is running. `event` is called only if the run is being recorded.
    pub fn record_at(&self, i: usize, event: impl FnOnce() -> HarnessEvent) {
        if let Some(Instance { server, .. }) = &self.slots()[i].instance {
            server.runtime().record(|| self.named_event(&event()));
        }
    }

    /// The node of the server at a place in the cluster.
    pub fn node(&self, i: usize) -> Node {
        Node::server(self.number(i))
    }

    /// The place in the cluster of a node; `None` if it is not one of its servers.
    pub(crate) fn place(&self, node: Node) -> Option<usize> {
        self.place_of(node.as_server()?)
    }

    /// The place in the cluster of the server with this number.
    pub(crate) fn place_of(&self, number: usize) -> Option<usize> {
        number.checked_sub(self.0.first).filter(|&place| place < self.n())
    }

    /// A violation in this cluster, in the words of the whole run.
    pub(super) fn named_in(&self, violation: Violation) -> Violation {
        if self.0.name.is_empty() {
            return violation;
        }
        let servers = violation.servers.iter().map(|&i| self.number(i)).collect();
        let evidence = format!("{}: {}", self.0.name, violation.evidence);
        Violation { servers, evidence, ..violation }
    }

    /// The state of the servers, as lines for a report.
    pub fn situation(&self) -> Box<[String]> {
        let enabled = self.0.enabled.borrow();
        let invariants = self.0.invariants.borrow();
        let now = self.tester().now();
        let names = self.lab().names();
        let cluster = names.cluster_of(self.0.first).map(|cluster| cluster.name.clone());
        let places = Places { cluster: cluster.unwrap_or_default() };
        self.lines(invariants.situation(now, &|from, to| enabled[from][to], &places))
    }

    /// Lines about this cluster, with its name if there are others.
    fn lines(&self, lines: Vec<String>) -> Box<[String]> {
        let name = &self.0.name;
        let named = |line| if name.is_empty() { line } else { format!("{name}: {line}") };
        lines.into_iter().map(named).collect()
    }
}
