//! The course's `config` of the shard controller's tests: three controllers and their clerks.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use labraft::{Checked, Cluster, Lab, Steps};
use shardctrler::{Clerk, Config, Controller};

use super::admin::Admin;
use super::configurations::Configurations;
use super::watch::{Running, watch_controllers};
use crate::service::{ClientEnds, ServiceCluster};

/// A group as a test names it: its number, and the names of its servers.
pub(crate) type Group<'a> = (u64, [&'a str; 3]);

/// A cluster of controllers and their clerks. A clone is a handle to the same cluster.
#[derive(Clone)]
pub(crate) struct Controllers {
    service: ServiceCluster,
    seen: Rc<RefCell<Configurations>>,
}

impl Deref for Controllers {
    type Target = ServiceCluster;

    fn deref(&self) -> &ServiceCluster {
        &self.service
    }
}

impl Controllers {
    /// Runs a whole test on three controllers and a reliable network.
    pub(crate) fn run<Body>(lab: Lab, body: Body) -> Steps
    where
        Body: AsyncFnOnce(&Controllers, &mut Admin) -> Checked<()> + 'static,
    {
        Box::pin(async move {
            let title = lab.test().title;
            let cfg = Controllers::new(lab);
            cfg.begin(title);
            let steps = async {
                let mut admin = cfg.make_admin();
                body(&cfg, &mut admin).await?;
                cfg.check_all(&mut admin).await
            };
            cfg.in_time(steps, || None).await?;
            cfg.end()?;
            cfg.cleanup()
        })
    }

    fn new(lab: Lab) -> Controllers {
        let cluster = Cluster::new(lab, 3);
        let running = Running::default();
        let seen = Rc::default();
        watch_controllers(&cluster, running.clone(), Rc::clone(&seen));
        let service = ServiceCluster::new(cluster, shardctrler::message::show, move |new| {
            running.start(new, Controller::start);
        });
        service.network().reliable(true);
        Controllers { service, seen }
    }

    /// A clerk that can reach all controllers.
    pub(crate) fn make_admin(&self) -> Admin {
        let ClientEnds { number, rt, ends } = self.make_ends(0..self.n());
        Admin::new(number, Clerk::new(ends, rt), &self.seen)
    }

    /// Adds these groups.
    pub(crate) async fn join(&self, admin: &mut Admin, groups: &[Group<'_>]) {
        let groups: BTreeMap<u64, Vec<String>> = groups
            .iter()
            .map(|(gid, servers)| (*gid, servers.iter().map(ToString::to_string).collect()))
            .collect();
        let gids: Vec<u64> = groups.keys().copied().collect();
        let what = format!("Join({gids:?})");
        self.change(admin, &what, async |clerk| clerk.join(groups).await).await;
    }

    /// Removes these groups.
    pub(crate) async fn leave(&self, admin: &mut Admin, gids: &[u64]) {
        let what = format!("Leave({gids:?})");
        self.change(admin, &what, async |clerk| clerk.leave(gids.to_vec()).await).await;
    }

    /// Gives a shard to a group.
    pub(crate) async fn move_shard(&self, admin: &mut Admin, shard: usize, gid: u64) {
        let what = format!("Move({shard}, {gid})");
        self.change(admin, &what, async |clerk| clerk.move_shard(shard, gid).await).await;
    }

    async fn change(&self, admin: &mut Admin, what: &str, operation: impl AsyncFnOnce(&mut Clerk)) {
        self.step(|| format!("client {}: {what}", admin.number));
        admin.change(self, operation).await;
        self.count_operation();
    }

    /// The configuration of this number, or the latest. Fails if that cannot be so, from all that was
    /// answered before.
    pub(crate) async fn query(&self, admin: &mut Admin, num: Option<u64>) -> Checked<Config> {
        let number = admin.number;
        self.step(|| {
            let what = num.map_or("latest".into(), |num| num.to_string());
            format!("client {number}: Query({what})")
        });
        let told = |config: &Config| {
            self.count_operation();
            let Config { num, shards, .. } = config;
            self.step(|| format!("client {number}: configuration {num} is {shards:?}"));
        };
        admin.query(self, num, told).await
    }

    /// Asks for every configuration that there has been, each of which must follow from the one before, and for
    /// one that there is not yet, which stands for the latest.
    async fn check_all(&self, admin: &mut Admin) -> Checked<()> {
        let latest = self.query(admin, None).await?.num;
        for num in (0..latest).chain([latest + 1]) {
            self.query(admin, Some(num)).await?;
        }
        Ok(())
    }
}
