//! Whether a run can be shrunk or explained, and if not, why.

use labraft::Verdict;

use crate::failure_record::FailureRecord;
use crate::outcome::CommandError;
use crate::plain;
use crate::records::RunRecord;
use crate::selector::Selection;
use crate::session::program;
use crate::workers::Answer;

/// Says so if the run failed in a different way when the same build made it before.
pub(crate) fn does_not_repeat(now: &RunRecord, wanted: &Selection) -> Option<String> {
    let known = wanted.known.as_ref().filter(|known| known.build == now.build)?;
    let then = known.failure.as_ref()?;
    let now_it = match &now.failure {
        Some(failure) if failure.is_same(then) => return None,
        Some(failure) => format!("fails in a different way: {}", plain::line(&failure.headline())),
        None => "passes".into(),
    };
    let test = wanted.test.name;
    let seed = wanted.spec.seed;
    let headline = then.headline();
    let mut check = format!("{} run {test} --seed {seed} --check-determinism", program());
    check += &format!(" --implementation {}", now.implementation);
    for argument in wanted.conditions.arguments() {
        check += &format!(" {argument}");
    }
    Some(format!(
        "{test}, seed {seed}, failed before ({}), but in the same build it now {now_it}. The run does \
         not repeat, so nothing can be left out of it. For the first difference: {check}",
        plain::line(&headline)
    ))
}

/// The failure that the search must preserve.
pub(crate) fn what_fails(answer: &Answer) -> Result<FailureRecord, CommandError> {
    let record = &answer.record;
    let what = match (&record.failure, record.verdict) {
        (Some(_), Verdict::Crashed | Verdict::Hung) => {
            "did not finish, so its decisions are not known and it cannot be shrunk; the replay shows \
             its last events"
        }
        (Some(failure), _) => return Ok(failure.clone()),
        (None, _) => "passes: there is nothing to shrink or to explain",
    };
    Err(CommandError::Usage(format!("{}, seed {}, {what}", record.test, record.seed)))
}

/// Says so if a run that fails did not come to its end when its events were kept.
pub(crate) fn cannot_be_recorded(record: &RunRecord) -> Option<String> {
    let failure = record.failure.as_ref().filter(|_| record.fingerprint.is_empty())?;
    let headline = failure.headline();
    Some(format!(
        "{}, seed {}: its events could not be recorded ({}); a larger --memory may help",
        record.test,
        record.seed,
        plain::line(&headline)
    ))
}
