//! Builds submissions, among files that are the lab's own, where the compiler sees nothing else.
//!
//! ```text
//! PLACE/tree        the lab's sources; raft/src and kvraft/src are there only while one is built
//! PLACE/pristine    what all builds have in common, built once: the dependencies, labrpc, labraft
//! PLACE/target      a copy of it, in which one submission is built; gone afterwards
//! ```
//!
//! No code of a submission runs while it is built: there is no build script but the lab's own, and no
//! procedural macro but those of the dependencies. The compiler may still be told to read files, to use
//! up the memory, or never to end. So cargo runs without an environment, without a network, with
//! limits, and, by Landlock, without any file but the tree, the toolchain and the registry.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::config::Limits;
use lab::outcome::{CommandError, INTERRUPT};
use lab::submit::manifest::sha256;
use lab::submit::submission::DIRECTORIES;
use lab::submit::tree::Tree;

/// The packages that depend on what a submission holds.
const DEPENDENT: [&str; 4] = ["raft", "kvraft", "tests", "graded"];
/// What the compiler and the linker are made of, beside the toolchain.
const SYSTEM: [&str; 7] =
    ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/dev/urandom"];
/// How much of what a build says is kept.
const KEPT_BYTES: u64 = 64 << 10;
/// Seconds that what all builds have in common may take.
const PRISTINE_SECONDS: u64 = 1800;
/// Changes when pristine builds of an earlier version must not be used.
const FORMAT: &str = "1";

/// Sources by their paths in the lab.
pub(super) type Sources = BTreeMap<String, Vec<u8>>;

/// Why there is no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unbuilt {
    /// The compiler says why.
    Wrong(String),
    /// It took too long.
    TooSlow,
}

/// Where submissions are built, one after the other.
#[derive(Debug)]
pub(super) struct Workshop {
    place: PathBuf,
    cargo_home: PathBuf,
    /// The toolchain's directory.
    toolchain: PathBuf,
    limits: Limits,
    jobs: usize,
    /// The lab's own sources of raft and kvraft.
    own: Sources,
}

impl Workshop {
    /// Makes the tree from the lab's sources at `root`, and what all builds have in common if it is not
    /// there yet.
    pub(super) fn prepare(
        root: &Path,
        place: &Path,
        limits: Limits,
        jobs: usize,
    ) -> Result<Workshop, CommandError> {
        let cannot = |what: &Path, error| {
            CommandError::Internal(format!("{} cannot be prepared: {error}", what.display()))
        };
        fs::create_dir_all(place).map_err(|error| cannot(place, error))?;
        let place = place.canonicalize().map_err(|error| cannot(place, error))?;
        let mut tree = Tree::of_sources(root).map_err(|error| cannot(root, error))?;
        tree.retain(|path| !path.starts_with("course/mutants/") && !path.starts_with(".cargo/"));
        let is_own = |path: &str| {
            DIRECTORIES
                .iter()
                .any(|each| path.strip_prefix(each).is_some_and(|rest| rest.starts_with('/')))
        };
        let own: Sources = tree
            .files()
            .filter(|(path, _)| is_own(path))
            .map(|(path, file)| (path.to_string(), file.content.clone()))
            .collect();
        tree.retain(|path| !is_own(path) && !path.contains("/skeleton/"));
        for package in ["raft", "kvraft"] {
            forbid_unsafe(&mut tree, package)?;
        }
        let toolchain = said(Command::new("rustc").args(["--print", "sysroot"]))?;
        let workshop = Workshop {
            cargo_home: cargo_home(),
            toolchain: PathBuf::from(toolchain),
            place,
            limits,
            jobs,
            own,
        };
        let lines = tree.files().map(|(path, file)| format!("{path} {}\n", sha256(&file.content)));
        let version = said(Command::new(workshop.toolchain.join("bin/rustc")).arg("-vV"))?;
        let key = sha256((lines.collect::<String>() + &version + FORMAT).as_bytes());
        workshop.make_pristine(&tree, &key)?;
        Ok(workshop)
    }

    /// The lab's own sources below one of the directories.
    pub(super) fn own(&self, directory: &str) -> Sources {
        let files = self.own.iter().filter(|(path, _)| path.starts_with(directory));
        files.map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
    }

    /// Where a program is put.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.place.join("programs").join(name)
    }

    fn tree(&self) -> PathBuf {
        self.place.join("tree")
    }

    fn pristine(&self) -> PathBuf {
        self.place.join("pristine")
    }

    fn target(&self) -> PathBuf {
        self.place.join("target")
    }

    fn make_pristine(&self, tree: &Tree, key: &str) -> Result<(), CommandError> {
        let cannot =
            |error: io::Error| CommandError::Internal(format!("{}: {error}", self.place.display()));
        let key_file = self.place.join("pristine.key");
        let home = self.place.join("cargo-home");
        fs::create_dir_all(&home).map_err(cannot)?;
        let registry = home.join("registry");
        if registry.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(self.cargo_home.join("registry"), &registry)
                .map_err(cannot)?;
        }
        let is_there = fs::read_to_string(&key_file).is_ok_and(|old| old == key);
        if is_there && self.pristine().is_dir() && self.tree().is_dir() {
            return self.clear();
        }
        self.clear()?;
        // An earlier one is begun with: no submission was ever built in it.
        match key_file.exists() && self.pristine().is_dir() {
            true => fs::rename(self.pristine(), self.target()).map_err(cannot)?,
            false => remove(&self.pristine()).map_err(cannot)?,
        }
        remove(&key_file).map_err(cannot)?;
        let old = Tree::of_sources(&self.tree()).map_err(cannot)?;
        for (path, _) in old.files().filter(|(path, _)| tree.get(path).is_none()) {
            remove(&self.tree().join(path)).map_err(cannot)?;
        }
        tree.write(&self.tree()).map_err(cannot)?;
        eprintln!("lab: what all builds have in common is built once");
        let limits = Limits { build_seconds: PRISTINE_SECONDS, ..self.limits };
        match self.build_in(&self.own.clone(), &limits)? {
            Ok(_) => {}
            Err(Unbuilt::TooSlow) => {
                return Err(CommandError::Internal("the lab itself does not build in time".into()));
            }
            Err(Unbuilt::Wrong(words)) => {
                return Err(CommandError::Usage(format!(
                    "the lab itself does not build:\n{words}"
                )));
            }
        }
        // What depends on the lab's own Raft is not to be in anybody's reach.
        for package in DEPENDENT {
            let mut command = Command::new(self.toolchain.join("bin/cargo"));
            command.args(["clean", "--quiet", "--offline", "--release", "--package", package]);
            self.environment(&mut command);
            said(command.current_dir(self.tree()))?;
        }
        fs::rename(self.target(), self.pristine()).map_err(cannot)?;
        fs::write(&key_file, key).map_err(cannot)?;
        self.clear()
    }

    /// Takes away what is of one submission.
    fn clear(&self) -> Result<(), CommandError> {
        let own = DIRECTORIES.iter().map(|each| self.tree().join(each));
        for place in own.chain([self.target()]) {
            remove(&place).map_err(|error| {
                CommandError::Internal(format!("{} cannot be removed: {error}", place.display()))
            })?;
        }
        Ok(())
    }

    /// Builds the lab with these sources, and moves the program to `program`.
    pub(super) fn build(
        &self,
        sources: &Sources,
        program: &Path,
    ) -> Result<Result<(), Unbuilt>, CommandError> {
        let cannot = |error: io::Error| {
            CommandError::Internal(format!("{} cannot be built in: {error}", self.place.display()))
        };
        self.clear()?;
        copy(&self.pristine(), &self.target()).map_err(cannot)?;
        let built = self.build_in(sources, &self.limits)?;
        let result = match built {
            Ok(built) => {
                if let Some(parent) = program.parent() {
                    fs::create_dir_all(parent).map_err(cannot)?;
                }
                fs::copy(built, program).map_err(cannot)?;
                Ok(())
            }
            Err(unbuilt) => Err(unbuilt),
        };
        self.clear()?;
        Ok(result)
    }

    /// Builds in the target as it is: where the program is.
    fn build_in(
        &self,
        sources: &Sources,
        limits: &Limits,
    ) -> Result<Result<PathBuf, Unbuilt>, CommandError> {
        let cannot = |error: io::Error| {
            CommandError::Internal(format!("{} cannot be built in: {error}", self.place.display()))
        };
        for (path, content) in sources {
            let place = self.tree().join(path);
            let parent = place.parent().unwrap_or(&place);
            fs::create_dir_all(parent).and_then(|()| fs::write(&place, content)).map_err(cannot)?;
        }
        let temporary = self.target().join("tmp");
        fs::create_dir_all(&temporary).map_err(cannot)?;
        let log = self.place.join("build.log");
        let said = File::create(&log).map_err(cannot)?;
        let mut command = self.confined(limits).map_err(cannot)?;
        command
            .args(["build", "--quiet", "--release", "--offline", "--locked"])
            .args(["--package", "graded", "--bin", "graded", "--jobs", &self.jobs.to_string()])
            .current_dir(self.tree())
            .stdin(Stdio::null())
            .stdout(said.try_clone().map_err(cannot)?)
            .stderr(said)
            .process_group(0);
        let mut child = command.spawn().map_err(cannot)?;
        let deadline = now() + Duration::from_secs(limits.build_seconds);
        let (mut too_slow, mut interrupted) = (false, false);
        let status = loop {
            if let Some(status) = child.try_wait().map_err(cannot)? {
                break status;
            }
            (too_slow, interrupted) = (now() >= deadline, INTERRUPT.load(Ordering::Relaxed));
            if (too_slow || interrupted)
                && let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
            {
                _ = kill_process_group(group, Signal::KILL);
                break child.wait().map_err(cannot)?;
            }
            pause();
        };
        if interrupted {
            return Err(CommandError::Internal("it was interrupted while it built".into()));
        }
        if status.success() {
            return Ok(Ok(self.target().join("release/graded")));
        }
        if too_slow {
            return Ok(Err(Unbuilt::TooSlow));
        }
        let mut words = Vec::new();
        File::open(&log)
            .map_err(cannot)?
            .take(KEPT_BYTES)
            .read_to_end(&mut words)
            .map_err(cannot)?;
        let words = String::from_utf8_lossy(&words).into_owned();
        match status.code() {
            // Of the lab's own `confined`: no submission is asked.
            Some(2 | 3) => {
                Err(CommandError::Internal(format!("builds cannot be confined: {words}")))
            }
            _ => Ok(Err(Unbuilt::Wrong(words))),
        }
    }

    /// Cargo, with no more rights than it needs.
    fn confined(&self, limits: &Limits) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("confined");
        let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        read.extend([self.toolchain.clone(), self.tree(), self.place.join("cargo-home")]);
        // Where the links lead.
        let registry = self.cargo_home.join("registry");
        read.push(registry.canonicalize().unwrap_or(registry));
        // Cargo looks for its configuration from the tree upwards.
        let above = self.place.ancestors().map(|place| place.join(".cargo/config.toml"));
        read.extend(above.filter(|path| path.is_file()));
        for path in read {
            command.arg("--read").arg(path);
        }
        for path in [self.target(), "/dev/null".into()] {
            command.arg("--write").arg(path);
        }
        command.arg("--memory").arg(limits.build_memory_mib.to_string());
        command.arg("--cpu").arg((limits.build_seconds * 2).to_string());
        command.arg("--").arg(self.toolchain.join("bin/cargo"));
        self.environment(&mut command);
        Ok(command)
    }

    /// All that a build knows of the world.
    fn environment(&self, command: &mut Command) {
        let bin = self.toolchain.join("bin");
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", self.target().join("tmp"))
            .env("TMPDIR", self.target().join("tmp"))
            .env("CARGO_HOME", self.place.join("cargo-home"))
            .env("CARGO_TARGET_DIR", self.target())
            .env("RUSTC", bin.join("rustc"))
            // How it is built does not show in a run, but in how long it takes.
            .env("CARGO_INCREMENTAL", "0")
            // Where the compiler itself gives up, it would list addresses, which differ each time.
            .env("RUST_BACKTRACE", "0")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "64")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off");
    }
}

/// Makes a package's manifest forbid what the workspace's only denies.
fn forbid_unsafe(tree: &mut Tree, package: &str) -> Result<(), CommandError> {
    let path = format!("{package}/Cargo.toml");
    let text = String::from_utf8_lossy(tree.get(&path).unwrap_or_default()).into_owned();
    let inherited = "[lints]\nworkspace = true\n";
    if !text.contains(inherited) {
        return Err(CommandError::Usage(format!("{path} does not inherit the workspace's lints")));
    }
    let own = "[lints.rust]\nunsafe_code = \"forbid\"\n";
    tree.insert(&path, text.replace(inherited, own));
    Ok(())
}

/// Where cargo keeps what it has downloaded.
fn cargo_home() -> PathBuf {
    let own = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    own.unwrap_or_else(|| std::env::home_dir().unwrap_or_default().join(".cargo"))
}

/// What a command prints.
fn said(command: &mut Command) -> Result<String, CommandError> {
    let output = command
        .output()
        .map_err(|error| CommandError::Internal(format!("{command:?} cannot be run: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(CommandError::Internal(format!("{command:?} failed:\n{said}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().into())
}

fn remove(place: &Path) -> io::Result<()> {
    let removed = match place.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(place),
        Ok(_) => fs::remove_file(place),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies files with their times, by which cargo knows what is fresh.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
            let changed = entry.metadata()?.modified()?;
            File::options().write(true).open(&to)?.set_modified(changed)?;
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
