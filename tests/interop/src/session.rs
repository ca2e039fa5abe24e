//! A session of the library under test, with everything it has said.

use std::time::Duration;

use tokio::time::timeout;
use tracker_failover::{Alert, Alerts, AnnounceHandle, Announcer, InfoHash, PeerId, Torrent, TrackerSet};

/// The session and its alerts.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) handle: AnnounceHandle,
    alerts: Alerts,
    heard: Vec<Alert>,
}

impl Session {
    /// A leech with 1000 bytes to go that takes connections on this port.
    pub(crate) fn start(announcer: &Announcer, trackers: TrackerSet, torrent: [u8; 20], port: u16) -> Self {
        let peer_id = PeerId::new(*b"-TF0001-interoptest0");
        let mut torrent = Torrent::new(InfoHash::new(torrent), peer_id, port);
        torrent.transfer.left = Some(1000);
        let (handle, alerts) = announcer.add(trackers, torrent);
        Self { handle, alerts, heard: Vec::new() }
    }

    /// Waits for an alert that hasn't been waited for yet.
    pub(crate) async fn wait_for<T>(
        &mut self,
        what: &str,
        pick: impl Fn(&Alert) -> Option<T>,
    ) -> Result<T, String> {
        let picked = async {
            while let Some(alert) = self.alerts.next().await {
                let picked = pick(&alert);
                self.heard.push(alert);
                if picked.is_some() {
                    return picked;
                }
            }
            None
        };
        match timeout(Duration::from_secs(20), picked).await {
            Ok(Some(picked)) => Ok(picked),
            Ok(None) => Err(format!("the session ended before {what}")),
            Err(_) => Err(format!("waited 20 s for {what}; heard:\n{}", self.lines().join("\n"))),
        }
    }

    /// Takes in what has been said meanwhile, without waiting.
    pub(crate) async fn catch_up(&mut self) {
        while let Ok(Some(alert)) = timeout(Duration::ZERO, self.alerts.next()).await {
            self.heard.push(alert);
        }
    }

    /// Forgets what was said so far.
    pub(crate) async fn forget(&mut self) {
        self.catch_up().await;
        self.heard.clear();
    }

    pub(crate) fn heard(&self) -> &[Alert] {
        &self.heard
    }

    /// What was said, as a user reads it.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard.iter().map(|alert| format!("          [{}] {alert}", alert.tag())).collect()
    }
}
