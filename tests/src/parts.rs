//! Which parts of the course this lab has: all of them, and what goes beyond. A handout of only
//! some parts comes with another version of this file.

use labraft::Part;

/// The first part.
pub(crate) const FIRST: Part = Part::Raft2A;
/// The last part.
pub(crate) const LAST: Part = Part::Chaos;
