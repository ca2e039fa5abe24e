//! What a listener hears that is too slow, and what it costs.

use std::time::Duration;

use super::*;
use crate::alert::Announced;
use crate::announce::AnnounceResponse;
use crate::error::{AnnounceError, Rejection};

fn alert(count: usize) -> Alert {
    Alert::Stopping { trackers: count }
}

async fn all(listener: &mut Alerts) -> Vec<String> {
    let mut heard = Vec::new();
    while let Some(alert) = listener.next().await {
        heard.push(match alert {
            Alert::Stopping { trackers } => trackers.to_string(),
            Alert::Lagged { count, .. } => format!("missed {count}"),
            other => panic!("{other:?}"),
        });
    }
    heard
}

#[tokio::test]
async fn each_listener_hears_all_from_when_it_came_to_the_end() {
    let (speaker, mut first) = alerts(10);
    speaker.send(&alert(1));
    let mut second = first.subscribe();
    speaker.send(&alert(2));
    drop(speaker);
    let mut late = second.subscribe();
    assert_eq!(
        (all(&mut first).await, all(&mut second).await),
        (vec!["1".into(), "2".into()], vec!["2".into()])
    );
    assert!(all(&mut late).await.is_empty() && first.next().await.is_none(), "and again");
}

#[tokio::test]
async fn a_slow_listener_misses_the_oldest_and_is_told_how_many() {
    let (speaker, mut listener) = alerts(3);
    (1..=5).for_each(|count| speaker.send(&alert(count)));
    drop(speaker);
    assert_eq!(all(&mut listener).await, ["missed 2", "3", "4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_listener_is_woken_and_one_that_is_gone_is_forgotten() {
    let (speaker, mut listener) = alerts(3);
    drop(listener.subscribe());
    let waits =
        tokio::spawn(async move { (listener.next().await.is_some(), listener.next().await.is_none()) });
    tokio::task::yield_now().await;
    speaker.send(&alert(1));
    assert_eq!(lock(&speaker.subscribers.listeners).queues.len(), 1);
    tokio::task::yield_now().await;
    drop(speaker);
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
        response: AnnounceResponse {
            peers: (first..first + count).map(peer).collect(),
            ..Default::default()
        },
        attempts: 1,
        failed: Vec::new(),
        moved_from: None,
        interval: Duration::from_secs(1800),
        next_announce: Duration::from_secs(1800),
    }))
}

/// The lines that go with an answer.
fn lines() -> [Alert; 3] {
    let tracker = || "http://t.test/announce".parse().unwrap();
    [
        Alert::Announcing { event: None, left: Some(1) },
        Alert::AttemptStarted { tracker: tracker(), attempt: 1, of: 1 },
        Alert::PeriodicSent { tracker: tracker() },
    ]
}

impl Alerts {
    /// What it keeps in memory, counted by what was allocated.
    fn bytes(&self) -> usize {
        let waiting = lock(&self.queue.waiting);
        let below = waiting.alerts.iter().map(|alert| alert.weight() - size_of::<Alert>()).sum::<usize>();
        let names = waiting.missed.others.iter().map(|peer| match peer {
            PeerAddress::Name(name, _) => name.capacity(),
            PeerAddress::Ip(_) => 0,
        });
        size_of::<Self>()
            + size_of::<Queue>()
            + waiting.alerts.capacity() * size_of::<Alert>()
            + below
            + size_of_val(&*waiting.missed.v4)
            + size_of_val(&*waiting.missed.others)
            + names.sum::<usize>()
    }

    /// Everything that waits.
    fn drain(&mut self) -> Vec<Alert> {
        let mut waiting = lock(&self.queue.waiting);
        std::iter::from_fn(|| match waiting.read() {
            Poll::Ready(alert) => alert,
            Poll::Pending => None,
        })
        .collect()
    }
}

fn peers_of(alerts: &[Alert]) -> HashSet<PeerAddress> {
    alerts.iter().flat_map(Alert::peers).map(|peer| peer.address.clone()).collect()
}

/// R98: a hundred answers of 200 peers that nobody reads took 400 KB and more.
#[test]
fn alerts_that_nobody_reads_take_a_few_kilobytes() {
    for reads_at_first in [false, true] {
        let (speaker, mut listener) = alerts(256);
        if reads_at_first {
            speaker.send(&answer(0, 1));
            listener.drain();
        }
        let mut most = 0;
        for number in 0..100 {
            for line in lines() {
                speaker.send(&line);
            }
            speaker.send(&answer(number * 150, 200));
            most = most.max(listener.bytes());
        }
        println!("read before: {reads_at_first}: {} B, at most {most} B", listener.bytes());
        assert!(listener.bytes() <= 3 << 10, "{}", listener.bytes());
        assert!(most <= 48 << 10, "{most}");
        // The newest peers are there all the same.
        let heard = listener.drain();
        assert!(matches!(&heard[0], Alert::Lagged { count, .. } if *count > 390), "{:?}", heard[0]);
        assert_eq!(peers_of(&heard), peers_of(&[answer(99 * 150, 200)]));
    }
}

/// R98: whatever strangers put into answers and errors is counted.
#[test]
fn no_kind_of_alert_takes_more() {
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
        Alert::ProbeFailed { tracker: tracker(), error: error().into() },
        Alert::Stopped { tracker: tracker(), result: Err(error()) },
        Alert::RoundFailed { error: error_of_all(), retry_in: None },
        Alert::TrackersFound { trackers: vec![tracker(); 2000], unsupported: vec![tracker(); 2000] },
        Alert::FailoverOrder { trackers: vec![(tracker(), None); 2000] },
    ];
    for alert in kinds {
        let (speaker, listener) = alerts(256);
        for _ in 0..300 {
            speaker.send(&alert);
        }
        assert!(listener.bytes() <= 4 << 10, "{}: {alert:?}", listener.bytes());
    }
}

/// R98: a listener that lags loses lines, and no peers.
#[test]
fn a_listener_that_lags_hears_of_all_peers() {
    let (speaker, mut listener) = alerts(256);
    assert!(listener.drain().is_empty());
    let said: Vec<Alert> = (0..10).map(|number| answer(number * 190, 200)).collect();
    for alert in &said {
        speaker.send(alert);
    }
    let heard = listener.drain();
    assert!(heard.len() < said.len() && listener.bytes() < 1 << 10);
    let (all, newest) = (peers_of(&said), peers_of(&said[9..]));
    let heard = peers_of(&heard);
    assert!(heard.is_subset(&all) && newest.is_subset(&heard), "{} of {}", heard.len(), all.len());
    // Lines that are lost by their number alone leave their peers behind as well.
    let (speaker, mut listener) = alerts(4);
    let said: Vec<Alert> = (0..10).map(|number| answer(number * 5, 10)).collect();
    for alert in &said {
        speaker.send(alert);
    }
    let heard = listener.drain();
    assert_eq!((heard.len(), peers_of(&heard)), (1 + 4, peers_of(&said)));
    drop(speaker);
}

/// R98: one that reads again has a queue again.
#[test]
fn a_listener_that_wakes_up_hears_every_line_again() {
    let (speaker, mut listener) = alerts(256);
    (0..100).for_each(|number| speaker.send(&answer(number, 200)));
    listener.drain();
    (0..100).for_each(|count| speaker.send(&alert(count)));
    assert_eq!(listener.drain().len(), 100);
}
