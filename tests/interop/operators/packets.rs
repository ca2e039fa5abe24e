//! What packets between a client and its trackers hold, and how many of each there are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The flags of a TCP segment.
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// What the trackers of one client received and sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Packets to the trackers.
    pub(crate) packets_in: u64,
    /// Packets from them.
    pub(crate) packets_out: u64,
    /// TCP connections that were asked for; a SYN that is sent again isn't another one.
    pub(crate) handshakes: u64,
    /// Resets that trackers sent: connections that were refused or broken off.
    pub(crate) resets: u64,
    /// Announces by event: `none`, `started`, `completed`, `stopped`, `paused`.
    pub(crate) announces: BTreeMap<String, u64>,
    /// Everything else that was asked: `connect` and `scrape` over UDP, `HEAD`, `GET` and so on over HTTP.
    pub(crate) others: BTreeMap<String, u64>,
    /// The torrents that were announced, at any tracker, with any event but `stopped`.
    pub(crate) torrents: BTreeSet<[u8; 20]>,
    /// When the last of them was announced first.
    pub(crate) all_announced: Duration,
    /// The requests of each second.
    by_second: BTreeMap<u64, u64>,
    /// The segments that opened connections or held requests, which TCP may send again.
    seen: BTreeSet<(SocketAddrV4, SocketAddrV4, u32)>,
}

/// What a client asks of a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Request {
    Announce { torrent: Option<[u8; 20]>, event: String },
    Other(String),
}

/// The part of an IPv4 packet that is looked at.
struct Packet<'a> {
    protocol: u8,
    from: SocketAddrV4,
    to: SocketAddrV4,
    /// What follows the IPv4 head.
    transport: &'a [u8],
}

impl Tally {
    /// Counts an IPv4 packet, which came at this time; `is_tracker` says which addresses are the trackers'. Others aren't
    /// counted.
    pub(crate) fn count(&mut self, packet: &[u8], at: Duration, is_tracker: impl Fn(Ipv4Addr) -> bool) {
        let Some(packet) = parse(packet) else { return };
        if is_tracker(*packet.from.ip()) {
            self.packets_out += 1;
            if packet.protocol == TCP && packet.flags() & RST != 0 {
                self.resets += 1;
            }
        } else if is_tracker(*packet.to.ip()) {
            self.packets_in += 1;
            match packet.protocol {
                TCP => self.count_segment(&packet, at),
                UDP => self.count_request(packet.transport.get(8..).and_then(udp_request), at),
                _ => {}
            }
        }
    }

    /// How many announces there were, of all events together.
    pub(crate) fn all_announces(&self) -> u64 {
        self.announces.values().sum()
    }

    /// How many announces there were with this event.
    pub(crate) fn announces_with(&self, event: &str) -> u64 {
        self.announces.get(event).copied().unwrap_or_default()
    }

    /// How many requests there were that announce nothing.
    pub(crate) fn all_others(&self) -> u64 {
        self.others.values().sum()
    }

    /// The most requests within a second.
    pub(crate) fn peak(&self) -> u64 {
        self.by_second.values().copied().max().unwrap_or_default()
    }

    fn count_segment(&mut self, packet: &Packet<'_>, at: Duration) {
        let sequence = packet.transport.get(4..8).and_then(|bytes| bytes.try_into().ok());
        let key = (packet.from, packet.to, sequence.map_or(0, u32::from_be_bytes));
        if packet.flags() & (SYN | ACK) == SYN {
            self.handshakes += u64::from(self.seen.insert(key));
            return;
        }
        let head = packet.transport.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
        let request = packet.transport.get(head..).and_then(http_request);
        if request.is_some() && self.seen.insert(key) {
            self.count_request(request, at);
        }
    }

    fn count_request(&mut self, request: Option<Request>, at: Duration) {
        if request.is_some() {
            *self.by_second.entry(at.as_secs()).or_default() += 1;
        }
        match request {
            Some(Request::Announce { torrent, event }) => {
                if event != "stopped" {
                    let known = self.torrents.len();
                    self.torrents.extend(torrent);
                    if self.torrents.len() > known {
                        self.all_announced = at;
                    }
                }
                *self.announces.entry(event).or_default() += 1;
            }
            Some(Request::Other(name)) => *self.others.entry(name).or_default() += 1,
            None => {}
        }
    }
}

impl Packet<'_> {
    fn flags(&self) -> u8 {
        self.transport.get(13).copied().unwrap_or_default()
    }
}

fn parse(packet: &[u8]) -> Option<Packet<'_>> {
    let first = *packet.first()?;
    if first >> 4 != 4 {
        return None;
    }
    let transport = packet.get(usize::from(first & 0x0f) * 4..)?;
    let ip = |place: usize| Some(Ipv4Addr::from(*packet.get(place..)?.first_chunk::<4>()?));
    let port = |place: usize| Some(u16::from_be_bytes(*transport.get(place..)?.first_chunk()?));
    Some(Packet {
        protocol: *packet.get(9)?,
        from: SocketAddrV4::new(ip(12)?, port(0)?),
        to: SocketAddrV4::new(ip(16)?, port(2)?),
        transport,
    })
}

/// Reads a datagram to a tracker (BEP 15).
fn udp_request(datagram: &[u8]) -> Option<Request> {
    let number = |place: usize| Some(u32::from_be_bytes(*datagram.get(place..)?.first_chunk()?));
    Some(match number(8)? {
        0 => Request::Other("connect".to_owned()),
        1 => {
            let event = match number(80)? {
                0 => "none",
                1 => "completed",
                2 => "started",
                3 => "stopped",
                4 => "paused",
                _ => "unknown",
            };
            Request::Announce { torrent: datagram.get(16..36)?.try_into().ok(), event: event.to_owned() }
        }
        2 => Request::Other("scrape".to_owned()),
        _ => Request::Other("unknown".to_owned()),
    })
}

/// Reads the beginning of a segment to a tracker, where that is a request (BEP 3). Requests of trackers have no body and are
/// shorter than a segment.
fn http_request(segment: &[u8]) -> Option<Request> {
    let line = segment.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    if !words.next()?.starts_with("HTTP/") {
        return None;
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parameter =
        |name: &str| query.split('&').find_map(|part| part.split_once('=').filter(|(key, _)| *key == name));
    let Some((_, torrent)) = parameter("info_hash").filter(|_| method == "GET" && path != "/scrape") else {
        return Some(Request::Other(if path == "/scrape" { "scrape" } else { method }.to_owned()));
    };
    let event = parameter("event").map(|(_, event)| event).filter(|event| !event.is_empty());
    Some(Request::Announce {
        torrent: unescape(torrent).try_into().ok(),
        event: event.unwrap_or("none").to_owned(),
    })
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%');
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: [u8; 4] = [127, 0, 0, 1];
    const TRACKER: [u8; 4] = [127, 77, 1, 1];

    fn is_tracker(ip: Ipv4Addr) -> bool {
        ip == Ipv4Addr::from(TRACKER)
    }

    fn ipv4(protocol: u8, from: [u8; 4], to: [u8; 4], transport: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[9] = protocol;
        packet[12..16].copy_from_slice(&from);
        packet[16..20].copy_from_slice(&to);
        packet.extend(transport);
        packet
    }

    fn tcp(port: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut segment = port.to_be_bytes().to_vec();
        segment.extend(7969_u16.to_be_bytes());
        segment.extend(sequence.to_be_bytes());
        segment.extend([0, 0, 0, 0, 0x80, flags]);
        segment.resize(32, 0);
        segment.extend(payload);
        segment
    }

    fn udp(action: u32, event: u32) -> Vec<u8> {
        let mut datagram = vec![0; 8 + 98];
        datagram[8 + 8..8 + 12].copy_from_slice(&action.to_be_bytes());
        datagram[8 + 16..8 + 36].copy_from_slice(&[7; 20]);
        datagram[8 + 80..8 + 84].copy_from_slice(&event.to_be_bytes());
        datagram
    }

    #[test]
    fn datagrams_are_counted_by_action_and_event() {
        let mut tally = Tally::default();
        for (action, event) in [(0, 0), (1, 2), (1, 0), (1, 3), (2, 0)] {
            tally.count(&ipv4(UDP, CLIENT, TRACKER, &udp(action, event)), Duration::ZERO, is_tracker);
        }
        tally.count(&ipv4(UDP, TRACKER, CLIENT, &udp(1, 2)), Duration::ZERO, is_tracker);
        assert_eq!((tally.packets_in, tally.packets_out, tally.handshakes), (5, 1, 0));
        assert_eq!(tally.all_announces(), 3);
        assert_eq!(["started", "none", "stopped"].map(|event| tally.announces_with(event)), [1, 1, 1]);
        assert_eq!(tally.others, BTreeMap::from([("connect".to_owned(), 1), ("scrape".to_owned(), 1)]));
        assert_eq!(tally.torrents, BTreeSet::from([[7; 20]]));
    }

    #[test]
    fn the_peak_and_the_last_torrent_have_their_times() {
        let mut tally = Tally::default();
        let mut second = udp(1, 2);
        second[8 + 16] = 9;
        for (millis, datagram) in
            [(900, udp(0, 0)), (1100, udp(1, 2)), (1200, second.clone()), (1900, udp(1, 2)), (2100, second)]
        {
            tally.count(&ipv4(UDP, CLIENT, TRACKER, &datagram), Duration::from_millis(millis), is_tracker);
        }
        assert_eq!((tally.peak(), tally.all_announced), (3, Duration::from_millis(1200)));
    }

    #[test]
    fn a_stopped_alone_announces_no_torrent() {
        let mut tally = Tally::default();
        tally.count(&ipv4(UDP, CLIENT, TRACKER, &udp(1, 3)), Duration::ZERO, is_tracker);
        assert_eq!((tally.all_announces(), tally.torrents.len()), (1, 0));
    }

    #[test]
    fn a_connection_with_two_requests_is_one_handshake() {
        let mut tally = Tally::default();
        let get = b"GET /announce?info_hash=%61bcdefghijklmnopqr%ff%25&port=1&event=started HTTP/1.1\r\nHost: x\r\n\r\n";
        let next = b"GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&event= HTTP/1.1\r\n\r\n";
        let segments = [
            tcp(4000, 1, SYN, b""),
            tcp(4000, 2, ACK, b""),
            tcp(4000, 2, ACK, get),
            tcp(4000, 99, ACK, next),
            tcp(4001, 5, SYN, b""),
            tcp(4001, 6, ACK, b"HEAD /announce HTTP/1.1\r\n\r\n"),
        ];
        for segment in &segments {
            tally.count(&ipv4(TCP, CLIENT, TRACKER, segment), Duration::ZERO, is_tracker);
        }
        assert_eq!((tally.packets_in, tally.handshakes), (6, 2));
        assert_eq!((tally.announces_with("started"), tally.announces_with("none")), (1, 1));
        assert_eq!(tally.others, BTreeMap::from([("HEAD".to_owned(), 1)]));
        assert_eq!(tally.torrents, BTreeSet::from([*b"abcdefghijklmnopqr\xff%", [b'a'; 20]]));
    }

    #[test]
    fn what_tcp_sends_again_is_a_packet_and_no_request() {
        let mut tally = Tally::default();
        let scrape = tcp(4000, 2, ACK, b"GET /scrape?info_hash=aaaaaaaaaaaaaaaaaaaa HTTP/1.0\r\n\r\n");
        for segment in [&tcp(4000, 1, SYN, b""), &tcp(4000, 1, SYN, b""), &scrape, &scrape] {
            tally.count(&ipv4(TCP, CLIENT, TRACKER, segment), Duration::ZERO, is_tracker);
        }
        assert_eq!((tally.packets_in, tally.handshakes, tally.all_announces()), (4, 1, 0));
        assert_eq!(tally.others, BTreeMap::from([("scrape".to_owned(), 1)]));
    }

    #[test]
    fn resets_of_trackers_are_counted() {
        let mut tally = Tally::default();
        tally.count(&ipv4(TCP, TRACKER, CLIENT, &tcp(4000, 0, RST | ACK, b"")), Duration::ZERO, is_tracker);
        tally.count(&ipv4(TCP, CLIENT, TRACKER, &tcp(4000, 0, RST, b"")), Duration::ZERO, is_tracker);
        assert_eq!((tally.resets, tally.packets_in, tally.packets_out), (1, 1, 1));
    }

    #[test]
    fn packets_of_others_and_fragments_are_not_counted() {
        let mut tally = Tally::default();
        tally.count(&ipv4(UDP, CLIENT, [127, 0, 0, 9], &udp(1, 2)), Duration::ZERO, is_tracker);
        for length in 0..24 {
            tally.count(
                &ipv4(UDP, CLIENT, TRACKER, &udp(1, 2))[..length.min(23)],
                Duration::ZERO,
                is_tracker,
            );
        }
        assert_eq!(tally, Tally::default());
    }
}
