//! What a listener gets that is too slow, and how much memory it takes.

use std::time::Duration;

use super::*;
use crate::alert::{AnnounceReason, Announced};
use crate::announce::AnnounceResponse;
use crate::error::{AnnounceError, Rejection};

const TORRENT: InfoHash = InfoHash::new([1; 20]);

/// A sender and a listener.
fn listened(limit: usize) -> (AlertSender, Alerts) {
    let sender = AlertSender::of_torrent(limit);
    let listener = sender.subscribers().join();
    (sender, listener)
}

fn alert(count: usize) -> Alert {
    Alert::Stopping { trackers: count }
}

async fn all(listener: &mut Alerts) -> Vec<String> {
    let mut heard = Vec::new();
    while let Some(alert) = listener.next().await {
        heard.push(match alert {
            Alert::Stopping { trackers } => trackers.to_string(),
            Alert::Lagged { count, .. } => format!("lost {count}"),
            other => panic!("{other:?}"),
        });
    }
    heard
}

#[tokio::test]
async fn a_listener_gets_all_alerts_from_its_subscription_to_the_end() {
    let (sender, mut first) = listened(10);
    sender.send(TORRENT, &alert(1));
    let mut second = sender.subscribers().join();
    sender.send(TORRENT, &alert(2));
    let subscribers = sender.subscribers();
    drop(sender);
    let mut late = subscribers.join();
    assert_eq!(
        (all(&mut first).await, all(&mut second).await),
        (vec!["1".into(), "2".into()], vec!["2".into()])
    );
    assert!(all(&mut late).await.is_empty() && first.next().await.is_none(), "and again");
}

#[tokio::test]
async fn a_slow_listener_loses_the_oldest_alerts_and_gets_their_number() {
    let (sender, mut listener) = listened(3);
    (1..=5).for_each(|count| sender.send(TORRENT, &alert(count)));
    drop(sender);
    assert_eq!(all(&mut listener).await, ["lost 2", "3", "4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_listener_is_woken_and_a_dropped_one_forgotten() {
    let (sender, mut listener) = listened(3);
    drop(sender.subscribers().join());
    let waits =
        tokio::spawn(async move { (listener.next().await.is_some(), listener.next().await.is_none()) });
    tokio::task::yield_now().await;
    sender.send(TORRENT, &alert(1));
    assert_eq!(lock(&sender.subscribers.0).queues.len(), 1);
    tokio::task::yield_now().await;
    drop(sender);
    assert_eq!(waits.await.unwrap(), (true, true));
}

/// An answer with peers at 10.0.0.0, counted from `first`.
fn answer(first: u32, count: u32) -> Alert {
    let peer = |number: u32| Peer {
        address: PeerAddress::Ip((std::net::Ipv4Addr::from(0x0a00_0000 + number), 1).into()),
        id: None,
    };
    Alert::Announced(Arc::new(Announced {
        tracker: "http://t.test/announce".parse().unwrap(),
        event: None,
        reason: AnnounceReason::InUse,
        response: AnnounceResponse {
            peers: (first..first + count).map(peer).collect(),
            ..Default::default()
        },
        took: Duration::ZERO,
        attempts: 1,
        failed: Vec::new(),
        moved_from: None,
        interval: Duration::from_secs(1800),
        next_announce: Duration::from_secs(1800),
    }))
}

/// The alerts that come before an answer.
fn lines() -> [Alert; 2] {
    let tracker = || "http://t.test/announce".parse().unwrap();
    [
        Alert::Announcing { event: None, left: Some(1) },
        Alert::AttemptStarted { tracker: tracker(), attempt: 1, of: 1 },
    ]
}

impl Alerts {
    /// The memory that is allocated for it, in bytes.
    fn bytes(&self) -> usize {
        let waiting = lock(&self.0.0);
        let below =
            waiting.alerts.iter().map(|(_, alert)| alert.weight() - size_of::<Alert>()).sum::<usize>();
        let lost = waiting.lost.iter().map(|(_, lost)| lost.bytes()).sum::<usize>();
        size_of::<Self>()
            + size_of::<Mutex<Backlog>>()
            + waiting.alerts.capacity() * size_of::<(InfoHash, Alert)>()
            + below
            + waiting.lost.capacity() * size_of::<(InfoHash, LostAlerts)>()
            + lost
    }

    /// Reads everything that is in the queue.
    fn drain(&mut self) -> Vec<Alert> {
        let mut waiting = lock(&self.0.0);
        std::iter::from_fn(|| match waiting.read() {
            Poll::Ready(next) => next.map(|(_, alert)| alert),
            Poll::Pending => None,
        })
        .collect()
    }
}

fn peers_of(alerts: &[Alert]) -> HashSet<PeerAddress> {
    alerts.iter().flat_map(Alert::peers).map(|peer| peer.address.clone()).collect()
}

/// R98: a hundred unread answers of 200 peers took 400 KB and more.
#[test]
fn unread_alerts_take_a_few_kilobytes() {
    for reads_at_first in [false, true] {
        let (sender, mut listener) = listened(256);
        if reads_at_first {
            sender.send(TORRENT, &answer(0, 1));
            listener.drain();
        }
        let mut most = 0;
        for number in 0..100 {
            for line in lines() {
                sender.send(TORRENT, &line);
            }
            sender.send(TORRENT, &answer(number * 150, 200));
            most = most.max(listener.bytes());
        }
        println!("read before: {reads_at_first}: {} B, at most {most} B", listener.bytes());
        assert!(listener.bytes() <= 3 << 10, "{}", listener.bytes());
        assert!(most <= 48 << 10, "{most}");
        // The newest peers are there all the same.
        let heard = listener.drain();
        assert!(matches!(&heard[0], Alert::Lagged { count, .. } if *count > 290), "{:?}", heard[0]);
        assert_eq!(peers_of(&heard), peers_of(&[answer(99 * 150, 200)]));
    }
}

/// R98: everything in answers and errors that comes from the network is counted.
#[test]
fn every_kind_of_alert_is_counted_with_all_that_it_holds() {
    let tracker = || "http://t.test/announce".parse().unwrap();
    let text = "x".repeat(1024);
    let name = |number: u32| Peer { address: PeerAddress::Name(format!("{text}{number}"), 1), id: None };
    let response = || AnnounceResponse {
        peers: (0..2000).map(name).collect(),
        tracker_id: Some(vec![1; 1 << 20]),
        warning: Some(text.clone()),
        ..AnnounceResponse::default()
    };
    let error = || AnnounceError::Rejected(Rejection::new(text.clone()));
    let failed = || crate::error::FailedAttempt { tracker: tracker(), error: error() };
    let error_of_all = || Arc::new(crate::error::RoundError::failed((0..200).map(|_| failed()).collect()));
    let Alert::Announced(heavy) = answer(0, 2000) else { unreachable!() };
    let with_failures = Announced { failed: (0..200).map(|_| failed()).collect(), ..(*heavy).clone() };
    let kinds = [
        answer(0, 2000),
        Alert::Announced(Arc::new(with_failures)),
        Alert::LateResponse { tracker: tracker(), response: Arc::new(response()) },
        Alert::Warning { tracker: tracker(), text: text.clone() },
        Alert::Failed { tracker: tracker(), error: error() },
        Alert::ProbeFailed { tracker: tracker(), error: error() },
        Alert::Stopped { tracker: tracker(), result: Err(error()) },
        Alert::RoundFailed { error: error_of_all(), retry_in: None },
        Alert::TrackersFound { trackers: vec![tracker(); 2000], unsupported: vec![tracker(); 2000] },
        Alert::FailoverOrder { trackers: vec![(tracker(), None); 2000] },
    ];
    for alert in kinds {
        let (sender, listener) = listened(256);
        for _ in 0..300 {
            sender.send(TORRENT, &alert);
        }
        assert!(listener.bytes() <= 4 << 10, "{}: {alert:?}", listener.bytes());
    }
}

/// R98: a listener that lags loses alerts, and keeps the newest peers.
#[test]
fn a_listener_that_lags_gets_the_newest_peers() {
    let (sender, mut listener) = listened(256);
    assert!(listener.drain().is_empty());
    let sent: Vec<Alert> = (0..10).map(|number| answer(number * 190, 200)).collect();
    for alert in &sent {
        sender.send(TORRENT, alert);
    }
    let heard = listener.drain();
    assert!(heard.len() < sent.len() && listener.bytes() < 1 << 10);
    let (all, newest) = (peers_of(&sent), peers_of(&sent[9..]));
    let heard = peers_of(&heard);
    assert!(heard.is_subset(&all) && newest.is_subset(&heard), "{} of {}", heard.len(), all.len());
    // Alerts that are lost because of their number alone leave their peers as well.
    let (sender, mut listener) = listened(4);
    let sent: Vec<Alert> = (0..10).map(|number| answer(number * 5, 10)).collect();
    for alert in &sent {
        sender.send(TORRENT, alert);
    }
    let heard = listener.drain();
    assert_eq!((heard.len(), peers_of(&heard)), (1 + 4, peers_of(&sent)));
    drop(sender);
}

/// R98: one that reads again has a whole queue again.
#[test]
fn a_listener_that_reads_again_gets_every_alert_again() {
    let (sender, mut listener) = listened(256);
    (0..100).for_each(|number| sender.send(TORRENT, &answer(number, 200)));
    listener.drain();
    (0..100).for_each(|count| sender.send(TORRENT, &alert(count)));
    assert_eq!(listener.drain().len(), 100);
}

#[tokio::test]
async fn a_listener_to_all_torrents_gets_what_it_lost_of_each() {
    let sender = AlertSender::of_all();
    let mut listener = sender.subscribers().join_all();
    let torrent = |number: u8| InfoHash::new([number; 20]);
    // 300 answers of 1000 peers are more than it holds.
    for number in 0..300 {
        sender.send(torrent(u8::try_from(number % 3).unwrap()), &answer(number * 1000, 1000));
    }
    drop(sender);
    let (mut lagged, mut whole) = (Vec::new(), 0);
    while let Some((torrent, alert)) = listener.next().await {
        match alert {
            Alert::Lagged { count, peers } => {
                assert!(whole == 0 && count > 1 && peers.len() > 1000, "{count} {}", peers.len());
                lagged.push(torrent);
            }
            _ => whole += 1,
        }
    }
    lagged.sort();
    assert_eq!(lagged, [0, 1, 2].map(torrent));
    assert!((50..300).contains(&whole), "{whole}");
}

/// R98: a listener to ten thousand torrents that doesn't read.
#[test]
fn unread_alerts_of_all_torrents_take_some_megabytes() {
    let sender = AlertSender::of_all();
    let AllAlerts(listener) = sender.subscribers().join_all();
    for number in 0..20_000_u32 {
        let mut hash = [0; 20];
        hash[..4].copy_from_slice(&(number % 10_000).to_be_bytes());
        sender.send(InfoHash::new(hash), &answer(number * 50, 50));
    }
    let waiting = lock(&listener.0);
    let lost: usize = waiting.lost.iter().map(|(_, lost)| lost.bytes()).sum();
    assert!(waiting.bytes <= 4 << 20 && lost <= 1 << 20, "{} {lost}", waiting.bytes);
    assert_eq!(
        waiting.lost.iter().map(|(_, lost)| lost.count).sum::<u64>() + waiting.alerts.len() as u64,
        20_000
    );
}
