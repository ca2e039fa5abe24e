//! The check of scripted trackers on loopback.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::Parser as _;
use fake_tracker::{Asked, Behaviour, FakeTracker, FakeUdpTracker, UdpAsked, UdpBehaviour};
use tokio::time::timeout;
use tracker_failover::net::resolver::{Resolver, StaticResolver, SystemResolver};
use tracker_failover::wire::tracker_record::TrackerRecord;
use tracker_failover::{AnnounceError, TrackerUrl};

use crate::args::Args;
use crate::finding::{Announced, Finding, Reach, rank};
use crate::history::{History, Past};
use crate::probing::Checker;
use crate::{html, lines, print, remember, run};

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

fn checker(resolver: impl Resolver + 'static, announces: bool) -> Checker {
    Checker {
        resolver: Arc::new(resolver),
        #[cfg(feature = "tls")]
        certificates: None,
        announces,
    }
}

async fn check(checker: Checker, urls: impl IntoIterator<Item = String>) -> Vec<Finding> {
    let trackers: Vec<TrackerUrl> = urls.into_iter().map(|url| url.parse().unwrap()).collect();
    checker.check(&trackers).await
}

fn args(arguments: &[&str]) -> Args {
    Args::parse_from([&["check"], arguments].concat())
}

/// 80 s is ten times what it may take where nothing else runs.
#[expect(clippy::disallowed_methods, reason = "the time is printed, for `benches/RESULTS.md`")]
#[tokio::test]
async fn a_hundred_trackers_of_which_a_third_is_silent() {
    let (mut http, mut udp) = (Vec::new(), Vec::new());
    for number in 0..50 {
        let is_silent = number % 3 == 0;
        http.push(FakeTracker::start(if is_silent { Behaviour::Silent } else { Behaviour::ok() }).await);
        udp.push(FakeUdpTracker::start(if is_silent { UdpBehaviour::Silent } else { UdpBehaviour::Ok }));
    }
    let urls = http.iter().map(FakeTracker::announce_url).chain(udp.iter().map(FakeUdpTracker::announce_url));
    let begun = tokio::time::Instant::now();
    let findings = timeout(Duration::from_secs(80), check(checker(SystemResolver::new(), false), urls));
    let rows = rank(findings.await.expect("a check within 80 s"));
    println!("100 trackers, a third of them silent: {:.1} s", begun.elapsed().as_secs_f64());
    let alive = rows.iter().filter(|row| row.finding.is_alive()).count();
    assert_eq!((rows.len(), alive), (100, 66));
    assert!(rows[..66].iter().all(|row| row.finding.is_alive()), "those that answer are the first");
    // Nothing was registered, and no tracker was asked more than its three tries allow.
    for tracker in &http {
        assert!(tracker.announces().is_empty());
        assert!((3..=6).contains(&tracker.connections()), "{}", tracker.connections());
    }
    for tracker in &udp {
        assert!(tracker.kinds().iter().all(|kind| *kind == UdpAsked::Connect), "{:?}", tracker.kinds());
    }
}

#[tokio::test]
async fn a_deep_check_announces_and_takes_it_back() {
    let behaviour = Behaviour::ok_every(Duration::from_secs(1800), None);
    let http = FakeTracker::start(behaviour).await;
    let udp = FakeUdpTracker::start(UdpBehaviour::Ok);
    udp.set_interval(900);
    let private = FakeTracker::start(Behaviour::failure("unregistered torrent")).await;
    let page = FakeTracker::start(Behaviour::html()).await;
    let urls = [http.announce_url(), udp.announce_url(), private.announce_url(), page.announce_url()];
    let findings = check(checker(SystemResolver::new(), true), urls.clone()).await;
    let announced = |url: &String| {
        let name = url.parse::<TrackerUrl>().unwrap().to_string();
        findings.iter().find(|finding| finding.name == name).unwrap().announced.clone().unwrap()
    };
    let accepted =
        |seconds| Announced::Accepted { interval: Some(Duration::from_secs(seconds)), has_stopped: true };
    assert_eq!(announced(&urls[0]), accepted(1800));
    assert_eq!(announced(&urls[1]), accepted(900));
    assert_eq!(announced(&urls[2]), Announced::Refused("unregistered torrent".into()));
    assert!(matches!(announced(&urls[3]), Announced::Failed(_)));

    let heard = http.announces();
    let events: Vec<_> = heard.iter().map(|heard| heard.event().unwrap()).collect();
    assert_eq!(events, ["started", "stopped"]);
    assert!(heard.iter().all(|heard| heard.number("left") == Some(1) && heard.port() == Some(9)));
    assert_eq!(http.peers_of(&heard[0].info_hash().unwrap()), []);
    let heard = udp.heard_of(UdpAsked::Announce);
    // `started` is 2 and `stopped` is 3 (BEP 15).
    assert_eq!(heard.iter().map(|heard| heard.event().unwrap()).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(private.announces().len(), 1);
}

/// A body that is too large comes after the announce was heard.
#[tokio::test]
async fn an_announce_whose_answer_has_no_end_is_taken_back() {
    let behaviour = Behaviour::ok().when(Asked::Announce, Behaviour::EndlessBody);
    let tracker = FakeTracker::start(behaviour).await;
    let findings = check(checker(SystemResolver::new(), true), [tracker.announce_url()]).await;
    assert!(matches!(findings[0].announced, Some(Announced::Failed(_))), "{findings:?}");
    let heard = tracker.announces();
    let events: Vec<_> = heard.iter().map(|heard| heard.event().unwrap()).collect();
    assert_eq!(events, ["started", "stopped"]);
}

#[tokio::test]
async fn lost_packets_are_no_dead_tracker() {
    let tracker = FakeUdpTracker::start(UdpBehaviour::LosesFirst(2));
    let findings = check(checker(SystemResolver::new(), false), [tracker.announce_url()]).await;
    assert!(findings[0].is_alive(), "{findings:?}");
}

#[tokio::test]
async fn each_family_is_tried_apart_and_names_of_one_tracker_are_joined() {
    let tracker = FakeUdpTracker::start(UdpBehaviour::Ok);
    let port = tracker.address().port();
    let v6 = "::1".parse().unwrap();
    let resolver =
        StaticResolver::new().with("a.test", [LOOPBACK.into(), v6]).with("b.test", [LOOPBACK.into()]);
    let urls = [format!("udp://a.test:{port}"), format!("udp://b.test:{port}"), "udp://c.test:1".into()];
    let findings = check(checker(resolver, false), urls).await;
    // Nothing listens there over IPv6, which leaves the latency over IPv4 alone.
    let a = findings.iter().find(|finding| finding.name.contains("a.test")).unwrap();
    assert!(a.v4.latency().is_some() && a.v6.latency().is_none() && a.v6 != Reach::NoAddress, "{a:?}");
    let rows = rank(findings);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].aliases.len(), 1);
    assert_eq!(rows[1].finding.reason(), Some("its name could not be resolved: no address is known"));
}

/// A resolver whose hosts all have this record.
struct WithRecord(&'static str);

#[async_trait]
impl Resolver for WithRecord {
    async fn resolve(&self, _: &str, port: u16) -> Result<Vec<SocketAddr>, AnnounceError> {
        Ok(vec![(LOOPBACK, port).into()])
    }

    async fn tracker_record(&self, _: &str) -> Option<TrackerRecord> {
        TrackerRecord::parse(self.0.as_bytes())
    }
}

#[tokio::test]
async fn a_record_that_denies_trackers_is_obeyed() {
    let tracker = FakeUdpTracker::start(UdpBehaviour::Ok);
    let url = format!("udp://t.test:{}", tracker.address().port());
    let findings = check(checker(WithRecord("BITTORRENT DENY ALL"), false), [url]).await;
    assert_eq!(findings[0].record, Some(vec![]));
    assert!(!findings[0].is_alive() && tracker.heard().is_empty());
}

#[tokio::test]
async fn a_record_that_names_a_port_is_followed() {
    let tracker = FakeUdpTracker::start(UdpBehaviour::Ok);
    let record: &'static str = format!("BITTORRENT UDP:{}", tracker.address().port()).leak();
    let findings = check(checker(WithRecord(record), false), ["http://t.test/announce".into()]).await;
    assert_eq!(findings[0].record, Some(vec![format!("udp://t.test:{}", tracker.address().port())]));
    assert!(findings[0].is_alive() && findings[0].name == "http://t.test", "{findings:?}");
}

#[tokio::test]
async fn passkeys_are_in_nothing_that_is_written() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let urls = [
        tracker.url_with("/SECRET/announce?passkey=SECRET"),
        "https://user:SECRET@127.0.0.1:1/SECRET".into(),
        "wss://user:SECRET@t.test/SECRET?SECRET".into(),
    ];
    let rows = rank(check(checker(SystemResolver::new(), true), urls).await);
    let mut history = History::default();
    remember(&mut history, &rows, 1);
    let mut written = html::page(&rows, Some(&history), 1);
    written += &String::from_utf8(history.encode().unwrap()).unwrap();
    for arguments in [&["x"][..], &["--json", "x"]] {
        written += &lines(&args(arguments), &rows, Some(&history), 1).unwrap().concat();
    }
    assert!(written.contains(&tracker.address().to_string()));
    assert!(!written.contains("SECRET"), "{written}");
    assert!(!format!("{rows:?}").contains("SECRET"));
}

/// Which of the names of a tracker stands first changes from check to check.
#[test]
fn each_name_of_a_tracker_has_its_history() {
    let named = |name: &str, millis| {
        let mut finding = Finding::new(name.to_owned(), tracker_failover::Scheme::Udp);
        finding.addresses = [([192, 0, 2, 1], 1).into()].into();
        let latencies = vec![Duration::from_millis(millis)];
        finding.v4 = Reach::Tried { latencies, tried: 1, error: None };
        finding
    };
    let mut history = History::default();
    for (one, other) in [(10, 20), (20, 10)] {
        let rows = rank(vec![named("udp://a.test:1", one), named("udp://b.test:1", other)]);
        assert_eq!(rows.len(), 1);
        remember(&mut history, &rows, 1);
    }
    for name in ["udp://a.test:1", "udp://b.test:1"] {
        assert_eq!(history.of(name).map(Past::checks), Some(2), "{name}");
    }
}

/// As after `check --watch | head`.
#[test]
fn a_reader_that_is_gone_is_noticed_and_a_full_disk_is_an_error() {
    struct Failing(io::ErrorKind);
    impl io::Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }
    let lines = ["one".to_owned()];
    assert!(print(&lines, Vec::new()).unwrap());
    assert!(!print(&lines, Failing(io::ErrorKind::BrokenPipe)).unwrap());
    assert!(print(&lines, Failing(io::ErrorKind::StorageFull)).is_err());
}

/// The files are written, the history grows, and the result is whether a tracker answers.
#[tokio::test]
async fn a_run_reads_a_list_and_writes_page_and_history() {
    let tracker = FakeUdpTracker::start(UdpBehaviour::Ok);
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [list, page, history] = ["list.txt", "page.html", "history"].map(path);
    std::fs::write(&list, format!("# mine\n{}\n\nudp://127.0.0.1:1\n", tracker.announce_url())).unwrap();
    let arguments = args(&[&list, "--json", "--html", &page, "--history", &history]);
    for _ in 0..2 {
        assert_eq!(run(&arguments).await, Ok(true));
    }
    assert!(std::fs::read_to_string(&page).unwrap().contains("answered 100 % of 2 checks"));
    let past = History::parse(&std::fs::read(&history).unwrap()).unwrap();
    assert_eq!(past.of("udp://127.0.0.1:1").map(|past| (past.checks(), past.uptime())), Some((2, 0)));

    tracker.kill().await;
    assert_eq!(run(&arguments).await, Ok(false));
    std::fs::write(&history, "damaged").unwrap();
    assert!(run(&arguments).await.unwrap_err().contains("the history is damaged"));
    assert_eq!(std::fs::read(&history).unwrap(), b"damaged");
}

#[tokio::test]
async fn a_watch_repeats_the_check() {
    let tracker = FakeUdpTracker::start(UdpBehaviour::Ok);
    let folder = tempfile::TempDir::new().unwrap();
    let history = folder.path().join("history");
    let arguments = args(&["--watch=1", "--history", history.to_str().unwrap(), &tracker.announce_url()]);
    let name = format!("udp://{}", tracker.address());
    let twice = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let past = std::fs::read(&history).map(|text| History::parse(&text).unwrap());
            if past.is_ok_and(|past| past.of(&name).is_some_and(|past| past.checks() >= 2)) {
                return;
            }
        }
    };
    tokio::select! {
        ended = run(&arguments) => panic!("it ended: {ended:?}"),
        seen = timeout(Duration::from_secs(80), twice) => seen.unwrap(),
    }
}

#[tokio::test]
async fn arguments_that_cannot_be_used_are_errors() {
    let folder = tempfile::TempDir::new().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    for argument in [empty.to_str().unwrap(), "/nowhere/list.txt", "http://", "magnet:?xt=urn:btih:0"] {
        assert!(run(&args(&[argument])).await.is_err(), "{argument}");
    }
}
