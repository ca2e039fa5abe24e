//! Announces and scrapes over HTTP, without the HTTP: request targets and the bodies of answers.
//!
//! A client that brings its own HTTP library needs three calls: [`announce_target`] for the request line,
//! [`read_announce`] for a body with a status of 2xx, [`failure_in`] for any other. The answer to `stopped`
//! needs none of them: every 2xx is a success, because trackers answer it with an empty body.

mod peers;
mod query;
mod reply;
mod retry;
mod scrape;

pub use query::{announce_target, scrape_batches, scrape_target, scrape_url};
pub use reply::{failure_in, read_announce};
pub use retry::retry_after;
pub use scrape::read_scrape;
