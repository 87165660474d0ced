//! What a server of a group is started with.

use labraft::NamedEnds;
use labrpc::ClientEnd;

/// What a server of a group is given besides its Raft.
#[derive(Debug)]
pub struct GroupSetup {
    /// The number of its group.
    pub gid: u64,
    /// An end to each controller.
    pub controllers: Vec<ClientEnd>,
    /// Ends to the servers of other groups, by their names.
    pub ends: NamedEnds,
    /// The course's `maxraftstate`, in bytes; `None` where the course has -1.
    pub max_raft_state: Option<usize>,
}
