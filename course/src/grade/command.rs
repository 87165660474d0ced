//! The `course grade` command: from its options to a report for each submission.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use clap::Args;
use labraft::Verdict;

use super::build::Builder;
use super::config::Course;
use super::grader::{Depth, Grader};
use super::names::{CLASS_FILE, submission_names};
use super::output::Output;
use super::report::{ClassTable, Reader};
use super::{isolation, report, self_test};
use lab::outcome::{CommandError, INTERRUPT, Outcome};
use lab::session::{default_jobs, parse_jobs};
use lab::submit::root;

#[derive(Args)]
pub(crate) struct GradeArgs {
    /// What was handed in: folders, tar, tar.gz or zip archives.
    #[arg(required_unless_present = "self_test", value_name = "SUBMISSION")]
    submissions: Vec<PathBuf>,
    /// The course's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where to write reports: a folder for each submission, and class.csv.
    #[arg(long, value_name = "DIR", default_value = "target/lab-grade/reports")]
    out: PathBuf,
    /// Where to build submissions.
    #[arg(long, value_name = "DIR", default_value = "target/lab-grade/work")]
    work: PathBuf,
    /// Tell students which hidden seeds failed, and why.
    #[arg(long)]
    publish: bool,
    /// Build the submissions without running them.
    #[arg(long)]
    build_only: bool,
    /// Write Gradescope's results for the only submission.
    #[arg(long, value_name = "FILE")]
    gradescope: Option<PathBuf>,
    /// Write the result of the only submission, as GitHub Classroom's reporter reads it, to the
    /// step's output `result` (in the file that GITHUB_OUTPUT names).
    #[arg(long)]
    classroom: bool,
    /// Check the grader on known sources instead: the solution, the handout, and a few bugs must
    /// each get the points they deserve.
    #[arg(long, conflicts_with_all = ["submissions", "publish", "build_only", "gradescope", "classroom"])]
    self_test: bool,
    /// How many processes to use at a time, for building and for running [default: one per
    /// processor].
    #[arg(long, value_parser = parse_jobs)]
    jobs: Option<usize>,
}

impl GradeArgs {
    /// The verdict is `Passed` when every submission was graded, whatever its points.
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let mut course = Course::read(&self.config).map_err(CommandError::Usage)?;
        if self.self_test {
            course.seeds.public = course.seeds.public.min(self_test::SEEDS);
            course.seeds.hidden = course.seeds.hidden.min(self_test::SEEDS);
        }
        let secret = course.read_secret().map_err(CommandError::Usage)?;
        let names = submission_names(&self.submissions)?;
        if (self.gradescope.is_some() || self.classroom) && names.len() > 1 {
            return Err(CommandError::Usage(
                "--gradescope and --classroom work with one submission at a time".into(),
            ));
        }
        let root = root::sources()?;
        isolation::check_secret_is_apart(&course, &root)?;
        let jobs = self.jobs.unwrap_or_else(default_jobs);
        let isolation = isolation::describe_layers(&course)?;
        writeln!(io::stdout(), "{isolation}")?;
        // Before anything is built: what cannot be written need not be graded.
        let _locks = if self.self_test { Vec::new() } else { self.output(&course).lock()? };
        let builder = Builder::prepare(&root, &self.work, course.limits, jobs)?;
        let grader =
            Grader { course: &course, secret: &secret, builder: &builder, jobs, isolation };
        if self.self_test {
            let is_right = self_test::run(&grader, &root, &self.work.join("self-test"))?;
            let verdict = if is_right { Verdict::Passed } else { Verdict::Failed };
            return Ok(Outcome::Judged(verdict));
        }
        self.grade_all(&grader, &names)
    }

    fn grade_all(&self, grader: &Grader<'_>, names: &[String]) -> Result<Outcome, CommandError> {
        let output = self.output(grader.course);
        output.write_unfinished()?;
        let depth = if self.build_only { Depth::BuildOnly } else { Depth::Run };
        let mut table = ClassTable::default();
        let mut broken = Vec::new();
        for (name, path) in names.iter().zip(&self.submissions) {
            let began = now();
            let grade = grader.grade(name, path, depth);
            // A grade or an error that was caused by an interruption means nothing.
            if INTERRUPT.load(Ordering::Relaxed) {
                return Ok(Outcome::Interrupted);
            }
            // Whatever happened to this submission, the others are graded.
            let grade = match grade {
                Ok(grade) => grade,
                Err(CommandError::OutputClosed) => return Err(CommandError::OutputClosed),
                Err(CommandError::Usage(why) | CommandError::Internal(why)) => {
                    broken.push(name.as_str());
                    eprintln!("course: cannot grade {name}: {why}");
                    grader.broken(name, why)
                }
            };
            let seconds = began.elapsed().as_secs_f64();
            output.write(&grade)?;
            writeln!(io::stdout(), "{}", report::line(&grade, seconds))?;
            table.add(&grade);
        }
        output.write_file(Path::new(CLASS_FILE), table.text())?;
        if broken.is_empty() {
            return Ok(Outcome::Judged(Verdict::Passed));
        }
        Err(CommandError::Internal(format!("these were not graded: {}", broken.join(", "))))
    }

    fn output<'a>(&'a self, course: &'a Course) -> Output<'a> {
        let is_published = self.publish || course.publish;
        Output {
            directory: &self.out,
            course: &course.name,
            student_sees: if is_published { Reader::Teacher } else { Reader::Student },
            gradescope: self.gradescope.as_deref(),
            to_classroom: self.classroom,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
fn now() -> Instant {
    Instant::now()
}
