//! The sandbox layers of Linux: another user, Landlock for files, seccomp for system calls.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    Scope, path_beneath_rules,
};
use rustix::process::{Gid, Uid, getpid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Compare,
    SeccompCondition, SeccompFilter, SeccompRule,
};

/// Changes the user of the calling thread, which must be the only one.
pub(super) fn become_user(user: Uid, group: Gid) -> io::Result<()> {
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(())
}

/// Denies access to all files, except reading and executing what is in `read`, and any access to
/// what is in `write`. Also denies TCP and signals to processes outside, if the kernel supports
/// that. Returns false if the kernel cannot deny access to files.
pub(super) fn deny_files(read: &[PathBuf], write: &[PathBuf]) -> io::Result<bool> {
    let all = AccessFs::from_all(ABI::V5);
    let done = Ruleset::default()
        .handle_access(all)
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V4)))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.add_rules(path_beneath_rules(read, AccessFs::from_read(ABI::V5))))
        .and_then(|rules| rules.add_rules(path_beneath_rules(write, all)))
        .and_then(|rules| rules.restrict_self())
        .map_err(io::Error::other)?;
    Ok(done.ruleset != RulesetStatus::NotEnforced)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The system calls that a run may make with any arguments.
fn allowed_calls() -> Vec<i64> {
    vec![
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_fcntl,
        libc::SYS_ppoll,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mprotect,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        // Allowed here because the other filter makes it fail with ENOSYS, and then the C library
        // uses `clone`.
        libc::SYS_clone3,
        libc::SYS_set_robust_list,
        libc::SYS_set_tid_address,
        libc::SYS_rseq,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_gettimeofday,
        libc::SYS_getrandom,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll,
    ]
}

/// A rule that a call's first argument must satisfy: how it compares with `value`.
fn first_argument(compare: Compare, value: u64, length: Length) -> io::Result<Vec<SeccompRule>> {
    SeccompCondition::new(0, length, compare, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map(|rule| vec![rule])
        .map_err(io::Error::other)
}

/// Denies every system call that a run does not need. It needs memory, locks, clocks, its threads,
/// and the files that are already open. Returns false if the kernel has no filters.
pub(super) fn deny_calls() -> io::Result<bool> {
    let mut rules: Rules = allowed_calls().into_iter().map(|call| (call, Vec::new())).collect();
    let thread = libc::CLONE_THREAD as u64;
    let own = getpid().as_raw_nonzero().get() as u64;
    // New threads, but no new processes.
    rules
        .insert(libc::SYS_clone, first_argument(Compare::MaskedEq(thread), thread, Length::Qword)?);
    // Signals to itself, which `abort` needs, and to its process group, which has no other members.
    rules.insert(libc::SYS_tgkill, first_argument(Compare::Eq, own, Length::Dword)?);
    rules.insert(libc::SYS_kill, first_argument(Compare::Eq, 0, Length::Dword)?);
    // Naming threads.
    let name = libc::PR_SET_NAME as u64;
    rules.insert(libc::SYS_prctl, first_argument(Compare::Eq, name, Length::Dword)?);

    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let errno = |number: i32| SeccompAction::Errno(number as u32);
    if !install(absent, SeccompAction::Allow, errno(libc::ENOSYS))? {
        return Ok(false);
    }
    install(rules, errno(libc::EPERM), SeccompAction::Allow)
}

/// Denies the network and access to other processes; for builds.
pub(super) fn deny_network() -> io::Result<bool> {
    let refused = [
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
    ];
    let rules = refused.into_iter().map(|call| (call, Vec::new())).collect();
    install(rules, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32))
}

/// Installs a filter with the action `these` for the calls in `rules`, and the action `others` for
/// all other calls. Returns false if the kernel has no filters.
fn install(rules: Rules, others: SeccompAction, these: SeccompAction) -> io::Result<bool> {
    let target = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, others, these, target).map_err(io::Error::other)?;
    let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    Ok(seccompiler::apply_filter(&program).is_ok())
}
