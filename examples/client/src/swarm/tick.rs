//! What happens by itself as time passes, and what follows from every change.

use std::time::Duration;

use super::PeerKey;
use super::peer::Peer;
use super::session::{Action, MAX_PEERS, Session};
use crate::wire::message::Message;
use crate::wire::{Why, pex};

impl Session {
    /// Time has passed; to be called a few times a second.
    pub(crate) fn tick(&mut self, now: Duration) {
        self.down.tick(now);
        self.up.tick(now);
        for (&key, peer) in &mut self.peers {
            peer.down.tick(now);
            peer.up.tick(now);
            peer.window.tick(now, peer.down.per_second());
            peer.pardon();
            if now.saturating_sub(peer.spoke) >= KEEP_ALIVE && peer.out.is_empty() {
                peer.spoke = now;
                peer.out.push(&Message::KeepAlive);
                self.wakes.insert(key);
            }
            let silent = now.saturating_sub(peer.heard);
            let crowded = self.peers_at_last_tick >= MAX_PEERS;
            let useless = peer.snubbed || (peer.of_interest == 0 && !peer.interested);
            if silent >= SILENCE {
                self.actions.push(Action::Close(key, Why::Timeout));
            } else if peer.out.is_stuck() {
                self.actions.push(Action::Close(key, Why::Io));
            } else if crowded && useless && now.saturating_sub(peer.since) >= USELESS {
                self.actions.push(Action::Close(key, Why::Redundant));
            }
        }
        self.peers_at_last_tick = self.peers.len();
        self.look_for_silence(now);
        self.exchange_peers(now);
        self.judge(now);
        self.stirred = true;
        self.settle(now);
        self.pace(now);
        self.dial(now);
    }

    /// Sends each peer the addresses of others (BEP 11).
    fn exchange_peers(&mut self, now: Duration) {
        let flags = |peer: &Peer| {
            (if peer.has.is_full() { pex::SEED } else { 0 }) | (if peer.dialled { pex::REACHABLE } else { 0 })
        };
        let connected = self.peers.values().filter_map(|peer| Some((peer.listens?, flags(peer)))).collect();
        for update in self.exchange.due(&connected, now) {
            if let Some(peer) = self.peers.get_mut(&update.to) {
                peer.out.push(&Message::Extended(update.id, &update.body));
                self.wakes.insert(update.to);
            }
        }
    }

    /// A whole read of a peer's has been taken: asks it for more, and reads what it asked for.
    pub(crate) fn read_taken(&mut self, key: PeerKey, now: Duration) {
        self.refill(key, now);
        self.load(key);
        self.settle(now);
    }

    /// Does what has become possible.
    pub(super) fn settle(&mut self, now: Duration) {
        if self.judge_now {
            self.judge(now);
        }
        if std::mem::take(&mut self.stirred) {
            self.refill_all(now);
        }
    }
}

/// After this time without a message we send a keep-alive (BEP 3: about two minutes).
const KEEP_ALIVE: Duration = Duration::from_secs(100);
/// A peer that sends nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(130);
/// So long may a peer be of no use to us, and we to it, when there is no room for others.
const USELESS: Duration = Duration::from_secs(120);
