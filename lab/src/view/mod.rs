//! A recorded run, shown: an [`Answer`](crate::workers::Answer) with its events, as something to look
//! at. Everything here runs in the process that asked for the run, never beside code under test.
//!
//! | module | what it is |
//! |---|---|
//! | `filter` | which events are shown |
//! | `columns` | one line an event, one column a server |
//! | `page` | the whole run as one HTML page |
//! | `moment` | what the servers are at, at a moment |
//! | `perfetto` | the run as a trace for Perfetto |
//! | `shiviz` | a stretch of it as a log for ShiViz |
//! | `words` | an event in words |

mod columns;
mod filter;
mod moment;
mod page;
mod perfetto;
#[cfg(test)]
mod samples;
mod shiviz;
mod words;

pub use columns::{Columns, columns, lines};
pub use filter::Filter;
pub use moment::servers_at;
pub use page::page;
pub use perfetto::perfetto;
pub use shiviz::shiviz;
