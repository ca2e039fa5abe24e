//! The meaning of an answer, as the wire rules have it (R72, POL-03, POL-07, POL-08).

use super::client::HttpResponse;
use crate::announce::{AnnounceResponse, Event};
use crate::error::AnnounceError;
use crate::net::clock;
use crate::scrape::ScrapeResponse;
use crate::wire::http::Answer;

impl HttpResponse {
    /// Reads it as the answer to an announce.
    pub(super) fn into_announce(mut self, event: Option<Event>) -> Result<AnnounceResponse, AnnounceError> {
        let mut response = self.answer().into_announce(event)?;
        response.tracker_address = self.remote.address();
        Ok(response)
    }

    /// Reads it as the answer to a scrape.
    pub(super) fn into_scrape(mut self) -> Result<ScrapeResponse, AnnounceError> {
        self.answer().into_scrape()
    }

    fn answer(&mut self) -> Answer<'_> {
        // A date is compared with the server's own clock where it sends that, because ours may differ from it.
        let date = self.date.as_deref().and_then(|text| httpdate::parse_http_date(text).ok());
        Answer {
            status: self.status,
            retry_after: self.retry_after.as_deref(),
            flaw: self.body.flaw.take(),
            body: &self.body.bytes,
            now: date.unwrap_or_else(clock::calendar),
        }
    }
}
