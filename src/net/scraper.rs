//! Scrapes on request: over the announcer's transport, and no earlier than a tracker wants (R48-06).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::clock;
use crate::announce::InfoHash;
use crate::error::{AnnounceError, TimeoutPhase};
use crate::scrape::{ScrapeResponse, SwarmCounts};
use crate::tracker::{TrackerHost, TrackerUrl};
use crate::transport::Transport;

/// The longest `min_request_interval` that is kept: a day, as with announces.
const MAX_INTERVAL: Duration = Duration::from_secs(86_400);

/// How many trackers are remembered. Beyond that, the one that may be scraped soonest is forgotten.
const MAX_REMEMBERED_TRACKERS: usize = 256;

/// How many torrents are remembered of one tracker.
const MAX_REMEMBERED_TORRENTS: usize = 4096;

/// The scrapes of an announcer.
pub(super) struct Scraper {
    transport: Arc<dyn Transport>,
    /// How long a scrape may take.
    limit: Duration,
    /// Where the transport's connections are driven (R105).
    runtime: Handle,
    recent: RecentScrapes,
}

/// The last answers of trackers that named a `min_request_interval`, until that has passed.
#[derive(Debug, Default)]
struct RecentScrapes(Mutex<BTreeMap<TrackerHost, RecentScrape>>);

#[derive(Debug)]
struct RecentScrape {
    /// When the tracker may be scraped again.
    until: Instant,
    interval: Duration,
    /// Every torrent that was asked for; `None` where the tracker doesn't know it.
    counts: BTreeMap<InfoHash, Option<SwarmCounts>>,
}

impl Scraper {
    /// A scraper of the present runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(super) fn new(transport: Arc<dyn Transport>, limit: Duration) -> Self {
        Self { transport, limit, runtime: Handle::current(), recent: RecentScrapes::default() }
    }

    /// Asks a tracker for the counts of these torrents, or repeats its last answer where it doesn't want to be asked yet.
    ///
    /// # Cancel safety
    /// Dropping the future gives the scrape up.
    pub(super) async fn scrape(
        self: Arc<Self>,
        tracker: TrackerUrl,
        torrents: Vec<InfoHash>,
    ) -> Result<ScrapeResponse, AnnounceError> {
        let host = tracker.tracker_host();
        if let Some(repeated) = self.recent.repeat(&host, &torrents) {
            return repeated;
        }
        let runtime = self.runtime.clone();
        let limited = async move {
            let scrape = async {
                let mut channel = self.transport.open(&tracker).await?;
                let response = channel.scrape(&torrents).await?;
                self.recent.note(host, &torrents, &response);
                Ok(response)
            };
            let limited = clock::timeout(self.limit, scrape).await;
            limited.unwrap_or(Err(AnnounceError::TimedOut(TimeoutPhase::Reply)))
        };
        // A set, because dropping it aborts the task.
        let mut scraping = JoinSet::new();
        scraping.spawn_on(limited, &runtime);
        match scraping.join_next().await {
            Some(Ok(scraped)) => scraped,
            _ => Err(AnnounceError::Cancelled),
        }
    }
}

impl RecentScrapes {
    /// The answer to a scrape that comes too early: what the tracker answered for these torrents, or an error where it
    /// wasn't asked for one of them. `None` where the tracker may be asked.
    fn repeat(
        &self,
        tracker: &TrackerHost,
        torrents: &[InfoHash],
    ) -> Option<Result<ScrapeResponse, AnnounceError>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        known.retain(|_, last| last.until > now);
        let last = known.get(tracker)?;
        let mut response =
            ScrapeResponse { min_request_interval: Some(last.interval), ..ScrapeResponse::default() };
        for torrent in torrents {
            match last.counts.get(torrent) {
                Some(counts) => response.files.extend(counts.map(|counts| (*torrent, counts))),
                None => return Some(Err(AnnounceError::Suspended)),
            }
        }
        Some(Ok(response))
    }

    /// Keeps an answer, where the tracker doesn't want to be asked again soon.
    fn note(&self, tracker: TrackerHost, torrents: &[InfoHash], response: &ScrapeResponse) {
        let Some(interval) = response.min_request_interval.filter(|interval| !interval.is_zero()) else {
            return;
        };
        let until = clock::now() + interval.min(MAX_INTERVAL);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED_TRACKERS && !known.contains_key(&tracker) {
            let soonest = known.iter().min_by_key(|(_, last)| last.until).map(|(host, _)| host.clone());
            soonest.and_then(|host| known.remove(&host));
        }
        let last =
            known.entry(tracker).or_insert_with(|| RecentScrape { until, interval, counts: BTreeMap::new() });
        // Where scrapes ran beside each other, the later interval counts, and both sets of torrents are kept.
        last.until = last.until.max(until);
        last.interval = interval;
        for torrent in torrents {
            if last.counts.len() < MAX_REMEMBERED_TORRENTS || last.counts.contains_key(torrent) {
                last.counts.insert(*torrent, response.files.get(torrent).copied());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: usize) -> TrackerHost {
        format!("http://h{number}.test/announce").parse::<TrackerUrl>().unwrap().tracker_host()
    }

    fn torrent(number: usize) -> InfoHash {
        let mut bytes = [0; 20];
        bytes[12..].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        InfoHash::new(bytes)
    }

    fn answer(interval: Option<Duration>) -> ScrapeResponse {
        let counts = SwarmCounts { complete: Some(3), ..SwarmCounts::default() };
        ScrapeResponse { files: [(torrent(1), counts)].into(), min_request_interval: interval }
    }

    /// R48-06.
    #[tokio::test(start_paused = true)]
    async fn a_tracker_is_not_scraped_again_within_its_interval() {
        let recent = RecentScrapes::default();
        let minute = Duration::from_secs(60);
        recent.note(host(1), &[torrent(1), torrent(2)], &answer(Some(minute)));
        tokio::time::advance(Duration::from_millis(59_999)).await;
        let known = recent.repeat(&host(1), &[torrent(1)]).unwrap().unwrap();
        assert_eq!(known, answer(Some(minute)));
        let unknown = recent.repeat(&host(1), &[torrent(2)]).unwrap().unwrap();
        assert!(unknown.files.is_empty(), "it answered that it doesn't know the torrent");
        let never_asked = recent.repeat(&host(1), &[torrent(1), torrent(3)]).unwrap();
        assert!(matches!(never_asked, Err(AnnounceError::Suspended)));
        assert!(recent.repeat(&host(2), &[torrent(1)]).is_none(), "another tracker");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(recent.repeat(&host(1), &[torrent(1)]).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tracker_without_an_interval_may_be_scraped_at_once() {
        let recent = RecentScrapes::default();
        for interval in [None, Some(Duration::ZERO)] {
            recent.note(host(1), &[torrent(1)], &answer(interval));
            assert!(recent.repeat(&host(1), &[torrent(1)]).is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_interval_counts_for_a_day_at_most() {
        let recent = RecentScrapes::default();
        recent.note(host(1), &[torrent(1)], &answer(Some(Duration::MAX)));
        tokio::time::advance(MAX_INTERVAL).await;
        assert!(recent.repeat(&host(1), &[torrent(1)]).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_of_scrapes_is_bounded() {
        let recent = RecentScrapes::default();
        for number in 0..MAX_REMEMBERED_TRACKERS + 10 {
            let wait = Duration::from_secs(1000 - u64::try_from(number).unwrap());
            recent.note(host(number), &[torrent(1)], &answer(Some(wait)));
        }
        assert_eq!(recent.0.lock().unwrap().len(), MAX_REMEMBERED_TRACKERS);
        assert!(recent.repeat(&host(0), &[torrent(1)]).is_some(), "the longest interval stays");
        let torrents: Vec<InfoHash> = (0..MAX_REMEMBERED_TORRENTS + 10).map(torrent).collect();
        recent.note(host(0), &torrents, &answer(Some(Duration::from_secs(60))));
        assert_eq!(recent.0.lock().unwrap()[&host(0)].counts.len(), MAX_REMEMBERED_TORRENTS);
    }
}
