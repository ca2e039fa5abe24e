//! Sees packets to a tracker, even to one that refuses, where no program would.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};

use crate::cell::now;

/// All protocols (`ETH_P_ALL`), in network byte order.
const ALL_PROTOCOLS: i32 = 0x0003_u16.to_be() as i32;

/// How many bytes an Ethernet head has; loopback has one, too.
const ETHERNET: usize = 14;

/// How many connections to an address are remembered; no run needs more.
const REMEMBERED: usize = 1000;

/// When connections to the watched addresses were tried.
type Tried = Arc<Mutex<HashMap<SocketAddr, Vec<Instant>>>>;

/// Watches the packets of the machine for connections to trackers.
#[derive(Debug, Clone)]
pub(crate) struct Wire(Tried);

impl Wire {
    /// Begins to read packets.
    ///
    /// # Errors
    /// Where the system doesn't allow it: it is for root, on Linux.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(ALL_PROTOCOLS)))?;
        let wire = Self(Tried::default());
        let seen = wire.clone();
        thread::spawn(move || {
            let mut packet = [0; 128];
            while let Ok(length) = socket.read(&mut packet) {
                if let Some(address) = packet.get(ETHERNET..length).and_then(target_of_syn) {
                    seen.note(address, now());
                }
            }
        });
        Ok(wire)
    }

    /// Remembers connections to these addresses from now on.
    pub(crate) fn watch(&self, addresses: &[SocketAddr]) {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tried.extend(addresses.iter().map(|address| (*address, Vec::new())));
    }

    /// Forgets these addresses.
    pub(crate) fn forget(&self, addresses: &[SocketAddr]) {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tried.retain(|address, _| !addresses.contains(address));
    }

    /// When a connection to any of these was first tried after this moment.
    pub(crate) fn first_contact(&self, addresses: &[SocketAddr], after: Instant) -> Option<Instant> {
        let tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let moments = addresses.iter().filter_map(|address| tried.get(address)).flatten();
        moments.filter(|moment| **moment > after).min().copied()
    }

    fn note(&self, address: SocketAddr, moment: Instant) {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(moments) = tried.get_mut(&address).filter(|moments| moments.len() < REMEMBERED) {
            moments.push(moment);
        }
    }
}

/// Where an IPv4 packet wants to connect to over TCP; `None` for any other packet.
fn target_of_syn(packet: &[u8]) -> Option<SocketAddr> {
    let head = usize::from(packet.first()? & 0x0f) * 4;
    if packet[0] >> 4 != 4 || *packet.get(9)? != 6 {
        return None;
    }
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    let tcp = packet.get(head..)?;
    let port = u16::from_be_bytes([*tcp.get(2)?, *tcp.get(3)?]);
    let flags = tcp.get(13)?;
    let opening = flags & 0x12 == 0x02;
    opening.then(|| SocketAddr::from((Ipv4Addr::from(address), port)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// An IPv4 head without options, and a TCP head to port 80 with these flags.
    fn packet(flags: u8) -> Vec<u8> {
        let mut packet = vec![0; 40];
        (packet[0], packet[9]) = (0x45, 6);
        packet[16..20].copy_from_slice(&[127, 1, 2, 11]);
        packet[23] = 80;
        packet[33] = flags;
        packet
    }

    #[test]
    fn only_a_syn_opens_a_connection() {
        let tracker = "127.1.2.11:80".parse().ok();
        assert_eq!(target_of_syn(&packet(0x02)), tracker);
        assert_eq!(target_of_syn(&packet(0x12)), None, "SYN and ACK is the answer");
        assert_eq!(target_of_syn(&packet(0x10)), None);
        assert_eq!(target_of_syn(&packet(0x02)[..33]), None, "cut off before the flags");
        let mut udp = packet(0x02);
        udp[9] = 17;
        assert_eq!(target_of_syn(&udp), None);
    }

    #[test]
    fn the_first_contact_is_that_of_watched_addresses_after_a_moment() {
        let wire = Wire(Tried::default());
        let [first, second, other] =
            [1, 2, 3].map(|host| SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 1)));
        let start = now();
        let at = |seconds| start + Duration::from_secs(seconds);
        wire.watch(&[first, second]);
        for (address, seconds) in [(other, 1), (second, 3), (first, 2), (first, 5)] {
            wire.note(address, at(seconds));
        }
        assert_eq!(wire.first_contact(&[first, second, other], start), Some(at(2)));
        assert_eq!(wire.first_contact(&[first, second], at(2)), Some(at(3)));
        assert_eq!(wire.first_contact(&[second], at(3)), None);
        wire.forget(&[first]);
        assert_eq!(wire.first_contact(&[first], start), None);
    }
}
