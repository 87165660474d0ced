//! The range of parts that this lab has: the whole course, the tests beyond it, and the scenarios
//! of searches. A handout with fewer parts has a different version of this file.

use labraft::Part;

/// The first part whose tests are in the suite.
pub(crate) const FIRST: Part = Part::Raft2A;
/// The last part whose tests are in the suite.
pub(crate) const LAST: Part = Part::Search;
/// Whether the optional parts between the two are in the suite.
pub(crate) const HAS_OPTIONAL: bool = true;
