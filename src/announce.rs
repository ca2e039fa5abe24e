//! Announces and their answers: the values of BEP 3, independent of the protocol that carries them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::text::fit;

/// The info-hash by which trackers and peers identify a torrent: the SHA-1 of its info dictionary (BEP 3), or the
/// first 20 bytes of its SHA-256 (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash([u8; 20]);

/// The id of a client during a session, 20 bytes (BEP 3, BEP 20).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 20]);

/// Why a text is not an [`InfoHash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an info-hash: expected 40 hexadecimal digits")]
pub struct InfoHashError;

/// The event of an announce (BEP 3, BEP 21). A regular announce has none, but that of a partial seed.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Event {
    /// The first announce of a download.
    Started,
    /// The download has just been completed. Not sent if it was complete from the start.
    Completed,
    /// The client leaves the swarm.
    Stopped,
    /// The client is a partial seed: it has all that it wants, and not all that there is (BEP 21). In place of no event, with
    /// each regular announce over HTTP; over UDP there is no number for it. A session that is paused sends
    /// [`Stopped`](Self::Stopped).
    Paused,
}

/// The three counters of BEP 3, in bytes, summed over the session. `uploaded` and `downloaded` must never decrease, because
/// trackers that keep ratios credit nothing then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Transfer {
    /// Bytes sent to peers.
    pub uploaded: u64,
    /// Bytes received from peers.
    pub downloaded: u64,
    /// Bytes still missing; `None` if the size isn't known (a magnet link before its metadata).
    pub left: Option<u64>,
    /// Whether the client is a partial seed: it wants nothing more, and there is something left, as where only some files were
    /// selected (BEP 21). Its regular announces carry [`Event::Paused`], so that trackers don't count it as a downloader, and
    /// peers are looked for as for a seed. With nothing left it makes no difference.
    pub partial_seed: bool,
}

/// How many peers a client has. What it knows is better than what trackers count.
///
/// ```
/// use tracker_failover::PeerCounts;
///
/// let counts = PeerCounts { connected: 7, connecting: 12, seeds: 1 };
/// assert!(counts.seeds <= counts.connected);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct PeerCounts {
    /// Peers of the torrent with a connection that stands.
    pub connected: u32,
    /// Peers to which a connection is being made.
    pub connecting: u32,
    /// Connected peers that have the whole torrent.
    pub seeds: u32,
}

/// One announce: all that is sent to a tracker.
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
    /// The port on which the client accepts connections from peers; 0 if it accepts none. For 0, 1 is announced, because
    /// trackers refuse 0.
    pub port: u16,
    /// The counters at the time of the announce.
    pub transfer: Transfer,
    /// The event; `None` for a regular announce.
    pub event: Option<Event>,
    /// How many peers are wanted. `None` asks for 50, and for none with [`Event::Stopped`]: some trackers answer it with a
    /// full list (libtorrent and BiglyBT send 0 there as well).
    pub num_want: Option<u32>,
    /// A secret by which a tracker recognises the client after its address has changed (BEP 7, BEP 15): random, and the
    /// same for the whole session of a torrent.
    pub key: u32,
    /// The address to announce instead of the one the tracker sees. Most trackers ignore it.
    pub ip: Option<IpAddr>,
    /// The `tracker id` of the last answer, sent back to that tracker only.
    pub tracker_id: Option<Vec<u8>>,
}

/// A torrent to announce for the whole of its life.
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
    /// The port on which the client accepts connections from peers; 0 if it accepts none. For 0, 1 is announced, because
    /// trackers refuse 0.
    pub port: u16,
    /// The counters at the start. With nothing left the client is a seed, and `completed` is never sent.
    pub transfer: Transfer,
    /// As in [`AnnounceRequest::num_want`].
    pub num_want: Option<u32>,
    /// As in [`AnnounceRequest::key`].
    pub key: u32,
    /// As in [`AnnounceRequest::ip`].
    pub ip: Option<IpAddr>,
}

/// The answer to a successful announce. Trackers leave out any of its keys, so most fields are optional.
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AnnounceResponse {
    /// How long to wait until the next regular announce, as the tracker sent it (BEP 3).
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of_some"))]
    pub interval: Option<Duration>,
    /// The shortest time until the next announce, as the tracker sent it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of_some"))]
    pub min_interval: Option<Duration>,
    /// The peers, in the tracker's order, each once.
    pub peers: Vec<Peer>,
    /// How many peers have the whole torrent.
    pub complete: Option<u64>,
    /// How many peers are still downloading.
    pub incomplete: Option<u64>,
    /// How many downloads have been completed so far.
    pub downloaded: Option<u64>,
    /// Sent back to this tracker, and no other, as `trackerid`.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub tracker_id: Option<Vec<u8>>,
    /// A message for the user; the announce counts as a success. Control and invisible characters are replaced, at most
    /// 1024 characters are kept.
    pub warning: Option<String>,
    /// The client's address as the tracker sees it (BEP 24). A hint: no decision is based on it alone.
    pub external_ip: Option<IpAddr>,
    /// How many entries of the peer lists were dropped as unusable.
    pub dropped_peers: usize,
    /// How many bytes after the reply were ignored.
    pub trailing_bytes: usize,
    /// The address at which the tracker was reached, if the transport knows it.
    pub tracker_address: Option<SocketAddr>,
}

/// A peer in a tracker's answer.
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The address at which it accepts connections.
    pub address: PeerAddress,
    /// Its id; `None` if the tracker sent the compact form (BEP 23).
    pub id: Option<PeerId>,
}

/// An address at which a peer accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddress {
    /// An IP address and port.
    Ip(SocketAddr),
    /// A host name and port (BEP 3), which the client has to resolve before it connects.
    Name(String, u16),
}

/// The longest time taken from a tracker: longer ones are mistakes, or attempts to overflow.
const MAX_SPAN: Duration = Duration::from_secs(365 * 24 * 3600);

/// How many peers of one answer are used, at most. Trackers send 50 to 200.
const MAX_PEERS: usize = 10_000;

/// The longest `tracker id`, in bytes, that is sent back with each announce.
const MAX_TRACKER_ID_LEN: usize = 1024;

impl AnnounceResponse {
    /// Applies the bounds that the policy relies on, whatever transport and tracker sent.
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
    /// The info-hash with these bytes.
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl From<[u8; 20]> for InfoHash {
    fn from(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl From<[u8; 20]> for PeerId {
    fn from(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl PeerId {
    /// The peer id with these bytes.
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// A peer id in the common form of BEP 20: a prefix such as `-XX0001-`, then 12 bytes of the caller's entropy as letters,
    /// digits, `-` and `_`, because some trackers fail on other bytes.
    pub fn with_prefix(prefix: [u8; 8], entropy: [u8; 12]) -> Self {
        const LETTERS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&prefix);
        for (byte, random) in bytes[8..].iter_mut().zip(entropy) {
            *byte = LETTERS[usize::from(random & 63)];
        }
        Self(bytes)
    }

    /// A random peer id with this prefix, as [`with_prefix`](Self::with_prefix) makes it. Needs the feature
    /// `tokio`; without it, entropy is an argument.
    ///
    /// ```
    /// use tracker_failover::PeerId;
    ///
    /// let id = PeerId::random(*b"-XX0001-");
    /// assert!(id.as_bytes().starts_with(b"-XX0001-") && id != PeerId::random(*b"-XX0001-"));
    /// ```
    #[cfg(feature = "tokio")]
    pub fn random(prefix: [u8; 8]) -> Self {
        Self::with_prefix(prefix, rand::random())
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl Transfer {
    /// Whether peers are wanted to download from: something is missing, or that isn't known, and it is wanted.
    pub(crate) fn wants_to_download(&self) -> bool {
        self.left != Some(0) && !self.is_of_partial_seed()
    }

    /// Whether these are the counters of a partial seed.
    pub(crate) fn is_of_partial_seed(&self) -> bool {
        self.partial_seed && self.left.is_some_and(|left| left > 0)
    }
}

impl Event {
    /// The event's value in a query: `started`, `completed`, `stopped` or `paused`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
        }
    }
}

impl AnnounceRequest {
    /// How many peers are asked for if [`num_want`](Self::num_want) is `None`.
    pub const DEFAULT_NUM_WANT: u32 = 50;

    /// A regular announce with counters of zero and an unknown size.
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

    /// The port to announce: 1 for 0, which several trackers refuse (Q-71). Other clients that can't be reached announce 1
    /// as well.
    pub(crate) fn announced_port(&self) -> u16 {
        self.port.max(1)
    }
}

impl Torrent {
    /// A torrent with counters of zero and an unknown size.
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

/// Without `key` and `tracker_id`, which are secrets between client and tracker.
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

/// Without `key`, which is a secret between client and tracker.
impl fmt::Debug for Torrent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Torrent")
            .field("info_hash", &self.info_hash)
            .field("transfer", &self.transfer)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Without `tracker_id`, which is a secret between client and tracker.
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
    fn an_info_hash_parses_what_it_displays() {
        let text = "123456789abcdef123456789abcdef123456789a";
        assert_eq!(text.parse::<InfoHash>().unwrap().to_string(), text);
        for wrong in
            ["", "12", "+23456789abcdef123456789abcdef123456789a", "123456789abcdef123456789abcdef123456789g"]
        {
            assert_eq!(wrong.parse::<InfoHash>(), Err(InfoHashError), "{wrong}");
        }
    }

    #[test]
    fn ids_are_made_of_their_bytes() {
        assert_eq!(InfoHash::from([7; 20]), InfoHash::new([7; 20]));
        assert_eq!(PeerId::from([7; 20]), PeerId::new([7; 20]));
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
