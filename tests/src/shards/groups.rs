//! The course's `config` of the sharded service's tests: three controllers, and three groups of three servers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use labraft::{Checked, Cluster, Directory, Failure, Lab, NamedEnds, Steps};
use labrpc::{ClientEnd, Node};
use shardctrler::{Config, Controller};
use shardkv::{Clerk, GroupSetup, ShardServer};

use super::admin::Admin;
use super::checks::{Progress, ShardChecks};
use super::configurations::Configurations;
use super::states::GroupRecorder;
use super::watch::{Running, watch_controllers, watch_group};
use crate::clients::{self, Operations};
use crate::service::ServiceCluster;
use crate::steps::check_sizes;

/// The number of servers of the controller and of each group in the course's tests.
const SERVERS: usize = 3;
/// The names, long and short, of the controllers, and of those that the groups do not know.
const CONTROLLERS: [&str; 2] = ["controllers", "ctrl"];
const OTHER_CONTROLLERS: [&str; 2] = ["other controllers", "ctrl2"];
/// The number of the first group; the others follow.
const FIRST_GID: u64 = 100;
/// The number of groups in the course's tests.
pub(crate) const GROUPS: usize = 3;

/// What a test runs on: the parameters of the course's `make_config`.
pub(crate) struct GroupsSetup {
    unreliable: bool,
    /// The number of controllers.
    controllers: usize,
    /// The number of servers of each group.
    sizes: Vec<usize>,
    /// The size of the saved state, in bytes, at which servers take a snapshot. `None` means no
    /// snapshots, like -1 in the course.
    max_raft_state: Option<usize>,
}

/// Groups on a reliable network, without snapshots.
pub(crate) fn groups() -> GroupsSetup {
    GroupsSetup {
        unreliable: false,
        controllers: SERVERS,
        sizes: vec![SERVERS; GROUPS],
        max_raft_state: None,
    }
}

/// A client of the test.
pub(crate) type Client = clients::Client<Clerk>;

/// The controllers, the groups and their clients. A clone is a handle to the same ones.
///
/// It dereferences to the [`Operations`] of its clients, and so to the controllers' cluster.
#[derive(Clone)]
pub(crate) struct Groups {
    operations: Operations,
    groups: Rc<Vec<ServiceCluster>>,
    checks: Rc<RefCell<ShardChecks>>,
    /// What has been seen of the configurations that the groups follow.
    configurations: Rc<RefCell<Configurations>>,
    directory: Directory,
    max_raft_state: Option<usize>,
    /// The number of clients so far.
    clients: Rc<Cell<usize>>,
}

/// A controller service that the groups do not know.
pub(crate) struct OtherControllers {
    service: ServiceCluster,
    configurations: Rc<RefCell<Configurations>>,
}

impl Deref for Groups {
    type Target = Operations;

    fn deref(&self) -> &Operations {
        &self.operations
    }
}

impl GroupsSetup {
    /// Makes the network lose and delay messages.
    pub(crate) fn unreliable(self) -> GroupsSetup {
        GroupsSetup { unreliable: true, ..self }
    }

    /// Gives a group another number of servers.
    pub(crate) fn size(mut self, group: usize, servers: usize) -> GroupsSetup {
        self.sizes[group] = servers;
        self
    }

    /// So many controllers, and groups of these sizes.
    pub(crate) fn sizes(self, controllers: usize, groups: &[usize]) -> GroupsSetup {
        GroupsSetup { controllers, sizes: groups.to_vec(), ..self }
    }

    /// Makes servers take a snapshot when their saved state reaches this size in bytes.
    pub(crate) fn snapshots(self, max_raft_state: usize) -> GroupsSetup {
        GroupsSetup { max_raft_state: Some(max_raft_state), ..self }
    }

    /// Runs a whole test. What clients were answered must be linearizable, also where Go's test compares
    /// only some values.
    pub(crate) fn run<Body>(self, lab: Lab, body: Body) -> Steps
    where
        Body: AsyncFnOnce(&Groups, &mut Admin, &mut Client) -> Checked<()> + 'static,
    {
        Box::pin(async move {
            let cfg = Groups::new(lab, self);
            cfg.begin(cfg.lab().test().title);
            let steps = async {
                let mut admin = cfg.make_admin();
                let mut client = cfg.make_client();
                body(&cfg, &mut admin, &mut client).await?;
                cfg.check_linearizable()
            };
            let checked = cfg.in_time(steps, || cfg.waiting()).await;
            checked.map_err(|failure| cfg.with_situation(failure))?;
            cfg.end()?;
            cfg.groups.iter().try_for_each(|group| group.cleanup())?;
            cfg.cleanup()
        })
    }
}

impl Groups {
    /// Starts controllers and groups. They idle until groups join.
    fn new(lab: Lab, setup: GroupsSetup) -> Groups {
        let GroupsSetup { unreliable, controllers, sizes, max_raft_state } = setup;
        let directory = Directory::new(lab.world().network().clone());
        let configurations = Rc::<RefCell<Configurations>>::default();
        let checks = Rc::new(RefCell::new(ShardChecks::new(configurations.clone())));
        let controllers =
            start_controllers(&lab, CONTROLLERS, controllers, &directory, configurations.clone());
        let names_of_controllers = server_names(&controllers);
        let recorder = Rc::<RefCell<GroupRecorder>>::default();
        let groups = sizes.into_iter().enumerate().map(|(group, size)| {
            let gid = gid(group);
            let of_group = directory.clone();
            let controllers = names_of_controllers.clone();
            let name = format!("group {gid}");
            let cluster = Cluster::named(lab.clone(), &name, &gid.to_string(), size);
            list_servers(&directory, &cluster);
            let running = Running::default();
            watch_group(&cluster, gid, running.clone(), checks.clone(), recorder.clone());
            ServiceCluster::new(cluster, shardkv::message::show, move |new| {
                let ends = of_group.ends_of(new.server.runtime().node());
                let controllers = ends_to(&controllers, &ends);
                let setup = GroupSetup { gid, controllers, ends, max_raft_state };
                running.start(new, |new| ShardServer::start(new, setup));
            })
        });
        let groups = Rc::new(groups.collect());
        controllers.network().reliable(!unreliable);
        Groups {
            operations: Operations::new(controllers),
            groups,
            checks,
            configurations,
            directory,
            max_raft_state,
            clients: Rc::default(),
        }
    }

    /// Starts a second controller service, which the groups do not know.
    pub(crate) fn start_other_controllers(&self) -> OtherControllers {
        let configurations = Rc::<RefCell<Configurations>>::default();
        let seen = configurations.clone();
        let service =
            start_controllers(self.lab(), OTHER_CONTROLLERS, SERVERS, &self.directory, seen);
        OtherControllers { service, configurations }
    }

    /// A failure with the state of all clusters, after what the groups do with their shards.
    fn with_situation(&self, failure: Failure) -> Failure {
        let of_shards = self.checks.borrow().situation();
        let of_clusters = self.clusters().into_iter().flat_map(|cluster| cluster.situation());
        let situation = of_shards.into_iter().chain(of_clusters).collect();
        Failure { situation, ..failure }
    }

    /// The clusters: the controllers, then the groups.
    pub(crate) fn clusters(&self) -> Vec<&ServiceCluster> {
        let controllers: &ServiceCluster = &self.operations;
        std::iter::once(controllers).chain(self.groups.iter()).collect()
    }

    /// Cuts or opens the way by which one node reaches another by its name.
    pub(crate) fn set_way(&self, from: Node, to: Node, enabled: bool) {
        self.directory.set_way(from, to, enabled);
    }

    /// Opens all ways.
    pub(crate) fn open_all_ways(&self) {
        self.directory.open_all_ways();
    }

    // Servers of groups.

    /// Stops a server of a group: the course's `ShutdownServer`.
    pub(crate) fn shutdown_server(&self, group: usize, i: usize) {
        self.groups[group].shutdown(i);
    }

    /// Starts a server of a group and connects it: the course's `StartServer`.
    pub(crate) fn start_server(&self, group: usize, i: usize) {
        self.groups[group].start(i);
        self.groups[group].link(i, 0..self.groups[group].n(), true);
    }

    /// Stops all servers of a group: the course's `ShutdownGroup`.
    pub(crate) fn shutdown_group(&self, group: usize) {
        (0..self.groups[group].n()).for_each(|i| self.shutdown_server(group, i));
    }

    /// Starts all servers of a group: the course's `StartGroup`.
    pub(crate) fn start_group(&self, group: usize) {
        (0..self.groups[group].n()).for_each(|i| self.start_server(group, i));
    }

    // Clients.

    fn make_node(&self) -> usize {
        let number = self.clients.get();
        self.clients.set(number + 1);
        number
    }

    /// A client that can reach all controllers and all servers.
    pub(crate) fn make_client(&self) -> Client {
        self.client_of(self)
    }

    /// A client that asks these controllers who has a shard.
    pub(crate) fn make_client_of(&self, controllers: &OtherControllers) -> Client {
        self.client_of(&controllers.service)
    }

    fn client_of(&self, controllers: &Cluster) -> Client {
        let number = self.make_node();
        let ends = self.directory.ends_of(Node::client(number));
        let controllers = ends_to(&server_names(controllers), &ends);
        let rt = self.lab().world().client(number);
        Client { number, clerk: Clerk::new(controllers, ends, rt) }
    }

    /// A clerk of the controllers: the course's `mck`.
    pub(crate) fn make_admin(&self) -> Admin {
        self.admin_of(self, &self.configurations)
    }

    /// A clerk of these controllers.
    pub(crate) fn make_admin_of(&self, controllers: &OtherControllers) -> Admin {
        self.admin_of(&controllers.service, &controllers.configurations)
    }

    fn admin_of(&self, controllers: &Cluster, seen: &Rc<RefCell<Configurations>>) -> Admin {
        let number = self.make_node();
        let ends = self.directory.ends_of(Node::client(number));
        let ends = ends_to(&server_names(controllers), &ends);
        let rt = self.lab().world().client(number);
        Admin::new(number, shardctrler::Clerk::new(ends, rt), seen)
    }

    // Configurations.

    /// Adds groups, and waits for the controllers' answer.
    pub(crate) async fn join(&self, admin: &mut Admin, groups: &[usize]) {
        self.step(|| format!("join {:?}", gids(groups)));
        let joined = groups.iter().map(|&group| (gid(group), server_names(&self.groups[group])));
        let joined: BTreeMap<u64, Vec<String>> = joined.collect();
        admin.change(self, async |clerk| clerk.join(joined).await).await;
    }

    /// Removes groups, and waits for the controllers' answer.
    pub(crate) async fn leave(&self, admin: &mut Admin, groups: &[usize]) {
        self.step(|| format!("leave {:?}", gids(groups)));
        admin.change(self, async |clerk| clerk.leave(gids(groups)).await).await;
    }

    /// Gives a shard to a group, and waits for the controllers' answer.
    pub(crate) async fn move_shard(&self, admin: &mut Admin, shard: usize, gid: u64) {
        self.step(|| format!("move shard {shard} to {gid}"));
        admin.change(self, async |clerk| clerk.move_shard(shard, gid).await).await;
    }

    /// The latest configuration. Fails if it cannot be that, from all that was seen before.
    pub(crate) async fn query(&self, admin: &mut Admin) -> Checked<Config> {
        let told = |config: &Config| {
            self.step(|| format!("configuration {} is {:?}", config.num, config.shards));
        };
        admin.query(self, None, told).await
    }

    /// How far a group has come.
    pub(crate) fn progress(&self, group: usize) -> Progress {
        self.checks.borrow().progress(gid(group))
    }

    /// What keeps the groups from having done all that the latest configuration asks of them, as far as
    /// they show it; `None` if nothing does.
    pub(crate) fn unfinished(&self) -> Option<String> {
        let latest = self.configurations.borrow().latest();
        let checks = self.checks.borrow();
        (0..self.groups.len()).find_map(|group| checks.unfinished(gid(group), latest))
    }

    // Checks.

    /// Checks that snapshots have kept the saved state small, or, in a test without snapshots, that
    /// there are none: the course's `checklogs`.
    pub(crate) fn check_sizes(&self) -> Checked<()> {
        self.groups.iter().try_for_each(|group| check_sizes(group, self.max_raft_state))
    }

    /// The number of bytes that all servers of all groups have saved.
    pub(crate) fn saved_bytes(&self) -> usize {
        self.groups.iter().map(|group| group.saved_bytes()).sum()
    }
}

/// The number of a group.
pub(crate) fn gid(group: usize) -> u64 {
    FIRST_GID + group as u64
}

pub(crate) fn gids(groups: &[usize]) -> Vec<u64> {
    groups.iter().map(|&group| gid(group)).collect()
}

/// The names of the servers of a cluster.
fn server_names(cluster: &Cluster) -> Vec<String> {
    (0..cluster.n()).map(|i| cluster.server_name(i)).collect()
}

/// Lists the servers of a cluster by their names.
fn list_servers(directory: &Directory, cluster: &Cluster) {
    (0..cluster.n()).for_each(|i| directory.add(&cluster.server_name(i), cluster.node(i)));
}

/// Starts a controller service. Its name comes first, then the first part of the names of its servers. What it
/// decides is added to what has been `seen`.
fn start_controllers(
    lab: &Lab,
    [name, short]: [&str; 2],
    servers: usize,
    directory: &Directory,
    seen: Rc<RefCell<Configurations>>,
) -> ServiceCluster {
    let cluster = Cluster::named(lab.clone(), name, short, servers);
    list_servers(directory, &cluster);
    let running = Running::default();
    watch_controllers(&cluster, running.clone(), seen);
    ServiceCluster::new(cluster, shardctrler::message::show, move |new| {
        running.start(new, Controller::start);
    })
}

/// Ends to the servers with these names.
fn ends_to(names: &[String], ends: &NamedEnds) -> Vec<ClientEnd> {
    names.iter().map(|name| ends.end(name).expect("every controller is listed")).collect()
}
