//! The programs that are built for one submission.
//!
//! A service is run on the student's own Raft and on the lab's, so that mistakes in lab 2 cost no points in
//! the labs after it. Everything else that was handed in is the student's in both. If not all of it builds,
//! what comes last is left out: the crates before it do not need it.

use std::path::PathBuf;

use labraft::Part;

use super::build::{BuildFailure, Builder};
use super::config::Course;
use super::{CONTROLLER, KV, RAFT, SHARDS, compiler_output, directory};
use lab::outcome::CommandError;
use lab::submit::submission::Submission;

#[derive(Default)]
pub(super) struct Programs {
    /// The program with the student's Raft, if it builds.
    pub(super) with_own_raft: Option<Program>,
    /// The program with the student's services on the lab's Raft, if there are any and it builds.
    pub(super) on_lab_raft: Option<Program>,
    /// The compiler's output, line by line, when something does not build.
    pub(super) compiler: Vec<String>,
}

/// A program that was built.
pub(super) struct Program {
    pub(super) path: PathBuf,
    /// The directories whose files are the student's. Those of the others are the lab's.
    own: Vec<&'static str>,
}

impl Program {
    /// Whether what a part is about is the student's.
    pub(super) fn has(&self, part: Part) -> bool {
        self.own.contains(&directory(part))
    }
}

impl Programs {
    /// Builds the programs that the course needs.
    pub(super) fn build(
        builder: &Builder,
        course: &Course,
        submission: &Submission,
    ) -> Result<Programs, CommandError> {
        let own = usable(course, submission);
        let services: Vec<_> = own.iter().copied().filter(|&each| each != RAFT).collect();
        let mut programs = Programs::default();
        let build = |name, own, compiler: &mut Vec<String>| {
            largest(&Building { builder, course, submission, name }, own, compiler)
        };
        if own.contains(&RAFT) {
            programs.with_own_raft = build("own", &own, &mut programs.compiler)?;
        }
        let mut compiler = Vec::new();
        programs.on_lab_raft = build("on-lab", &services, &mut compiler)?;
        // Otherwise the same errors would be listed twice.
        if programs.compiler.is_empty() {
            programs.compiler = compiler;
        }
        Ok(programs)
    }
}

/// The directory without which a part cannot be graded, and which the submission does not have. A
/// submission without a key/value service is built on the lab's, and so may its sharded service be on the
/// lab's controller.
pub(super) fn lacking(part: Part, submission: &Submission) -> Option<&'static str> {
    let is_built_on_own = directory(part) == SHARDS && submission.has(KV);
    let needed = [is_built_on_own.then_some(CONTROLLER), Some(directory(part))];
    needed.into_iter().flatten().find(|each| !submission.has(each))
}

/// The directories of the submission that the course has a use for, in the order in which they are built
/// on each other.
fn usable(course: &Course, submission: &Submission) -> Vec<&'static str> {
    let is_lacking = |each| each == SHARDS && lacking(Part::Shard4B, submission).is_some();
    [RAFT, KV, CONTROLLER, SHARDS]
        .into_iter()
        .filter(|&each| course.uses(each) && submission.has(each) && !is_lacking(each))
        .collect()
}

/// What is built for which course, and the name of the program.
struct Building<'a> {
    builder: &'a Builder,
    course: &'a Course,
    submission: &'a Submission,
    name: &'a str,
}

/// Builds the program with as many of these directories of a submission as it can be built with, from the
/// first on. If that is not all of them, the reason is added to `compiler`.
fn largest(
    building: &Building<'_>,
    own: &[&'static str],
    compiler: &mut Vec<String>,
) -> Result<Option<Program>, CommandError> {
    let mut reasons = Vec::new();
    for count in (1..=own.len()).rev() {
        let own = &own[..count];
        if !own.iter().any(|each| building.course.grades(each)) {
            break;
        }
        match building.program(own)? {
            Ok(program) => {
                compiler.extend(reasons);
                return Ok(Some(program));
            }
            Err(reason) if reasons.is_empty() => reasons = reason,
            Err(_) => {}
        }
    }
    compiler.extend(reasons);
    Ok(None)
}

impl Building<'_> {
    /// Builds one program. If it does not build, the reason is returned, line by line.
    fn program(&self, own: &[&'static str]) -> Result<Result<Program, Vec<String>>, CommandError> {
        let path = self.builder.program_path(self.name);
        let files = own.iter().flat_map(|each| self.submission.below(each)).collect();
        let has_lab_4 = own.contains(&CONTROLLER) || own.contains(&SHARDS);
        let files = self.builder.completed(files, self.course.searches());
        let reason = match self.builder.build(&files, has_lab_4, &path)? {
            Ok(()) => return Ok(Ok(Program { path, own: own.to_vec() })),
            Err(BuildFailure::Compiler(output)) => {
                compiler_output::without_other_files(&output, own)
            }
            Err(BuildFailure::TimedOut) => {
                format!("it does not build within {} s", self.course.limits.build_seconds)
            }
        };
        Ok(Err(reason.lines().map(String::from).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submission(directories: &[&str]) -> Submission {
        let file = |each: &&str| (format!("{each}lib.rs"), Vec::new());
        Submission { files: directories.iter().map(file).collect(), ignored: Vec::new() }
    }

    #[test]
    fn what_a_course_has_no_use_for_is_not_built() {
        let all = submission(&[RAFT, KV, CONTROLLER, SHARDS]);
        for (parts, used) in [
            ("\"2A\"", &[RAFT][..]),
            ("\"2A\", \"3B\"", &[RAFT, KV]),
            ("\"4A\"", &[RAFT, KV, CONTROLLER]),
            ("\"4A\", \"4C\"", &[RAFT, KV, CONTROLLER, SHARDS]),
        ] {
            let text = format!("secret = \"key\"\nparts = [{parts}]\n");
            let course: Course = toml::from_str(&text).unwrap();
            assert_eq!(usable(&course, &all), used, "{parts}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (handed_in, part, missing) in [
            (&[RAFT, KV][..], Part::Shard4A, Some(CONTROLLER)),
            (&[RAFT, KV], Part::Shard4B, Some(CONTROLLER)),
            (&[RAFT, KV, SHARDS], Part::Shard4B, Some(CONTROLLER)),
            (&[RAFT, KV, CONTROLLER], Part::Shard4C, Some(SHARDS)),
            (&[RAFT, KV, CONTROLLER], Part::Shard4A, None),
            (&[CONTROLLER, SHARDS], Part::Shard4B, None),
            (&[SHARDS], Part::Shard4B, None),
            (&[RAFT], Part::Kv3A, Some(KV)),
            (&[KV], Part::Raft2A, Some(RAFT)),
        ] {
            assert_eq!(lacking(part, &submission(handed_in)), missing, "{part} of {handed_in:?}");
        }
    }
}
