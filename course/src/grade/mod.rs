//! `course grade`: what students handed in, built and run where it can do no harm, and what it is worth.
//!
//! | module | what it is |
//! |---|---|
//! | this one | the command: submissions in, reports out |
//! | `config` | what a course wants: `course.toml` |
//! | `build` | the lab with a submission in it, built among nothing else |
//! | `seeds` | public and hidden seeds |
//! | `runs` | every test under every seed, each in a process of its own |
//! | `points` | what outcomes are worth |
//! | `report` | pages, and what programs read |
//! | `self_test` | whether all of this tells right from wrong |

mod build;
mod config;
mod points;
mod report;
mod runs;
mod seeds;
mod self_test;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Instant;

use base64::prelude::{BASE64_STANDARD, Engine};
use clap::Args;
use labraft::{Part, Test, Verdict};

use build::{Sources, Unbuilt, Workshop};
use config::Course;
use graded::confine;
use lab::outcome::{CommandError, INTERRUPT, Outcome};
use lab::session::{default_jobs, parse_jobs};
use lab::submit::submission::{BOUNDS, Submission};
use lab::submit::tree;
use lab::submit::words;
use points::{Points, TestGrade};
use report::Reader;
use runs::{Plan, SeedResult};

/// The parts of a submission.
const RAFT: &str = "raft/src/";
const KV: &str = "kvraft/src/";

/// What `course grade` is told.
#[derive(Args)]
pub(crate) struct Grade {
    /// What was handed in: folders, tar, tar.gz or zip archives.
    #[arg(required_unless_present = "self_test", value_name = "SUBMISSION")]
    submissions: Vec<PathBuf>,
    /// What the course wants.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where reports are written: a folder for each submission, and class.csv.
    #[arg(long, value_name = "DIR", default_value = "target/lab-grade/reports")]
    out: PathBuf,
    /// Where submissions are built.
    #[arg(long, value_name = "DIR", default_value = "target/lab-grade/work")]
    work: PathBuf,
    /// Tell students which hidden seeds failed, and why.
    #[arg(long)]
    publish: bool,
    /// Only take and build them.
    #[arg(long)]
    build_only: bool,
    /// Write Gradescope's results of the only submission.
    #[arg(long, value_name = "FILE")]
    gradescope: Option<PathBuf>,
    /// Write what GitHub Classroom's reporter reads of the only submission to the step's output
    /// `result` (the file that GITHUB_OUTPUT names).
    #[arg(long)]
    classroom: bool,
    /// Grade what is known instead: the solution, the handout, and a few bugs; each must get what it
    /// deserves.
    #[arg(long, conflicts_with_all = ["submissions", "publish", "build_only", "gradescope", "classroom"])]
    self_test: bool,
    /// How many processes to build and to run with at a time [default: one for each processor].
    #[arg(long, value_parser = parse_jobs)]
    jobs: Option<usize>,
}

/// A submission with what it is worth.
#[derive(Clone, Debug)]
struct Graded {
    name: String,
    /// Tells the submission from any other.
    digest: String,
    /// Why nothing of it was graded.
    refused: Vec<String>,
    left_out: Vec<String>,
    compiler: Vec<String>,
    to_look_at: Vec<String>,
    /// What stood between it and the machine.
    walls: String,
    tests: Vec<TestGrade>,
}

impl Graded {
    fn points(&self) -> Points {
        self.tests.iter().map(|test| test.points).sum()
    }

    fn most(&self) -> Points {
        self.tests.iter().map(|test| test.most).sum()
    }

    fn parts(&self) -> Vec<(Part, Vec<&TestGrade>)> {
        report::by_part(&self.tests)
    }

    fn status(&self) -> &'static str {
        match (self.refused.is_empty(), self.compiler.is_empty()) {
            (false, _) => "refused",
            (true, false) => "does not build",
            (true, true) => "graded",
        }
    }
}

impl Grade {
    /// Grades them all. It is carried out when there is a report on each, whatever it says.
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let mut course = Course::read(&self.config).map_err(CommandError::Usage)?;
        if self.self_test {
            let seeds = &mut course.seeds;
            seeds.public = seeds.public.min(self_test::SEEDS);
            seeds.hidden = seeds.hidden.min(self_test::SEEDS);
        }
        let secret = course.read_secret().map_err(CommandError::Usage)?;
        let names = names(&self.submissions)?;
        if (self.gradescope.is_some() || self.classroom) && names.len() > 1 {
            return Err(CommandError::Usage("such results are of one submission only".into()));
        }
        let root = tree::sources()?;
        is_kept_apart(&course, &root)?;
        let jobs = self.jobs.unwrap_or_else(default_jobs);
        let walls = walls(&course)?;
        writeln!(io::stdout(), "{walls}")?;
        let workshop = Workshop::prepare(&root, &self.work, course.limits, jobs)?;
        let bench = Bench { course: &course, secret: &secret, workshop: &workshop, jobs, walls };
        if self.self_test {
            let are_right = self_test::run(&bench, &root, &self.work.join("self-test"))?;
            let verdict = if are_right { Verdict::Passed } else { Verdict::Failed };
            return Ok(Outcome::Judged(verdict));
        }
        if let Some(path) = &self.gradescope {
            // What there is if the machine ends it before its end.
            fs::write(path, format!("{}\n", report::unfinished()))
                .map_err(|error| cannot_write(path, &error))?;
        }
        let mut all = Vec::new();
        for (name, path) in names.iter().zip(&self.submissions) {
            let began = now();
            let graded = bench.grade(name, path, self.build_only);
            // What was under way then says nothing.
            if INTERRUPT.load(Ordering::Relaxed) {
                return Ok(Outcome::Interrupted);
            }
            let graded = graded?;
            let seconds = began.elapsed().as_secs_f64();
            self.write(&graded, &course, seconds)?;
            writeln!(io::stdout(), "{}", line(&graded, seconds))?;
            all.push(graded);
        }
        self.keep(Path::new("class.csv"), &report::class(&all))?;
        Ok(Outcome::Judged(Verdict::Passed))
    }

    /// Everything that is said of one submission.
    fn write(&self, graded: &Graded, course: &Course, seconds: f64) -> Result<(), CommandError> {
        let reader = if self.publish || course.publish { Reader::Teacher } else { Reader::Student };
        let place = Path::new(&graded.name);
        // What is for the teacher is not in the page for the student, published or not.
        let for_student = Graded { to_look_at: Vec::new(), ..graded.clone() };
        self.keep(&place.join("report.md"), &report::page(&for_student, &course.name, reader))?;
        let teacher = report::page(graded, &course.name, Reader::Teacher);
        self.keep(&place.join("teacher.md"), &teacher)?;
        self.keep(&place.join("junit.xml"), &report::junit(graded, reader))?;
        let results = format!("{:#}\n", report::gradescope(graded, reader, seconds));
        self.keep(&place.join("results.json"), &results)?;
        if let Some(path) = &self.gradescope {
            fs::write(path, &results).map_err(|error| cannot_write(path, &error))?;
        }
        if self.classroom {
            step_output(&report::classroom(graded, reader).to_string())?;
        }
        let outcomes = graded.tests.iter().flat_map(|test| &test.outcomes);
        let records = outcomes.filter_map(|outcome: &SeedResult| outcome.record.as_ref());
        let lines: Result<String, _> =
            records.map(|record| Ok(serde_json::to_string(record)? + "\n")).collect();
        let lines =
            lines.map_err(|error: serde_json::Error| CommandError::Internal(error.to_string()))?;
        self.keep(&place.join("runs.jsonl"), &lines)
    }

    fn keep(&self, name: &Path, text: &str) -> Result<(), CommandError> {
        let path = self.out.join(name);
        let parent = path.parent().unwrap_or(&path);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| cannot_write(&path, &error))
    }
}

/// Adds to what a step of a GitHub workflow hands on.
fn step_output(result: &str) -> Result<(), CommandError> {
    let path = std::env::var_os("GITHUB_OUTPUT").map(PathBuf::from);
    let path = path.ok_or_else(|| {
        CommandError::Usage(
            "--classroom is for a step of a GitHub workflow: GITHUB_OUTPUT is not set".into(),
        )
    })?;
    let line = format!("result={}\n", BASE64_STANDARD.encode(result));
    let file = fs::OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .map_err(|error| cannot_write(&path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> CommandError {
    CommandError::Usage(format!("{} cannot be written: {error}", path.display()))
}

/// What is printed of a submission.
fn line(graded: &Graded, seconds: f64) -> String {
    let parts = graded.parts().into_iter().map(|(part, tests)| {
        let sum = |points: fn(&TestGrade) -> Points| -> Points {
            tests.iter().copied().map(points).sum()
        };
        format!("{part} {}/{}", sum(|test| test.points), sum(|test| test.most))
    });
    let parts: Vec<String> = parts.collect();
    let Graded { name, .. } = graded;
    let (points, most, status) = (graded.points(), graded.most(), graded.status());
    format!("{name}: {points} of {most} points, {status}, in {seconds:.0} s ({})", parts.join(", "))
}

/// What submissions are called: as their files are, without what says of which kind they are.
fn names(submissions: &[PathBuf]) -> Result<Vec<String>, CommandError> {
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for path in submissions {
        if path.symlink_metadata().is_err() {
            return Err(CommandError::Usage(format!("there is no submission {}", path.display())));
        }
        let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
        let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = [".tar.gz", ".tgz", ".tar", ".zip"]
            .iter()
            .find_map(|kind| name.strip_suffix(kind))
            .unwrap_or(&name);
        let is_fine = |c: char| c.is_alphanumeric() || "-_.@".contains(c);
        let name: String = name.chars().map(|c| if is_fine(c) { c } else { '_' }).collect();
        let name = name.trim_start_matches('.').to_string();
        if name.is_empty() || !seen.insert(name.to_lowercase()) {
            return Err(CommandError::Usage(format!(
                "two submissions, or none, are called {name:?}: {}; reports need names of their own",
                path.display()
            )));
        }
        names.push(name);
    }
    Ok(names)
}

/// Whether the secret is out of the reach of what is built: it is not one of the lab's own files.
fn is_kept_apart(course: &Course, root: &Path) -> Result<(), CommandError> {
    let broken = |error: io::Error| CommandError::Internal(format!("{}: {error}", root.display()));
    let secret = course.secret.canonicalize().map_err(broken)?;
    let root = root.canonicalize().map_err(broken)?;
    let Ok(path) = secret.strip_prefix(&root) else { return Ok(()) };
    let sources = tree::Tree::of_sources(&root).map_err(broken)?;
    match path.to_str().and_then(|path| sources.get(path)) {
        None => Ok(()),
        Some(_) => Err(CommandError::Usage(format!(
            "the secret {} is one of the lab's own files, which submissions are built among; keep it \
             elsewhere",
            path.display()
        ))),
    }
}

/// Which walls stand around runs on this machine, in words.
fn walls(course: &Course) -> Result<String, CommandError> {
    let broken =
        |error: io::Error| CommandError::Internal(format!("isolation cannot be tried: {error}"));
    let output = Command::new(std::env::current_exe().map_err(broken)?)
        .args(["confined", "--layers", "--user", &course.isolation.user.to_string()])
        .output()
        .map_err(broken)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let standing: Vec<&str> = said.split_whitespace().collect();
    let all = confine::Layer::ALL;
    let missing: Vec<confine::Layer> =
        all.into_iter().filter(|layer| !standing.contains(&layer.name())).collect();
    if let Some(layer) = course.isolation.require.iter().find(|layer| missing.contains(layer)) {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(CommandError::Internal(format!(
            "isolation: {layer} is required, and this machine has none{}{}; docs/course/grading.md says \
             what that means",
            if said.is_empty() { "" } else { ": " },
            said.trim()
        )));
    }
    let list =
        |layers: &[String]| if layers.is_empty() { "none".into() } else { layers.join(", ") };
    let standing: Vec<String> = standing.into_iter().map(String::from).collect();
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    Ok(format!("isolation: limits, {}; missing: {}", list(&standing), list(&missing)))
}

/// Where submissions are graded.
struct Bench<'a> {
    course: &'a Course,
    secret: &'a [u8],
    workshop: &'a Workshop,
    jobs: usize,
    walls: String,
}

/// The programs that a submission makes.
#[derive(Default)]
struct Programs {
    /// With the student's Raft.
    own: Option<PathBuf>,
    /// Whether the service in it is the student's as well.
    own_has_kv: bool,
    /// The student's service on the lab's Raft.
    on_lab: Option<PathBuf>,
    /// What the compiler says.
    compiler: Vec<String>,
}

impl Bench<'_> {
    fn grade(&self, name: &str, path: &Path, build_only: bool) -> Result<Graded, CommandError> {
        let mut graded = Graded {
            name: name.into(),
            digest: String::new(),
            refused: Vec::new(),
            left_out: Vec::new(),
            compiler: Vec::new(),
            to_look_at: Vec::new(),
            walls: self.walls.clone(),
            tests: Vec::new(),
        };
        let submission = match Submission::take(path, BOUNDS) {
            Ok(submission) => submission,
            Err(why) => {
                graded.refused.push(why);
                return Ok(self.without_runs(graded, "it was refused"));
            }
        };
        graded.digest = submission.digest();
        graded.left_out.clone_from(&submission.left_out);
        let words = words::read(&submission.files);
        graded.to_look_at = words.to_look_at;
        if !words.forbidden.is_empty() {
            graded.refused = words.forbidden;
            return Ok(self.without_runs(graded, "it was refused"));
        }
        let programs = self.build(&submission)?;
        graded.compiler.clone_from(&programs.compiler);
        if build_only {
            return Ok(self.without_runs(graded, "it was only built"));
        }
        graded.tests = self.tests(&submission, &programs)?;
        Ok(graded)
    }

    fn without_runs(&self, graded: Graded, why: &str) -> Graded {
        let tests = self.course.tests();
        let tests = tests.map(|(test, most)| TestGrade::missing(test, most, why.into()));
        Graded { tests: tests.collect(), ..graded }
    }

    fn build(&self, submission: &Submission) -> Result<Programs, CommandError> {
        let mut programs = Programs::default();
        let (raft, kv) = (submission.below(RAFT), submission.below(KV));
        let has_kv = self.course.has_kv() && !kv.is_empty();
        let together = |a: &Sources, b: &Sources| -> Sources {
            a.iter().chain(b).map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
        };
        if !raft.is_empty() {
            let own_kv = self.workshop.own(KV);
            let first = together(&raft, if has_kv { &kv } else { &own_kv });
            programs.own = self.program("own", &first, &mut programs.compiler)?;
            programs.own_has_kv = has_kv;
            if programs.own.is_none() && has_kv && self.course.has_raft() {
                // The service need not build for Raft to be graded.
                programs.own_has_kv = false;
                let second = together(&raft, &own_kv);
                programs.own = self.program("own", &second, &mut Vec::new())?;
            }
        }
        if has_kv {
            let sources = together(&self.workshop.own(RAFT), &kv);
            let mut compiler = Vec::new();
            programs.on_lab = self.program("on-lab", &sources, &mut compiler)?;
            // It would say the same twice.
            if programs.compiler.is_empty() {
                programs.compiler = compiler;
            }
        }
        Ok(programs)
    }

    /// Builds one program; `None` when it does not build, and then the compiler's words.
    fn program(
        &self,
        name: &str,
        sources: &Sources,
        compiler: &mut Vec<String>,
    ) -> Result<Option<PathBuf>, CommandError> {
        let program = self.workshop.program(name);
        let words = match self.workshop.build(sources, &program)? {
            Ok(()) => return Ok(Some(program)),
            Err(Unbuilt::Wrong(words)) => words,
            Err(Unbuilt::TooSlow) => {
                format!("it does not build within {} s", self.course.limits.build_seconds)
            }
        };
        compiler.extend(words.lines().map(String::from));
        Ok(None)
    }

    fn tests(
        &self,
        submission: &Submission,
        programs: &Programs,
    ) -> Result<Vec<TestGrade>, CommandError> {
        let plan = |is_kv: bool| -> Plan {
            let tests = self.course.tests().filter(|(test, _)| test.part.is_kv() == is_kv);
            let seeds = |test| seeds::seeds(self.secret, test, self.course.seeds);
            tests.map(|(test, _)| (test, seeds(test))).collect()
        };
        let run = |program: Option<&PathBuf>, plan: &Plan| match program {
            Some(program) if !plan.is_empty() => {
                runs::run(program, plan, self.course, self.jobs).map(Some)
            }
            _ => Ok(None),
        };
        let (raft_plan, kv_plan) = (plan(false), plan(true));
        let raft = run(programs.own.as_ref(), &raft_plan)?;
        let kv_own = run(programs.own.as_ref().filter(|_| programs.own_has_kv), &kv_plan)?;
        let kv_lab = run(programs.on_lab.as_ref(), &kv_plan)?;
        type Outcomes = Option<BTreeMap<&'static str, Vec<SeedResult>>>;
        let grade = |outcomes: &Outcomes, test: &'static Test, most, directory: &str| match outcomes
            .as_ref()
            .and_then(|outcomes| outcomes.get(test.name))
        {
            Some(outcomes) => TestGrade::of(self.course, test, most, outcomes.clone()),
            None if !submission.has(directory) => {
                TestGrade::missing(test, most, format!("there is no {directory} in it"))
            }
            None => TestGrade::missing(test, most, "it does not build".into()),
        };
        let graded = self.course.tests().map(|(test, most)| match test.part.is_kv() {
            false => grade(&raft, test, most, RAFT),
            true => {
                TestGrade::better(grade(&kv_own, test, most, KV), grade(&kv_lab, test, most, KV))
            }
        });
        Ok(graded.collect())
    }
}

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
fn now() -> Instant {
    Instant::now()
}
