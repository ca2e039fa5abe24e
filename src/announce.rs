//! What is said to a tracker and what it says back: the values of BEP 3, whatever they travel in.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::text::fit;

/// Twenty bytes that name a torrent to trackers and peers: the SHA-1 of its info dictionary (BEP 3), or the
/// first twenty bytes of its SHA-256 (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash([u8; 20]);

/// Twenty bytes by which a client calls itself during a session (BEP 3, BEP 20).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 20]);

/// Why a text is not an [`InfoHash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an info-hash: expected 40 hexadecimal digits")]
pub struct InfoHashError;

/// What a client tells a tracker beyond its counters (BEP 3). A regular announce has no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Event {
    /// The first announce of a download.
    Started,
    /// The download has just become complete. Never sent when it was complete from the start.
    Completed,
    /// The client leaves the swarm.
    Stopped,
}

/// The three counters of BEP 3, in bytes, summed over the session. They never go back: trackers that keep
/// ratios credit nothing when they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Transfer {
    /// Bytes sent to peers.
    pub uploaded: u64,
    /// Bytes received from peers.
    pub downloaded: u64,
    /// Bytes still missing; `None` where the size isn't known (a magnet link before its metadata).
    pub left: Option<u64>,
}

/// One announce: everything a tracker is told.
///
/// ```
/// use tracker_failover::{AnnounceRequest, InfoHash, PeerId, Transfer};
///
/// let info_hash: InfoHash = "123456789abcdef123456789abcdef123456789a".parse()?;
/// let mut request = AnnounceRequest::new(info_hash, PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
/// request.transfer = Transfer { left: Some(1_000), ..Transfer::default() };
/// # Ok::<(), tracker_failover::InfoHashError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnnounceRequest {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The client.
    pub peer_id: PeerId,
    /// The port on which the client takes connections from peers. One that takes none says 0, and trackers are
    /// told 1, since they refuse announces with 0.
    pub port: u16,
    /// The counters, as they are when the request is written.
    pub transfer: Transfer,
    /// The event, `None` on a regular announce.
    pub event: Option<Event>,
    /// How many peers are wanted; `None` asks for 50, and for none on [`Event::Stopped`] (libtorrent and
    /// BiglyBT send 0 there, since some trackers answer with a full list).
    pub num_want: Option<u32>,
    /// A secret by which a tracker recognises the client when its address changes (BEP 7, BEP 15): random,
    /// the same for the whole session of a torrent.
    pub key: u32,
    /// The address to be announced instead of the one the tracker sees; most trackers ignore it.
    pub ip: Option<IpAddr>,
    /// What the tracker gave as `tracker id`, echoed to that tracker only.
    pub tracker_id: Option<Vec<u8>>,
}

/// A torrent whose trackers are looked after for the whole of its life.
///
/// ```
/// use tracker_failover::{InfoHash, PeerId, Torrent, Transfer};
///
/// let info_hash: InfoHash = "123456789abcdef123456789abcdef123456789a".parse()?;
/// let mut torrent = Torrent::new(info_hash, PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
/// torrent.transfer.left = Some(1_000_000);
/// # Ok::<(), tracker_failover::InfoHashError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Torrent {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The client.
    pub peer_id: PeerId,
    /// The port on which the client takes connections from peers. One that takes none says 0, and trackers are
    /// told 1, since they refuse announces with 0.
    pub port: u16,
    /// The counters at the start. With nothing left it is a seed, and `completed` is never sent.
    pub transfer: Transfer,
    /// As in [`AnnounceRequest::num_want`].
    pub num_want: Option<u32>,
    /// As in [`AnnounceRequest::key`].
    pub key: u32,
    /// As in [`AnnounceRequest::ip`].
    pub ip: Option<IpAddr>,
}

/// A good answer to an announce. Every key of it is optional in the field, so every field is here.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AnnounceResponse {
    /// Wait this long before the next regular announce, as the tracker sent it (BEP 3).
    pub interval: Option<Duration>,
    /// Never announce sooner than this, as the tracker sent it.
    pub min_interval: Option<Duration>,
    /// The peers, in the tracker's order, each once.
    pub peers: Vec<Peer>,
    /// How many peers have the whole torrent.
    pub complete: Option<u64>,
    /// How many peers are still downloading.
    pub incomplete: Option<u64>,
    /// How many downloads were ever completed.
    pub downloaded: Option<u64>,
    /// To be echoed to this tracker (and no other) as `trackerid`.
    pub tracker_id: Option<Vec<u8>>,
    /// A text for the user; the announce counts as a success. Control and invisible characters are
    /// replaced.
    pub warning: Option<String>,
    /// The client's address as the tracker sees it (BEP 24): a hint, nothing is decided by it alone.
    pub external_ip: Option<IpAddr>,
    /// How many entries of the peer lists could not be used.
    pub dropped_peers: usize,
    /// How many bytes followed the reply and were ignored.
    pub trailing_bytes: usize,
    /// The address at which the tracker was reached, where the transport knows it.
    pub tracker_address: Option<SocketAddr>,
}

/// A peer named by a tracker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Where it takes connections.
    pub address: PeerAddress,
    /// Its id, where the tracker sent dictionaries rather than the compact form (BEP 23).
    pub id: Option<PeerId>,
}

/// Where a peer takes connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddress {
    /// An address and port.
    Ip(SocketAddr),
    /// A name and port, to be resolved by whoever connects (BEP 3 allows names).
    Name(String, u16),
}

/// No tracker means a longer time than this; larger numbers are mistakes, or attempts to overflow.
const MAX_SPAN: Duration = Duration::from_secs(365 * 24 * 3600);

/// How many peers of one answer are used. Trackers send 50 to 200.
const MAX_PEERS: usize = 10_000;

/// How long a `tracker id` may be that is sent back with each announce.
const MAX_TRACKER_ID_LEN: usize = 1024;

impl AnnounceResponse {
    /// Cuts what a transport brought to what the policy works with, whatever the tracker said.
    pub(crate) fn bound(&mut self) {
        for span in [&mut self.interval, &mut self.min_interval].into_iter().flatten() {
            *span = (*span).min(MAX_SPAN);
        }
        self.peers.truncate(MAX_PEERS);
        self.tracker_id.take_if(|tracker_id| tracker_id.len() > MAX_TRACKER_ID_LEN);
        if let Some(warning) = &mut self.warning {
            *warning = fit(warning);
        }
    }
}

impl InfoHash {
    /// An info-hash of these bytes.
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl PeerId {
    /// A peer id of these bytes.
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// A peer id in the common form of BEP 20: a prefix such as `-XX0001-`, then twelve bytes of the caller's
    /// entropy, written as letters and digits because some trackers stumble over anything else.
    pub fn with_prefix(prefix: [u8; 8], entropy: [u8; 12]) -> Self {
        const LETTERS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&prefix);
        for (byte, random) in bytes[8..].iter_mut().zip(entropy) {
            *byte = LETTERS[usize::from(random & 63)];
        }
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl Event {
    /// The event as it is written in a query: `started`, `completed`, `stopped`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
        }
    }
}

impl AnnounceRequest {
    /// How many peers are asked for where the caller doesn't say.
    pub const DEFAULT_NUM_WANT: u32 = 50;

    /// A regular announce with counters at zero and the size unknown.
    pub fn new(info_hash: InfoHash, peer_id: PeerId, port: u16) -> Self {
        Self {
            info_hash,
            peer_id,
            port,
            transfer: Transfer::default(),
            event: None,
            num_want: None,
            key: 0,
            ip: None,
            tracker_id: None,
        }
    }

    /// The port as trackers are told: several refuse 0 (Q-71), and 1 is what clients say that can't be reached.
    pub(crate) fn told_port(&self) -> u16 {
        self.port.max(1)
    }
}

impl Torrent {
    /// A torrent with counters at zero and the size unknown.
    pub fn new(info_hash: InfoHash, peer_id: PeerId, port: u16) -> Self {
        Self { info_hash, peer_id, port, transfer: Transfer::default(), num_want: None, key: 0, ip: None }
    }
}

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InfoHash({self})")
    }
}

impl FromStr for InfoHash {
    type Err = InfoHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes();
        if digits.len() != 40 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(InfoHashError);
        }
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| InfoHashError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| InfoHashError)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({})", self.0.escape_ascii())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `key` and `tracker_id` are secrets between client and tracker and stay out of logs.
impl fmt::Debug for AnnounceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnnounceRequest")
            .field("info_hash", &self.info_hash)
            .field("event", &self.event)
            .field("transfer", &self.transfer)
            .field("port", &self.port)
            .field("num_want", &self.num_want)
            .finish_non_exhaustive()
    }
}

/// `key` is a secret between client and tracker and stays out of logs.
impl fmt::Debug for Torrent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Torrent")
            .field("info_hash", &self.info_hash)
            .field("transfer", &self.transfer)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// `tracker_id` is a secret between client and tracker and stays out of logs.
impl fmt::Debug for AnnounceResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnnounceResponse")
            .field("interval", &self.interval)
            .field("min_interval", &self.min_interval)
            .field("peers", &self.peers.len())
            .field("complete", &self.complete)
            .field("incomplete", &self.incomplete)
            .field("warning", &self.warning)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_info_hash_reads_what_it_prints() {
        let text = "123456789abcdef123456789abcdef123456789a";
        assert_eq!(text.parse::<InfoHash>().unwrap().to_string(), text);
        for wrong in
            ["", "12", "+23456789abcdef123456789abcdef123456789a", "123456789abcdef123456789abcdef123456789g"]
        {
            assert_eq!(wrong.parse::<InfoHash>(), Err(InfoHashError), "{wrong}");
        }
    }

    #[test]
    fn a_prefixed_peer_id_is_printable() {
        let id = PeerId::with_prefix(*b"-TF0001-", [255; 12]);
        assert_eq!(id.as_bytes(), b"-TF0001-____________");
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let mut request = AnnounceRequest::new(InfoHash::new([1; 20]), PeerId::new([65; 20]), 6881);
        request.key = 0xdead_beef;
        request.tracker_id = Some(b"hidden".to_vec());
        let response =
            AnnounceResponse { tracker_id: Some(b"hidden".to_vec()), ..AnnounceResponse::default() };
        let shown = format!("{request:?} {response:?}");
        assert!(
            !shown.contains("hidden") && !shown.contains("3735928559") && !shown.contains("104, 105"),
            "{shown}"
        );
    }
}
