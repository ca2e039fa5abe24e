//! The timeline of the manual's *anatomy of a failover*, played by the engine in virtual time.

use std::fmt::Write as _;
use std::time::Duration;

use tracker_failover::policy::{Engine, Output, Timestamp, TorrentId};
use tracker_failover::{
    Alert, AnnounceError, AnnounceRequest, AnnounceResponse, Cause, InfoHash, Measurement, PeerId, Torrent,
    TrackerUrl,
};
use tracker_failover::{AnnounceTo, Config, TrackerSet};
use virtual_net::{Scene, Trackers};

use crate::lines;

/// `a` vanishes after the first round and answers probes all the same, `b` answers probes and refuses everything else.
#[derive(Default)]
struct Story {
    torrent: Option<TorrentId>,
    /// Since when the columns are counted: the last alert that begins something.
    began: Timestamp,
    beginnings: usize,
    /// What trackers received and the engine did, in the order in which it happened.
    text: String,
}

fn distance(tracker: &TrackerUrl) -> Duration {
    Duration::from_millis(match tracker.host() {
        "a.test" => 5,
        "b.test" => 15,
        _ => 30,
    })
}

impl Trackers for Story {
    fn probe(
        &mut self,
        tracker: &TrackerUrl,
        _: Timestamp,
    ) -> Option<(Duration, Result<Measurement, AnnounceError>)> {
        let distance = distance(tracker);
        Some((2 * distance, Ok(Measurement { connect: distance, first_byte: distance })))
    }

    fn open(&mut self, tracker: &TrackerUrl, _: Timestamp) -> Option<(Duration, Result<(), AnnounceError>)> {
        let result = match tracker.host() {
            "a.test" if self.beginnings > 1 => return None,
            "b.test" => Err(AnnounceError::Connect(Cause::new("connection refused"))),
            _ => Ok(()),
        };
        Some((distance(tracker), result))
    }

    fn announce(
        &mut self,
        tracker: &TrackerUrl,
        request: &AnnounceRequest,
        now: Timestamp,
    ) -> Option<(Duration, Result<AnnounceResponse, AnnounceError>)> {
        let event = request.event.map_or("no event", |event| event.name());
        self.line(now, &format!("           tells {} {event}", tracker.host()));
        let mut reply = AnnounceResponse::default();
        reply.interval = Some(Duration::from_secs(1800));
        Some((distance(tracker), Ok(reply)))
    }

    fn close(&mut self, tracker: &TrackerUrl, now: Timestamp) {
        self.line(now, &format!("           closes {}", tracker.host()));
    }

    /// Three rounds and the end of the session. The second one is urgent.
    fn report(&mut self, output: &Output, engine: &mut Engine, now: Timestamp) {
        let Some(torrent) = self.torrent else { return };
        match output {
            Output::RoundEnded { round: 1, .. } => engine.want_peers(torrent, now),
            Output::RoundEnded { round: 3, .. } => engine.stop(torrent, now),
            Output::Alert { alert, .. } => self.hear(now, alert),
            _ => {}
        }
    }
}

impl Story {
    fn play() -> String {
        let mut scene = Scene::new(Config::default().announce_to(AnnounceTo::One), 7, Self::default());
        let tiers = ["a", "b", "c"].map(|name| {
            let url: TrackerUrl = format!("http://{name}.test/announce").parse().unwrap();
            [url]
        });
        let mut torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
        torrent.transfer.left = Some(1000);
        scene.trackers.torrent = Some(scene.driver.add(TrackerSet::new(tiers), torrent));
        scene.play_until(Timestamp::from_start(Duration::from_secs(4 * 3600)));
        scene.trackers.text
    }

    fn hear(&mut self, now: Timestamp, alert: &Alert) {
        if matches!(alert, Alert::Announcing { .. } | Alert::Stopping { .. }) {
            self.began = now;
            self.beginnings += 1;
            if self.beginnings > 1 {
                self.text.push('\n');
            }
        }
        for (tag, text) in lines::of(alert) {
            // The interval is jittered: its seconds are another subject.
            let text = text.split(", next announce").next().unwrap_or_default();
            self.line(now, &format!("{:<10} {text}", format!("[{tag}]")));
        }
    }

    fn line(&mut self, now: Timestamp, text: &str) {
        let millis = now.since(self.began).as_millis();
        writeln!(self.text, "{millis:>5} {}", text.replace("http://", "")).unwrap();
    }
}

/// With `BLESS=1` in the environment the manual is rewritten.
#[test]
fn the_manuals_failover_is_what_the_engine_does() {
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manual/architecture.md");
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once("# Anatomy of a failover").unwrap();
    let (prose, rest) = rest.split_once("```text\n").unwrap();
    let (shown, after) = rest.split_once("```").unwrap();
    let played = Story::play();
    if std::env::var_os("BLESS").is_some() {
        let blessed = format!("{before}# Anatomy of a failover{prose}```text\n{played}```{after}");
        return std::fs::write(PAGE, blessed).unwrap();
    }
    assert_eq!(shown, played, "the page shows\n{shown}\nthe engine plays\n{played}\n(BLESS=1 rewrites it)");
}
