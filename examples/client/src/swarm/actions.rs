//! What the shell is asked to do.

use std::collections::BTreeSet;
use std::mem;
use std::net::SocketAddr;
use std::sync::Weak;

use super::PeerKey;
use super::verdict::Digest;
use crate::ui::event::Event;
use crate::wire::Why;
use crate::wire::message::Block;

/// One thing to do. The answers are methods of [`Swarm`](super::Swarm).
#[derive(Debug)]
pub(crate) enum Action {
    /// Connect to a peer; the answer is `connected` or `not_connected`.
    Dial(SocketAddr),
    /// Close a connection; the answer is `disconnected`.
    Close(PeerKey, Why),
    /// Store a part of a piece, and with the last of its parts check the piece's hash; the answer is `stored`. With the
    /// digests of an earlier attempt's blocks, report which blocks differ now.
    Store { piece: u32, begin: u32, data: Vec<u8>, earlier: Option<Vec<Digest>> },
    /// What was stored of a piece is given up: it will be stored anew. There is something, so these are never more than
    /// what was stored.
    Forget(u32),
    /// Read blocks for a peer; the answer is `loaded`. If the peer has left when its turn comes, nothing is to be read.
    Load { peer: PeerKey, connected: Weak<()>, blocks: Vec<Block>, buffer: Vec<u8> },
    /// Tell the user.
    Tell(Event),
}

/// What waits for the shell.
#[derive(Debug, Default)]
pub(super) struct Actions {
    /// In the order in which it is to be done.
    queue: Vec<Action>,
    /// The peers to which there is something to write.
    wakes: BTreeSet<PeerKey>,
}

impl Actions {
    /// Asks for something.
    pub(super) fn push(&mut self, action: Action) {
        self.queue.push(action);
    }

    /// Has a connection closed.
    pub(super) fn close(&mut self, key: PeerKey, why: Why) {
        self.push(Action::Close(key, why));
    }

    /// Tells the user.
    pub(super) fn tell(&mut self, event: Event) {
        self.push(Action::Tell(event));
    }

    /// There is something to write to a peer.
    pub(super) fn wake(&mut self, key: PeerKey) {
        self.wakes.insert(key);
    }

    /// What is to be done since the last time.
    pub(super) fn take(&mut self) -> Vec<Action> {
        mem::take(&mut self.queue)
    }

    /// The peers to which there is something to write since the last time.
    pub(super) fn take_wakes(&mut self) -> BTreeSet<PeerKey> {
        mem::take(&mut self.wakes)
    }
}
