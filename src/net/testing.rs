//! A torrent's handle and alerts in one, for tests.

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
