//! Attacks by a submission while it runs or is built, none of which may gain anything.
//!
//! This program is two things: a worker whose Rafts are attacks, and the test that runs itself as
//! that worker, in the sandbox of `course grade`. Attacks by the files of a submission and by their
//! words are tested in `lab/src/submit`, and whole gradings by `scripts/test-grader`.

#![allow(clippy::disallowed_methods, clippy::empty_loop, reason = "attacks do what a Raft may not")]

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use graded::sandbox::Confined;
use lab::conditions::Conditions;
use lab::outcome;
use lab::records::{Build, RunRecord};
use lab::workers::{Audited, Pool, Settings};
use labraft::{Env, Implementation, Raft, RaftState, Started, Verdict};
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Pid, Signal};

/// The command line of `course confined`, for the tests of builds.
#[derive(Parser)]
enum Confining {
    Confined(Confined),
}

/// The message of an attack that succeeded.
const BREACH: &str = "the attack succeeded";
/// The content of a file that attacks try to read.
const SECRET: &str = "correct horse battery staple";

/// A Raft that never leads: no test passes with it.
struct Idle;

impl Raft for Idle {
    fn start(&self, _: Bytes) -> Option<Started> {
        None
    }

    fn state(&self) -> RaftState {
        RaftState { term: 0, is_leader: false }
    }

    fn snapshot(&self, _: u64, _: Bytes) {}

    fn kill(&self) {}
}

fn idle(attack: fn()) -> Rc<dyn Raft> {
    attack();
    Rc::new(Idle)
}

/// The reference, after an attack. The run fails if the attack succeeds.
fn reference(env: Env, attack: fn()) -> Rc<dyn Raft> {
    attack();
    (raft::REFERENCE.make)(env)
}

fn must_fail<T: Debug, E>(result: Result<T, E>) {
    if let Ok(value) = result {
        panic!("{BREACH}: {value:?}");
    }
}

fn secret_path() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("attacks-secret")
}

/// What the answer of a worker looks like, as far as a submission can know.
fn forged() -> String {
    let record = "{\"test\":\"InitialElection2A\",\"seed\":0,\"implementation\":\"reference\",\
                  \"profile\":\"go\",\"verdict\":\"passed\"}";
    format!("{{\"record\":{record},\"nonce\":\"\",\"passed\":[],\"warnings\":[],\"events\":[]}}\n")
}

/// The verdict that the runs of an attack must get.
#[derive(Clone, Copy)]
enum Gain {
    /// The attack was denied, and the reference passes.
    Denied,
    /// This verdict, with a reason that contains this text.
    Judged(Verdict, &'static str),
    /// The run passes, and its record says that the Raft does not show its inside.
    Unseen,
}

use Gain::{Denied, Judged, Unseen};

type Make = fn(Env) -> Rc<dyn Raft>;

/// The longest record of a run, in bytes of its text.
const MAX_RECORD_BYTES: usize = 64 << 10;

/// The reference without its `probe`.
struct Blind(Rc<dyn Raft>);

impl Raft for Blind {
    fn start(&self, command: Bytes) -> Option<Started> {
        self.0.start(command)
    }

    fn state(&self) -> RaftState {
        self.0.state()
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        self.0.snapshot(index, snapshot);
    }

    fn kill(&self) {
        self.0.kill();
    }
}

const ATTACKS: [(&str, Make, Gain); 26] = [
    ("exit-0", |_| std::process::exit(0), Judged(Verdict::Crashed, "exit code 0")),
    (
        "exit-3-and-blame-the-lab",
        |_| {
            eprintln!(
                "lab: this is a fault of the lab or of its machine: the worker process failed: no"
            );
            std::process::exit(3)
        },
        Judged(Verdict::Crashed, "exit code 3"),
    ),
    (
        "forged-words-and-exit",
        |_| {
            print!("{}  ... Passed --\nok\ntest result: ok. 1 passed\n", forged());
            eprint!("{}", forged());
            std::process::exit(0)
        },
        Judged(Verdict::Crashed, "exit code 0"),
    ),
    (
        "forged-words",
        |_| idle(|| println!("{}  ... Passed --", forged())),
        Judged(Verdict::Failed, "expected one leader, got none"),
    ),
    (
        // Opens the descriptors by name, among them the socket for answers.
        "writing-to-all-that-is-open",
        |_| {
            idle(|| {
                for i in 0..64 {
                    for place in ["/proc/self/fd", "/dev/fd"] {
                        must_fail(File::options().write(true).open(format!("{place}/{i}")));
                    }
                }
            })
        },
        Judged(Verdict::Failed, "expected one leader, got none"),
    ),
    (
        "reading-the-jobs",
        |env| {
            reference(env, || {
                let mut text = String::new();
                _ = std::io::stdin().read_to_string(&mut text);
                assert!(text.is_empty(), "{BREACH}: {text}");
            })
        },
        Denied,
    ),
    ("secret-on-disk", |env| reference(env, || must_fail(fs::read(secret_path()))), Denied),
    (
        "secret-through-a-link",
        |env| {
            reference(env, || {
                for root in
                    ["/proc/self/root", "/proc/self/cwd/../../../../../../../..", "/proc/1/root"]
                {
                    let path = format!("{root}{}", secret_path().display());
                    must_fail(fs::read(path));
                }
            })
        },
        Denied,
    ),
    (
        "secret-in-the-environment",
        |env| {
            reference(env, || {
                // How much memory glibc keeps is the lab's own setting, and no secret.
                let all = std::env::vars_os().filter(|(name, _)| name != "GLIBC_TUNABLES");
                let all: Vec<_> = all.collect();
                assert!(all.is_empty(), "{BREACH}: {all:?}");
                let arguments: Vec<String> = std::env::args().collect();
                assert!(!arguments.concat().contains(SECRET), "{BREACH}: {arguments:?}");
                must_fail(fs::read("/proc/self/environ"));
                must_fail(fs::read(format!(
                    "/proc/{}/environ",
                    std::os::unix::process::parent_id()
                )));
            })
        },
        Denied,
    ),
    (
        "memory-by-name",
        |env| {
            reference(env, || {
                for file in ["mem", "maps", "pagemap", "auxv", "exe"] {
                    must_fail(File::open(format!("/proc/self/{file}")));
                    must_fail(File::options().write(true).open(format!("/proc/self/{file}")));
                    must_fail(File::open(format!("/proc/{}/{file}", std::process::id())));
                }
            })
        },
        Denied,
    ),
    (
        "filling-the-disk",
        |env| {
            reference(env, || {
                let secret = secret_path();
                for place in
                    [std::env::temp_dir(), "/dev/shm".into(), "/var/tmp".into(), ".".into()]
                {
                    must_fail(File::create(place.join("lab-attack")));
                    must_fail(fs::create_dir(place.join("lab-attack-folder")));
                }
                must_fail(File::options().append(true).open(&secret));
                must_fail(fs::remove_file(&secret));
                must_fail(fs::rename(&secret, secret.with_extension("gone")));
                must_fail(std::os::unix::fs::symlink(
                    "/",
                    std::env::temp_dir().join("lab-attack-link"),
                ));
                must_fail(fs::set_permissions(&secret, PermissionsExt::from_mode(0o777)));
            })
        },
        Denied,
    ),
    (
        "listing-folders",
        |env| {
            reference(env, || {
                ["/", "/tmp", "/proc", "."].into_iter().for_each(|at| must_fail(fs::read_dir(at)))
            })
        },
        Denied,
    ),
    (
        "another-process",
        |env| {
            reference(env, || {
                for program in ["/bin/true", "/bin/sh", "/proc/self/exe", "kill"] {
                    must_fail(Command::new(program).spawn());
                    must_fail::<(), _>(Err(Command::new(program).exec()));
                }
            })
        },
        Denied,
    ),
    (
        "network",
        |env| {
            reference(env, || {
                must_fail(TcpListener::bind("127.0.0.1:0"));
                must_fail(UdpSocket::bind("127.0.0.1:0"));
                must_fail(TcpStream::connect("127.0.0.1:22"));
                must_fail(UnixDatagram::unbound());
                must_fail(UnixStream::connect("/run/docker.sock"));
            })
        },
        Denied,
    ),
    (
        // A submission could make these calls only with `unsafe` or with a dependency.
        "signals-to-others",
        |env| {
            reference(env, || {
                must_fail(rustix::process::test_kill_process(Pid::INIT));
                must_fail(rustix::process::test_kill_process_group(Pid::INIT));
            })
        },
        Denied,
    ),
    (
        "killing-its-group",
        |_| idle(|| _ = rustix::process::kill_current_process_group(Signal::KILL)),
        Judged(Verdict::Crashed, "signal 9"),
    ),
    (
        "threads",
        |env| reference(env, || drop(std::thread::Builder::new().spawn(|| loop {}))),
        Judged(Verdict::Failed, "started a thread"),
    ),
    (
        "a-thread-after-the-run",
        |_| {
            struct Late;
            impl Drop for Late {
                fn drop(&mut self) {
                    _ = std::thread::Builder::new().spawn(|| {
                        loop {
                            print!("{}", forged());
                        }
                    });
                }
            }
            thread_local!(static LATE: Late = const { Late });
            idle(|| LATE.with(|_| ()))
        },
        Judged(Verdict::Failed, "expected one leader, got none"),
    ),
    (
        "silencing-panics",
        |_| {
            std::panic::set_hook(Box::new(|_| std::process::exit(0)));
            panic!("as intended")
        },
        Judged(Verdict::Crashed, "exit code 0"),
    ),
    (
        "a-long-panic",
        |_| panic!("{}", "x".repeat(20 << 20)),
        Judged(Verdict::Failed, "more bytes)"),
    ),
    (
        "a-long-payload",
        |_| std::panic::resume_unwind(Box::new("x".repeat(20 << 20))),
        Judged(Verdict::Failed, "more bytes)"),
    ),
    ("showing-nothing", |env| Rc::new(Blind((raft::REFERENCE.make)(env))), Unseen),
    (
        "memory",
        |_| {
            let mut hoard = Vec::new();
            loop {
                hoard.push(vec![1u8; 1 << 20]);
            }
        },
        Judged(Verdict::Crashed, "more than 256 MiB"),
    ),
    (
        "output",
        |_| loop {
            println!("{}", "x".repeat(1 << 16));
        },
        Judged(Verdict::Crashed, "printed more than"),
    ),
    ("time", |_| loop {}, Judged(Verdict::Hung, "did not return within")),
    (
        "a-static-that-outlives-a-run",
        |env| {
            static RUNS: AtomicU64 = AtomicU64::new(0);
            // A run makes three servers, each once.
            assert!(
                RUNS.fetch_add(1, Ordering::Relaxed) < 3,
                "{BREACH}: the state of an earlier run is visible"
            );
            (raft::REFERENCE.make)(env)
        },
        Denied,
    ),
];

/// Runs three seeds of the first test, as the grader does.
fn runs(implementation: Implementation) -> Result<Vec<RunRecord>, Failed> {
    let program = std::env::current_exe()?.to_string_lossy().into_owned();
    let name = implementation.name;
    let mut command = vec![program];
    let words = ["--memory", "256", "--implementation", name];
    command.extend(words.map(String::from));
    command.extend(
        ["--user", "65534", "--require", "landlock", "--require", "seccomp"].map(String::from),
    );
    let settings = Settings {
        implementation,
        command,
        conditions: Conditions::default(),
        audited: Audited::Nothing,
        memory_bytes: 256 << 20,
        wall_limit: Duration::from_secs(if name == "time" { 1 } else { 60 }),
        traces: PathBuf::new(),
        show_output: false,
        build: Build::default(),
        is_distrusted: true,
    };
    let stop = AtomicBool::new(false);
    let test = &tests::SUITE[0];
    let mut records = Vec::new();
    let pairs = (0..3).map(|seed| (test, seed));
    Pool::new(settings, &stop).run(pairs, 1, |answer| records.push(answer.record))?;
    Ok(records)
}

fn gains_nothing(implementation: Implementation, gain: Gain) -> Result<(), Failed> {
    let records = runs(implementation)?;
    if records.len() != 3 {
        return Err(format!("{} of 3 runs were answered", records.len()).into());
    }
    for record in &records {
        let reason = record.failure.as_ref().map_or("", |failure| failure.reason.as_str());
        let is_right = match gain {
            Denied => record.verdict == Verdict::Passed && !record.is_probe_missing,
            Unseen => record.verdict == Verdict::Passed && record.is_probe_missing,
            Judged(verdict, why) => record.verdict == verdict && reason.contains(why),
        };
        if !is_right || reason.contains(BREACH) {
            return Err(format!("{record:#?}").into());
        }
        let length = format!("{record:?}").len();
        if length > MAX_RECORD_BYTES {
            return Err(format!("the record of a run has {length} bytes").into());
        }
    }
    let secret = fs::read_to_string(secret_path())?;
    if secret != SECRET { Err("the secret was changed".into()) } else { Ok(()) }
}

/// Runs `course confined` with another program in the place of cargo: whether it succeeded, and its
/// output.
fn confined(arguments: &[&str]) -> Result<(bool, String), Failed> {
    let output = Command::new(std::env::current_exe()?)
        .args([
            "confined", "--read", "/usr", "--read", "/bin", "--read", "/lib", "--read", "/lib64",
        ])
        .args(arguments)
        .output()?;
    let said = [&output.stdout[..], &output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn a_build_reads_and_writes_only_what_it_may() -> Result<(), Failed> {
    let secret = secret_path().display().to_string();
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("attacks-tree");
    fs::create_dir_all(&tree)?;
    fs::write(tree.join("a"), "inside")?;
    let inside = tree.join("a").display().to_string();
    let tree = tree.display().to_string();
    let try_out = |arguments: &[&str]| confined(arguments);
    let (read, said) = try_out(&["--read", &tree, "--", "/bin/cat", &inside])?;
    if !read || said != "inside" {
        return Err(format!("the tree cannot be read: {said}").into());
    }
    let through = format!("{tree}/../attacks-secret");
    for path in [&secret, &through, &"/etc/passwd".to_string(), &"/proc/self/environ".to_string()] {
        let (read, said) = try_out(&["--read", &tree, "--", "/bin/cat", path])?;
        if read || !said.contains("Permission denied") {
            return Err(format!("{path} can be read: {said}").into());
        }
    }
    let new = format!("of={tree}/new");
    let (wrote, said) =
        try_out(&["--read", &tree, "--", "/bin/dd", "if=/dev/zero", &new, "count=1"])?;
    if wrote {
        return Err(format!("the tree can be written: {said}").into());
    }
    let fill = format!("of={tree}/big");
    let (wrote, said) = try_out(&[
        "--write",
        &tree,
        "--file",
        "1",
        "--",
        "/bin/dd",
        "if=/dev/zero",
        &fill,
        "bs=1M",
        "count=3",
    ])?;
    if wrote {
        return Err(format!("a file can be larger than the limit: {said}").into());
    }
    Ok(())
}

fn a_build_has_no_network() -> Result<(), Failed> {
    let (connected, said) =
        confined(&["--write", "/dev", "--", "/bin/bash", "-c", ": > /dev/tcp/127.0.0.1/9"])?;
    if connected || !said.contains("Operation not permitted") {
        return Err(said.into());
    }
    Ok(())
}

/// `unsafe_code = "forbid"`, as in the manifests that submissions are built with, covers all forms
/// of unsafe code, and sources cannot allow it again.
fn the_compiler_takes_no_unsafe_code() -> Result<(), Failed> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("attacks-unsafe");
    fs::create_dir_all(&place)?;
    let file = place.join("a.rs");
    for text in [
        "pub fn f() { unsafe { std::hint::unreachable_unchecked() } }",
        "#![allow(unsafe_code)] pub fn f() { unsafe { std::hint::unreachable_unchecked() } }",
        "pub struct A(*mut u8); unsafe impl Send for A {}",
        "unsafe extern \"C\" { safe fn getppid() -> i32; } pub fn f() -> i32 { getppid() }",
        "#[unsafe(no_mangle)] pub extern \"C\" fn clock_gettime() {}",
        "#[unsafe(export_name = \"main\")] pub fn f() {}",
        "#[used] #[unsafe(link_section = \".init_array\")] static A: extern \"C\" fn() = f; extern \"C\" fn f() {}",
        "core::arch::global_asm!(\"nop\");",
        "macro_rules! m { ($($t:tt)*) => { unsafe { $($t)* } } } pub fn f() { m!(std::hint::unreachable_unchecked()) }",
    ] {
        File::create(&file)?.write_all(text.as_bytes())?;
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc)
            .args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata"])
            .args(["--forbid", "unsafe_code", "--out-dir"])
            .args([&place, &file])
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() || !said.contains("unsafe") {
            return Err(format!("{text}: {said}").into());
        }
    }
    Ok(())
}

/// Whether this machine has the sandbox layers that the attacks are to be stopped by.
fn has_sandbox_layers() -> bool {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program).args(["confined", "--layers"]).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    said.is_ok_and(|said| said.contains("landlock") && said.contains("seccomp"))
}

fn main() -> ExitCode {
    let implementations = ATTACKS.map(|(name, make, _)| Implementation::new(name, make));
    match std::env::args().nth(1).as_deref() {
        Some("--memory") => return graded::main(tests::SUITE, &implementations),
        Some("confined") => {
            let Confining::Confined(confined) = Confining::parse();
            return outcome::report("attacks", confined.run());
        }
        _ => {}
    }
    fs::write(secret_path(), SECRET).expect("the secret can be written");
    let mut trials =
        vec![Trial::test("the compiler takes no unsafe code", the_compiler_takes_no_unsafe_code)];
    if has_sandbox_layers() {
        trials.push(Trial::test(
            "a build reads and writes only what it may",
            a_build_reads_and_writes_only_what_it_may,
        ));
        trials.push(Trial::test("a build has no network", a_build_has_no_network));
        for (implementation, (name, _, gain)) in implementations.into_iter().zip(ATTACKS) {
            let title = format!("{name} gains nothing");
            trials.push(Trial::test(title, move || gains_nothing(implementation, gain)));
        }
    } else {
        eprintln!("this machine has no Landlock or no seccomp: attacks on runs are not tried");
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
