//! The course's `config` of the key/value tests: servers with the service, clerks, and partitions.

use std::ops::Deref;

use kvraft::{Clerk, KvServer};
use labraft::{Checked, Cluster, Lab, Steps};

use crate::clients::{self, Operations};
use crate::service::{ClientEnds, ServiceCluster};

/// A cluster of key/value servers and their clients. A clone is a handle to the same cluster.
///
/// It dereferences to the [`Operations`] of its clients, and so to its [`ServiceCluster`].
#[derive(Clone)]
pub(crate) struct KvConfig {
    operations: Operations,
    max_raft_state: Option<usize>,
}

/// The cluster that a test runs on: the parameters of the course's `make_config`.
#[derive(Copy, Clone)]
pub(crate) struct KvSetup {
    pub(crate) servers: usize,
    pub(crate) unreliable: bool,
    /// The size of the saved state, in bytes, at which servers take a snapshot. `None` means no
    /// snapshots, like -1 in the course.
    pub(crate) max_raft_state: Option<usize>,
}

/// A cluster on a reliable network, without snapshots.
pub(crate) fn kv_servers(servers: usize) -> KvSetup {
    KvSetup { servers, unreliable: false, max_raft_state: None }
}

impl KvSetup {
    /// Makes the network lose and delay messages.
    pub(crate) fn unreliable(self) -> KvSetup {
        KvSetup { unreliable: true, ..self }
    }

    /// Makes servers take a snapshot when their saved state reaches 1000 bytes.
    pub(crate) fn snapshots(self) -> KvSetup {
        KvSetup { max_raft_state: Some(1000), ..self }
    }

    /// Runs a whole test: makes the cluster, announces the test, runs `body`, notes the statistics
    /// and cleans up.
    pub(crate) fn run<Body>(self, lab: Lab, body: Body) -> Steps
    where
        Body: AsyncFnOnce(&KvConfig) -> Checked<()> + 'static,
    {
        Box::pin(async move {
            let title = lab.test().title;
            let cfg = KvConfig::new(lab, self);
            cfg.begin(title);
            cfg.in_time(body(&cfg), || cfg.waiting()).await?;
            cfg.end()?;
            cfg.cleanup()
        })
    }
}

/// A client of the test.
pub(crate) type Client = clients::Client<Clerk>;

impl Deref for KvConfig {
    type Target = Operations;

    fn deref(&self) -> &Operations {
        &self.operations
    }
}

impl KvConfig {
    /// Creates a cluster whose servers are all running and connected: the course's `make_config`.
    fn new(lab: Lab, setup: KvSetup) -> KvConfig {
        let KvSetup { servers, unreliable, max_raft_state } = setup;
        let service =
            ServiceCluster::new(Cluster::new(lab, servers), kvraft::message::show, move |new| {
                KvServer::start(new, max_raft_state);
            });
        service.network().reliable(!unreliable);
        KvConfig { operations: Operations::new(service), max_raft_state }
    }

    /// See [`KvSetup::max_raft_state`].
    pub(crate) fn max_raft_state(&self) -> Option<usize> {
        self.max_raft_state
    }

    /// Partitions the servers into two groups. The links of clients stay as they are.
    pub(crate) fn partition(&self, groups: [&[usize]; 2]) {
        let [one, other] = groups;
        self.step(|| format!("partition {one:?} | {other:?}"));
        for (here, there) in [(one, other), (other, one)] {
            for &i in here {
                self.link(i, there.iter().copied(), false);
                self.link(i, here.iter().copied(), true);
            }
        }
    }

    /// Returns a majority of the servers without the leader, and a minority that ends with it. As
    /// in the course, the leader is the first server that claims to lead, even if it has been
    /// replaced; if none does, it is server 0.
    pub(crate) fn make_partition(&self) -> [Vec<usize>; 2] {
        let leader = self.leader().unwrap_or(0);
        let mut majority: Vec<usize> = (0..self.n()).filter(|&i| i != leader).collect();
        let mut minority = majority.split_off(self.n() / 2 + 1);
        minority.push(leader);
        [majority, minority]
    }

    // Clients.

    /// Creates a client with an end to each server, which its clerk gets in a random order. Only
    /// the ends to the given servers are enabled.
    pub(crate) fn make_client(&self, servers: impl IntoIterator<Item = usize>) -> Client {
        let ClientEnds { number, rt, ends } = self.make_ends(servers);
        Client { number, clerk: Clerk::new(ends, rt) }
    }

    /// Creates a client that can reach all servers.
    pub(crate) fn make_client_of_all(&self) -> Client {
        self.make_client(0..self.n())
    }
}

#[cfg(test)]
mod tests {
    use labraft::{Part, Run, Test, Verdict};
    use labrpc::RunSpec;

    use super::*;

    /// A client that invents its answer, after a real operation.
    static INVENTED: Test = Test {
        name: "Invented",
        part: Part::Kv3A,
        title: "an invented answer",
        points: 0,
        cost: 1,
        run: |lab| {
            kv_servers(3).run(lab, async |cfg| {
                let mut client = cfg.make_client_of_all();
                cfg.put(&mut client, "k", "v").await;
                cfg.replied(client.number, async {}).await;
                Ok(())
            })
        },
    };

    #[test]
    fn an_operation_that_no_server_answers_fails_the_run() {
        let report = Run::new(&INVENTED, raft::REFERENCE, RunSpec::seed(0)).run();
        assert_eq!(report.verdict(), Verdict::Failed);
        let reason = report.result.unwrap_err().to_string();
        assert!(reason.contains("client 0 completed although no server replied to it"), "{reason}");
    }
}
