//! A torrent's handle and alerts in one, and the life of a torrent with a failover, for tests.

use std::ops::Deref;

use super::alerts::Alerts;
use super::announcer::Announcer;
use super::handle::AnnounceHandle;
use crate::alert::Alert;
use crate::announce::Torrent;
use crate::policy::TrackerSet;

pub(super) struct Session {
    pub(super) handle: AnnounceHandle,
    alerts: Alerts,
}

/// Adds torrents whose handle and alerts stay together.
pub(super) trait AddSession {
    fn session(&self, trackers: TrackerSet, torrent: Torrent) -> Session;
}

impl AddSession for Announcer {
    fn session(&self, trackers: TrackerSet, torrent: Torrent) -> Session {
        let (handle, alerts) = self.add(trackers, torrent);
        Session { handle, alerts }
    }
}

impl Session {
    pub(super) async fn next_alert(&mut self) -> Option<Alert> {
        self.alerts.next().await
    }
}

impl Deref for Session {
    type Target = AnnounceHandle;

    fn deref(&self) -> &AnnounceHandle {
        &self.handle
    }
}

/// What no output may show.
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub(super) const SECRET: &str = "5ec2e7";

/// Plays the life of a torrent: `a.test` answers its first announce, and is gone then. `b.test` answers the next one, and
/// `stopped` is due at both. Each announce takes 50 ms.
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub(super) async fn live_through_a_failover() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash, PeerId};
    use crate::error::AnnounceError;
    use crate::policy::config::AnnounceTo;
    use crate::tracker::TrackerUrl;
    use crate::{AnnouncerBuilder, Config, transport};

    let gone = Arc::new(AtomicBool::new(false));
    let is_gone = Arc::clone(&gone);
    let answer = move |tracker: TrackerUrl, _: AnnounceRequest| {
        let fails = tracker.host() == "a.test" && is_gone.load(Ordering::SeqCst);
        async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            if fails { Err(AnnounceError::connecting(refused)) } else { Ok(AnnounceResponse::default()) }
        }
    };
    let announcer = AnnouncerBuilder::new(transport::from_fn(answer))
        .config(Config::default().announce_to(AnnounceTo::One))
        .spawn();
    let url =
        |host| format!("http://user:{SECRET}@{host}/{SECRET}/announce?passkey={SECRET}").parse().unwrap();
    let mut torrent = Torrent::new(InfoHash::new([7; 20]), PeerId::new([65; 20]), 6881);
    torrent.transfer.left = Some(1000);
    let mut session = announcer.session(TrackerSet::new([[url("a.test")], [url("b.test")]]), torrent);
    while !matches!(session.next_alert().await.unwrap(), Alert::Announced(_)) {}
    gone.store(true, Ordering::SeqCst);
    session.announce_now().await.unwrap();
    session.stop().await.unwrap();
    announcer.shutdown(Duration::from_secs(1)).await;
}
