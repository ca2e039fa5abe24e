//! What is known of one connected peer.

use std::net::SocketAddr;
use std::time::Duration;

use tracker_failover::PeerId;

use super::PeerKey;
use super::actions::Actions;
use super::metadata::Allowance;
use super::outgoing::Outgoing;
use super::peer_download::PeerDownload;
use super::peer_pieces::PeerPieces;
use super::peer_upload::PeerUpload;
use crate::wire::Why;
use crate::wire::message::{Block, Message};

/// One peer.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing about the peer")]
pub(super) struct Peer {
    /// Its number.
    pub(super) key: PeerKey,
    /// The other end of the connection.
    pub(super) address: SocketAddr,
    /// Whether we made the connection.
    pub(super) dialled: bool,
    /// The address at which it listens: the one that we dialled, or the one it sent (`p`, BEP 10).
    pub(super) listens: Option<SocketAddr>,
    /// What it calls itself in its handshake.
    pub(super) id: PeerId,
    /// Whether it speaks the fast extension (BEP 6).
    pub(super) fast: bool,
    /// The pieces that it has announced.
    pub(super) has: PeerPieces,
    /// What it sends us.
    pub(super) download: PeerDownload,
    /// What we send it.
    pub(super) upload: PeerUpload,
    /// What waits to be written to it.
    pub(super) out: Outgoing,
    /// When it came.
    pub(super) since: Duration,
    /// When anything last came from it.
    pub(super) heard: Duration,
    /// When anything was last sent to it.
    pub(super) spoke: Duration,
    /// The id under which it takes messages about metadata (BEP 9).
    pub(super) ut_metadata: Option<u8>,
    /// How much metadata it was sent.
    pub(super) metadata_sent: Allowance,
    /// Whether its first message has come, after which a bitfield is late.
    begun: bool,
    /// Whether we have sent `interested`.
    wanted: bool,
    /// Messages of it that changed nothing, of late.
    pointless: u32,
}

impl Peer {
    /// A peer after its handshake, without any announced pieces.
    pub(super) fn new(
        key: PeerKey,
        address: SocketAddr,
        dialled: bool,
        id: PeerId,
        pieces: u32,
        fast: bool,
        now: Duration,
    ) -> Self {
        Self {
            key,
            address,
            dialled,
            listens: dialled.then_some(address),
            id,
            fast,
            has: PeerPieces::new(pieces),
            download: PeerDownload::new(now),
            upload: PeerUpload::new(now),
            out: Outgoing::default(),
            since: now,
            heard: now,
            spoke: now,
            ut_metadata: None,
            metadata_sent: Allowance::default(),
            begun: false,
            wanted: false,
            pointless: 0,
        }
    }

    /// Whether a message of it may be a bitfield: it is the first, but for extended messages, which several clients send before.
    pub(super) fn is_first(&mut self, message: &Message<'_>) -> bool {
        let begins = !matches!(message, Message::KeepAlive | Message::Extended(..) | Message::Unknown(_));
        let is_first = !self.begun;
        self.begun |= begins;
        is_first
    }

    /// How many more blocks it may be asked for.
    pub(super) fn room(&self) -> usize {
        if self.has.is_of_interest() { self.download.room() } else { 0 }
    }

    /// Whether neither side has anything for the other, or it doesn't give what it has.
    pub(super) fn is_useless(&self) -> bool {
        self.download.is_snubbed() || (!self.has.is_of_interest() && !self.upload.is_interested())
    }

    /// Whether blocks went in any direction.
    pub(super) fn was_useful(&self) -> bool {
        self.download.total() + self.upload.total() > 0
    }

    /// Time has passed: measures its speeds, and forgives a few pointless messages. In a long life even an honest peer
    /// sends some, such as requests that cross our choke.
    pub(super) fn tick(&mut self, now: Duration) {
        self.download.tick(now);
        self.upload.tick(now);
        self.pointless = self.pointless.saturating_sub(PARDONED);
    }

    /// Counts a message that may have changed nothing.
    ///
    /// # Errors
    /// When there were too many of them, which is an attack (P-07, P-12).
    pub(super) fn count_pointless(&mut self, pointless: bool) -> Result<(), Why> {
        self.pointless += u32::from(pointless);
        if self.pointless > MAX_POINTLESS { Err(Why::BadMessage) } else { Ok(()) }
    }

    /// Answers a request that it doesn't get. Without the fast extension, silence is the answer.
    pub(super) fn reject(&mut self, block: Block, actions: &mut Actions) {
        if self.fast {
            self.out.push(&Message::Reject(block));
            actions.wake(self.key);
        }
    }

    /// What it has or what we lack has changed: sends it whether it has something we want, and parts from it if both
    /// have everything.
    pub(super) fn reconsider(&mut self, is_complete: bool, actions: &mut Actions) {
        self.tell_interest(actions);
        if is_complete && self.has.is_full() {
            actions.close(self.key, Why::Redundant);
        }
    }

    /// How many messages changed nothing, of late.
    #[cfg(test)]
    pub(super) fn pointless(&self) -> u32 {
        self.pointless
    }

    /// Sends it whether it has something we want, when that has changed.
    pub(super) fn tell_interest(&mut self, actions: &mut Actions) {
        let wanted = self.has.is_of_interest();
        if wanted != self.wanted {
            self.wanted = wanted;
            self.out.push(if wanted { &Message::Interested } else { &Message::NotInterested });
            actions.wake(self.key);
        }
    }
}

/// Pointless messages that are forgiven at each tick.
const PARDONED: u32 = 5;
/// Messages that change nothing, beyond those that are forgiven in time.
const MAX_POINTLESS: u32 = 1000;
