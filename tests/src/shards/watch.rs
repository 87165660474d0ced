// SOLUTION FILE
//! Has controllers and groups looked at after each poll of their tasks.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use labraft::{Cluster, HarnessEvent, Lab, NewServer, Reason, Violation};
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
        let Some(controller) = running.get(server) else { return };
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

/// Has every change in what a group does with its shards recorded, if the run is.
pub(crate) fn record_group(
    cluster: &Cluster,
    gid: u64,
    running: Running<ShardServer>,
    recorder: Rc<RefCell<GroupRecorder>>,
) {
    if !cluster.tester().is_recording() {
        return;
    }
    let weak = cluster.downgrade();
    let first = cluster.servers().start;
    cluster.lab().world().after_each_poll(cluster.servers(), move |server| {
        let Some(cluster) = weak.upgrade() else { return };
        let Some(service) = running.get(server) else { return };
        let Some(probe) = service.probe() else { return };
        let change = recorder.borrow_mut().change(gid, &probe, || service.config());
        if let Some(change) = change {
            cluster.record_at(server - first, || HarnessEvent::Shards(change));
        }
    });
}

/// Has what the servers of a group show checked after each poll.
pub(crate) fn watch_group(
    cluster: &Cluster,
    gid: u64,
    running: Running<ShardServer>,
    checks: Rc<RefCell<ShardChecks>>,
) {
    let lab = cluster.lab().clone();
    cluster.lab().world().after_each_poll(cluster.servers(), move |server| {
        let Some(service) = running.get(server) else { return };
        let Some(probe) = service.probe() else { return };
        let config = || service.config();
        let digest = |shard| service.digest(shard);
        let seen = Seen { gid, probe, config: &config, digest: &digest };
        let checked = checks.borrow_mut().look(seen);
        report(&lab, server, checked);
    });
}

/// Ends the run if a property is broken, unless it is run without this property.
fn report(lab: &Lab, server: usize, checked: Result<(), Violation>) {
    if let Err(violation) = checked
        && lab.without().includes(violation.property)
    {
        lab.fail(Some(server), Reason::Violation(Box::new(violation)));
    }
}
