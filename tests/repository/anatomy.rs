//! The timeline of the manual's *anatomy of a failover*, played by the engine in virtual time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use tracker_failover::Cause;
use tracker_failover::policy::{AttemptId, Engine, Input, Output, Timestamp, TorrentId};
use tracker_failover::{
    Alert, AnnounceError, AnnounceRequest, AnnounceResponse, InfoHash, Measurement, PeerId, Torrent,
    TrackerUrl,
};
use tracker_failover::{Config, TrackerSet};

use crate::lines;

/// `a` vanishes after the first round and answers probes all the same, `b` answers probes and refuses everything else.
struct World {
    engine: Engine,
    torrent: TorrentId,
    now: Timestamp,
    coming: BTreeMap<(Timestamp, usize), Input>,
    numbers: usize,
    hosts: BTreeMap<AttemptId, String>,
    /// Since when the columns are counted: the last alert that begins something.
    began: Timestamp,
    beginnings: usize,
    /// What was heard and done, in the order in which it happened.
    story: String,
}

fn distance(host: &str) -> Duration {
    Duration::from_millis(match host {
        "a.test" => 5,
        "b.test" => 15,
        _ => 30,
    })
}

impl World {
    fn new() -> Self {
        let mut engine = Engine::new(Config::default(), 7);
        let tiers = ["a", "b", "c"].map(|name| {
            let url: TrackerUrl = format!("http://{name}.test/announce").parse().unwrap();
            [url]
        });
        let mut torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
        torrent.transfer.left = Some(1000);
        let torrent = engine.add(TrackerSet::new(tiers), torrent, Timestamp::ZERO);
        Self {
            engine,
            torrent,
            now: Timestamp::ZERO,
            coming: BTreeMap::new(),
            numbers: 0,
            hosts: BTreeMap::new(),
            began: Timestamp::ZERO,
            beginnings: 0,
            story: String::new(),
        }
    }

    /// Plays three rounds and the end of the session. For the second one somebody waits.
    fn play(mut self) -> String {
        loop {
            match self.engine.poll(self.now) {
                Output::Wait(wake) => self.pass_time(wake),
                Output::RoundEnded { round: 1, .. } => self.engine.want_peers(self.torrent, self.now),
                Output::RoundEnded { round: 3, .. } => self.engine.stop(self.torrent, self.now),
                Output::Ended { .. } => return self.story,
                output => self.act(output),
            }
        }
    }

    fn pass_time(&mut self, wake: Option<Timestamp>) {
        let next = self.coming.first_key_value().map(|((when, _), _)| *when);
        self.now = [next, wake].into_iter().flatten().min().expect("something is to come");
        if next == Some(self.now)
            && let Some((_, input)) = self.coming.pop_first()
        {
            self.engine.handle(input, self.now);
        }
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Probe { attempt, tracker } => {
                let one_way = distance(tracker.host());
                let measured = Measurement { connect: one_way, first_byte: one_way };
                self.comes(one_way * 2, Input::Probed(attempt, Ok(measured)));
            }
            Output::Open { attempt, tracker } => self.open(attempt, &tracker),
            Output::Announce { attempt, request } => self.announce(attempt, &request),
            Output::Close { attempt } => {
                let host = self.hosts.remove(&attempt).unwrap_or_default();
                self.line(&format!("           closes {host}"));
            }
            Output::Alert { alert, .. } => self.hear(&alert),
            Output::RoundEnded { .. } | Output::Ended { .. } | Output::Wait(_) => {}
        }
    }

    fn open(&mut self, attempt: AttemptId, tracker: &TrackerUrl) {
        let host = tracker.host().to_owned();
        let vanished = host == "a.test" && self.beginnings > 1;
        if !vanished {
            let input = match host.as_str() {
                "b.test" => Input::Failed(attempt, AnnounceError::Connect(Cause::new("connection refused"))),
                _ => Input::Opened(attempt),
            };
            self.comes(distance(&host), input);
        }
        self.hosts.insert(attempt, host);
    }

    fn announce(&mut self, attempt: AttemptId, request: &AnnounceRequest) {
        let host = self.hosts[&attempt].clone();
        let event = request.event.map_or("no event", |event| event.name());
        self.line(&format!("           tells {host} {event}"));
        let mut reply = AnnounceResponse::default();
        reply.interval = Some(Duration::from_secs(1800));
        self.comes(distance(&host), Input::Replied(attempt, Box::new(reply)));
    }

    fn hear(&mut self, alert: &Alert) {
        if matches!(alert, Alert::Announcing { .. } | Alert::Stopping { .. }) {
            self.began = self.now;
            self.beginnings += 1;
            if self.beginnings > 1 {
                self.story.push('\n');
            }
        }
        for (tag, text) in lines::of(alert) {
            // The interval is jittered: its seconds are another subject.
            let text = text.split(", next announce").next().unwrap_or_default();
            self.line(&format!("{:<10} {text}", format!("[{tag}]")));
        }
    }

    fn comes(&mut self, after: Duration, input: Input) {
        self.numbers += 1;
        self.coming.insert((self.now + after, self.numbers), input);
    }

    fn line(&mut self, text: &str) {
        let millis = self.now.since(self.began).as_millis();
        writeln!(self.story, "{millis:>5} {}", text.replace("http://", "")).unwrap();
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
    let played = World::new().play();
    if std::env::var_os("BLESS").is_some() {
        let blessed = format!("{before}# Anatomy of a failover{prose}```text\n{played}```{after}");
        return std::fs::write(PAGE, blessed).unwrap();
    }
    assert_eq!(shown, played, "the page shows\n{shown}\nthe engine plays\n{played}\n(BLESS=1 rewrites it)");
}
