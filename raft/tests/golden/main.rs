// SOLUTION FILE
//! Golden scripts: the files in `raft/tests/scripts` say what happens to a small cluster, and show
//! everything that its cores answer: what they save and send, and what their services are given.
//!
//! A script is made of blocks: a few commands, a line `---`, and the dialogue that follows from
//! them. This test runs the commands again and compares. The commands are the variants of [`Line`];
//! `(command)` hides what a command prints, and `!command` expects it to panic.
//!
//! To write a script, or after a change of the core that is meant to change the dialogue:
//!
//! 1. Write the commands and the `---` lines, and put the script's name into the list below.
//! 2. Run `UPDATE_GOLDENFILES=1 cargo test -p raft --test golden`: it writes what comes out into
//!    the files, and passes whatever that is.
//! 3. Read the difference (`git diff raft/tests/scripts`) line by line, with the paper beside it.
//!    Only the reader finds out whether the new dialogue is right: a line that cannot be explained
//!    is a mistake in the core or in the script.
//!
//! Servers are numbered from 0, messages from #1 in the order in which they are sent. `2:x` is an
//! entry of term 2 with command `x`, and `[1:a 2:x]` a log.

mod cluster;
mod words;

use std::error::Error;
use std::fs;
use std::path::Path;

use goldenscript::{Context, Runner};

use crate::cluster::{Cluster, Extension, Filter};
use crate::words::Entries;

/// Where the scripts are.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");

/// A command of a script.
#[derive(goldenscript::Command)]
enum Line {
    /// `cluster 3`: starts a new cluster of three servers that have saved nothing.
    Cluster(usize),
    /// `extended 3`: the same with what parts 2E and 2F are about.
    Extended(usize),
    /// `reading 3`: the same with what parts 2E and 2G are about.
    Reading(usize),
    /// `flow 2`: a cluster whose leader has flow control, and nothing else that is not in the paper.
    Flow(usize),
    /// `saved 0 term=2 vote=1 log="1:a 2:b"`: starts server 0 anew with this state on its disk.
    Saved {
        server: usize,
        #[arg(key)]
        term: u64,
        #[arg(key)]
        vote: Option<usize>,
        #[arg(key)]
        log: Option<Entries>,
    },
    /// `timeout 0`: the election timer of server 0 runs out.
    Timeout(usize),
    /// `lease 0`: the lease timer of server 0 runs out.
    Lease(usize),
    /// `heartbeat 0`: the heartbeat timer of server 0 runs out.
    Heartbeat(usize),
    /// `start 0 x y`: clients give server 0 two commands at the same instant.
    Start { server: usize, commands: Vec<String> },
    /// `read 0 2`: clients ask server 0 for two reads at the same instant.
    Read { server: usize, reads: usize },
    /// `deliver 3 4`: messages #3 and #4 arrive. `deliver from=0 to=2`: so do all messages that are
    /// on this way now; `deliver`: all messages that are on any way now.
    Deliver {
        #[arg(optional)]
        messages: Vec<u64>,
        #[arg(key)]
        from: Option<usize>,
        #[arg(key)]
        to: Option<usize>,
    },
    /// `transfer 0 1`: server 0 is asked to hand leadership to server 1.
    Transfer { server: usize, to: usize },
    /// `give_up 0`: the timer of server 0's transfer runs out.
    GiveUp(usize),
    /// Chosen as in `deliver`, but the messages are lost, and who waits for an answer is told.
    Lose {
        #[arg(optional)]
        messages: Vec<u64>,
        #[arg(key)]
        from: Option<usize>,
        #[arg(key)]
        to: Option<usize>,
    },
    /// `copy 3`: the network makes a copy of request #3. The answer to a copy goes nowhere.
    Copy(u64),
    /// `settle`: messages arrive, in order, until none is on its way between connected servers.
    Settle,
    /// `cut 2 3`: `settle` leaves messages from and to these servers on their way.
    Cut(Vec<usize>),
    /// `join 2 3`: takes a cut back.
    Join(Vec<usize>),
    /// `restart 1`: server 1 crashes, and starts again with what it has saved.
    Restart(usize),
    /// `snapshot 1 5`: the service on server 1 makes a snapshot of everything up to index 5.
    Snapshot { server: usize, index: u64 },
    /// `show 0 2`: prints what these servers are; `show` prints all.
    Show(#[arg(optional)] Vec<usize>),
}

/// Runs the lines of one script.
#[derive(Default)]
struct Script {
    cluster: Cluster,
}

impl Runner for Script {
    type Command = Line;

    fn run(&mut self, line: &Line, _: &Context) -> Result<String, Box<dyn Error>> {
        let cluster = &mut self.cluster;
        match line {
            Line::Cluster(servers) => *cluster = Cluster::new(*servers, Extension::Nothing),
            Line::Extended(servers) => *cluster = Cluster::new(*servers, Extension::StableLeader),
            Line::Reading(servers) => *cluster = Cluster::new(*servers, Extension::Reads),
            Line::Flow(servers) => *cluster = Cluster::new(*servers, Extension::FlowControl),
            Line::Saved { server, term, vote, log } => {
                cluster.start_from(*server, *term, *vote, log.clone().unwrap_or_default());
            }
            Line::Timeout(server) => cluster.election_timeout(*server),
            Line::Lease(server) => cluster.lease_timeout(*server),
            Line::Heartbeat(server) => cluster.heartbeat_timeout(*server),
            Line::Start { server, commands } => cluster.start(*server, commands),
            Line::Read { server, reads } => cluster.read(*server, *reads),
            Line::Deliver { messages, from, to } => {
                cluster.deliver_all(&Filter { messages, from: *from, to: *to });
            }
            Line::Transfer { server, to } => cluster.transfer(*server, *to),
            Line::GiveUp(server) => cluster.transfer_timeout(*server),
            Line::Lose { messages, from, to } => {
                cluster.lose_all(&Filter { messages, from: *from, to: *to });
            }
            Line::Copy(message) => cluster.copy(*message),
            Line::Settle => cluster.settle(),
            Line::Cut(servers) => cluster.cut(servers),
            Line::Join(servers) => cluster.join(servers),
            Line::Restart(server) => cluster.restart(*server),
            Line::Snapshot { server, index } => cluster.take_snapshot(*server, *index),
            Line::Show(servers) => cluster.show(servers),
        }
        Ok(cluster.take_dialogue())
    }
}

/// A test for each script, and the list of their names.
macro_rules! scripts {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*
    };
}

scripts! {
    append_conflict
    append_late_and_copied
    backup_figure_7
    backup_leader_has_not_the_term
    backup_leader_has_the_term
    backup_too_short
    candidate_follows_leader
    check_quorum
    cluster_of_one
    commit_figure_8
    commit_majority
    election
    election_split_vote
    flow_control
    leader_steps_down
    pre_vote
    pre_vote_cut_off
    reads
    reads_lost
    reads_new_leader
    replication_in_flight
    replication_lost
    restart
    snapshot
    snapshot_install
    snapshot_install_and_log
    snapshot_old
    stale_replies
    transfer
    transfer_given_up
    transfer_to_slow_server
    vote_asked_again
    vote_for_up_to_date_log
    vote_once
}

/// Runs a script, and compares what comes out with what the file says.
fn check(name: &str) {
    let path = Path::new(DIRECTORY).join(format!("{name}.txt"));
    goldenscript::run(&mut Script::default(), &path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[test]
fn every_script_in_the_directory_is_run() {
    let mut files: Vec<String> = fs::read_dir(DIRECTORY)
        .expect("the directory of scripts can be read")
        .map(|entry| entry.expect("its entries can be read").file_name().display().to_string())
        .collect();
    files.sort();
    let names: Vec<String> = NAMES.iter().map(|name| format!("{name}.txt")).collect();
    assert_eq!(files, names);
}
