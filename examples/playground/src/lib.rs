//! The playground: the same world of trackers for this crate's engine and for the rules of other clients, in virtual time.
//!
//! A page asks in JSON ([`Request`]) and is answered in JSON. Nothing is kept between requests: a world is a scenario, a
//! seed and what the visitor changed when, and it is played from its beginning each time. So a link that holds these shows
//! the same run in another browser, and the native program prints what the page shows.

mod clients;
pub mod exports;
mod request;
mod response;
mod scenario;

pub use request::{Change, Edit, Explain, Request};
pub use scenario::Scenario;

/// Answers a request of the page: what happened, or why the request was refused (`{"error": ..}`).
pub fn answer(request: &str) -> String {
    let answer = Request::parse(request).map(|request| match request.explain {
        Some(explain) => response::explanation(&request, explain),
        None => response::played(&request),
    });
    answer.unwrap_or_else(|error| serde_json::json!({ "error": error })).to_string()
}

#[cfg(test)]
mod tests;
