//! An engine whose trackers answer at once, so that nothing but its decisions takes time.

use std::time::Duration;

use tracker_failover::Cause;
use tracker_failover::policy::{Engine, Input, Output, Timestamp};
use tracker_failover::{AnnounceError, AnnounceResponse, InfoHash, Measurement, PeerId, Torrent, TrackerUrl};
use tracker_failover::{AnnounceTo, Config, TrackerSet};

/// The engine, its time, and how often it was called.
pub(crate) struct Idle {
    pub(crate) engine: Engine,
    pub(crate) now: Timestamp,
    /// Calls of `poll` and `handle`.
    pub(crate) calls: u64,
    /// Answered announces.
    pub(crate) announces: u64,
    /// A tracker that refuses connections.
    pub(crate) refuses: Option<TrackerUrl>,
    /// Whether each torrent has its own passkey.
    pub(crate) own_passkeys: bool,
    /// Among how many tiers the trackers of a torrent are dealt out; each has its own without it.
    pub(crate) tiers: Option<usize>,
}

impl Idle {
    /// An engine without torrents, each of which will be announced to one tracker.
    pub(crate) fn new() -> Self {
        Self::announcing_to(AnnounceTo::One)
    }

    /// An engine without torrents.
    pub(crate) fn announcing_to(trackers: AnnounceTo) -> Self {
        Self {
            engine: Engine::new(Config::default().announce_to(trackers), 7),
            now: Timestamp::ZERO,
            calls: 0,
            announces: 0,
            refuses: None,
            own_passkeys: false,
            tiers: None,
        }
    }

    /// Adds a torrent with so many trackers, over `hosts` hosts in all.
    pub(crate) fn add(&mut self, number: u64, trackers: usize, hosts: u64) {
        let passkey = if self.own_passkeys { number } else { 0 };
        let mut tiers = vec![Vec::new(); self.tiers.unwrap_or(trackers)];
        let among = tiers.len();
        for place in 0..trackers {
            let host = (number + place as u64) % hosts;
            let url = format!("http://tracker-{host}.test:6969/{passkey:032x}/announce");
            let url: TrackerUrl = url.parse().unwrap();
            tiers[place % among].push(url);
        }
        let mut hash = [0; 20];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        let mut torrent = Torrent::new(InfoHash::new(hash), PeerId::with_prefix(*b"-XX0001-", [7; 12]), 6881);
        torrent.transfer.left = Some(1 << 30);
        self.engine.add(TrackerSet::new(tiers), torrent, self.now);
    }

    /// Plays until so many more announces were answered and nothing is left to do at that moment.
    pub(crate) fn announce(&mut self, count: u64) {
        let until = self.announces + count;
        loop {
            self.calls += 1;
            let input = match self.engine.poll(self.now) {
                Output::Wait(_) if self.announces >= until => return,
                Output::Wait(wake) => {
                    self.now = wake.expect("a torrent announces again and again");
                    continue;
                }
                Output::Probe { attempt, .. } => {
                    let (connect, first_byte) = (Duration::from_millis(5), Duration::from_millis(5));
                    Input::Probed(attempt, Ok(Measurement { connect, first_byte }))
                }
                Output::Open { attempt, tracker } if Some(&tracker) == self.refuses.as_ref() => {
                    Input::Failed(attempt, AnnounceError::Connect(Cause::new("refused")))
                }
                Output::Open { attempt, .. } => Input::Opened(attempt),
                Output::Announce { attempt, .. } => {
                    self.announces += 1;
                    let mut reply = AnnounceResponse::default();
                    reply.interval = Some(Duration::from_secs(1800));
                    Input::Replied(attempt, Box::new(reply))
                }
                _ => continue,
            };
            self.calls += 1;
            self.engine.handle(input, self.now);
        }
    }
}
