//! The range of parts that this lab has: the whole course, and the tests beyond it. A handout with
//! fewer parts has a different version of this file.

use labraft::Part;

/// The first part whose tests are in the suite.
pub(crate) const FIRST: Part = Part::Raft2A;
/// The last part whose tests are in the suite.
pub(crate) const LAST: Part = Part::Beyond;
