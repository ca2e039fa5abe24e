//! Writes the packets to UDP trackers (BEP 15, BEP 41).

use std::net::IpAddr;

use super::{ANNOUNCE, CONNECT, ConnectionId, Family, SCRAPE, TransactionId};
use crate::announce::{AnnounceRequest, Event, InfoHash};
use crate::tracker::TrackerUrl;

/// How many torrents one scrape can name: more don't fit into an unfragmented packet (BEP 15).
pub const MAX_SCRAPED: usize = 74;

/// The magic number of the protocol, sent in place of a connection id by a connect (BEP 15).
const PROTOCOL: u64 = 0x0417_2710_1980;

/// -1 on the wire: as many peers as the tracker wants to send (BEP 15).
const DEFAULT_NUM_WANT: u32 = u32::MAX;

/// Options of BEP 41.
const URL_DATA: u8 = 2;
const MAX_OPTION_LEN: usize = 255;

/// A connect, which requests a connection id.
pub fn connect_request(transaction: TransactionId) -> [u8; 16] {
    let mut packet = [0; 16];
    let (protocol, rest) = packet.split_at_mut(8);
    protocol.copy_from_slice(&PROTOCOL.to_be_bytes());
    let (action, id) = rest.split_at_mut(4);
    action.copy_from_slice(&CONNECT.to_be_bytes());
    id.copy_from_slice(&transaction.0.to_be_bytes());
    packet
}

/// An announce: 98 bytes, followed by path and query of the announce address in as many options as they need (BEP 41),
/// because they hold passkeys.
///
/// [`AnnounceRequest::ip`] is sent over IPv4 only, because the field has four bytes.
pub fn announce_request(
    connection: ConnectionId,
    transaction: TransactionId,
    tracker: &TrackerUrl,
    request: &AnnounceRequest,
    family: Family,
) -> Vec<u8> {
    let address = tracker.path_and_query().as_bytes();
    let mut packet = Vec::with_capacity(98 + address.len() + 2 * address.len().div_ceil(MAX_OPTION_LEN));
    head(&mut packet, connection, ANNOUNCE, transaction);
    packet.extend_from_slice(request.info_hash.as_bytes());
    packet.extend_from_slice(request.peer_id.as_bytes());
    // Trackers read signed numbers. An unknown size is sent as the largest one (POL-19).
    for counter in [request.transfer.downloaded, request.transfer.left.unwrap_or(u64::MAX)] {
        packet.extend_from_slice(&counter.min(i64::MAX as u64).to_be_bytes());
    }
    packet.extend_from_slice(&request.transfer.uploaded.min(i64::MAX as u64).to_be_bytes());
    packet.extend_from_slice(&event_code(request.event).to_be_bytes());
    packet.extend_from_slice(&own_address(request, family));
    packet.extend_from_slice(&request.key.to_be_bytes());
    packet.extend_from_slice(&num_want(request).to_be_bytes());
    packet.extend_from_slice(&request.announced_port().to_be_bytes());
    for part in address.chunks(MAX_OPTION_LEN) {
        packet.push(URL_DATA);
        // Chunks of 255 have a length that fits into a byte.
        packet.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
        packet.extend_from_slice(part);
    }
    packet
}

/// A scrape of at most [`MAX_SCRAPED`] torrents; further ones are left out.
pub fn scrape_request(
    connection: ConnectionId,
    transaction: TransactionId,
    torrents: &[InfoHash],
) -> Vec<u8> {
    let mut packet = Vec::with_capacity(16 + 20 * torrents.len().min(MAX_SCRAPED));
    head(&mut packet, connection, SCRAPE, transaction);
    for torrent in torrents.iter().take(MAX_SCRAPED) {
        packet.extend_from_slice(torrent.as_bytes());
    }
    packet
}

fn head(packet: &mut Vec<u8>, connection: ConnectionId, action: u32, transaction: TransactionId) {
    packet.extend_from_slice(&connection.0.to_be_bytes());
    packet.extend_from_slice(&action.to_be_bytes());
    packet.extend_from_slice(&transaction.0.to_be_bytes());
}

/// The numbers of BEP 15, which aren't in the order of a download (R25). Trackers refuse other numbers.
fn event_code(event: Option<Event>) -> u32 {
    match event {
        // BEP 21 has no number for a partial seed.
        None | Some(Event::Paused) => 0,
        Some(Event::Completed) => 1,
        Some(Event::Started) => 2,
        Some(Event::Stopped) => 3,
    }
}

fn own_address(request: &AnnounceRequest, family: Family) -> [u8; 4] {
    match (family, request.ip.map(|ip| ip.to_canonical())) {
        (Family::V4, Some(IpAddr::V4(ip))) => ip.octets(),
        _ => [0; 4],
    }
}

fn num_want(request: &AnnounceRequest) -> u32 {
    match (request.event, request.num_want) {
        (Some(Event::Stopped), _) => 0,
        (_, None) => DEFAULT_NUM_WANT,
        // The field is signed, and -1 means something else.
        (_, Some(wanted)) => wanted.min(i32::MAX.cast_unsigned()),
    }
}
