//! The seeds of a sweep, and how its runs are divided into shares.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::workers::Pair;
use labraft::Test;

/// The value of `--seeds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seeds {
    Range(Range<u64>),
    /// The seeds in a file, in the file's order.
    List(Vec<u64>),
}

impl Seeds {
    /// A single seed.
    pub(crate) fn one(seed: u64) -> Result<Seeds, String> {
        let end = seed.checked_add(1);
        end.map(|end| Seeds::Range(seed..end))
            .ok_or_else(|| format!("the largest seed is {}", u64::MAX - 1))
    }

    pub(crate) fn count(&self) -> u64 {
        match self {
            Seeds::Range(range) => range.end - range.start,
            Seeds::List(list) => list.len() as u64,
        }
    }

    pub(crate) fn contains(&self, seed: u64) -> bool {
        match self {
            Seeds::Range(range) => range.contains(&seed),
            Seeds::List(list) => list.contains(&seed),
        }
    }

    /// The seeds as a value for `--seeds`. A list is written to a file in this directory.
    pub(crate) fn to_argument(&self, directory: &Path) -> io::Result<String> {
        match self {
            Seeds::Range(range) => Ok(format!("{}..{}", range.start, range.end)),
            Seeds::List(list) => {
                let path = directory.join("seeds");
                let lines: Vec<String> = list.iter().map(|seed| format!("{seed}\n")).collect();
                std::fs::write(&path, lines.concat())?;
                Ok(format!("@{}", path.display()))
            }
        }
    }

    pub(crate) fn iter(&self) -> Box<dyn DoubleEndedIterator<Item = u64> + Send> {
        match self {
            Seeds::Range(range) => Box::new(range.clone()),
            Seeds::List(list) => Box::new(list.clone().into_iter()),
        }
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Seeds, String> {
        if let Some(path) = text.strip_prefix('@') {
            return from_file(path);
        }
        let range = match text.split_once("..") {
            Some((from, to)) => number(from)?..number(to)?,
            None => 0..number(text)?,
        };
        if range.start > range.end {
            let (start, end) = (range.start, range.end);
            return Err(format!("the range is reversed; did you mean {end}..{start}?"));
        }
        if range.is_empty() {
            let from = range.start;
            return Err(format!(
                "the range is empty; A..B does not include B; for the single seed {from}, write \
                 {from}..{}",
                from.saturating_add(1)
            ));
        }
        Ok(Seeds::Range(range))
    }
}

fn number(text: &str) -> Result<u64, String> {
    let range = u64::MAX;
    text.parse().map_err(|_| {
        format!("{text:?} is not a number from 0 to {range}; give N or A..B, such as 100 or 5..10")
    })
}

/// Reads a file with one seed per line. Text after a `#` is a comment.
fn from_file(path: &str) -> Result<Seeds, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the seed file {path:?} cannot be read: {error}"))?;
    let mut seeds = Vec::new();
    let mut seen = BTreeSet::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let seed = text.parse().map_err(|_| {
            format!("line {line} of {path:?} is {text:?}; each line must hold one seed")
        })?;
        if seen.insert(seed) {
            seeds.push(seed);
        }
    }
    match seeds.is_empty() {
        true => Err(format!("the seed file {path:?} has no seed")),
        false => Ok(Seeds::List(seeds)),
    }
}

/// One share of the work: the first of three is written 1/3.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Counted from 0.
    index: usize,
    of: usize,
}

/// The most shares. A share keeps count of the work of all of them, and nobody has more machines.
const MOST_SHARES: usize = 1_000_000;

impl Shard {
    /// The only share, which is all of the work.
    pub(crate) const WHOLE: Shard = Shard { index: 0, of: 1 };

    fn new(index: usize, of: usize) -> Result<Shard, String> {
        match of <= MOST_SHARES {
            true => Ok(Shard { index, of }),
            false => {
                Err(format!("work can be divided into at most {MOST_SHARES} shares, not {of}"))
            }
        }
    }

    pub(crate) fn of(self) -> usize {
        self.of
    }

    /// Which of the shares it is, counted from 0.
    pub(crate) fn index(self) -> usize {
        self.index
    }

    /// The share given by a scheduler's environment variables, if any are set.
    pub(crate) fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Shard>, String> {
        for system in &SYSTEMS {
            let index = variable(system.index);
            let count = variable(system.count);
            let (index, count) = match (index, count) {
                (None, None) => continue,
                // A count of 1 is also set for jobs that are not arrays.
                (None, Some(count)) if count == "1" => continue,
                (Some(index), Some(count)) => (index, count),
                (Some(_), None) => return Err(half_set(system, system.index, system.count)),
                (None, Some(_)) => return Err(half_set(system, system.count, system.index)),
            };
            let number = |name: &str, text: &str| {
                text.parse::<usize>().map_err(|_| format!("{name} is {text:?}, not a number"))
            };
            let (mut index, of) = (number(system.index, &index)?, number(system.count, &count)?);
            let mut base = system.base;
            if let Some((min, step)) = system.min_and_step {
                // Slurm's indices may start at any number and have any step.
                let of = |name: &str, default: usize| match variable(name) {
                    Some(text) => number(name, &text),
                    None => Ok(default),
                };
                base = of(min, 0)?;
                index = base + index.saturating_sub(base) / of(step, 1)?.max(1);
            }
            let index = index.checked_sub(base).filter(|index| *index < of).ok_or_else(|| {
                let last = base.saturating_add(of).saturating_sub(1);
                format!("{} is {index}, but it must be from {base} to {last}", system.index)
            })?;
            return Shard::new(index, of).map(Some);
        }
        Ok(None)
    }
}

fn half_set(system: &System, set: &str, missing: &str) -> String {
    format!(
        "{set} is set, as it is by {}, but {missing} is not, so it is unclear which share of the \
         work to do; set both, or give --shard K/N",
        system.name
    )
}

/// The environment variables with which a scheduler numbers its jobs.
struct System {
    name: &'static str,
    index: &'static str,
    count: &'static str,
    base: usize,
    min_and_step: Option<(&'static str, &'static str)>,
}

const fn system(
    name: &'static str,
    index: &'static str,
    count: &'static str,
    base: usize,
) -> System {
    System { name, index, count, base, min_and_step: None }
}

static SYSTEMS: [System; 6] = [
    System {
        min_and_step: Some(("SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP")),
        ..system("a Slurm array", "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", 0)
    },
    // Kubernetes does not set the count, so the manifest has to pass its `completions` on.
    system("a Kubernetes indexed job", "JOB_COMPLETION_INDEX", "JOB_COMPLETION_COUNT", 0),
    system("AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE", 0),
    system("GitLab", "CI_NODE_INDEX", "CI_NODE_TOTAL", 1),
    system("CircleCI", "CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", 0),
    system("Buildkite", "BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", 0),
];

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let wrong = || format!("{text:?} is not a share; give K/N with K from 1 to N, such as 2/4");
        let (k, n) = text.split_once('/').ok_or_else(wrong)?;
        let (k, of): (usize, usize) =
            (k.parse().map_err(|_| wrong())?, n.parse().map_err(|_| wrong())?);
        let index = k.checked_sub(1).filter(|index| *index < of).ok_or_else(wrong)?;
        Shard::new(index, of)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.of)
    }
}

/// The runs of a share, longest tests first. Each run goes to the share with the least work so far,
/// by the costs in the registry. All shares compute the same division, and none gets much more work
/// than another.
pub(crate) fn pairs(
    tests: &[&'static Test],
    seeds: &Seeds,
    shard: Shard,
) -> Box<dyn Iterator<Item = Pair> + Send> {
    let mut tests = tests.to_vec();
    let seeds = seeds.clone();
    if shard.of == 1 {
        return Box::new(
            tests.into_iter().flat_map(move |test| seeds.iter().map(move |seed| (test, seed))),
        );
    }
    tests.sort_by_key(|test| Reverse(test.cost));
    let mut loads: BinaryHeap<Reverse<(u64, usize)>> =
        (0..shard.of).map(|index| Reverse((0, index))).collect();
    let all = tests.into_iter().flat_map(move |test| seeds.iter().map(move |seed| (test, seed)));
    Box::new(all.filter(move |(test, _)| {
        let Some(mut least) = loads.peek_mut() else { return false };
        let Reverse((load, index)) = &mut *least;
        *load += u64::from(test.cost.max(1));
        *index == shard.index
    }))
}

/// The longest span of real time. A clock can show the end of it.
pub(crate) const MOST_TIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// Parses a span of real time such as `90s`, `10m` or `2h`.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a span of time; give one such as 90s, 10m or 2h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1.0,
        'm' => 60.0,
        'h' => 3600.0,
        _ => return Err(wrong()),
    };
    let count: f64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let span = Duration::try_from_secs_f64(count * seconds).map_err(|_| wrong())?;
    match span {
        Duration::ZERO => Err(wrong()),
        span if span > MOST_TIME => {
            Err(format!("{text:?} is too long; the maximum is a year, 8760h"))
        }
        span => Ok(span),
    }
}

#[cfg(test)]
mod tests {
    use labraft::{Part, Steps};

    use super::*;

    /// Tests of different costs.
    fn suite() -> Vec<&'static Test> {
        const fn test(name: &'static str, cost: u32) -> Test {
            let run = |_| -> Steps { Box::pin(async { Ok(()) }) };
            Test { name, part: Part::Raft2A, title: name, points: 1, cost, run }
        }
        static SUITE: [Test; 5] =
            [test("A", 1), test("B", 40), test("C", 7), test("D", 0), test("E", 13)];
        SUITE.iter().collect()
    }

    #[test]
    fn seeds_are_a_count_or_a_range() {
        assert_eq!("3".parse(), Ok(Seeds::Range(0..3)));
        assert_eq!("5..9".parse(), Ok(Seeds::Range(5..9)));
        for (text, hint) in [
            ("0", "empty"),
            ("4..4", "4..5"),
            ("9..5", "5..9"),
            ("x", "not a number"),
            ("1..", "not a number"),
            ("-1", "not a number"),
            ("@there-is-no-such-file", "cannot be read"),
        ] {
            let error = text.parse::<Seeds>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn seeds_of_a_file_are_taken_once_each() {
        let path = std::env::temp_dir().join(format!("lab-seeds-{}", std::process::id()));
        let parse = |text: &str| {
            std::fs::write(&path, text).unwrap();
            format!("@{}", path.display()).parse::<Seeds>()
        };
        assert_eq!(parse("3\n# none\n\n17 # why\n3\n"), Ok(Seeds::List(vec![3, 17])));
        assert!(parse("# none\n").unwrap_err().contains("no seed"));
        assert!(parse("3\nx\n").unwrap_err().contains("line 2"));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_damaged_file_of_seeds_is_read_or_refused() {
        let path = std::env::temp_dir().join(format!("lab-seeds-hurt-{}", std::process::id()));
        for copy in crate::damage::damaged(b"3\n17 # why\n18446744073709551615\n\n4\n") {
            std::fs::write(&path, copy).unwrap();
            if let Ok(seeds) = format!("@{}", path.display()).parse::<Seeds>() {
                assert_eq!(seeds.iter().count() as u64, seeds.count());
            }
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn shares_are_disjoint_complete_and_even() {
        let tests = suite();
        for (count, of) in [(1, 4), (7, 3), (100, 8)] {
            let seeds = Seeds::Range(0..count);
            let mut all: Vec<(&str, u64)> = Vec::new();
            let mut loads = Vec::new();
            for index in 0..of {
                let share: Vec<Pair> = pairs(&tests, &seeds, Shard { index, of }).collect();
                loads.push(share.iter().map(|(test, _)| test.cost.max(1)).sum::<u32>());
                all.extend(share.iter().map(|(test, seed)| (test.name, *seed)));
            }
            all.sort_unstable();
            let mut whole: Vec<_> =
                pairs(&tests, &seeds, Shard::WHOLE).map(|(test, seed)| (test.name, seed)).collect();
            whole.sort_unstable();
            assert_eq!(all, whole);
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            let longest = tests.iter().map(|test| test.cost).max().unwrap();
            assert!(most - least <= longest, "{loads:?}");
        }
    }

    #[test]
    fn a_scheduler_says_which_share_it_is() {
        let share = |variables: &[(&str, &str)]| {
            Shard::from_environment(|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| value.to_string())
            })
            .map(|share| share.map(|share| share.to_string()))
        };
        let is = |text: &str| Ok(Some(text.to_string()));
        assert_eq!(share(&[]), Ok(None));
        let slurm = [("SLURM_ARRAY_TASK_ID", "7"), ("SLURM_ARRAY_TASK_COUNT", "4")];
        let steps = [("SLURM_ARRAY_TASK_MIN", "1"), ("SLURM_ARRAY_TASK_STEP", "2")];
        assert_eq!(share(&[slurm, steps].concat()), is("4/4"));
        assert_eq!(
            share(&[("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETION_COUNT", "3")]),
            is("1/3")
        );
        assert_eq!(share(&[("CI_NODE_INDEX", "3"), ("CI_NODE_TOTAL", "3")]), is("3/3"));
        assert_eq!(share(&[("CI_NODE_TOTAL", "1")]), Ok(None));
        for half in ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "CIRCLE_NODE_TOTAL"] {
            assert!(
                share(&[(half, "2")])
                    .unwrap_err()
                    .contains("so it is unclear which share of the work"),
                "{half}"
            );
        }
        assert!(share(&[("CI_NODE_INDEX", "0"), ("CI_NODE_TOTAL", "3")]).is_err());
        assert!(share(&[("CIRCLE_NODE_INDEX", "3"), ("CIRCLE_NODE_TOTAL", "3")]).is_err());
    }

    #[test]
    fn a_share_is_one_of_all() {
        assert_eq!("2/4".parse(), Ok(Shard { index: 1, of: 4 }));
        for wrong in ["0/4", "5/4", "4", "a/b", "1/0", ""] {
            assert!(wrong.parse::<Shard>().unwrap_err().contains("2/4"), "{wrong}");
        }
        for many in ["1/18446744073709551615", "400000000/400000000"] {
            let error = many.parse::<Shard>().unwrap_err();
            assert!(error.contains("at most 1000000 shares"), "{error}");
        }
        let job = [("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETION_COUNT", "400000000")];
        let variable = |name: &str| job.iter().find(|(it, _)| *it == name).map(|it| it.1.into());
        assert!(Shard::from_environment(variable).unwrap_err().contains("at most 1000000"));
    }

    #[test]
    fn spans_have_a_unit() {
        assert_eq!(parse_span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_span("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_span("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "10", "m", "-1s", "0s", "1d"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_span("8760h"), Ok(MOST_TIME));
        assert!(parse_span("9000000000000000000s").unwrap_err().contains("8760h"));
    }
}
