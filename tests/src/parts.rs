//! The range of parts that this lab has: the whole course, the tests beyond it, and the scenarios
//! of searches. A handout with fewer parts has a different version of this file.

use labraft::Part;

/// The first part whose tests are in the suite.
pub(crate) const FIRST: Part = Part::Raft2A;
/// The last part whose tests are in the suite.
pub(crate) const LAST: Part = Part::Search;
/// The last optional part whose tests are in the suite, if there are any.
pub(crate) const LAST_OPTIONAL: Option<Part> = Some(Part::Raft2G);
