//! Your key/value service: labs 3A and 3B.
//!
//! Start in `server`. [`Clerk`] is what a client uses, [`KvServer`] what answers it. The lab knows
//! these two, what is public of them, and [`message::show`]; so these stay as they are.
//!
//! | module | what it is |
//! |---|---|
//! | [`message`] | what clerks and servers say to one another |
//! | `clerk` | asks the service on behalf of a client |
//! | `server` | puts operations through the log, and answers them once applied |

mod clerk;
pub mod message;
mod server;

pub use clerk::Clerk;
pub use server::KvServer;
