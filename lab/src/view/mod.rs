//! Views of a recorded run, made from an [`Answer`](crate::workers::Answer) and its events.
//!
//! All of this runs in the process that asked for the run, never in a worker beside the code under
//! test.
//!
//! | module | what it is |
//! |---|---|
//! | `filter` | which events are shown |
//! | `columns` | a log with one line per event and one column per server |
//! | `page` | the whole run as one HTML page |
//! | `moment` | the state of every server at a given time |
// BEGIN LAB 4
//! | `shards` | what groups do with their shards at a given time |
// END LAB 4
//! | `perfetto` | the run as a trace for Perfetto |
//! | `shiviz` | a part of the run as a log for ShiViz |
//! | `words` | short descriptions of events |

// BEGIN LAB 4
#[cfg(test)]
mod several_clusters;
mod shards;

pub use shards::{last_shard_changes, shards_at};
// END LAB 4

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
pub use page::{live_page, page, page_data};
pub use perfetto::perfetto;
pub use shiviz::shiviz;
