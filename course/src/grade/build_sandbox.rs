//! The cargo that builds submissions: which files it may read and write, and its environment.
//!
//! No code of a submission runs while it is built: the only build script is the lab's own, and the
//! only procedural macros are those of the dependencies. But sources can still make the compiler
//! read files, exhaust the memory, or never finish. So cargo runs with its own environment, without
//! a network, and with limits, and Landlock gives it access only to the tree, the toolchain, the
//! registry and a few files of the system.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::config::Limits;
use crate::processes::QUICK_RELEASE;
use lab::outcome::CommandError;

/// The parts of the system that the compiler and the linker need besides the toolchain.
const SYSTEM: [&str; 7] =
    ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/dev/urandom"];

/// The directory in which submissions are built, and the toolchain for it.
#[derive(Debug)]
pub(super) struct BuildSandbox {
    /// An absolute path.
    place: PathBuf,
    /// The directory of the toolchain, as `rustc --print sysroot` prints it.
    toolchain: PathBuf,
    /// Where the user's own cargo keeps the crates that it has downloaded.
    registry: PathBuf,
}

impl BuildSandbox {
    /// Creates a sandbox for builds in `place`, an absolute path.
    pub(super) fn new(place: PathBuf) -> Result<BuildSandbox, CommandError> {
        let toolchain = output(Command::new("rustc").args(["--print", "sysroot"]))?;
        let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo_home =
            cargo_home.unwrap_or_else(|| std::env::home_dir().unwrap_or_default().join(".cargo"));
        Ok(BuildSandbox {
            place,
            toolchain: PathBuf::from(toolchain),
            registry: cargo_home.join("registry"),
        })
    }

    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// The lab's sources, with those of one submission while it is built.
    pub(super) fn tree(&self) -> PathBuf {
        self.place.join("tree")
    }

    /// Cargo's target directory, while one submission is built.
    pub(super) fn target(&self) -> PathBuf {
        self.place.join("target")
    }

    /// A target directory with the crates that do not depend on submissions; copied for each build.
    pub(super) fn pristine(&self) -> PathBuf {
        self.place.join("pristine")
    }

    /// The sandbox's own `CARGO_HOME`, which shares only the registry with the user's.
    fn cargo_home(&self) -> PathBuf {
        self.place.join("cargo-home")
    }

    fn temporary(&self) -> PathBuf {
        self.target().join("tmp")
    }

    /// Creates the directories that builds expect.
    pub(super) fn create_directories(&self) -> io::Result<()> {
        std::fs::create_dir_all(self.cargo_home())?;
        let registry = self.cargo_home().join("registry");
        if registry.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(&self.registry, &registry)?;
        }
        std::fs::create_dir_all(self.temporary())
    }

    /// The compiler's version, as `rustc -vV` prints it.
    pub(super) fn compiler_version(&self) -> Result<String, CommandError> {
        output(Command::new(self.toolchain.join("bin/rustc")).arg("-vV"))
    }

    /// The command that runs cargo in the sandbox, still without arguments for cargo.
    pub(super) fn cargo(&self, limits: &Limits) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("confined");
        for path in self.readable() {
            command.arg("--read").arg(path);
        }
        for path in [self.target(), "/dev/null".into()] {
            command.arg("--write").arg(path);
        }
        command.arg("--memory").arg(limits.build_memory_mib.to_string());
        command.arg("--cpu").arg((limits.build_seconds * 2).to_string());
        command.arg("--").arg(self.toolchain.join("bin/cargo"));
        self.set_environment(&mut command);
        command.current_dir(self.tree());
        Ok(command)
    }

    fn readable(&self) -> Vec<PathBuf> {
        let mut readable: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        readable.extend([self.toolchain.clone(), self.tree(), self.cargo_home()]);
        // Landlock grants access to where links lead, not to links.
        let registry = self.registry.canonicalize();
        readable.push(registry.unwrap_or_else(|_| self.registry.clone()));
        // Cargo looks for its configuration in all directories from the tree upwards.
        let above = self.place.ancestors().map(|place| place.join(".cargo/config.toml"));
        readable.extend(above.filter(|path| path.is_file()));
        readable
    }

    /// Replaces a command's environment with what a build needs.
    fn set_environment(&self, command: &mut Command) {
        let bin = self.toolchain.join("bin");
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", self.temporary())
            .env("TMPDIR", self.temporary())
            .env("CARGO_HOME", self.cargo_home())
            .env("CARGO_TARGET_DIR", self.target())
            .env("RUSTC", bin.join("rustc"))
            .env("CARGO_INCREMENTAL", "0")
            // If the compiler crashes, a backtrace would contain addresses, which differ each time.
            .env("RUST_BACKTRACE", "0")
            .envs([QUICK_RELEASE]);
    }
}

/// Runs a command and returns its standard output, without surrounding blanks.
fn output(command: &mut Command) -> Result<String, CommandError> {
    let output = command
        .output()
        .map_err(|error| CommandError::Internal(format!("cannot run {command:?}: {error}")))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(CommandError::Internal(format!("{command:?} failed:\n{error}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().into())
}
