//! Reads the packets of UDP trackers (BEP 15).

use std::time::Duration;

use super::{ANNOUNCE, CONNECT, ConnectionId, ERROR, Family, SCRAPE, TransactionId};
use crate::announce::{AnnounceResponse, InfoHash};
use crate::scrape::{ScrapeResponse, SwarmCounts};
use crate::wire::clean_text;
use crate::wire::compact::PeerList;

/// A packet from a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A connection id.
    Connected(ConnectionId),
    /// The answer to an announce.
    Announced(Box<AnnounceResponse>),
    /// The answer to a scrape: a record for each torrent in the order of the request, or fewer.
    Scraped(Vec<SwarmCounts>),
    /// An error with this text, made fit for a terminal.
    Error(String),
}

/// The number of the packet that a datagram claims to answer, so that unrelated datagrams can be dropped before the rest is
/// read. `None` if the datagram is too short.
pub fn transaction_of(datagram: &[u8]) -> Option<TransactionId> {
    let (_action, rest) = number(datagram)?;
    number(rest).map(|(transaction, _)| TransactionId(transaction))
}

impl Reply {
    /// Reads a packet. `None` if it is too short for its action, or the action is unknown. Longer packets are accepted, because
    /// BEP 15 forbids relying on a size.
    ///
    /// An incomplete last peer counts as dropped. At most [`MAX_PEERS`](crate::wire::compact::MAX_PEERS) are kept.
    pub fn read(datagram: &[u8], family: Family) -> Option<Self> {
        let (action, rest) = number(datagram)?;
        let (_transaction, rest) = number(rest)?;
        match action {
            CONNECT => {
                let (id, _longer) = rest.split_first_chunk()?;
                Some(Self::Connected(ConnectionId(u64::from_be_bytes(*id))))
            }
            ANNOUNCE => read_announce(rest, family).map(Box::new).map(Self::Announced),
            SCRAPE => {
                let (records, _rest) = rest.as_chunks::<12>();
                Some(Self::Scraped(records.iter().filter_map(|record| counts(record)).collect()))
            }
            ERROR => Some(Self::Error(clean_text(without_nul(rest)))),
            _ => None,
        }
    }
}

/// Whether an error is about an invalid or expired connection id. Trackers have many texts for it: some name the field
/// of BEP 15, others what their server makes the id of. A wrong guess costs one more connect and announce.
pub fn names_connection_id(error: &str) -> bool {
    let error = error.to_lowercase();
    let letters: String = error.chars().filter(char::is_ascii_alphanumeric).collect();
    let has = |word: &str| letters.contains(word);
    let of_no_use = || {
        const WORDS: [&str; 9] =
            ["invalid", "expired", "unknown", "stale", "match", "notfound", "nosuch", "bad", "wrong"];
        WORDS.into_iter().any(has)
    };
    has("connectionid")
        || has("connid")
        || has("cookie")
        || has("notconnected")
        || (has("connection") && of_no_use())
}

/// Joins the records of a scrape with the requested torrents. Torrents without a record are unknown to the tracker.
pub fn scrape_response(torrents: &[InfoHash], records: &[SwarmCounts]) -> ScrapeResponse {
    let files = torrents.iter().copied().zip(records.iter().copied()).collect();
    ScrapeResponse { files, min_request_interval: None }
}

fn read_announce(bytes: &[u8], family: Family) -> Option<AnnounceResponse> {
    let (interval, rest) = number(bytes)?;
    let (leechers, rest) = number(rest)?;
    let (seeders, peers) = number(rest)?;
    let mut list = PeerList::new();
    match family {
        Family::V4 => list.add_v4(peers),
        Family::V6 => list.add_v6(peers),
    }
    let (peers, dropped_peers) = list.into_parts();
    Some(AnnounceResponse {
        // 0 counts as a missing interval, as over HTTP.
        interval: (interval > 0).then(|| Duration::from_secs(interval.into())),
        peers,
        complete: Some(seeders.into()),
        incomplete: Some(leechers.into()),
        dropped_peers,
        ..AnnounceResponse::default()
    })
}

fn counts(record: &[u8]) -> Option<SwarmCounts> {
    let (seeders, rest) = number(record)?;
    let (completed, rest) = number(rest)?;
    let (leechers, _) = number(rest)?;
    Some(SwarmCounts {
        complete: Some(seeders.into()),
        incomplete: Some(leechers.into()),
        downloaded: Some(completed.into()),
        downloaders: None,
    })
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// Some trackers send the NUL of a C string as well.
fn without_nul(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    text.get(..end).unwrap_or(text)
}
