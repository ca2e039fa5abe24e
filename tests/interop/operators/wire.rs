//! Watches the packets of all runs' trackers on loopback.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::packets::Tally;
use crate::run::now;

/// The trackers' network, 127.77.0.0/16. The third byte is the number of the run, the last one the tracker's.
const NETWORK: [u8; 2] = [127, 77];

/// IPv4 alone (`ETH_P_IP`), in network byte order. With all protocols a packet on loopback would be seen twice, as it
/// leaves and as it comes.
const IPV4: i32 = 0x0800_u16.to_be() as i32;

/// How many bytes an Ethernet head has; loopback has one, too.
const ETHERNET: u8 = 14;

/// Room for what comes while the thread waits for a processor.
const BUFFER: usize = 4 << 20;

/// The tally of each run, and since when it counts.
type Tallies = Arc<Mutex<BTreeMap<u8, (Instant, Tally)>>>;

/// Watches them from its creation on.
#[derive(Debug, Clone)]
pub(crate) struct Wire(Tallies);

impl Wire {
    /// Begins to watch.
    ///
    /// # Errors
    /// Where the system doesn't allow it: it is for root, on Linux.
    pub(crate) fn watch() -> io::Result<Self> {
        let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(IPV4)))?;
        socket.set_recv_buffer_size(BUFFER)?;
        socket.attach_filter(&filter())?;
        let tallies = Tallies::default();
        let counted = Arc::clone(&tallies);
        thread::spawn(move || {
            let mut packet = [0; 2048];
            while let Ok(length) = socket.read(&mut packet) {
                if let Some(packet) = packet.get(usize::from(ETHERNET)..length) {
                    count(packet, &counted);
                }
            }
        });
        Ok(Self(tallies))
    }

    /// The address of a run's tracker.
    pub(crate) fn address(run: u8, tracker: u8) -> Ipv4Addr {
        Ipv4Addr::new(NETWORK[0], NETWORK[1], run, tracker)
    }

    /// Counts a run's packets from zero.
    pub(crate) fn reset(&self, run: u8) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(run, (now(), Tally::default()));
    }

    /// What was counted in a run since [`reset`](Self::reset).
    pub(crate) fn tally(&self, run: u8) -> Tally {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&run)
            .map(|(_, tally)| tally.clone())
            .unwrap_or_default()
    }
}

fn count(packet: &[u8], tallies: &Tallies) {
    let run_of = |place: usize| packet.get(place..place + 3).filter(|ip| ip[..2] == NETWORK).map(|ip| ip[2]);
    // The source is at 12, the destination at 16.
    let Some(run) = run_of(12).or_else(|| run_of(16)) else { return };
    if let Some((since, tally)) = tallies.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&run) {
        tally.count(packet, since.elapsed(), |ip| ip.octets()[..3] == [NETWORK[0], NETWORK[1], run]);
    }
}

/// A filter that passes packets from or to the trackers' network, their first 2048 bytes: clients that dial thousands of peers
/// would fill the buffer.
fn filter() -> [SockFilter; 8] {
    const LOAD_WORD: u16 = 0x20;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let network = u32::from_be_bytes([NETWORK[0], NETWORK[1], 0, 0]);
    let (source, destination) = (u32::from(ETHERNET) + 12, u32::from(ETHERNET) + 16);
    [
        SockFilter::new(LOAD_WORD, 0, 0, source),
        SockFilter::new(AND, 0, 0, 0xffff_0000),
        SockFilter::new(JUMP_IF_EQUAL, 3, 0, network),
        SockFilter::new(LOAD_WORD, 0, 0, destination),
        SockFilter::new(AND, 0, 0, 0xffff_0000),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, network),
        SockFilter::new(RETURN, 0, 0, 2048),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
