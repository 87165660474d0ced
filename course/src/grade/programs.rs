//! The programs that are built for one submission.
//!
//! A key/value service is run on the student's own Raft and on the lab's, so that mistakes in lab 2
//! cost no points in lab 3. If the service does not compile, Raft is still built with the lab's
//! service.

use std::path::PathBuf;

use super::build::{BuildFailure, Builder, Sources};
use super::config::Course;
use super::{KV, RAFT, compiler_output};
use lab::outcome::CommandError;
use lab::submit::submission::Submission;

#[derive(Default)]
pub(super) struct Programs {
    /// The program with the student's Raft, if it builds.
    pub(super) with_own_raft: Option<PathBuf>,
    /// Whether the key/value service in that program is the student's too.
    pub(super) has_own_kv: bool,
    /// The program with the student's service on the lab's Raft, if it builds.
    pub(super) on_lab_raft: Option<PathBuf>,
    /// The compiler's output, line by line, when something does not build.
    pub(super) compiler: Vec<String>,
}

impl Programs {
    /// Builds the programs that the course needs.
    pub(super) fn build(
        builder: &Builder,
        course: &Course,
        submission: &Submission,
    ) -> Result<Programs, CommandError> {
        let raft = submission.below(RAFT);
        let kv = submission.below(KV);
        let has_kv = course.has_kv() && !kv.is_empty();
        let mut programs = Programs::default();
        if !raft.is_empty() {
            let lab_kv = builder.lab_sources(KV);
            let first = together(&raft, if has_kv { &kv } else { &lab_kv });
            programs.with_own_raft =
                program(builder, course, "own", &first, &mut programs.compiler)?;
            programs.has_own_kv = has_kv;
            if programs.with_own_raft.is_none() && has_kv && course.has_raft() {
                programs.has_own_kv = false;
                let second = together(&raft, &lab_kv);
                programs.with_own_raft = program(builder, course, "own", &second, &mut Vec::new())?;
            }
        }
        if has_kv {
            let sources = together(&builder.lab_sources(RAFT), &kv);
            let mut compiler = Vec::new();
            programs.on_lab_raft = program(builder, course, "on-lab", &sources, &mut compiler)?;
            // Otherwise the same errors would be listed twice.
            if programs.compiler.is_empty() {
                programs.compiler = compiler;
            }
        }
        Ok(programs)
    }
}

fn together(raft: &Sources, kv: &Sources) -> Sources {
    raft.iter().chain(kv).map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
}

/// Builds one program. If it does not build, returns `None` and adds the reason to `compiler`.
fn program(
    builder: &Builder,
    course: &Course,
    name: &str,
    sources: &Sources,
    compiler: &mut Vec<String>,
) -> Result<Option<PathBuf>, CommandError> {
    let program = builder.program_path(name);
    let reason = match builder.build(sources, &program)? {
        Ok(()) => return Ok(Some(program)),
        Err(BuildFailure::Compiler(output)) => compiler_output::without_other_files(&output),
        Err(BuildFailure::TimedOut) => {
            format!("it does not build within {} s", course.limits.build_seconds)
        }
    };
    compiler.extend(reason.lines().map(String::from));
    Ok(None)
}
