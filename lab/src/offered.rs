//! Which of the tests that a command names are for the Raft under test: those of an optional part are only for a
//! Raft that [offers](labraft::Offer) it.

use labraft::{Implementation, Part, Test};

use crate::outcome::CommandError;
use crate::session::Program;

/// The tests that match any of the patterns, or all, in the suite's order: those that are for this Raft. For the
/// others there is a line that lists their parts, which may be empty.
///
/// # Errors
/// If a pattern matches no test, or only tests that are not offered.
pub(crate) fn chosen(
    program: &Program<'_>,
    patterns: &[String],
    implementation: &Implementation,
) -> Result<(Vec<&'static Test>, String), CommandError> {
    let is_offered = |test: &&Test| implementation.offers.include(test.part);
    for pattern in patterns {
        let matching = program.chosen(std::slice::from_ref(pattern))?;
        if !matching.iter().any(is_offered) {
            return Err(not_offered(program, matching[0], implementation));
        }
    }
    let all = program.chosen(patterns)?.into_iter();
    let (tests, others): (Vec<&Test>, Vec<&Test>) = all.partition(is_offered);
    let of_part = |part: Part| match others.iter().filter(|test| test.part == part).count() {
        0 => None,
        1 => Some(format!("a test of part {part}")),
        count => Some(format!("{count} tests of part {part}")),
    };
    let parts: Vec<String> = Part::COURSE.into_iter().filter_map(of_part).collect();
    let left_out = match parts.is_empty() {
        true => String::new(),
        false => format!("not offered by {}: {}\n", implementation.name, parts.join(", ")),
    };
    Ok((tests, left_out))
}

/// Fails if a test is not for this Raft.
pub(crate) fn check(
    program: &Program<'_>,
    test: &'static Test,
    implementation: &Implementation,
) -> Result<(), CommandError> {
    match implementation.offers.include(test.part) {
        true => Ok(()),
        false => Err(not_offered(program, test, implementation)),
    }
}

fn not_offered(
    program: &Program<'_>,
    test: &Test,
    implementation: &Implementation,
) -> CommandError {
    let Test { name, part, .. } = test;
    let others = program.implementations.iter().filter(|other| other.offers.include(*part));
    let others: Vec<&str> = others.map(|other| other.name).collect();
    let hint = match others.is_empty() {
        true => "a Raft that has it declares so with `Implementation::offering`".into(),
        false => format!("give --implementation {}", others.join(" or ")),
    };
    CommandError::Usage(format!(
        "{name} is a test of part {part}, which {} does not offer; {hint}",
        implementation.name
    ))
}

/// A remark on a part, for a list of tests.
pub(crate) fn remark(part: Part) -> &'static str {
    if part.is_optional() { " (optional)" } else { "" }
}
