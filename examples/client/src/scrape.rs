//! The size of the swarm, by scrapes.

use std::fmt;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tracker_failover::net::scheme_router::SchemeRouter;
use tracker_failover::{AnnounceError, InfoHash, ScrapeResponse, TrackerUrl, Transport};

use crate::ui::units;

/// A swarm in two numbers. Trackers leave out what they don't count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Swarm {
    pub(crate) seeders: Option<u64>,
    pub(crate) leechers: Option<u64>,
}

impl Swarm {
    /// The counts of a torrent in an answer.
    ///
    /// # Errors
    /// If the answer doesn't hold the torrent, or there is none: a text for the user.
    pub(crate) fn of(
        torrent: InfoHash,
        answer: Result<ScrapeResponse, AnnounceError>,
    ) -> Result<Self, String> {
        let answer = answer.map_err(|error| error.to_string())?;
        let counts = answer.files.get(&torrent).ok_or("it doesn't know the torrent")?;
        Ok(Self { seeders: counts.complete, leechers: counts.incomplete })
    }
}

impl fmt::Display for Swarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: Option<u64>, word| match count {
            Some(count) => units::count(count, word),
            None => format!("an unknown number of {word}s"),
        };
        write!(f, "{}, {}", count(self.seeders, "seeder"), count(self.leechers, "leecher"))
    }
}

/// Scrapes all of these trackers at once, and returns their answers in order, after at most [`LIMIT`].
pub(crate) async fn ask_all(
    transports: &SchemeRouter,
    trackers: &[TrackerUrl],
    torrent: InfoHash,
) -> Vec<Result<Swarm, String>> {
    let mut answers = vec![Err(format!("no answer in {} s", LIMIT.as_secs())); trackers.len()];
    let mut tasks = JoinSet::new();
    for (number, tracker) in trackers.iter().cloned().enumerate() {
        let transports = transports.clone();
        tasks.spawn(async move {
            let scrape = async { transports.open(&tracker).await?.scrape(&[torrent]).await };
            (number, Swarm::of(torrent, scrape.await))
        });
    }
    let gather = async {
        while let Some(Ok((number, answer))) = tasks.join_next().await {
            answers[number] = answer;
        }
    };
    // Who hasn't answered by then has its error in the list already.
    let _ = timeout(LIMIT, gather).await;
    answers
}

/// The limit for all scrapes together: a user waits for the list at a terminal.
const LIMIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_counts_are_shown_as_unknown() {
        let swarm = |seeders, leechers| Swarm { seeders, leechers }.to_string();
        assert_eq!(swarm(Some(12), Some(3)), "12 seeders, 3 leechers");
        assert_eq!(swarm(Some(1), None), "1 seeder, an unknown number of leechers");
    }
}
