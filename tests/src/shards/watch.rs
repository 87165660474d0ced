//! Has controllers and groups looked at after each poll of their tasks.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use labraft::{Cluster, Failure, HarnessEvent, Lab, NewServer, Reason, Violation};
use shardctrler::Controller;
use shardkv::ShardServer;

use super::checks::{Seen, ShardChecks};
use super::configurations::Configurations;
use super::states::GroupRecorder;

/// The services that are running, by the numbers of their servers.
pub(crate) struct Running<T>(Rc<RefCell<BTreeMap<usize, Weak<T>>>>);

impl<T> Clone for Running<T> {
    fn clone(&self) -> Running<T> {
        Running(self.0.clone())
    }
}

impl<T> Default for Running<T> {
    fn default() -> Running<T> {
        Running(Rc::default())
    }
}

impl<T> Running<T> {
    /// Starts the service of a server with `start`, and keeps it in mind.
    pub(crate) fn start(&self, new: NewServer, start: impl FnOnce(NewServer) -> Rc<T>) {
        let number = new.server.runtime().node().as_server();
        let service = Rc::downgrade(&start(new));
        self.0.borrow_mut().extend(number.map(|number| (number, service)));
    }

    fn get(&self, number: usize) -> Option<Rc<T>> {
        self.0.borrow().get(&number)?.upgrade()
    }
}

/// Has every configuration that a controller makes compared with the one before it and with what others
/// have seen.
pub(crate) fn watch_controllers(
    cluster: &Cluster,
    running: Running<Controller>,
    seen: Rc<RefCell<Configurations>>,
) {
    let lab = cluster.lab().clone();
    // The number of the next configuration of each server. After a restart a server makes them again.
    let next = RefCell::new(BTreeMap::<usize, (usize, u64)>::new());
    cluster.lab().world().after_each_poll(cluster.servers(), move |server| {
        // Asked for even if runs are judged without, to know whether controllers show them.
        let shown = running.get(server).filter(|controller| controller.config(0).is_some());
        let Some(controller) = shown else { return lab.note_missing_probe() };
        if !lab.without().has_probes() {
            return;
        }
        let instance = Rc::as_ptr(&controller) as usize;
        let mut next = next.borrow_mut();
        let (known, num) = next.entry(server).or_default();
        if std::mem::replace(known, instance) != instance {
            *num = 0;
        }
        while let Some(config) = controller.config(*num) {
            *num += 1;
            let checked = seen.borrow_mut().add(&lab.names().name("controller ", server), &config);
            report(&lab, server, checked);
        }
    });
}

/// Has what the servers of a group show checked after each poll, and every change in what the group does with its
/// shards recorded, if the run is.
pub(crate) fn watch_group(
    cluster: &Cluster,
    gid: u64,
    running: Running<ShardServer>,
    checks: Rc<RefCell<ShardChecks>>,
    recorder: Rc<RefCell<GroupRecorder>>,
) {
    let lab = cluster.lab().clone();
    let weak = cluster.downgrade();
    let first = cluster.servers().start;
    let is_recording = cluster.tester().is_recording();
    cluster.lab().world().after_each_poll(cluster.servers(), move |server| {
        let shown = running.get(server).and_then(|service| Some((service.probe()?, service)));
        let Some((probe, service)) = shown else { return lab.note_missing_probe() };
        if let Some(cluster) = weak.upgrade().filter(|_| is_recording) {
            let change = recorder.borrow_mut().change(gid, &probe, || service.config());
            if let Some(change) = change {
                cluster.record_at(server - first, || HarnessEvent::Shards(change));
            }
        }
        if !lab.without().has_probes() {
            return;
        }
        let name = |server| lab.names().name("server ", server);
        let config = || noted(&lab, service.config());
        let digest = |shard| noted(&lab, service.digest(shard));
        let seen = Seen { gid, server, name: &name, probe, config: &config, digest: &digest };
        let broken = checks.borrow_mut().look(seen);
        let is_judged = |violation: &Violation| lab.without().includes(violation.property);
        if let Some(violation) = broken.into_iter().find(is_judged) {
            let failure = lab.failure(Some(server), Reason::Violation(Box::new(violation)));
            let situation = checks.borrow().situation().into();
            lab.fail_with(Failure { situation, ..failure });
        }
    });
}

/// What a server shows of its inside. If it is nothing, that is noted.
fn noted<T>(lab: &Lab, shown: Option<T>) -> Option<T> {
    if shown.is_none() {
        lab.note_missing_probe();
    }
    shown
}

/// Ends the run if a property is broken, unless it is run without this property.
fn report(lab: &Lab, server: usize, checked: Result<(), Violation>) {
    if let Err(violation) = checked
        && lab.without().includes(violation.property)
    {
        lab.fail(Some(server), Reason::Violation(Box::new(violation)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use labraft::{Part, Run, RunReport, Test, Verdict};
    use labrpc::RunSpec;

    use super::*;
    use crate::service::ServiceCluster;

    /// Controllers that do not show their configurations.
    static UNSEEN: Test = Test {
        name: "Unseen",
        part: Part::Shard4A,
        title: "controllers that show nothing",
        points: 0,
        cost: 1,
        run: |lab| {
            Box::pin(async move {
                let cluster = Cluster::new(lab, 3);
                watch_controllers(&cluster, Running::default(), Rc::default());
                let service = ServiceCluster::new(cluster, shardctrler::message::show, |new| {
                    Controller::start(new);
                });
                service.begin("a second");
                service.sleep(Duration::from_secs(1)).await;
                service.end()?;
                service.cleanup()
            })
        },
    };

    fn report(test: &'static Test) -> RunReport {
        let report = Run::new(test, raft::REFERENCE, RunSpec::seed(0)).run();
        assert_eq!(report.verdict(), Verdict::Passed);
        report
    }

    #[test]
    fn services_that_do_not_show_their_inside_are_noticed() {
        assert!(report(&UNSEEN).is_probe_missing);
        for name in ["Basic4A", "JoinLeave4B"] {
            let test = crate::SUITE.iter().find(|test| test.name == name).unwrap();
            assert!(!report(test).is_probe_missing, "{name}");
        }
    }
}
