//! Your key/value service: labs 3A and 3B.
//!
//! Start in `server`. [`Clerk`] is what a client uses, and [`KvServer`] answers it. The lab uses
//! the public functions of these two and [`message::show`], so their names and types must stay.
//!
//! | module | what it is |
//! |---|---|
//! | [`message`] | what clerks and servers send to one another |
//! | `clerk` | asks the service on behalf of a client |
//! | `server` | puts operations through the log, and answers when they are applied |

mod clerk;
pub mod message;
mod server;

pub use clerk::Clerk;
pub use server::KvServer;
