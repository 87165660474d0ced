//! The sandbox: taking rights away from a process before it runs or compiles code from a
//! submission.
//!
//! A process gives up its own rights; setting them up between `fork` and `exec` would need
//! `unsafe`. A worker does so before any code of the submission runs. `course confined` does so and
//! then becomes cargo.
//!
//! To add a layer: [`Layer`] lists them, `confine_worker` applies them to runs, `Confined` to
//! builds, and `linux.rs` contains the calls to the kernel.

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

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "sandbox/linux.rs"]
mod system;
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
#[path = "sandbox/elsewhere.rs"]
mod system;

/// A sandbox layer around runs, which not every machine has.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Runs belong to a different user from the grader's.
    User,
    /// No files can be opened, created or executed, except those that are named; no TCP.
    Landlock,
    /// No network, no new process, no signals to other processes.
    Seccomp,
}

impl Layer {
    /// All layers, outermost first.
    pub const ALL: [Layer; 3] = [Layer::User, Layer::Landlock, Layer::Seccomp];

    /// The name in the configuration.
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

/// The options that tell a worker which rights to give up.
#[derive(Args, Clone, Debug, Default)]
pub struct WorkerRights {
    /// Become this user, if the process runs as root.
    #[arg(long, hide = true, value_name = "UID")]
    user: Option<u32>,
    /// Fail if one of these sandbox layers is missing.
    #[arg(long, hide = true, value_enum)]
    require: Vec<Layer>,
    /// Limit on the CPU time of the process, in seconds.
    #[arg(long, hide = true, value_name = "SECONDS")]
    cpu: Option<u64>,
}

impl WorkerRights {
    /// The command-line arguments that set these options.
    pub fn arguments(user: u32, require: &[Layer], cpu_seconds: u64) -> Vec<String> {
        let mut words = vec!["--user".to_string(), user.to_string()];
        words.extend(require.iter().flat_map(|layer| ["--require".into(), layer.to_string()]));
        words.extend(["--cpu".into(), cpu_seconds.to_string()]);
        words
    }

    /// Gives up every right that a run does not need.
    ///
    /// # Errors
    /// If the kernel refuses, or a required layer is missing.
    pub fn give_up(&self) -> io::Result<()> {
        let active = confine_worker(self.user, self.cpu)?;
        match self.require.iter().find(|layer| !active.contains(layer)) {
            None => Ok(()),
            Some(layer) => {
                Err(io::Error::other(format!("the sandbox layer {layer} is required but missing")))
            }
        }
    }
}

/// Becomes another program with fewer rights, or prints which sandbox layers there are.
#[derive(Args)]
pub struct Confined {
    /// Print the sandbox layers that a worker would have.
    #[arg(long)]
    layers: bool,
    /// The user ID of workers.
    #[arg(long, default_value_t = 65534)]
    user: u32,
    /// A file or directory that may be read and executed.
    #[arg(long)]
    read: Vec<PathBuf>,
    /// A file or directory that may also be written.
    #[arg(long)]
    write: Vec<PathBuf>,
    /// Limit on the memory of each process, in MiB.
    #[arg(long, default_value_t = 8192)]
    memory: u64,
    /// Limit on the size of each file, in MiB.
    #[arg(long, default_value_t = 1024)]
    file: u64,
    /// Limit on the CPU time of each process, in seconds.
    #[arg(long, default_value_t = 600)]
    cpu: u64,
    /// The program and its arguments.
    #[arg(last = true)]
    program: Vec<OsString>,
}

impl Confined {
    /// Runs the command. It returns only with `--layers`, or on an error.
    pub fn run(self) -> Result<Outcome, CommandError> {
        let broken =
            |error: io::Error| CommandError::Internal(format!("cannot give up rights: {error}"));
        if self.layers {
            let layers = confine_worker(Some(self.user), None).map_err(broken)?;
            let names: Vec<&str> = layers.into_iter().map(Layer::name).collect();
            println!("{}", names.join(" "));
            return Ok(Outcome::Judged(labraft::Verdict::Passed));
        }
        let [program, arguments @ ..] = &self.program[..] else {
            return Err(CommandError::Usage("no program is given".into()));
        };
        limit(Resource::As, self.memory << 20).map_err(broken)?;
        limit(Resource::Fsize, self.file << 20).map_err(broken)?;
        limit(Resource::Cpu, self.cpu).map_err(broken)?;
        limit(Resource::Core, 0).map_err(broken)?;
        system::deny_files(&self.read, &self.write).map_err(broken)?;
        system::deny_network().map_err(broken)?;
        let error = Command::new(program).args(arguments).exec();
        Err(CommandError::Internal(format!("cannot run {program:?}: {error}")))
    }
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// Permanently gives up every right that a run does not need, and returns the layers that are then
/// active. The process must have a single thread, because these calls affect only the thread that
/// makes them.
fn confine_worker(user: Option<u32>, cpu_seconds: Option<u64>) -> io::Result<Vec<Layer>> {
    let mut active = Vec::new();
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Nofile, 32)?;
    if let Some(seconds) = cpu_seconds {
        limit(Resource::Cpu, seconds)?;
    }
    if let Some(user) = user
        && geteuid().is_root()
    {
        system::become_user(Uid::from_raw(user), Gid::from_raw(user))?;
        active.push(Layer::User);
    }
    // From now on, only root can read the process's memory through /proc. Not even the process
    // itself can.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    if system::deny_files(&[], &[])? {
        active.push(Layer::Landlock);
    }
    if system::deny_calls()? {
        active.push(Layer::Seccomp);
    }
    Ok(active)
}
