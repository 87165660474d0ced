//! Finds the fewest decisions with which a run still fails in the same way.
//!
//! A run is determined by its decisions. The search gives all of them their neutral value, except
//! for a set that it makes smaller and smaller, as long as the run still breaks the same property
//! or expectation. (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input",
//! 2002.) Decisions that occur only in the shrunk run are neutral too, so the set that remains
//! explains the failure completely.
//!
//! | module | what it is |
//! |---|---|
//! | `found` | what is found |
//! | `search` | the search, and how it leaves out listed decisions |
//! | `kinds` | how it leaves out whole kinds of decisions, and steps of schedules |
//! | `simpler` | how it makes the decisions that are needed simpler |
//! | `blocks` | decisions that are left out together |
//! | `draws` | random subsets |
//! | `size` | how much of a run there is to read |
//! | `elsewhere` | looks for a simpler run that fails in the same way |
//! | `short` | looks among short scenarios with at most one fault |
//! | `seeds` | looks among runs under other seeds |
//! | `told` | descriptions of the decisions that are needed |
//! | `past` | steps of the protocol in the causal past of the failure |

mod blocks;
mod draws;
mod elsewhere;
mod found;
mod kinds;
mod past;
mod search;
mod seeds;
mod short;
mod simpler;
mod size;
mod told;

use std::io;

use labrpc::{RunSpec, Taken};

pub use elsewhere::{Looked, Simpler, Wanted, Worlds, find_simpler};
pub use found::{Budget, Effort, End, MakeRun, Progress, Shrunk};
pub use past::protocol_steps;
pub use size::Size;
pub use told::tell;

use crate::failure_record::FailureRecord;
use search::{Failing, Search, Stop};

/// Finds the fewest decisions with which the run of `spec` still fails in the same way as
/// `failure`.
///
/// `decisions` are the decisions of that run that were not neutral. If an earlier search found that run,
/// `earlier` is its effort, and this search goes on with subsets that it has not drawn. The search makes
/// no more runs than `budget` allows, of which a long one counts as several. It calls `progress` after each, and is
/// deterministic.
///
/// # Errors
/// If `make_run` fails.
pub fn shrink(
    spec: &RunSpec,
    failure: &FailureRecord,
    decisions: Vec<Taken>,
    earlier: Option<Effort>,
    budget: Budget,
    make_run: MakeRun<'_>,
    progress: &mut dyn FnMut(Progress),
) -> io::Result<Shrunk> {
    let mut effort = earlier.unwrap_or(Effort { of: decisions.len(), ..Effort::default() });
    let best = Failing { decisions, spec: spec.clone(), record: None };
    let mut search = Search {
        make_run,
        progress,
        seed: spec.seed,
        failure,
        budget,
        spent: 0,
        runs: 0,
        runs_before: effort.runs,
        best,
    };
    let end = match search.search() {
        Ok(()) => End::Smallest,
        Err(Stop::End(end)) => end,
        Err(Stop::Broken(error)) => return Err(error),
    };
    effort.runs += search.runs;
    let Search { best: Failing { decisions, spec, record }, spent, .. } = search;
    Ok(Shrunk { spec, record, needed: decisions, effort, spent, end })
}

#[cfg(test)]
mod elsewhere_tests;
#[cfg(test)]
mod tests;
