//! How the announcer and its handles reach the loop: commands in one direction, results and the end in the other.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::alert::{Alert, ShutdownReport};
use crate::announce::{AnnounceRequest, Torrent};
use crate::error::AnnouncerEnded;
use crate::net::alerts::AlertSender;
use crate::net::torrents::{OneShotResult, SharedTorrents, Torrents};
use crate::policy::{TorrentId, TrackerSet};

/// What the loop is asked to do. Commands are carried out in the order in which they were sent.
pub(in crate::net) enum Command {
    Add {
        trackers: Box<TrackerSet>,
        torrent: Box<Torrent>,
        alerts: AlertSender,
        key: TorrentKey,
    },
    AnnounceOnce {
        trackers: Box<TrackerSet>,
        request: Box<AnnounceRequest>,
        result: oneshot::Sender<OneShotResult>,
    },
    /// See what there is to do: a torrent was added from outside.
    Act,
    /// For a torrent that was added before.
    ForTorrent(TorrentKey, Action),
    NetworkChanged,
    Shutdown {
        limit: Duration,
        report: oneshot::Sender<ShutdownReport>,
    },
}

/// What a handle has done to its torrent inside the loop.
pub(in crate::net) type Action = Box<dyn FnOnce(&SharedTorrents, TorrentId) + Send>;

/// The engine's id of a handle's torrent. A handle exists before the loop has added its torrent.
#[derive(Debug, Clone, Default)]
pub(in crate::net) struct TorrentKey(Arc<OnceLock<TorrentId>>);

/// Why the loop has ended, once it has: for everything that is asked of it later.
#[derive(Debug, Clone, Default)]
pub(super) struct EndReason(Arc<OnceLock<AnnouncerEnded>>);

/// The way into a loop. The loop ends when all of these are gone and every torrent has been stopped.
#[derive(Clone)]
pub(in crate::net) struct DriverLink {
    commands: mpsc::UnboundedSender<Command>,
    end: EndReason,
    torrents: SharedTorrents,
}

impl TorrentKey {
    pub(super) fn get(&self) -> Option<TorrentId> {
        self.0.get().copied()
    }

    pub(super) fn set(&self, torrent: TorrentId) {
        // Each key is sent with one `Add`.
        let _ = self.0.set(torrent);
    }
}

impl EndReason {
    pub(super) fn get(&self) -> Option<AnnouncerEnded> {
        self.0.get().cloned()
    }

    /// Keeps the first reason, and gives it.
    pub(super) fn settle(&self, reason: AnnouncerEnded) -> AnnouncerEnded {
        self.0.get_or_init(|| reason).clone()
    }
}

impl Command {
    /// Reports that it won't be carried out. Those who wait for a result find its sender gone, and look into [`EndReason`].
    pub(super) fn refuse(self, last: &Alert) {
        if let Self::Add { alerts, torrent, .. } = self {
            alerts.send(torrent.info_hash, last);
        }
    }
}

impl DriverLink {
    pub(super) fn new(
        commands: mpsc::UnboundedSender<Command>,
        end: EndReason,
        torrents: SharedTorrents,
    ) -> Self {
        Self { commands, end, torrents }
    }

    /// Sends a command, or refuses it where the loop has ended.
    pub(in crate::net) fn send(&self, command: Command) {
        if let Err(mpsc::error::SendError(command)) = self.commands.send(command) {
            command.refuse(&Alert::AnnouncerEnded { reason: self.end_reason() });
        }
    }

    /// Adds a torrent: at once, so that the caller finds it in [`look`](Self::look), or once the loop takes torrents.
    pub(in crate::net) fn add(
        &self,
        trackers: TrackerSet,
        torrent: Torrent,
        alerts: AlertSender,
        key: &TorrentKey,
    ) {
        let mut torrents = self.torrents.lock();
        if torrents.is_open() {
            key.set(torrents.add(trackers, torrent, alerts));
            drop(torrents);
            return self.send(Command::Act);
        }
        drop(torrents);
        let (trackers, torrent) = (Box::new(trackers), Box::new(torrent));
        self.send(Command::Add { trackers, torrent, alerts, key: key.clone() });
    }

    /// Has something done to a torrent inside the loop, with the torrents locked.
    pub(in crate::net) fn act(
        &self,
        key: &TorrentKey,
        action: impl FnOnce(&mut Torrents, TorrentId) + Send + 'static,
    ) {
        self.act_unlocked(key, move |torrents, torrent| action(&mut torrents.lock(), torrent));
    }

    /// The same for an action that runs code of the client, and locks the torrents itself.
    pub(in crate::net) fn act_unlocked(
        &self,
        key: &TorrentKey,
        action: impl FnOnce(&SharedTorrents, TorrentId) + Send + 'static,
    ) {
        self.send(Command::ForTorrent(key.clone(), Box::new(action)));
    }

    /// Has something done that sends its result sooner or later.
    pub(in crate::net) async fn ask<T: Send + 'static>(
        &self,
        key: &TorrentKey,
        action: impl FnOnce(&mut Torrents, TorrentId, oneshot::Sender<T>) + Send + 'static,
    ) -> Result<T, AnnouncerEnded> {
        let (sender, result) = oneshot::channel();
        self.act(key, move |torrents, torrent| action(torrents, torrent, sender));
        result.await.map_err(|_| self.end_reason_of(key))
    }

    /// What is known of a torrent at this moment; `None` before the loop has added it, and after its end.
    pub(in crate::net) fn look<T>(
        &self,
        key: &TorrentKey,
        read: impl FnOnce(&Torrents, TorrentId) -> Option<T>,
    ) -> Option<T> {
        let torrent = key.get()?;
        read(&self.torrents.lock(), torrent)
    }

    /// The torrents, to look at all of them.
    pub(in crate::net) fn torrents(&self) -> &SharedTorrents {
        &self.torrents
    }

    /// Why the loop has ended; `None` while it runs.
    pub(in crate::net) fn ended(&self) -> Option<AnnouncerEnded> {
        self.end.get()
    }

    /// Why there is no result: the loop has ended, or is about to.
    pub(in crate::net) fn end_reason(&self) -> AnnouncerEnded {
        self.ended().unwrap_or(AnnouncerEnded::ShutDown)
    }

    /// Why there is no result for a torrent: it has ended, or the loop has.
    pub(in crate::net) fn end_reason_of(&self, key: &TorrentKey) -> AnnouncerEnded {
        match (self.ended(), key.get()) {
            (None, Some(_)) => AnnouncerEnded::TorrentEnded,
            (ended, _) => ended.unwrap_or(AnnouncerEnded::ShutDown),
        }
    }
}
