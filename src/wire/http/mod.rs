//! Announces and scrapes over HTTP, without the HTTP: what to request, and what an answer means.
//!
//! A client that brings its own HTTP library needs two calls: [`announce_url`] gives the URL to `GET`, and [`read_answer`]
//! says what status, `Retry-After` and body mean together. For scrapes these are [`scrape_url`] and [`read_scrape_answer`].
//! The library keeps URLs as they are, bounds bodies and follows redirects; decompression isn't done here either.

mod answer;
mod peers;
mod query;
mod reply;
mod retry;
mod scrape;

#[cfg(feature = "http")]
pub(crate) use answer::Answer;
pub use answer::{MAX_BODY_LEN, read_answer, read_scrape_answer};
pub use query::{announce_target, announce_url, scrape_address, scrape_batches, scrape_target, scrape_url};
pub use reply::{failure_in, read_announce};
pub use retry::retry_after;
pub use scrape::read_scrape;
