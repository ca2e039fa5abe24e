//! The meaning of an answer: the status first, then the body (R72, POL-03, POL-07, POL-08).

use super::client::HttpResponse;
use crate::announce::{AnnounceResponse, Event};
use crate::error::{AnnounceError, Rejection, Retry};
use crate::net::clock;
use crate::scrape::ScrapeResponse;
use crate::wire;

impl HttpResponse {
    /// Reads it as the answer to an announce.
    pub(super) fn into_announce(self, event: Option<Event>) -> Result<AnnounceResponse, AnnounceError> {
        let remote = self.remote;
        let read = self.read(wire::http::read_announce);
        let mut response =
            match read {
                // `stopped` needs no reply: trackers send nothing, or anything (POL-08, Q-82).
                Err(
                    AnnounceError::NotAReply(_) | AnnounceError::Broken(_) | AnnounceError::TooLarge { .. },
                ) if event == Some(Event::Stopped) => AnnounceResponse::default(),
                other => other?,
            };
        response.tracker_address = Some(remote);
        Ok(response)
    }

    /// Reads it as the answer to a scrape.
    pub(super) fn into_scrape(self) -> Result<ScrapeResponse, AnnounceError> {
        self.read(wire::http::read_scrape)
    }

    fn read<T>(self, read: fn(&[u8]) -> Result<T, AnnounceError>) -> Result<T, AnnounceError> {
        if !(200..300).contains(&self.status) {
            return Err(self.refusal());
        }
        match (read(&self.body.bytes), self.body.flaw) {
            // A complete reply counts, even if its connection broke afterwards (S-07).
            (Ok(reply), _) => Ok(reply),
            (Err(rejected @ AnnounceError::Rejected(_)), _) => Err(rejected),
            (Err(_), Some(flaw)) => Err(flaw),
            (Err(error), None) => Err(error),
        }
    }

    /// The error of a status other than 2xx. A failure reason in the body is better than the number. The time to
    /// retry may be in the head or in the body.
    fn refusal(self) -> AnnounceError {
        let retry = match self.status {
            410 => Retry::Never,
            429 | 503 => {
                // A date is compared with the server's own clock where it sends that, because ours may differ from it.
                let date = self.date.as_deref().and_then(|text| httpdate::parse_http_date(text).ok());
                let now = date.unwrap_or_else(clock::calendar);
                let after = self.retry_after.as_deref();
                let after = after.and_then(|text| wire::http::retry_after(text, now));
                after.map_or(Retry::Unsaid, Retry::After)
            }
            _ => Retry::Unsaid,
        };
        match wire::http::failure_in(&self.body.bytes) {
            Some(rejection) if rejection.retry == Retry::Unsaid => {
                AnnounceError::Rejected(Rejection { retry, ..rejection })
            }
            Some(rejection) => AnnounceError::Rejected(rejection),
            None => AnnounceError::Status { status: self.status, retry },
        }
    }
}
