//! A start of thousands of torrents at once: over which hosts it spreads, and how long it takes.

use std::time::Duration;

use tracker_failover::policy::{Engine, Output, Timestamp};
use tracker_failover::{
    Alert, AnnounceError, AnnounceRequest, AnnounceResponse, Config, InfoHash, Measurement, Peer,
    PeerAddress, PeerId, Torrent, TrackerSet, TrackerUrl,
};
use virtual_net::{Scene, Trackers};

/// A tracker host that is well.
#[derive(Debug, Clone, Copy)]
struct Host {
    /// The time of a round trip.
    round_trip: Duration,
    /// How long it works on an announce.
    work: Duration,
}

/// The hosts, and what came of the torrents.
struct Hosts {
    all: Vec<Host>,
    /// How many announces each host received.
    announces: Vec<usize>,
    /// When each torrent was answered for the first time.
    answered: Vec<Timestamp>,
}

impl Hosts {
    fn place(tracker: &TrackerUrl) -> usize {
        tracker.host().trim_start_matches('h').trim_end_matches(".test").parse().unwrap()
    }

    fn round_trip(&self, tracker: &TrackerUrl) -> Duration {
        self.all[Self::place(tracker)].round_trip
    }
}

impl Trackers for Hosts {
    fn probe(
        &mut self,
        tracker: &TrackerUrl,
        _: Timestamp,
    ) -> Option<(Duration, Result<Measurement, AnnounceError>)> {
        let round_trip = self.round_trip(tracker);
        Some((2 * round_trip, Ok(Measurement { connect: round_trip, first_byte: round_trip })))
    }

    fn open(&mut self, tracker: &TrackerUrl, _: Timestamp) -> Option<(Duration, Result<(), AnnounceError>)> {
        Some((self.round_trip(tracker), Ok(())))
    }

    fn announce(
        &mut self,
        tracker: &TrackerUrl,
        _: &AnnounceRequest,
        _: Timestamp,
    ) -> Option<(Duration, Result<AnnounceResponse, AnnounceError>)> {
        let place = Self::place(tracker);
        self.announces[place] += 1;
        let Host { round_trip, work } = self.all[place];
        let mut response = AnnounceResponse::default();
        response.interval = Some(Duration::from_secs(1800));
        // As many as end the search for peers, so that no further tracker is asked.
        let peer = |number| Peer { address: PeerAddress::Ip(([8, 8, 8, number], 1).into()), id: None };
        (response.peers, response.complete) = ((1..=50).map(peer).collect(), Some(5));
        Some((round_trip + work, Ok(response)))
    }

    fn report(&mut self, output: &Output, _: &mut Engine, now: Timestamp) {
        if let Output::Alert { alert: Alert::Announced(_), .. } = output {
            self.answered.push(now);
        }
    }
}

/// What a start came to.
#[derive(Debug)]
struct Start {
    /// How long it took until the last torrent was answered.
    took: Duration,
    /// How many announces each host received.
    announces: Vec<usize>,
}

/// Adds so many torrents at once, each of which lists all hosts, and waits until each was answered.
fn start(torrents: u32, hosts: Vec<Host>, scheme: &str) -> Start {
    let url = |number| format!("{scheme}://h{number}.test:80/announce").parse::<TrackerUrl>().unwrap();
    let tiers: Vec<[TrackerUrl; 1]> = (0..hosts.len()).map(|number| [url(number)]).collect();
    let announces = vec![0; hosts.len()];
    let mut scene = Scene::new(Config::default(), 7, Hosts { all: hosts, announces, answered: Vec::new() });
    for number in 0..torrents {
        let mut hash = [0; 20];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        let mut torrent = Torrent::new(InfoHash::new(hash), PeerId::new([1; 20]), 6881);
        torrent.transfer.left = Some(1000);
        scene.driver.add(TrackerSet::new(tiers.clone()), torrent);
    }
    scene.play_until(Timestamp::from_start(Duration::from_secs(100)));
    let Hosts { announces, answered, .. } = scene.trackers;
    let (torrents, received) = (torrents as usize, announces.iter().sum());
    assert_eq!((answered.len(), received), (torrents, torrents), "one announce each");
    Start { took: answered[torrents - 1].since(Timestamp::ZERO), announces }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Hosts at these distances, in milliseconds, that answer at once.
fn at_distances(distances: impl IntoIterator<Item = u64>) -> Vec<Host> {
    let host = |distance| Host { round_trip: millis(distance), work: Duration::ZERO };
    distances.into_iter().map(host).collect()
}

/// So many hosts, from 5 to 200 ms away, in another order than that of the distances.
fn spread_out(count: u64) -> Vec<Host> {
    at_distances((0..count).map(|number| 5 + 195 * (number * 5 % count) / (count - 1)))
}

/// The same, and every second one works for a second on each announce.
fn half_slow(count: u64) -> Vec<Host> {
    let mut hosts = spread_out(count);
    for host in hosts.iter_mut().step_by(2) {
        host.work = millis(1000);
    }
    hosts
}

/// R85, G13. At 20 announces a second, and with as many at once as a host gets, these hosts need 25 s.
#[test]
fn five_thousand_torrents_start_on_twelve_hosts_within_thirty_seconds() {
    for (name, hosts, scheme) in [
        ("5 to 200 ms away", spread_out(12), "http"),
        ("the same, half of them work for a second on each announce", half_slow(12), "udp"),
    ] {
        let start = start(5000, hosts, scheme);
        assert!(start.took < Duration::from_secs(28), "{name}: {start:?}");
        assert!(
            start.announces.iter().all(|announces| *announces > 100),
            "no host is idle: {name}, {start:?}"
        );
    }
}

/// R85, G13. These hosts need 62 s.
#[test]
fn ten_thousand_torrents_start_on_eight_hosts_within_seventy_seconds() {
    let start = start(10_000, at_distances([50; 8]), "http");
    assert!(start.took < Duration::from_secs(65), "{start:?}");
}

/// The pace of one host is no reason to go to a farther one, as long as a start there takes no more than two seconds.
#[test]
fn one_torrent_and_fifty_start_at_the_nearest_host() {
    for scheme in ["http", "udp"] {
        for distances in [[15, 30, 45], [45, 15, 30], [5, 15, 30], [30, 5, 15]] {
            let nearest = distances.iter().min().unwrap();
            for torrents in [1, 50] {
                let start = start(torrents, at_distances(distances), scheme);
                let expected =
                    distances.map(|distance| if distance == *nearest { torrents as usize } else { 0 });
                assert_eq!(start.announces, expected, "{distances:?}, {scheme}");
                assert!(start.took < Duration::from_secs(2), "{distances:?}, {scheme}: {:?}", start.took);
            }
        }
    }
}
