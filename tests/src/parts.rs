//! Which parts of the course this lab has: all of them, and the generated scenarios. A handout of some
//! parts has another file in this one's place.

use labraft::Part;

/// The first part.
pub(crate) const FIRST: Part = Part::Raft2A;
/// The last part.
pub(crate) const LAST: Part = Part::Chaos;
