//! What trackers were scraped for and said, as long as they want not to be scraped again (R48-06).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::clock;
use crate::announce::InfoHash;
use crate::error::AnnounceError;
use crate::scrape::{ScrapeResponse, SwarmCounts};
use crate::tracker::TrackerHost;

/// However long a tracker wants to be left alone, a day is the most, as with announces.
const LONGEST: Duration = Duration::from_secs(86_400);

/// How many trackers are remembered. Beyond it the one goes that may be asked soonest.
const MAX_TRACKERS: usize = 256;

/// How many torrents are remembered of one tracker.
const MAX_TORRENTS: usize = 4096;

/// The last answers of trackers that named a `min_request_interval`, until that has passed.
#[derive(Debug, Default)]
pub(super) struct Scraped(Mutex<BTreeMap<TrackerHost, Last>>);

#[derive(Debug)]
struct Last {
    until: Instant,
    interval: Duration,
    /// Every torrent that was asked for; `None` where the tracker doesn't know it.
    asked: BTreeMap<InfoHash, Option<SwarmCounts>>,
}

impl Scraped {
    /// What takes the place of a scrape that comes too early: what the tracker said of these torrents, or else an
    /// error. `None` where the tracker may be asked.
    pub(super) fn instead(
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
            match last.asked.get(torrent) {
                Some(counts) => response.files.extend(counts.map(|counts| (*torrent, counts))),
                None => return Some(Err(AnnounceError::Suspended)),
            }
        }
        Some(Ok(response))
    }

    /// Notes what a tracker said, where it doesn't want to be asked again soon.
    pub(super) fn note(&self, tracker: TrackerHost, torrents: &[InfoHash], response: &ScrapeResponse) {
        let Some(interval) = response.min_request_interval.filter(|interval| !interval.is_zero()) else {
            return;
        };
        let until = clock::now() + interval.min(LONGEST);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_TRACKERS && !known.contains_key(&tracker) {
            let soonest = known.iter().min_by_key(|(_, last)| last.until).map(|(host, _)| host.clone());
            soonest.and_then(|host| known.remove(&host));
        }
        let last = known.entry(tracker).or_insert_with(|| Last { until, interval, asked: BTreeMap::new() });
        // Scrapes that ran beside each other: the later word counts, and both sets of torrents.
        last.until = last.until.max(until);
        last.interval = interval;
        for torrent in torrents {
            if last.asked.len() < MAX_TORRENTS || last.asked.contains_key(torrent) {
                last.asked.insert(*torrent, response.files.get(torrent).copied());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::TrackerUrl;

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
    async fn a_tracker_is_left_alone_for_as_long_as_it_said() {
        let scraped = Scraped::default();
        let minute = Duration::from_secs(60);
        scraped.note(host(1), &[torrent(1), torrent(2)], &answer(Some(minute)));
        tokio::time::advance(Duration::from_millis(59_999)).await;
        let known = scraped.instead(&host(1), &[torrent(1)]).unwrap().unwrap();
        assert_eq!(known, answer(Some(minute)));
        let unknown = scraped.instead(&host(1), &[torrent(2)]).unwrap().unwrap();
        assert!(unknown.files.is_empty(), "it said that it doesn't know the torrent");
        let never_asked = scraped.instead(&host(1), &[torrent(1), torrent(3)]).unwrap();
        assert!(matches!(never_asked, Err(AnnounceError::Suspended)));
        assert!(scraped.instead(&host(2), &[torrent(1)]).is_none(), "another tracker");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(scraped.instead(&host(1), &[torrent(1)]).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tracker_that_names_no_time_may_be_asked() {
        let scraped = Scraped::default();
        for interval in [None, Some(Duration::ZERO)] {
            scraped.note(host(1), &[torrent(1)], &answer(interval));
            assert!(scraped.instead(&host(1), &[torrent(1)]).is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_is_the_most() {
        let scraped = Scraped::default();
        scraped.note(host(1), &[torrent(1)], &answer(Some(Duration::MAX)));
        tokio::time::advance(LONGEST).await;
        assert!(scraped.instead(&host(1), &[torrent(1)]).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_is_bounded() {
        let scraped = Scraped::default();
        for number in 0..MAX_TRACKERS + 10 {
            let wait = Duration::from_secs(1000 - u64::try_from(number).unwrap());
            scraped.note(host(number), &[torrent(1)], &answer(Some(wait)));
        }
        assert_eq!(scraped.0.lock().unwrap().len(), MAX_TRACKERS);
        assert!(scraped.instead(&host(0), &[torrent(1)]).is_some(), "who waits longest stays");
        let torrents: Vec<InfoHash> = (0..MAX_TORRENTS + 10).map(torrent).collect();
        scraped.note(host(0), &torrents, &answer(Some(Duration::from_secs(60))));
        assert_eq!(scraped.0.lock().unwrap()[&host(0)].asked.len(), MAX_TORRENTS);
    }
}
