//! How much memory the system lets a process have, at most. A worker that reaches such a limit before its
//! own proves nothing about the code under test.

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

/// Where control groups are found, in each version of them.
const GROUPS: &str = "/sys/fs/cgroup";

/// The lowest limit of memory, and what sets it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct MemoryLimit {
    bytes: u64,
    what: &'static str,
}

impl MemoryLimit {
    /// The lowest of all limits that this process and its children have; `None` if there is none.
    pub(super) fn lowest() -> Option<MemoryLimit> {
        let of_process = getrlimit(Resource::As).maximum;
        let of_process =
            of_process.map(|bytes| MemoryLimit { bytes, what: "a process (ulimit -v)" });
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let of_group = files(&groups).iter().filter_map(|file| limit_in(file)).min();
        let of_group = of_group
            .map(|bytes| MemoryLimit { bytes, what: "the control group (cgroup) of this process" });
        of_process.into_iter().chain(of_group).min_by_key(|limit| limit.bytes)
    }

    /// Checks that a worker can have this much memory.
    pub(super) fn check(self, memory_bytes: u64) -> io::Result<()> {
        let MemoryLimit { bytes, what } = self;
        if memory_bytes <= bytes {
            return Ok(());
        }
        let (wanted, limit) = (memory_bytes >> 20, bytes >> 20);
        Err(io::Error::other(format!(
            "a worker is to have {wanted} MiB of memory (--memory), but the limit of {what} is {limit} \
             MiB: it would be reached first, and nobody could tell whether a run needs more; raise it, or \
             give --memory less"
        )))
    }
}

fn limit_in(file: &Path) -> Option<u64> {
    // A group without a limit says "max" or, in version 1, a number that no machine reaches.
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The files that may hold a limit for a process, by the text of its `/proc/self/cgroup`: those of its
/// group and of all groups above it. In a container, only some of them exist.
fn files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => (GROUPS.into(), "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                (format!("{GROUPS}/{controllers}"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        files.extend(group.ancestors().map(|group| Path::new(&root).join(group).join(name)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_all_groups_above_count_in_both_versions() {
        let found = |groups| -> Vec<String> {
            files(groups).iter().map(|file| file.display().to_string()).collect()
        };
        let expected = ["a/b/memory.max", "a/memory.max", "memory.max"];
        assert_eq!(found("0::/a/b\n"), expected.map(|file| format!("{GROUPS}/{file}")));
        let expected = ["memory/a/memory.limit_in_bytes", "memory/memory.limit_in_bytes"];
        let groups = "9:name=systemd:/\n4:memory:/a\n3:cpuset:/\nnonsense\n";
        assert_eq!(found(groups), expected.map(|file| format!("{GROUPS}/{file}")));
    }

    #[test]
    fn a_worker_may_have_no_more_than_the_limit() {
        let limit = MemoryLimit { bytes: 512 << 20, what: "a process (ulimit -v)" };
        assert!(limit.check(512 << 20).is_ok());
        let error = limit.check(513 << 20).unwrap_err().to_string();
        assert!(error.contains("513 MiB") && error.contains("512 MiB: "), "{error}");
    }
}
