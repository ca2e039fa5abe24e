//! An announcer with dead UDP trackers before a living one: in which order they are tried, and what each receives.

use std::time::Duration;

use super::*;
use crate::Order;
use crate::alert::Alert;
use crate::announce::{PeerId, Torrent, Transfer};
use crate::net::testing::{AddSession, Session};
use crate::net::udp::UdpProber;
use crate::policy::{Config, Probing, TrackerSet};
use crate::{AnnounceTo, AnnouncerBuilder};

/// A kind of dead tracker: the time that two of them cost without probing, and the packets that each receives.
struct Dead {
    name: &'static str,
    /// `None`: the address has no host.
    behaviour: Option<UdpBehaviour>,
    at_most: Duration,
    hears: &'static str,
}

fn kinds() -> [Dead; 5] {
    let shows_no_life = Duration::from_millis(500) + 4 * WAY;
    [
        Dead { name: "refused", behaviour: None, at_most: 8 * WAY, hears: "" },
        Dead { name: "silent", behaviour: Some(UdpBehaviour::Silent), at_most: shows_no_life, hears: "c" },
        Dead {
            name: "wrong transaction ids",
            behaviour: Some(UdpBehaviour::WrongTransaction),
            at_most: shows_no_life,
            hears: "c",
        },
        Dead {
            name: "connects, then nothing",
            behaviour: Some(UdpBehaviour::ConnectsOnly),
            at_most: Duration::from_secs(3) + 8 * WAY,
            hears: "caaa",
        },
        Dead {
            name: "refuses",
            behaviour: Some(UdpBehaviour::Error("go away".into())),
            at_most: 12 * WAY,
            hears: "ca",
        },
    ]
}

/// The default settings, but for announces to one tracker at a time.
fn one_at_a_time() -> Config {
    Config::default().announce_to(AnnounceTo::One)
}

fn builder(internet: &Internet) -> AnnouncerBuilder {
    let transport = internet.transport(UdpConfig::new());
    let prober = UdpProber::new(&transport);
    AnnouncerBuilder::new(transport).prober(prober).config(one_at_a_time()).seed(7)
}

fn torrent() -> Torrent {
    let mut torrent = Torrent::new(HASH, PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
    torrent.transfer = Transfer { left: Some(1000), ..Transfer::default() };
    torrent
}

fn in_tiers(number: u8) -> TrackerSet {
    TrackerSet::new((1..=number).map(|host| [url(&format!("udp://8.1.1.{host}:6969/announce"))]))
}

async fn until_announced(session: &mut Session) -> Vec<Alert> {
    let mut alerts = Vec::new();
    while let Some(alert) = session.next_alert().await {
        let done = matches!(alert, Alert::Announced(_));
        alerts.push(alert);
        if done {
            return alerts;
        }
    }
    panic!("the session ended: {alerts:#?}");
}

/// Two dead trackers and a living one, each in another tier.
fn two_dead(internet: &Internet, dead: &Dead) -> (Vec<Arc<FakeUdpTracker>>, Arc<FakeUdpTracker>) {
    let address = |host: u8| format!("8.1.1.{host}:6969");
    let host = |number: u8| dead.behaviour.clone().map(|b| internet.host("dead.test", &address(number), b));
    let in_front = [1, 2].into_iter().filter_map(host).collect();
    (in_front, internet.host("live.test", &address(3), UdpBehaviour::Ok))
}

#[tokio::test(start_paused = true)]
async fn two_dead_trackers_cost_their_patience_and_the_living_one_gets_one_announce() {
    for dead in kinds() {
        for order in [Order::Nearest, Order::Bep12] {
            let internet = Internet::new();
            let (in_front, live) = two_dead(&internet, &dead);
            let mut config = one_at_a_time();
            (config.order, config.probing) = (order, Probing::Off);
            // Moving to another tier takes time of its own under BEP 12, which isn't the subject here.
            config.limits.tier_patience = Duration::from_millis(250);
            let mut session = builder(&internet).config(config).spawn().session(in_tiers(3), torrent());
            let (alerts, took) = timed(until_announced(&mut session)).await;

            assert!(took <= dead.at_most, "{} {order:?}: {took:?}", dead.name);
            let tried: Vec<_> = alerts
                .iter()
                .filter_map(|alert| match alert {
                    Alert::AttemptStarted { tracker, attempt, of } => {
                        Some(format!("{attempt}/{of} {tracker}"))
                    }
                    _ => None,
                })
                .collect();
            assert_eq!(
                tried,
                ["1/3 udp://8.1.1.1:6969", "2/3 udp://8.1.1.2:6969", "3/3 udp://8.1.1.3:6969"],
                "{} {order:?}",
                dead.name
            );
            let Some(Alert::Announced(announced)) = alerts.last() else { unreachable!() };
            assert_eq!(announced.tracker, url("udp://8.1.1.3:6969/announce"));
            assert_eq!(heard(&live), "ca", "{} {order:?}: the live one hears one announce", dead.name);
            assert_eq!(live.heard()[1].event(), Some(2), "and it is `started`");
            for tracker in &in_front {
                assert!(dead.hears.starts_with(&heard(tracker)), "{}: {}", dead.name, heard(tracker));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_to_answer_a_probe_gets_started_at_that_moment() {
    for dead in kinds() {
        let internet = Internet::new();
        let (in_front, live) = two_dead(&internet, &dead);
        let mut session = builder(&internet).spawn().session(in_tiers(3), torrent());
        let (alerts, took) = timed(until_announced(&mut session)).await;
        let Some(Alert::Announced(announced)) = alerts.last() else { unreachable!() };
        assert_eq!(announced.tracker, url("udp://8.1.1.3:6969/announce"), "{}", dead.name);
        assert_eq!(heard(&live), "ca", "{}: the probe's connection id is used", dead.name);
        if dead.hears.contains('a') {
            // It answers connects, so it may look like the nearest until it is announced to.
            assert!(took <= dead.at_most, "{}: {took:?}", dead.name);
        } else {
            assert_eq!(took, 4 * WAY, "{}: a probe and an announce", dead.name);
            let announced: usize = in_front.iter().map(|dead| dead.heard_of(UdpAsked::Announce).len()).sum();
            assert_eq!(announced, 0, "{}: who shows no life gets no announce", dead.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_whole_life_goes_over_udp() {
    let internet = Internet::new();
    let trackers: Vec<_> = (1..=2)
        .map(|host| internet.host("t.test", &format!("8.1.1.{host}:6969"), UdpBehaviour::Ok))
        .collect();
    let mut session = builder(&internet).spawn().session(in_tiers(2), torrent());
    until_announced(&mut session).await;
    sleep(Duration::from_secs(1800)).await;
    session.complete();
    until_announced(&mut session).await;
    until_announced(&mut session).await;
    session.stop().await.unwrap();
    let events: Vec<_> =
        trackers[0].heard_of(UdpAsked::Announce).iter().map(fake_tracker::UdpHeard::event).collect();
    assert_eq!(events, [Some(2), Some(0), Some(1), Some(3)], "R25: started, none, completed, stopped");
    let last = trackers[0].heard().pop().unwrap();
    assert_eq!((last.num_want(), last.left()), (Some(0), Some(0)));
    assert!(trackers[1].heard_of(UdpAsked::Announce).is_empty(), "no other tracker got an announce");
}

/// Through a proxy the address isn't known, and each name is a tracker.
#[tokio::test(start_paused = true)]
async fn two_names_of_one_tracker_are_announced_to_once() {
    for (is_proxied, announces) in [(false, 1), (true, 2)] {
        let internet = Internet::new();
        let tracker = internet.host("a.test", "8.1.1.1:6969", UdpBehaviour::Ok);
        internet.name("b.test", "8.1.1.1:6969".parse().unwrap());
        let resolver = Arc::new(internet.0.resolver.lock().unwrap().clone());
        let connector: Arc<dyn DatagramConnector> =
            if is_proxied { Arc::new(addresses::Proxy(internet)) } else { Arc::new(internet) };
        let transport = UdpTransport::with_connector(UdpConfig::new(), resolver, connector);
        let prober = UdpProber::new(&transport);
        let announcer = AnnouncerBuilder::new(transport).prober(prober).seed(7).spawn();
        let names = ["a.test", "b.test"].map(|host| [url(&format!("udp://{host}:6969/announce"))]);
        let session = announcer.add(TrackerSet::new(names), torrent());
        sleep(Duration::from_secs(1600)).await;
        assert_eq!(tracker.heard_of(UdpAsked::Announce).len(), announces, "proxied: {is_proxied}");
        drop(session);
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_are_dead_each_is_named_with_its_cause() {
    let internet = Internet::new();
    let behaviours = kinds().map(|dead| dead.behaviour);
    for (number, behaviour) in (1..).zip(behaviours) {
        if let Some(behaviour) = behaviour {
            internet.host("t.test", &format!("8.1.1.{number}:6969"), behaviour);
        }
    }
    let mut trackers = in_tiers(5);
    let error = builder(&internet).spawn().announce(&mut trackers, request()).await.unwrap_err();
    let mut causes: Vec<_> = error.attempts().iter().map(|a| format!("{}: {}", a.tracker, a.error)).collect();
    causes.sort();
    assert_eq!(
        causes,
        [
            "udp://8.1.1.1:6969: could not connect: connection refused",
            "udp://8.1.1.2:6969: timed out while connecting",
            "udp://8.1.1.3:6969: timed out while connecting",
            "udp://8.1.1.4:6969: timed out waiting for the reply",
            "udp://8.1.1.5:6969: rejected: \"go away\"",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn another_tracker_outruns_lost_datagrams() {
    for (loss, at_most) in [(0.05, 1200), (0.2, 1700)] {
        let mut durations = Vec::new();
        for seed in 0..200 {
            let internet = Internet::lossy(loss, seed);
            for host in 1..=8 {
                internet.host("t.test", &format!("8.1.1.{host}:6969"), UdpBehaviour::Ok);
            }
            let announcer = builder(&internet).seed(seed).spawn();
            let mut trackers = in_tiers(8);
            let (result, took) = timed(announcer.announce(&mut trackers, request())).await;
            durations.push(if result.is_ok() { took } else { Duration::MAX });
        }
        durations.sort();
        let [p50, p90, p95] = [100, 180, 190].map(|at| durations[at]);
        println!("loss {loss}: p50 {p50:?}, p90 {p90:?}, p95 {p95:?}");
        assert!(p95 <= Duration::from_millis(at_most), "{loss}: {p95:?}");
    }
}
