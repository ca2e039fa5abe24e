//! Scrapes of any number of torrents, split into requests that trackers accept (BEP 48).

use super::client::HttpClient;
use super::connection::HttpConnection;
use crate::announce::InfoHash;
use crate::error::AnnounceError;
use crate::scrape::ScrapeResponse;
use crate::tracker::TrackerUrl;
use crate::wire;

impl HttpClient {
    /// Scrapes these torrents, one request after the other, and joins the answers. A request that a tracker refuses as too
    /// long is repeated in halves (R48-03). Without torrents nothing is asked, which is an error: a tracker would be asked for
    /// all that it has.
    pub(super) async fn scrape(
        &self,
        tracker: &TrackerUrl,
        torrents: &[InfoHash],
        mut connection: Option<HttpConnection>,
    ) -> Result<ScrapeResponse, AnnounceError> {
        if torrents.is_empty() {
            return Err(AnnounceError::NotScraped);
        }
        let mut batches: Vec<&[InfoHash]> = wire::http::scrape_batches(tracker, torrents).collect();
        batches.reverse();
        let mut joined = ScrapeResponse::default();
        while let Some(batch) = batches.pop() {
            let target = wire::http::scrape_target(tracker, batch).ok_or(AnnounceError::NotScraped)?;
            let answer = self.ask(tracker, &target, connection.take()).await?;
            match answer.into_scrape() {
                Ok(response) => joined.merge(response),
                Err(error) if batch.len() > 1 && is_too_long(&error) => {
                    let (front, back) = batch.split_at(batch.len() / 2);
                    batches.extend([back, front]);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(joined)
    }
}

/// Whether this error means that a request line is too long, as trackers and the proxies before them report it.
fn is_too_long(error: &AnnounceError) -> bool {
    match error {
        AnnounceError::Status { status, .. } => *status == 414,
        AnnounceError::Rejected(rejection) => {
            let reason = rejection.reason.to_ascii_lowercase();
            reason.contains("too long") || reason.contains("too large")
        }
        _ => false,
    }
}
