//! From which peers metadata is fetched, and what is believed of them.
//!
//! The whole comes from one peer, and two are asked at a time. So if it fails its hash, it is known who sent it, and the
//! sizes that peers name can't be mixed up; a second peer costs little, since metadata is small (about 20 KiB per GB).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use sha1::{Digest, Sha1};
use tracker_failover::InfoHash;

use crate::swarm::PeerKey;
use crate::wire::Why;
use crate::wire::metadata::{MetadataMessage, PIECE};

/// The fetching of one torrent's metadata.
#[derive(Debug)]
pub(crate) struct Exchange {
    info_hash: InfoHash,
    peers: BTreeMap<PeerKey, Peer>,
    requests: Vec<Request>,
    metadata: Option<Vec<u8>>,
    /// Nothing is asked for any more; what is still on its way is no fault.
    is_done: bool,
}

/// A request that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    /// To this peer.
    pub(crate) to: PeerKey,
    /// The id under which it takes the message.
    pub(crate) id: u8,
    /// For this piece of the metadata.
    pub(crate) piece: u32,
}

/// A peer that says that it has the metadata.
#[derive(Debug)]
struct Peer {
    id: u8,
    size: u32,
    /// How often it was asked for the whole, and how often it has ended without it.
    attempts: u32,
    /// When it may be asked (again).
    due: Duration,
    pointless: u32,
    attempt: Option<Attempt>,
}

/// The whole, as far as it has come from one peer.
#[derive(Debug)]
struct Attempt {
    since: Duration,
    heard: Duration,
    /// Grows with what comes, so that a size that is a lie costs nothing.
    pieces: BTreeMap<u32, Vec<u8>>,
    /// The pieces that were asked for and haven't come.
    asked: Vec<u32>,
    /// The first piece that wasn't asked for.
    next: u32,
}

impl Exchange {
    /// Nothing is known but the info-hash (of v1).
    pub(crate) fn new(info_hash: InfoHash) -> Self {
        Self { info_hash, peers: BTreeMap::new(), requests: Vec::new(), metadata: None, is_done: false }
    }

    /// A peer has said in its extension handshake under which id it takes requests, and how large the metadata is. What
    /// it says last counts, but a peer that is being asked isn't asked anew.
    pub(crate) fn offered(&mut self, key: PeerKey, id: Option<u8>, size: Option<u32>, now: Duration) {
        if self.is_done {
            return;
        }
        let (Some(id), Some(size)) = (id, size.filter(|size| (1..=MAX_SIZE).contains(size))) else { return };
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.id = id;
            if peer.attempt.is_none() {
                peer.size = size;
            }
        } else {
            let peer = Peer { id, size, attempts: 0, due: now, pointless: 0, attempt: None };
            self.peers.insert(key, peer);
        }
        self.ask(now);
    }

    /// Whether a peer has said that it has the metadata.
    pub(crate) fn is_offered_by(&self, key: PeerKey) -> bool {
        self.peers.contains_key(&key)
    }

    /// Takes the body of a message about metadata. Requests aren't answered here: we have nothing yet.
    ///
    /// # Errors
    /// When the peer is to be dropped, for [`Why::HashFail`] also never to be asked again.
    pub(crate) fn message(&mut self, key: PeerKey, body: &[u8], now: Duration) -> Result<(), Why> {
        if self.is_done {
            return Ok(());
        }
        let taken = match MetadataMessage::read(body) {
            Some(MetadataMessage::Data { piece, total_size, data }) => {
                self.data(key, piece, total_size, data, now)
            }
            Some(MetadataMessage::Reject(piece)) => self.rejected(key, piece, now),
            Some(MetadataMessage::Request(_)) | None => self.count_pointless(key),
        };
        if taken.is_err() {
            self.peers.remove(&key);
        }
        self.ask(now);
        taken
    }

    /// A connection has ended.
    pub(crate) fn disconnected(&mut self, key: PeerKey, now: Duration) {
        self.peers.remove(&key);
        self.ask(now);
    }

    /// Time has passed: peers that are silent or slow make room for others.
    pub(crate) fn tick(&mut self, now: Duration) {
        let waiting = self.peers.values().any(|peer| peer.attempt.is_none() && peer.due <= now);
        for peer in self.peers.values_mut() {
            let Some(attempt) = &peer.attempt else { continue };
            let silent = now.saturating_sub(attempt.heard) >= SILENCE;
            let patience = PATIENCE.saturating_mul(1 << peer.attempts.min(MAX_DOUBLINGS));
            let slow = waiting && now.saturating_sub(attempt.since) >= patience;
            if silent || slow {
                peer.give_up(now);
            }
        }
        self.ask(now);
    }

    /// The requests since the last time this was asked.
    pub(crate) fn take_requests(&mut self) -> Vec<Request> {
        let mut requests = std::mem::take(&mut self.requests);
        // Those to peers that have left or were given up meanwhile aren't sent.
        let is_asked = |attempt: &Attempt, piece| attempt.asked.contains(&piece);
        requests.retain(|request| {
            let attempt = self.peers.get(&request.to).and_then(|peer| peer.attempt.as_ref());
            attempt.is_some_and(|attempt| is_asked(attempt, request.piece))
        });
        requests
    }

    /// The metadata, once it is here and has the right hash.
    pub(crate) fn take_metadata(&mut self) -> Option<Vec<u8>> {
        self.metadata.take()
    }

    fn data(
        &mut self,
        key: PeerKey,
        piece: u32,
        total_size: Option<u32>,
        data: &[u8],
        now: Duration,
    ) -> Result<(), Why> {
        let Some(peer) = self.peers.get_mut(&key) else { return Err(Why::Unrequested) };
        let size = peer.size;
        let Some(attempt) = &mut peer.attempt else { return self.count_pointless(key) };
        let Some(at) = attempt.asked.iter().position(|&asked| asked == piece) else {
            // It may have been asked in an attempt that was given up.
            return self.count_pointless(key);
        };
        if total_size.is_some_and(|total| total != size) || data.len() != length_of(piece, size) {
            return Err(Why::BadMessage);
        }
        attempt.asked.swap_remove(at);
        attempt.heard = now;
        attempt.pieces.insert(piece, data.to_vec());
        if attempt.pieces.len() == pieces_of(size) as usize {
            let whole = attempt.pieces.values().map(Vec::as_slice).collect::<Vec<_>>().concat();
            if Sha1::digest(&whole)[..] != self.info_hash.as_bytes()[..] {
                return Err(Why::HashFail);
            }
            self.metadata = Some(whole);
            self.is_done = true;
            self.peers.clear();
            self.requests.clear();
        }
        Ok(())
    }

    fn rejected(&mut self, key: PeerKey, piece: u32, now: Duration) -> Result<(), Why> {
        let Some(peer) = self.peers.get_mut(&key) else { return Err(Why::Unrequested) };
        match &peer.attempt {
            Some(attempt) if attempt.asked.contains(&piece) => {
                peer.give_up(now);
                Ok(())
            }
            _ => self.count_pointless(key),
        }
    }

    fn count_pointless(&mut self, key: PeerKey) -> Result<(), Why> {
        // One that offers nothing has nothing to say about metadata but requests; its connection counts those.
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        peer.pointless += 1;
        if peer.pointless > MAX_POINTLESS { Err(Why::BadMessage) } else { Ok(()) }
    }

    /// Begins attempts where there is room, and asks for what is next.
    fn ask(&mut self, now: Duration) {
        let running = self.peers.values().filter(|peer| peer.attempt.is_some()).count();
        for _ in running..ATTEMPTS {
            let sizes: Vec<u32> = self.peers.values().map(|peer| peer.size).collect();
            let named = |size| sizes.iter().filter(|&&other| other == size).count();
            let idle = self.peers.iter_mut().filter(|(_, peer)| peer.attempt.is_none() && peer.due <= now);
            // Of those who were asked equally often the one whose size is named by most.
            let best = idle.min_by_key(|(key, peer)| (peer.attempts, Reverse(named(peer.size)), **key));
            let Some((_, peer)) = best else { break };
            peer.attempts = peer.attempts.saturating_add(1);
            peer.attempt =
                Some(Attempt { since: now, heard: now, pieces: BTreeMap::new(), asked: Vec::new(), next: 0 });
        }
        for (&to, peer) in &mut self.peers {
            let Some(attempt) = &mut peer.attempt else { continue };
            while attempt.asked.len() < IN_FLIGHT && attempt.next < pieces_of(peer.size) {
                self.requests.push(Request { to, id: peer.id, piece: attempt.next });
                attempt.asked.push(attempt.next);
                attempt.next += 1;
            }
        }
    }
}

impl Peer {
    /// Sets the peer behind the others for a while, and forgets what came from it.
    fn give_up(&mut self, now: Duration) {
        self.attempt = None;
        self.due = now + PAUSE.saturating_mul(self.attempts.min(MAX_PAUSES));
    }
}

fn pieces_of(size: u32) -> u32 {
    size.div_ceil(PIECE)
}

fn length_of(piece: u32, size: u32) -> usize {
    size.saturating_sub(piece.saturating_mul(PIECE)).min(PIECE) as usize
}

/// Bytes of metadata, 30 MiB: the library reads torrent files of 32 MiB, and the largest real ones have about 10.
pub(crate) const MAX_SIZE: u32 = 30 << 20;
/// Peers that are asked at a time.
const ATTEMPTS: usize = 2;
/// Pieces that one peer is asked for at a time; it has to answer after each round trip.
const IN_FLIGHT: usize = 4;
/// A peer that is silent for so long is asked later again.
const SILENCE: Duration = Duration::from_secs(10);
/// A peer that needs longer makes room for one that waits; twice as long at each further attempt.
const PATIENCE: Duration = Duration::from_secs(15);
const MAX_DOUBLINGS: u32 = 8;
/// A peer isn't asked again for so long, times its attempts.
const PAUSE: Duration = Duration::from_secs(15);
const MAX_PAUSES: u32 = 20;
/// Messages that mean nothing; those in flight when an attempt is given up are among them.
const MAX_POINTLESS: u32 = 200;
