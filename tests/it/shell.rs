//! The shell around the engine: one call, transports of others, sleepy listeners, shutdown.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fake_tracker::Behaviour;
use tokio::time::timeout;
use tracker_failover::{
    AddressPolicy, Alert, AnnounceError, AnnounceRequest, AnnounceResponse, AnnouncerBuilder, AnnouncerEnded,
    Channel, Event, InfoHash, Peer, PeerAddress, PeerId, RoundError, Scheme, ScrapeResponse, SwarmCounts,
    TimeoutPhase, TorrentStopped, TrackerSet, TrackerUrl, Transfer, Transport, transport,
};

use super::world::{AddSession, INFO_HASH, World, alerts_until, is_announced, one_at_a_time, torrent};

fn request(event: Option<Event>) -> AnnounceRequest {
    let mut request =
        AnnounceRequest::new(InfoHash::new(INFO_HASH), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
    request.transfer = Transfer { left: Some(10), ..Transfer::default() };
    request.event = event;
    request
}

#[tokio::test(start_paused = true)]
async fn one_call_announces_with_failover_and_the_set_remembers() {
    let world = World::new([Behaviour::Refused, Behaviour::ok(), Behaviour::ok()]);
    let announcer = world.announcer(one_at_a_time());
    let mut trackers = world.in_tiers();
    let outcome = announcer.announce(&mut trackers, request(Some(Event::Started))).await.unwrap();
    let first = outcome.tracker.clone();
    assert_eq!(trackers.current(), Some(&first));
    announcer.announce(&mut trackers, request(None)).await.unwrap();
    let number = world.number(&first);
    world.tracker(number).kill().await;
    let outcome = announcer.announce(&mut trackers, request(Some(Event::Completed))).await.unwrap();
    assert_eq!((outcome.attempts, &outcome.moved_from), (2, &Some(first)));
    assert_eq!(outcome.event, Some(Event::Completed), "the event is the caller's business");
    let other = world.number(&outcome.tracker);
    assert_eq!(world.received_text(), format!("{number}:started {number}:none {other}:completed"));
}

#[tokio::test(start_paused = true)]
async fn one_call_without_an_answer_names_every_tracker() {
    let world = World::new([Behaviour::Refused, Behaviour::status(500), Behaviour::failure("no")]);
    let mut trackers = world.in_tiers();
    let error = world.announcer(one_at_a_time()).announce(&mut trackers, request(None)).await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.attempts().len(), 3);
    assert!(
        text.contains("refused") && text.contains("HTTP status 500") && text.contains("\"no\""),
        "{text}"
    );
    assert!(!text.contains("/announce"), "{text}");
}

/// A client without a separate opening can be the transport.
#[tokio::test(start_paused = true)]
async fn a_closure_is_a_transport() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let closure = transport::from_fn(move |tracker, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            match tracker.host() {
                "dead.test" => std::future::pending().await,
                _ => Ok(AnnounceResponse::default()),
            }
        }
    });
    let mut trackers = TrackerSet::new([
        vec!["http://dead.test/announce".parse().unwrap()],
        vec!["udp://unsupported.test:1/".parse().unwrap(), "http://live.test/announce".parse().unwrap()],
    ]);
    let announcer = AnnouncerBuilder::new(closure).spawn();
    let outcome = announcer.announce(&mut trackers, request(None)).await.unwrap();
    assert_eq!((outcome.tracker.host(), calls.load(Ordering::SeqCst)), ("live.test", 2));
}

#[tokio::test(start_paused = true)]
async fn two_closures_announce_and_scrape() {
    let scraped = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noting = Arc::clone(&scraped);
    let closures = transport::from_fns(
        |_, _| async { Ok(AnnounceResponse::default()) },
        move |tracker, torrents| {
            noting.lock().unwrap().push((tracker.to_string(), torrents.clone()));
            async move {
                let mut response = ScrapeResponse::default();
                response.files.extend(torrents.into_iter().map(|torrent| (torrent, SwarmCounts::default())));
                Ok(response)
            }
        },
    );
    let trackers = TrackerSet::new([["http://t.test/announce".parse().unwrap()]]);
    let mut session = AnnouncerBuilder::new(closures).spawn().session(trackers, torrent());
    alerts_until(&mut session, is_announced).await;
    let torrents = [InfoHash::new([1; 20]), InfoHash::new([2; 20])];
    let response = session.scrape_all(&torrents).await.unwrap();
    assert_eq!(response.files.into_keys().collect::<Vec<_>>(), torrents);
    assert_eq!(*scraped.lock().unwrap(), [("http://t.test".to_owned(), torrents.to_vec())]);
}

/// Announces well and never answers a scrape: nor opens a channel for one, where `opens` is false.
struct NeverScrapes {
    opens: bool,
    opened: AtomicUsize,
}

#[async_trait]
impl Transport for NeverScrapes {
    async fn open(&self, _: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
        if self.opened.fetch_add(1, Ordering::SeqCst) > 0 && !self.opens {
            return std::future::pending().await;
        }
        Ok(Box::new(Unanswered))
    }

    fn supports(&self, _: Scheme) -> bool {
        true
    }
}

struct Unanswered;

#[async_trait]
impl Channel for Unanswered {
    async fn announce(&mut self, _: &AnnounceRequest) -> Result<AnnounceResponse, AnnounceError> {
        Ok(AnnounceResponse::default())
    }

    async fn scrape(&mut self, _: &[InfoHash]) -> Result<ScrapeResponse, AnnounceError> {
        std::future::pending().await
    }
}

/// A scrape has the time of an opening and a reply together, wherever it hangs.
#[tokio::test(start_paused = true)]
async fn a_scrape_that_is_never_answered_ends_at_its_limit() {
    for opens in [true, false] {
        let config = one_at_a_time().open_limit(Duration::from_secs(3)).reply_limit(Duration::from_secs(4));
        let transport = NeverScrapes { opens, opened: AtomicUsize::new(0) };
        let trackers = TrackerSet::new([["http://t.test/announce".parse().unwrap()]]);
        let mut session =
            AnnouncerBuilder::new(transport).config(config).spawn().session(trackers, torrent());
        alerts_until(&mut session, is_announced).await;
        let mut scrape = pin!(session.scrape());
        timeout(Duration::from_millis(6_999), &mut scrape).await.expect_err("it has that long");
        let outcome = timeout(Duration::from_millis(2), scrape).await.expect("and no longer");
        assert!(matches!(outcome, Err(AnnounceError::TimedOut(TimeoutPhase::Reply))), "{opens}: {outcome:?}");
    }
}

/// what isn't spoken here is shown, and neither tried nor counted among the failures.
#[tokio::test(start_paused = true)]
async fn trackers_of_other_schemes_are_shown_and_never_tried() {
    let world = World::new([Behaviour::status(500)]);
    let others = ["wss://w.test/announce", "ws://w.test/announce", "dht://d.test/", "gopher://g.test/"];
    let others: Vec<TrackerUrl> = others.iter().map(|url| url.parse().unwrap()).collect();
    let trackers = TrackerSet::new([others.clone(), vec![world.url(0)]]);
    let mut session = world.announcer(one_at_a_time()).session(trackers, torrent());
    let heard = alerts_until(&mut session, |alert| matches!(alert, Alert::RoundFailed { .. })).await;
    assert!(matches!(&heard[0], Alert::TrackersFound { trackers, unsupported }
        if *trackers == [world.url(0)] && *unsupported == others));
    let tried: Vec<_> = heard.iter().filter(|alert| matches!(alert, Alert::AttemptStarted { .. })).collect();
    assert!(matches!(tried[..], [Alert::AttemptStarted { attempt: 1, of: 1, .. }]), "{tried:?}");
    let Some(Alert::RoundFailed { error, .. }) = heard.last() else { panic!("{heard:?}") };
    let named: Vec<_> = error.attempts().iter().map(|failed| failed.tracker.clone()).collect();
    assert_eq!(named, [world.url(0)]);
    assert_eq!(session.trackers().unwrap().len(), 5, "they stay in the list");
}

/// R13: a panic in a transport is an error of that attempt only.
#[tokio::test(start_paused = true)]
async fn a_transport_that_panics_fails_its_attempt_only() {
    let closure = transport::from_fn(|tracker, _| async move {
        assert_ne!(tracker.host(), "panics.test", "on purpose");
        Ok(AnnounceResponse::default())
    });
    let mut trackers = TrackerSet::new([
        ["http://panics.test/announce".parse().unwrap()],
        ["http://live.test/announce".parse().unwrap()],
    ]);
    let announcer = AnnouncerBuilder::new(closure).spawn();
    let outcome = announcer.announce(&mut trackers, request(None)).await.unwrap();
    assert_eq!(outcome.tracker.host(), "live.test");
    assert!(matches!(outcome.failed[0].error, AnnounceError::Broken(_)));
}

/// A listener that sleeps delays no other, and learns how much it missed.
#[tokio::test(start_paused = true)]
async fn a_sleepy_listener_misses_alerts_and_stalls_nothing() {
    let world = World::new([Behaviour::ok()]);
    let config = one_at_a_time().interval_override(Duration::from_secs(1)).alert_queue(8);
    let mut session = world.announcer(config).session(world.in_tiers(), torrent());
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(world.tracker(0).announces().len() >= 100);
    let Some(Alert::Lagged { count: missed, .. }) = session.next_alert().await else {
        panic!("expected to have missed some")
    };
    assert!(missed > 200, "{missed}");
    alerts_until(&mut session, is_announced).await;
}

/// R89: the caller's deadline rules, and the report names the trackers that were sent `stopped` and those that weren't.
#[tokio::test(start_paused = true)]
async fn shutdown_reports_which_trackers_were_sent_stopped_by_the_callers_deadline() {
    for (limit, slow_is_told) in [(1, false), (3, false), (10, true)] {
        let then = |last| Behaviour::Sequence(vec![Behaviour::ok(), last]);
        let world = World::new([
            Behaviour::ok(),
            then(Behaviour::Silent),
            then(Behaviour::ok_after(Duration::from_secs(6))),
            then(Behaviour::failure("no")),
            then(Behaviour::hang_up()),
        ]);
        let announcer = world.announcer(one_at_a_time());
        let mut sessions = Vec::new();
        for number in 0..5 {
            let mut torrent = torrent();
            torrent.info_hash = InfoHash::new([number; 20]);
            let mut session = announcer.session(TrackerSet::new([[world.url(number.into())]]), torrent);
            alerts_until(&mut session, is_announced).await;
            sessions.push(session);
        }
        let before = world.elapsed();
        let report = announcer.shutdown(Duration::from_secs(limit)).await;
        let took = world.elapsed().saturating_sub(before);
        assert!(
            took <= Duration::from_secs(limit) && took >= Duration::from_secs(limit) * 9 / 10,
            "{took:?}"
        );
        let names = |list: &[TorrentStopped]| {
            let mut names: Vec<_> = list
                .iter()
                .map(|stopped| {
                    let number = world.number(&stopped.tracker);
                    assert_eq!(usize::from(stopped.info_hash.as_bytes()[0]), number);
                    number
                })
                .collect();
            names.sort_unstable();
            names
        };
        let (sent, unsent) = if slow_is_told { (vec![0, 2], vec![1]) } else { (vec![0], vec![1, 2]) };
        assert_eq!((names(&report.acknowledged), names(&report.unanswered)), (sent, unsent), "{limit} s");
        assert_eq!(names(&report.failed), [3, 4]);
        assert!(report.complete && report.ended.is_none());
        assert_eq!(world.tracker(0).announces().last().unwrap().event(), Some("stopped"));
        for mut session in sessions {
            while session.next_alert().await.is_some() {}
            assert!(session.status().is_none() && announcer.ended() == Some(AnnouncerEnded::ShutDown));
        }
    }
}

/// R89: clones don't announce on.
#[tokio::test(start_paused = true)]
async fn after_a_shutdown_every_clone_reports_that_the_announcer_has_ended() {
    let world = World::new([Behaviour::ok(), Behaviour::Silent]);
    let announcer = world.announcer(one_at_a_time());
    let mut session = announcer.session(TrackerSet::new([[world.url(0)]]), torrent());
    alerts_until(&mut session, is_announced).await;
    let clone = announcer.clone();
    let mut trackers = TrackerSet::new([[world.url(0)]]);
    // Asked for while it ends, and when it has.
    let (late, during) = {
        let mut alone = TrackerSet::new([[world.url(1)]]);
        let under_way = clone.announce(&mut alone, request(None));
        let shutdown = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let during = async {
                tokio::task::yield_now().await;
                clone.session(TrackerSet::new([[world.url(0)]]), torrent())
            };
            tokio::join!(announcer.shutdown(Duration::from_secs(2)), during).1
        };
        tokio::join!(under_way, shutdown)
    };
    assert!(matches!(&*late.unwrap_err(), RoundError::Failed(_)), "it was under way");
    assert_eq!(clone.ended(), Some(AnnouncerEnded::ShutDown));
    let received = world.received_text();
    let error = clone.announce(&mut trackers, request(None)).await.unwrap_err();
    assert_eq!(error.to_string(), "the announcer has ended");
    for mut session in [during, clone.session(trackers, torrent())] {
        let last = session.next_alert().await.unwrap();
        assert!(matches!(last, Alert::AnnouncerEnded { reason: AnnouncerEnded::ShutDown }), "{last}");
        assert!(session.next_alert().await.is_none());
    }
    let again = clone.shutdown(Duration::from_secs(2)).await;
    assert_eq!((again.complete, again.ended), (false, Some(AnnouncerEnded::ShutDown)));
    assert_eq!(session.stop().await.unwrap_err(), AnnouncerEnded::ShutDown);
    tokio::time::sleep(Duration::from_secs(7200)).await;
    assert_eq!(world.received_text(), received, "nothing was announced after it");
}

/// R89: of several limits the strictest counts: that of a session, and those of two who shut down.
#[tokio::test(start_paused = true)]
async fn the_strictest_deadline_counts() {
    let stop = |behaviour| Behaviour::Sequence(vec![Behaviour::ok(), behaviour]);
    let world = World::new([stop(Behaviour::Silent)]);
    let announcer = world.announcer(one_at_a_time());
    let mut session = announcer.session(world.in_tiers(), torrent());
    alerts_until(&mut session, is_announced).await;
    let before = world.elapsed();
    let stopping = session.stop();
    let (long, short) = (Duration::from_secs(60), Duration::from_millis(500));
    let (stopped, first, second) =
        tokio::join!(stopping, announcer.shutdown(long), announcer.shutdown(short),);
    assert!(world.elapsed().saturating_sub(before) <= short);
    assert!(stopped.unwrap().results[0].result.is_err());
    assert_eq!((first.unanswered.len(), second.unanswered.len()), (1, 1));
}

/// R89: look-ups that hang are no reason to wait longer.
#[tokio::test(start_paused = true)]
async fn trackers_that_cannot_be_opened_any_more_are_sent_no_stopped() {
    struct Hangs(Arc<AtomicUsize>);
    #[async_trait]
    impl Transport for Hangs {
        async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
            if self.0.fetch_add(1, Ordering::SeqCst) > 0 {
                std::future::pending::<()>().await;
            }
            transport::from_fn(|_, _| async { Ok(AnnounceResponse::default()) }).open(tracker).await
        }

        fn supports(&self, _: Scheme) -> bool {
            true
        }
    }
    let announcer = AnnouncerBuilder::new(Hangs(Arc::default())).spawn();
    let mut session = announcer.session(TrackerSet::new([["http://t.test/a".parse().unwrap()]]), torrent());
    alerts_until(&mut session, is_announced).await;
    let report = announcer.shutdown(Duration::from_secs(2)).await;
    assert_eq!(
        (report.acknowledged.len(), report.failed.len(), report.unanswered.len()),
        (0, 0, 1),
        "{report:?}"
    );
    // Without any time at all they are named as well.
    let announcer = AnnouncerBuilder::new(Hangs(Arc::default())).spawn();
    let mut session = announcer.session(TrackerSet::new([["http://t.test/a".parse().unwrap()]]), torrent());
    alerts_until(&mut session, is_announced).await;
    let report = announcer.shutdown(Duration::ZERO).await;
    assert_eq!((report.unanswered.len(), report.complete), (1, true), "{report:?}");
}

/// R24: a dropped handle ends its session as `stop` does.
#[tokio::test(start_paused = true)]
async fn a_dropped_handle_sends_stopped() {
    let world = World::new([Behaviour::ok()]);
    let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
    alerts_until(&mut session, is_announced).await;
    drop(session);
    world.tracker(0).wait_for_announces(2).await;
    assert_eq!(world.received_text(), "0:started 0:stopped");
}

#[tokio::test(start_paused = true)]
async fn nothing_secret_is_shown() {
    let world = World::new([Behaviour::status(500), Behaviour::failure("no"), Behaviour::Refused]);
    let secret =
        |number: usize| world.tracker(number).url_with("/5ec2e7/announce?passkey=5ec2e7").parse().unwrap();
    let trackers = TrackerSet::new([[secret(0)], [secret(1)], [secret(2)]]);
    let mut session = world.announcer(one_at_a_time()).session(trackers, torrent());
    let alerts = alerts_until(&mut session, |alert| matches!(alert, Alert::RoundFailed { .. })).await;
    let status = session.status().unwrap();
    let mut shown = format!("{alerts:?} {status:?} {:?} {:?}", *session, session.trackers());
    for alert in &alerts {
        shown += &alert.to_string();
    }
    assert!(!shown.contains("5ec2e7"), "{shown}");
    assert!(
        world.tracker(0).announces()[0].query.as_deref().unwrap().starts_with("passkey=5ec2e7&info_hash=")
    );
}

/// Names these peers in each answer, late where its host is called so.
fn naming(peers: &[&str]) -> impl Transport + 'static {
    let peers: Vec<Peer> = peers
        .iter()
        .map(|peer| {
            let (name, port) = peer.rsplit_once(':').unwrap();
            let by_name = |_| PeerAddress::Name(name.to_owned(), port.parse().unwrap());
            Peer { address: peer.parse().map_or_else(by_name, PeerAddress::Ip), id: None }
        })
        .collect();
    transport::from_fn(move |tracker, _| {
        let mut response = AnnounceResponse::default();
        response.peers.clone_from(&peers);
        async move {
            if tracker.host() == "late.test" {
                tokio::time::sleep(Duration::from_secs(4)).await;
            }
            Ok(response)
        }
    })
}

fn addresses(peers: &[Peer]) -> Vec<String> {
    peers.iter().map(|peer| peer.address.to_string()).collect()
}

/// R95: peers are judged in the announcer, whatever transport brings them.
#[tokio::test(start_paused = true)]
async fn peers_of_a_transport_of_ones_own_are_judged() {
    let peers = [
        "8.8.8.8:1",
        "127.0.0.1:22",
        "10.0.0.1:1",
        "169.254.169.254:80",
        "0.0.0.0:1",
        "0x7f.1:1",
        "8.8.8.8:0",
    ];
    let public = AddressPolicy::PUBLIC_ONLY;
    let cases = [
        ("http://t.test/announce", None, vec!["8.8.8.8:1"]),
        ("http://127.0.0.1/announce", None, vec!["8.8.8.8:1", "127.0.0.1:22", "0x7f.1:1"]),
        ("http://localhost/announce", Some(public), vec!["8.8.8.8:1"]),
        ("http://192.168.0.1/announce", None, vec!["8.8.8.8:1", "10.0.0.1:1"]),
        (
            "http://t.test/announce",
            Some(AddressPolicy::ALLOW_LOOPBACK),
            vec!["8.8.8.8:1", "127.0.0.1:22", "0x7f.1:1"],
        ),
    ];
    for (tracker, policy, wanted) in cases {
        let builder = AnnouncerBuilder::new(naming(&peers));
        let builder = match &policy {
            Some(policy) => builder.peer_addresses(policy.clone()),
            None => builder,
        };
        let announcer = builder.spawn();
        let mut trackers = TrackerSet::new([[tracker.parse().unwrap()]]);
        let answer = announcer.announce(&mut trackers, request(None)).await.unwrap();
        assert_eq!(addresses(&answer.response.peers), wanted, "{tracker}, {policy:?}");
        assert_eq!(answer.response.dropped_peers, peers.len() - wanted.len(), "all are counted");
        let mut session = announcer.session(trackers, torrent());
        let heard = alerts_until(&mut session, is_announced).await;
        assert_eq!(addresses(heard.last().unwrap().peers()), wanted, "in the alert, {tracker}, {policy:?}");
    }
}

/// R95: so are those that come late.
#[tokio::test(start_paused = true)]
async fn peers_that_come_late_are_judged() {
    let announcer =
        AnnouncerBuilder::new(naming(&["8.8.8.8:1", "127.0.0.1:22"])).config(one_at_a_time()).spawn();
    let trackers = ["http://late.test/announce", "http://t.test/announce"];
    let trackers = TrackerSet::new(trackers.map(|tracker| [tracker.parse::<TrackerUrl>().unwrap()]));
    let mut session = announcer.session(trackers, torrent());
    let is_late = |alert: &Alert| matches!(alert, Alert::LateResponse { .. });
    let heard = alerts_until(&mut session, is_late).await;
    assert_eq!(addresses(heard.last().unwrap().peers()), ["8.8.8.8:1"]);
}

/// R95: a tracker names the client itself to it, and more peers than anybody dials.
#[tokio::test(start_paused = true)]
async fn a_transport_of_ones_own_names_neither_us_nor_any_number_of_peers() {
    let mut peers = vec!["9.9.9.9:6881".to_owned()];
    peers.extend((0..3000).map(|number| format!("8.8.{}.{}:1", number / 250, number % 250)));
    let peers: Vec<&str> = peers.iter().map(String::as_str).collect();
    let announcer = AnnouncerBuilder::new(naming(&peers)).spawn();
    let mut ours = request(None);
    ours.ip = Some([9, 9, 9, 9].into());
    let mut trackers = TrackerSet::new([["http://t.test/announce".parse().unwrap()]]);
    let answer = announcer.announce(&mut trackers, ours).await.unwrap();
    assert_eq!((answer.response.peers.len(), answer.response.dropped_peers), (2000, 1001));
    assert_eq!(answer.response.peers[0].address.to_string(), "8.8.0.0:1");
    // As the tracker sees us (BEP 24).
    let world = World::new([Behaviour::body(
        b"d11:external ip4:\x08\x08\x04\x048:intervali1800e5:peers12:\x08\x08\x04\x04\x1a\xe1\x08\x08\x04\x04\x1a\xe2e".to_vec(),
    )]);
    let answer = world.announcer(one_at_a_time()).announce(&mut world.in_tiers(), request(None)).await;
    assert_eq!(addresses(&answer.unwrap().response.peers), ["8.8.4.4:6882"]);
}

#[test]
fn what_crosses_threads_can() {
    fn check<T: Send + Sync>() {}
    check::<tracker_failover::Announcer>();
    check::<tracker_failover::AnnounceHandle>();
    check::<Alert>();
    check::<AnnounceError>();
    check::<tracker_failover::policy::Engine>();
}

/// R105: so that what it leaves behind in the transport isn't bound to a runtime that may stand still.
#[test]
fn a_scrape_from_another_runtime_runs_on_the_announcers_own() {
    struct Noting(std::sync::Mutex<Vec<tokio::runtime::Id>>);

    #[async_trait]
    impl Transport for Noting {
        async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
            self.0.lock().unwrap().push(tokio::runtime::Handle::current().id());
            let answer = |_, _| async { Ok(AnnounceResponse::default()) };
            transport::from_fn(answer).open(tracker).await
        }

        fn supports(&self, _: Scheme) -> bool {
            true
        }
    }

    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (own, foreign) = (runtime(), runtime());
    let transport = Arc::new(Noting(std::sync::Mutex::default()));
    let session = own.block_on(async {
        let trackers = TrackerSet::new([["http://t.test/announce".parse().unwrap()]]);
        let session = AnnouncerBuilder::new(Arc::clone(&transport)).spawn().session(trackers, torrent());
        session.announce_now().await.unwrap();
        session
    });
    let scraped = foreign.block_on(session.scrape());
    assert!(matches!(scraped, Err(AnnounceError::NotScraped)), "the transport can't scrape");
    let noted = transport.0.lock().unwrap().clone();
    assert!(noted.len() > 1 && noted.iter().all(|id| *id == own.handle().id()), "{noted:?}");
}
