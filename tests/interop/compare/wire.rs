//! Sees the first packet to a tracker, even to one that refuses, where no program would.

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

/// When a connection to an address was first tried.
type FirstTried = Arc<Mutex<HashMap<SocketAddr, Instant>>>;

/// Watches all packets of the machine.
#[derive(Debug)]
pub(crate) struct Wire(FirstTried);

impl Wire {
    /// Begins to watch.
    ///
    /// # Errors
    /// Where the system doesn't allow it: it is for root, on Linux.
    pub(crate) fn watch() -> io::Result<Self> {
        let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(ALL_PROTOCOLS)))?;
        let seen = FirstTried::default();
        let tried = Arc::clone(&seen);
        thread::spawn(move || {
            let mut packet = [0; 128];
            while let Ok(length) = socket.read(&mut packet) {
                if let Some(address) = packet.get(ETHERNET..length).and_then(target_of_syn) {
                    let mut tried = tried.lock().unwrap_or_else(PoisonError::into_inner);
                    tried.entry(address).or_insert_with(now);
                }
            }
        });
        Ok(Self(seen))
    }

    /// Forgets what was seen.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// When a connection to any of these was first tried.
    pub(crate) fn first_contact(&self, addresses: &[SocketAddr]) -> Option<Instant> {
        let tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.iter().filter_map(|address| tried.get(address)).min().copied()
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
