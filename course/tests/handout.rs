//! What `course handout` writes. That it builds and that its tests fail as they should is checked by
//! `course handout --check`, which `scripts/check` runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn fresh(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("handout-{name}"));
    _ = fs::remove_dir_all(&directory);
    directory
}

fn course(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_course"));
    command.args(arguments).current_dir(workspace());
    command
}

/// The exit code and all output.
fn printed(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn handout(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = course(&["handout"]);
    command.arg(directory).arg("--no-proof").args(arguments);
    command
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").current_dir(directory).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn all_files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let content = fs::read(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_path_buf(), content);
            }
        }
    }
    found
}

#[test]
fn users_with_different_settings_make_the_same_handout_byte_for_byte() {
    let first = fresh("first");
    let second = fresh("second");
    let output = handout(&first, &[]).output().unwrap();
    assert_eq!(printed(&output).0, Some(0), "{output:?}");

    let config = fresh("gitconfig");
    let habits = "[user]\nname = Somebody\nemail = somebody@example.org\n[commit]\ngpgSign = true\n\
                  [core]\nhooksPath = hooks\nautocrlf = true\nexcludesFile = all\n\
                  [init]\ndefaultBranch = trunk\n";
    fs::write(&config, habits).unwrap();
    let output = handout(&second, &[])
        .env("GIT_CONFIG_GLOBAL", &config)
        .env("GIT_AUTHOR_NAME", "Somebody")
        .env("GIT_DIR", "/nowhere")
        .output()
        .unwrap();
    assert_eq!(printed(&output).0, Some(0), "{output:?}");

    let first_files = all_files(&first);
    let second_files = all_files(&second);
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&first_files), names(&second_files));
    for (path, content) in &first_files {
        assert!(content == &second_files[path], "{} differs", path.display());
    }
    assert_eq!(
        git(&first, &["log", "--format=%an %s %D"]),
        git(&second, &["log", "--format=%an %s %D"])
    );
    assert_eq!(git(&first, &["branch", "--show-current"]), "main\n");
    assert_eq!(git(&first, &["status", "--porcelain", "--ignored"]), "");
}

#[test]
fn a_student_gets_what_is_needed_and_nothing_of_the_solution() {
    let directory = fresh("contents");
    let output = handout(&directory, &[]).output().unwrap();
    assert_eq!(printed(&output).0, Some(0), "{output:?}");
    for path in [
        "README.md",
        "handout.json",
        "docs/course/2a.md",
        "raft/src/peer.rs",
        "kvraft/src/server.rs",
        "program/tests/ported.rs",
        ".cargo/config.toml",
    ] {
        assert!(directory.join(path).is_file(), "{path} is missing");
    }
    for path in [
        "raft/src/core.rs",
        "raft/skeleton",
        "raft/tests",
        "kvraft/src/store.rs",
        "course/mutants",
        "docs/course/instructor.md",
        "docs/mutants.md",
    ] {
        assert!(!directory.join(path).exists(), "{path} is handed out");
    }
    for (path, content) in all_files(&directory) {
        if path.starts_with("raft") || path.starts_with("kvraft") || path.ends_with("Cargo.toml") {
            let text = String::from_utf8(content).unwrap();
            assert!(!text.contains("SOLUTION") && !text.contains("stub:"), "{}", path.display());
        }
    }

    for (path, content) in all_files(&directory) {
        let text = String::from_utf8_lossy(&content).to_lowercase();
        for word in ["landlock", "seccompiler", "hmac"] {
            assert!(!text.contains(word), "{} is the grader's: {}", word, path.display());
        }
    }

    let again = handout(&directory, &[]).output().unwrap();
    let (code, text) = printed(&again);
    assert!(code == Some(2) && text.contains("is not empty"), "{code:?} {text}");
    let within =
        course(&["handout", "--check"]).current_dir(directory.join("raft")).output().unwrap();
    let (code, text) = printed(&within);
    assert!(code == Some(2) && text.contains("is a handout"), "{code:?} {text}");
}

/// The paths in a handout of these parts, with `/` as the separator.
fn paths(directory: &Path, arguments: &[&str]) -> Vec<String> {
    let output = handout(directory, arguments).output().unwrap();
    assert_eq!(printed(&output).0, Some(0), "{output:?}");
    let files = all_files(directory);
    files.keys().map(|path| path.to_string_lossy().replace('\\', "/")).collect()
}

#[test]
fn a_handout_without_lab_4_has_nothing_of_it() {
    let directory = fresh("labs-2-and-3");
    let paths = paths(&directory, &[]);
    // Pages and events can show shards in any handout.
    let is_of_any = |path: &str| path.starts_with("lab/") || path == "labraft/src/shard_state.rs";
    let of_lab_4 = |path: &&String| {
        (path.contains("shard") && !is_of_any(path)) || path.starts_with("docs/course/4")
    };
    assert_eq!(paths.iter().filter(of_lab_4).collect::<Vec<_>>(), [""; 0]);
    for path in ["Cargo.toml", "tests/Cargo.toml", "docs/course/README.md", "tests/src/suite.rs"] {
        let text = fs::read_to_string(directory.join(path)).unwrap();
        assert!(!text.contains("shard") && !text.contains("lab4"), "{path}: {text}");
    }
}

#[test]
fn lab_4_is_handed_out_with_skeletons_on_skeletons_or_on_the_reference() {
    let own = fresh("lab-4");
    let paths_of_own = paths(&own, &["--parts", "4A..4C"]);
    let given = fresh("lab-4-on-reference");
    let paths_of_given = paths(&given, &["--parts", "4A..4C", "--on-reference"]);
    for paths in [&paths_of_own, &paths_of_given] {
        for (path, is_there) in [
            ("docs/course/4b.md", true),
            ("docs/course/3b.md", false),
            ("docs/shards.md", true),
            ("labraft/src/directory.rs", true),
            ("shardctrler/src/config.rs", true),
            ("shardctrler/src/history.rs", false),
            ("shardctrler/skeleton/src/lib.rs", false),
            ("shardkv/src/setup.rs", true),
            ("shardkv/src/store.rs", false),
            ("tests/src/shards/mod.rs", true),
        ] {
            assert_eq!(paths.iter().any(|each| each == path), is_there, "{path}");
        }
    }
    let has_reference = |paths: &[String]| paths.iter().any(|path| path == "kvraft/src/replica.rs");
    assert!(!has_reference(&paths_of_own) && has_reference(&paths_of_given));
    let editable = |directory: &Path| {
        let manifest = fs::read_to_string(directory.join("handout.json")).unwrap();
        ["raft", "kvraft", "shardctrler", "shardkv"]
            .map(|name| manifest.contains(&format!("\"{name}/src/**/*.rs\"")))
    };
    assert_eq!(editable(&own), [true; 4]);
    assert_eq!(editable(&given), [false, false, true, true]);
    for (path, content) in all_files(&given) {
        let text = String::from_utf8_lossy(&content).into_owned();
        assert!(!text.contains("// END LAB 4") && !text.contains("// END SOLUTION"), "{path:?}");
    }
}

#[test]
fn parts_that_are_not_handed_out_have_no_tests_and_no_pages() {
    let directory = fresh("parts");
    let output = handout(&directory, &["--parts", "2A..2C"]).output().unwrap();
    assert_eq!(printed(&output).0, Some(0), "{output:?}");
    let pages = ["2a", "2b", "2c", "2d", "3a", "3b"]
        .map(|part| directory.join(format!("docs/course/{part}.md")).exists());
    assert_eq!(pages, [true, true, true, false, false, false]);
    let readme = fs::read_to_string(directory.join("README.md")).unwrap();
    assert!(readme.contains("docs/course/2c.md") && !readme.contains("docs/course/2d.md"));
    let parts = fs::read_to_string(directory.join("tests/src/parts.rs")).unwrap();
    assert!(parts.contains("LAST: Part = Part::Raft2C;"), "{parts}");
    let manifest = fs::read_to_string(directory.join("handout.json")).unwrap();
    assert!(manifest.contains("\"raft/src/**/*.rs\"") && !manifest.contains("\"kvraft/src/**"));
}

#[test]
fn the_pages_of_optional_parts_hold_no_line_of_the_solution() {
    let directory = fresh("optional");
    let output = handout(&directory, &["--parts", "2A..3B+2G"]).output().unwrap();
    assert_eq!(printed(&output).0, Some(0), "{output:?}");
    let pages = ["2d", "2e", "2f", "2g", "3b"]
        .map(|part| directory.join(format!("docs/course/{part}.md")).exists());
    assert_eq!(pages, [true; 5]);
}

#[test]
fn errors_say_what_is_wrong() {
    let outside = std::env::temp_dir();
    let root = workspace().to_string_lossy().into_owned();
    for (arguments, place, hint) in [
        (&["handout", "--check"][..], outside.as_path(), "not within a lab"),
        (&["handout", "x", "--parts", "2B..2A"], Path::new(&root), "2B comes after 2A"),
        (&["handout", "x", "--parts", "2X"], Path::new(&root), "unknown part \"2X\""),
        (&["handout", "x", "--on-reference"], Path::new(&root), "--parts"),
        (
            &["handout", "x", "--parts", "2B..3B", "--on-reference"],
            Path::new(&root),
            "no lab is complete before part 2B",
        ),
        (&["handout"], Path::new(&root), "DIR"),
    ] {
        let output = course(arguments).current_dir(place).output().unwrap();
        let (code, text) = printed(&output);
        assert!(code == Some(2) && text.contains(hint), "{arguments:?}: {code:?} {text}");
    }
}

/// With a script in the place of `course` that writes its arguments to the results.
#[cfg(unix)]
#[test]
fn gradescope_always_gets_a_result() {
    use std::os::unix::fs::PermissionsExt;

    let base = fresh("gradescope");
    let config = fresh("course.toml");
    fs::write(&config, "secret = \"handout-secret\"\n").unwrap();
    fs::write(config.with_file_name("handout-secret"), "as long as it must be").unwrap();
    let source = base.join("source");
    let mut command = course(&["handout", "--gradescope", "--config"]);
    let output = command.arg(&config).arg(&source).output().unwrap();
    assert_eq!(printed(&output).0, Some(0), "{output:?}");
    assert_eq!(fs::read(source.join("course.toml")).unwrap(), fs::read(&config).unwrap());
    assert!(source.join("handout-secret").is_file());
    assert!(source.join("lab/raft/src/core.rs").is_file(), "the solution is graded with, too");

    let program = source.join("lab/target/release/course");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    for (script, code, expected) in [
        ("echo \"$@\" >\"$6\"; exit 1", 0, "--config ../course.toml --gradescope"),
        ("exit 3", 3, "exit code 3"),
    ] {
        _ = fs::remove_dir_all(base.join("results"));
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(source.join("run_autograder"));
        let output = command.env("AUTOGRADER", &base).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let results = fs::read_to_string(base.join("results/results.json")).unwrap();
        assert!(results.contains(expected), "{results}");
    }
}
