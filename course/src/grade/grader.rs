//! Grades one submission: reads it, checks its words, builds it, runs the tests, and counts points.

use std::path::Path;

use labraft::{Part, Test};

use super::build::Builder;
use super::config::Course;
use super::points::{SubmissionGrade, TestGrade};
use super::programs::{Program, Programs, lacking};
use super::runs::{self, Plan, ResultsByTest};
use super::{CONTROLLER, SHARDS, searches, seeds};
use lab::outcome::CommandError;
use lab::submit::forbidden_words;
use lab::submit::submission::{BOUNDS, Submission};

/// The most findings of an audit that are listed for a run. There is at most one of each kind.
const MOST_FINDINGS: usize = 10;
/// The longest finding that is listed, in characters.
const LONGEST_FINDING: usize = 600;

/// Grades submissions, one after the other, for one course.
pub(super) struct Grader<'a> {
    pub(super) course: &'a Course,
    /// The key of the hidden seeds.
    pub(super) secret: &'a [u8],
    pub(super) builder: &'a Builder,
    /// The number of workers that run at a time.
    pub(super) jobs: usize,
    /// A line on the sandbox layers of this machine, for the teacher's report.
    pub(super) isolation: String,
}

/// How far to go with a submission: only build it, or also run its tests.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    BuildOnly,
    Run,
}

/// The results of each program; `None` where the program was not built.
struct Results {
    own_raft: Option<ResultsByTest>,
    lab_raft: Option<ResultsByTest>,
}

impl Results {
    /// What the audits of all programs found, one finding per line.
    fn unexplained(&self) -> Vec<String> {
        let programs = [&self.own_raft, &self.lab_raft];
        let results = programs.into_iter().flatten().flat_map(ResultsByTest::values).flatten();
        let mut lines = Vec::new();
        for record in results.filter_map(|result| result.record.as_ref()) {
            // The findings come from a process in which the submission ran.
            for finding in record.findings.iter().take(MOST_FINDINGS) {
                let text: String = finding.to_string().chars().take(LONGEST_FINDING).collect();
                lines.push(format!("{}, seed {}: {text}", record.test, record.seed));
            }
        }
        lines
    }
}

impl Grader<'_> {
    /// Grades the submission at `path`. Its reports use `name` as its name.
    pub(super) fn grade(
        &self,
        name: &str,
        path: &Path,
        depth: Depth,
    ) -> Result<SubmissionGrade, CommandError> {
        let mut grade = SubmissionGrade::new(name, self.isolation.clone());
        let submission = match Submission::read(path, BOUNDS) {
            Ok(submission) => self.without_unused(submission),
            Err(why) => {
                grade.refused.push(why);
                return Ok(self.without_runs(grade, "it was refused"));
            }
        };
        grade.digest = submission.digest();
        grade.ignored.clone_from(&submission.ignored);
        let words = forbidden_words::find(&submission.files);
        grade.suspicious = words.suspicious;
        if !words.forbidden.is_empty() {
            grade.refused = words.forbidden;
            return Ok(self.without_runs(grade, "it was refused"));
        }
        let programs = Programs::build(self.builder, self.course, &submission)?;
        grade.compiler.clone_from(&programs.compiler);
        if depth == Depth::BuildOnly {
            return Ok(self.without_runs(grade, "it was only built"));
        }
        let results = self.run(&programs)?;
        grade.unexplained = results.unexplained();
        let tests = self.course.tests();
        grade.tests =
            tests.map(|(test, most)| self.grade_test(&submission, &results, test, most)).collect();
        Ok(grade)
    }

    /// The submission without the files of lab 4, if that is not graded: then it is graded like one that has
    /// none.
    fn without_unused(&self, mut submission: Submission) -> Submission {
        let is_unused = |path: &str| {
            let of_lab_4 = [CONTROLLER, SHARDS].iter().any(|each| path.starts_with(each));
            of_lab_4 && !self.course.has_lab_4()
        };
        submission.files.retain(|path, _| !is_unused(path));
        submission
    }

    /// The grade of a submission that the grader could not grade, for the reason `why`.
    pub(super) fn broken(&self, name: &str, why: String) -> SubmissionGrade {
        let grade = SubmissionGrade::new(name, self.isolation.clone());
        self.without_runs(SubmissionGrade { broken: Some(why), ..grade }, "the grader broke")
    }

    /// Completes a grade with no points in any test, for the reason `why`.
    fn without_runs(&self, grade: SubmissionGrade, why: &str) -> SubmissionGrade {
        let tests = self.course.tests();
        let tests = tests.map(|(test, most)| TestGrade::missing(test, most, why.into()));
        SubmissionGrade { tests: tests.collect(), ..grade }
    }

    fn run(&self, programs: &Programs) -> Result<Results, CommandError> {
        let own = programs.with_own_raft.as_ref();
        let mut own_raft = self.run_program(own, |_| true)?;
        if let (Some(results), Some(own)) = (&mut own_raft, own) {
            results.extend(self.search(&own.path)?);
        }
        let lab_raft = self.run_program(programs.on_lab_raft.as_ref(), Part::is_service)?;
        Ok(Results { own_raft, lab_raft })
    }

    /// Searches the scenarios of the part `search`, if it is graded.
    fn search(&self, program: &Path) -> Result<ResultsByTest, CommandError> {
        let tests = self.course.tests().map(|(test, _)| test);
        let scenarios: Vec<_> = tests.filter(|test| test.part == Part::Search).collect();
        searches::run(program, &scenarios, self.course, self.jobs)
    }

    /// The tests of some parts, each with its seeds.
    fn plan(&self, is_wanted: impl Fn(Part) -> bool) -> Plan {
        let tests = self.course.tests().filter(|(test, _)| is_wanted(test.part));
        tests.map(|(test, _)| (test, seeds::seeds(self.secret, test, self.course.seeds))).collect()
    }

    /// Runs the tests of the parts that are wanted, and whose subject is the student's. Each lab has the time
    /// that the course's limits give.
    fn run_program(
        &self,
        program: Option<&Program>,
        is_wanted: fn(Part) -> bool,
    ) -> Result<Option<ResultsByTest>, CommandError> {
        let Some(program) = program else { return Ok(None) };
        let mut results = ResultsByTest::new();
        let labs: [fn(Part) -> bool; 3] =
            [|part| !part.is_service(), Part::is_kv, Part::is_sharded];
        for is_of_lab in labs {
            let is_run = |part| is_of_lab(part) && is_wanted(part) && program.has(part);
            let plan = self.plan(|part| is_run(part) && part != Part::Search);
            if !plan.is_empty() {
                results.extend(runs::run(&program.path, &plan, self.course, self.jobs)?);
            }
        }
        Ok(Some(results))
    }

    /// Grades a test. For that of a service the better of the two programs counts.
    fn grade_test(
        &self,
        submission: &Submission,
        results: &Results,
        test: &'static Test,
        most: u32,
    ) -> TestGrade {
        let own = self.grade_results(submission, results.own_raft.as_ref(), test, most);
        if !test.part.is_service() {
            return own;
        }
        let lab = self.grade_results(submission, results.lab_raft.as_ref(), test, most);
        TestGrade::better(own, lab)
    }

    /// Grades a test by the results of one program.
    fn grade_results(
        &self,
        submission: &Submission,
        results: Option<&ResultsByTest>,
        test: &'static Test,
        most: u32,
    ) -> TestGrade {
        match results.and_then(|results| results.get(test.name)) {
            Some(results) => TestGrade::of(self.course, test, most, results.clone()),
            None => {
                let why = match lacking(test.part, submission) {
                    Some(directory) => format!("the submission has no {directory}"),
                    None => "it does not build".into(),
                };
                TestGrade::missing(test, most, why)
            }
        }
    }
}
