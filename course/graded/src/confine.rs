//! Taking rights away from a process before it meets code that nobody trusts.
//!
//! A process gives up its own rights: there is nothing to be done in the child of a `fork`, which would
//! need `unsafe`. A worker does so in its first moments, when only the lab's code has run; and
//! `course confined` does so and then becomes cargo.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use clap::{Args, ValueEnum};
use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Uid, geteuid, set_dumpable_behavior, setrlimit,
};

use serde::Deserialize;

use lab::outcome::{CommandError, Outcome};

/// One of the walls around what is not trusted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Another user than the grader's.
    User,
    /// No file can be opened, made or run, but those that are named; no TCP.
    Landlock,
    /// No network, no other process, no signal to another process.
    Seccomp,
}

impl Layer {
    /// All of them, outermost first.
    pub const ALL: [Layer; 3] = [Layer::User, Layer::Landlock, Layer::Seccomp];

    /// As the configuration has it.
    pub const fn name(self) -> &'static str {
        match self {
            Layer::User => "user",
            Layer::Landlock => "landlock",
            Layer::Seccomp => "seccomp",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a worker is told of its own rights.
#[derive(Args, Clone, Debug, Default)]
pub struct WorkerRights {
    /// Become this user, if the process is root's.
    #[arg(long, hide = true, value_name = "UID")]
    user: Option<u32>,
    /// Go on only if these walls stand.
    #[arg(long, hide = true, value_enum)]
    require: Vec<Layer>,
    /// How many seconds of CPU time the process may use.
    #[arg(long, hide = true, value_name = "SECONDS")]
    cpu: Option<u64>,
}

impl WorkerRights {
    /// The arguments that say so to a worker.
    pub fn arguments(user: u32, require: &[Layer], cpu_seconds: u64) -> Vec<String> {
        let mut words = vec!["--user".to_string(), user.to_string()];
        words.extend(require.iter().flat_map(|layer| ["--require".into(), layer.to_string()]));
        words.extend(["--cpu".into(), cpu_seconds.to_string()]);
        words
    }

    /// Gives up all that the worker was told to.
    pub fn give_up(&self) -> io::Result<()> {
        let standing = confine_worker(self.user, self.cpu)?;
        match self.require.iter().find(|layer| !standing.contains(layer)) {
            None => Ok(()),
            Some(layer) => Err(io::Error::other(format!("{layer} is required, and not there"))),
        }
    }
}

/// Becomes another program with fewer rights, or says which walls there are.
#[derive(Args)]
pub struct Confined {
    /// Print which walls stand around a worker.
    #[arg(long)]
    layers: bool,
    /// The user that workers become.
    #[arg(long, default_value_t = 65534)]
    user: u32,
    /// What may be read and run.
    #[arg(long)]
    read: Vec<PathBuf>,
    /// What may be written as well.
    #[arg(long)]
    write: Vec<PathBuf>,
    /// MiB of memory for each process.
    #[arg(long, default_value_t = 8192)]
    memory: u64,
    /// MiB of each file.
    #[arg(long, default_value_t = 1024)]
    file: u64,
    /// Seconds of CPU time for each process.
    #[arg(long, default_value_t = 600)]
    cpu: u64,
    /// The program and its arguments.
    #[arg(last = true)]
    program: Vec<OsString>,
}

impl Confined {
    /// Returns only when there was nothing to become.
    pub fn run(self) -> Result<Outcome, CommandError> {
        let broken = |error: io::Error| {
            CommandError::Internal(format!("rights cannot be given up: {error}"))
        };
        if self.layers {
            let layers = confine_worker(Some(self.user), None).map_err(broken)?;
            let names: Vec<&str> = layers.into_iter().map(Layer::name).collect();
            println!("{}", names.join(" "));
            return Ok(Outcome::Judged(labraft::Verdict::Passed));
        }
        let [program, arguments @ ..] = &self.program[..] else {
            return Err(CommandError::Usage("there is no program to become".into()));
        };
        limit(Resource::As, self.memory << 20).map_err(broken)?;
        limit(Resource::Fsize, self.file << 20).map_err(broken)?;
        limit(Resource::Cpu, self.cpu).map_err(broken)?;
        limit(Resource::Core, 0).map_err(broken)?;
        system::deny_files(&self.read, &self.write).map_err(broken)?;
        system::deny_network().map_err(broken)?;
        let error = Command::new(program).args(arguments).exec();
        Err(CommandError::Internal(format!("{program:?} cannot be run: {error}")))
    }
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// Gives up every right that a run does not need, for ever. The process must have one thread. Which
/// walls stand then.
fn confine_worker(user: Option<u32>, cpu_seconds: Option<u64>) -> io::Result<Vec<Layer>> {
    let mut standing = Vec::new();
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Nofile, 32)?;
    if let Some(seconds) = cpu_seconds {
        limit(Resource::Cpu, seconds)?;
    }
    if let Some(user) = user
        && geteuid().is_root()
    {
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(user));
        system::become_user(user, group)?;
        standing.push(Layer::User);
    }
    // Its memory cannot be read through /proc by anybody but root, itself included.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    if system::deny_files(&[], &[])? {
        standing.push(Layer::Landlock);
    }
    if system::deny_calls()? {
        standing.push(Layer::Seccomp);
    }
    Ok(standing)
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod system {
    //! A system without these walls.

    use std::io;
    use std::path::PathBuf;

    use rustix::process::{Gid, Uid};

    pub(super) fn become_user(_: Uid, _: Gid) -> io::Result<()> {
        Err(io::Error::other(
            "workers can become another user on Linux only; run it as another one",
        ))
    }

    pub(super) fn deny_files(_: &[PathBuf], _: &[PathBuf]) -> io::Result<bool> {
        Ok(false)
    }

    pub(super) fn deny_network() -> io::Result<bool> {
        Ok(false)
    }

    pub(super) fn deny_calls() -> io::Result<bool> {
        Ok(false)
    }
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod system {
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

    /// Of the one thread that there is.
    pub(super) fn become_user(user: Uid, group: Gid) -> io::Result<()> {
        set_thread_groups(&[])?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
        Ok(())
    }

    /// Leaves the right to read and run what is in `read`, and to do anything in `write`; no TCP, no
    /// signals to anybody outside, where the kernel knows how. Whether it knows how to deny files.
    pub(super) fn deny_files(read: &[PathBuf], write: &[PathBuf]) -> io::Result<bool> {
        let all = AccessFs::from_all(ABI::V5);
        let done = Ruleset::default()
            .handle_access(all)
            .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V4)))
            .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
            .and_then(|rules| rules.create())
            .and_then(|rules| {
                rules.add_rules(path_beneath_rules(read, AccessFs::from_read(ABI::V5)))
            })
            .and_then(|rules| rules.add_rules(path_beneath_rules(write, all)))
            .and_then(|rules| rules.restrict_self())
            .map_err(io::Error::other)?;
        Ok(done.ruleset != RulesetStatus::NotEnforced)
    }

    type Rules = BTreeMap<i64, Vec<SeccompRule>>;

    /// What a run on threads of one process needs of the kernel: memory, locks, clocks, its threads, and
    /// what is open already. Anything else is refused, as if it were not permitted.
    pub(super) fn deny_calls() -> io::Result<bool> {
        let always = [
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
            // The other filter says that there is no such call; the C library makes a `clone` of it.
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
        ];
        let mut rules: Rules = always.into_iter().map(|call| (call, Vec::new())).collect();
        let thread = libc::CLONE_THREAD as u64;
        let own = getpid().as_raw_nonzero().get() as u64;
        let with = |argument, compare, value, length| {
            SeccompCondition::new(argument, length, compare, value)
                .and_then(|condition| SeccompRule::new(vec![condition]))
                .map(|rule| vec![rule])
                .map_err(io::Error::other)
        };
        // New threads, but no new process.
        rules.insert(libc::SYS_clone, with(0, Compare::MaskedEq(thread), thread, Length::Qword)?);
        // Signals to itself, for an abort; and to its group, which is its own: the end of all.
        rules.insert(libc::SYS_tgkill, with(0, Compare::Eq, own, Length::Dword)?);
        rules.insert(libc::SYS_kill, with(0, Compare::Eq, 0, Length::Dword)?);
        // A thread's name.
        let name = libc::PR_SET_NAME as u64;
        rules.insert(libc::SYS_prctl, with(0, Compare::Eq, name, Length::Dword)?);

        let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        let errno = |number: i32| SeccompAction::Errno(number as u32);
        if !install(absent, SeccompAction::Allow, errno(libc::ENOSYS))? {
            return Ok(false);
        }
        install(rules, errno(libc::EPERM), SeccompAction::Allow)
    }

    /// For what builds: everything but the network.
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

    /// False where the kernel has no filters.
    fn install(rules: Rules, others: SeccompAction, these: SeccompAction) -> io::Result<bool> {
        let target = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
        let filter = SeccompFilter::new(rules, others, these, target).map_err(io::Error::other)?;
        let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
        Ok(seccompiler::apply_filter(&program).is_ok())
    }
}
