//! Nothing runs for a while: what arrives meanwhile counts, and no host is blamed for what doesn't (R100).

use std::time::Duration;

use fake_tracker::{Behaviour, FakeTracker, FakeUdpTracker, UdpAsked, UdpBehaviour};
use tokio::runtime::{Builder, Runtime};
use tracker_failover::net::http::{HttpConfig, HttpTransport};
use tracker_failover::net::resolver::StaticResolver;
use tracker_failover::net::udp::{UdpConfig, UdpTransport};
use tracker_failover::wire::udp::Times;
use tracker_failover::{Alert, AnnouncerBuilder, Config, InfoHash, TrackerSet, TrackerUrl};

use super::world::{AddSession, Session, alerts_until, is_announced, one_at_a_time, torrent};

/// How long the tracker takes, which is less than the limit of one second.
const DELAY: Duration = Duration::from_millis(300);

const LIMIT: Duration = Duration::from_secs(1);

/// Longer than the limit.
const STANDSTILL: Duration = Duration::from_millis(2500);

/// Several at once, so that more than one answer lies in a socket.
const TORRENTS: u8 = 3;

/// Limits that pass during the standstill.
fn config() -> Config {
    one_at_a_time().open_limit(LIMIT).reply_limit(LIMIT).last_open_limit(LIMIT).last_reply_limit(LIMIT)
}

/// A separate runtime for the trackers, which goes on while ours stands still.
fn elsewhere() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Announces several torrents, and lets nothing run from when the tracker has received all announces. Returns the alerts.
fn stand_still(
    builder: AnnouncerBuilder,
    tracker: &TrackerUrl,
    heard: impl Fn() -> usize,
) -> Vec<Vec<Alert>> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let announcer = builder.config(config()).spawn();
        let mut sessions: Vec<Session> = Vec::new();
        for number in 0..TORRENTS {
            let mut torrent = torrent();
            torrent.info_hash = InfoHash::new([number; 20]);
            sessions.push(announcer.session(TrackerSet::new([[tracker.clone()]]), torrent));
        }
        while heard() < usize::from(TORRENTS) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::thread::sleep(STANDSTILL);
        let mut alerts = Vec::new();
        for session in &mut sessions {
            let settled = |alert: &Alert| is_announced(alert) || matches!(alert, Alert::RoundFailed { .. });
            alerts.push(alerts_until(session, settled).await);
        }
        alerts
    })
}

fn assert_no_host_is_blamed(alerts: &[Vec<Alert>]) {
    for alerts in alerts {
        assert!(is_announced(alerts.last().unwrap()), "{alerts:#?}");
        let failed = alerts.iter().any(|alert| matches!(alert, Alert::Failed { .. }));
        assert!(!failed, "{alerts:#?}");
    }
}

/// R100: over HTTP.
#[test]
fn an_http_answer_that_came_while_nothing_ran_counts() {
    let elsewhere = elsewhere();
    let tracker = elsewhere.block_on(FakeTracker::start(Behaviour::ok_after(DELAY)));
    let transport = HttpTransport::new(HttpConfig::new(), std::sync::Arc::new(StaticResolver::new()));
    let url = tracker.announce_url().parse().unwrap();
    let alerts = stand_still(AnnouncerBuilder::new(transport), &url, || tracker.announces().len());
    assert_no_host_is_blamed(&alerts);
}

/// R100: over UDP, where all answers lie in one socket, and the transport has its own limits.
#[test]
fn udp_answers_that_came_while_nothing_ran_count() {
    let elsewhere = elsewhere();
    let tracker = elsewhere.block_on(async { FakeUdpTracker::start(UdpBehaviour::Ok) });
    tracker.set_delay(DELAY);
    let times = Times { limit: LIMIT, ..Times::default() };
    let transport =
        UdpTransport::new(UdpConfig::new().times(times), std::sync::Arc::new(StaticResolver::new()));
    let url = tracker.announce_url().parse().unwrap();
    let heard = || tracker.heard_of(UdpAsked::Announce).len();
    let alerts = stand_still(AnnouncerBuilder::new(transport), &url, heard);
    assert_no_host_is_blamed(&alerts);
}
