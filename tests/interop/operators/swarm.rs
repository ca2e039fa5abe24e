//! Peers at addresses that lead nowhere, made known to the trackers before a client comes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Where the peers are, one address each, and where nothing listens. opentracker takes the source address for the peer's.
const NETWORK: [u8; 3] = [127, 1, 0];
const PORT: u16 = 16_881;

/// Announces that are under way at once.
const WINDOW: usize = 64;

/// How long an answer is waited for before the announces are sent again, and how often.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIALS: usize = 10;

/// Announces so many peers of each torrent to a tracker over UDP (BEP 15). The first one is a seed, the others have a byte
/// left.
pub(crate) fn fill(tracker: SocketAddr, torrents: &[[u8; 20]], peers: u8) -> io::Result<()> {
    (0..peers).try_for_each(|peer| announce_all(tracker, torrents, peer))
}

fn announce_all(tracker: SocketAddr, torrents: &[[u8; 20]], peer: u8) -> io::Result<()> {
    let [a, b, c] = NETWORK;
    let socket = UdpSocket::bind((Ipv4Addr::new(a, b, c, peer + 1), 0))?;
    socket.connect(tracker)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let connection = connect(&socket)?;
    let numbered: Vec<(u32, &[u8; 20])> = (0..).zip(torrents).collect();
    for window in numbered.chunks(WINDOW) {
        let mut missing = window.to_vec();
        for _ in 0..TRIALS {
            for (transaction, torrent) in &missing {
                socket.send(&announce(connection, *transaction, torrent, peer))?;
            }
            let mut answer = [0; 2048];
            while !missing.is_empty() {
                let Ok(length) = socket.recv(&mut answer) else { break };
                let answered = transaction_of(&answer[..length], 1);
                missing.retain(|(transaction, _)| Some(*transaction) != answered);
            }
        }
        if !missing.is_empty() {
            return Err(io::Error::other(format!("{tracker} does not answer announces over UDP")));
        }
    }
    Ok(())
}

fn connect(socket: &UdpSocket) -> io::Result<[u8; 8]> {
    let mut request = 0x0417_2710_1980_u64.to_be_bytes().to_vec();
    request.extend([0; 8]);
    for _ in 0..TRIALS {
        socket.send(&request)?;
        let mut answer = [0; 16];
        if let Ok(16) = socket.recv(&mut answer) {
            let mut connection = [0; 8];
            connection.copy_from_slice(&answer[8..]);
            return Ok(connection);
        }
    }
    Err(io::Error::other("no connection id"))
}

/// The transaction id of an answer to this action.
fn transaction_of(answer: &[u8], action: u32) -> Option<u32> {
    let number = |place: usize| Some(u32::from_be_bytes(*answer.get(place..)?.first_chunk()?));
    (number(0)? == action).then(|| number(4)).flatten()
}

fn announce(connection: [u8; 8], transaction: u32, torrent: &[u8; 20], peer: u8) -> Vec<u8> {
    let left = u64::from(peer != 0);
    let mut request = connection.to_vec();
    request.extend(1_u32.to_be_bytes());
    request.extend(transaction.to_be_bytes());
    request.extend(torrent);
    request.extend(format!("-OB0001-{peer:012}").bytes());
    for number in [0, left, 0] {
        request.extend(number.to_be_bytes());
    }
    let (started, ip, key, num_want) = (2_u32, 0_u32, u32::from(peer), 1_u32);
    for number in [started, ip, key, num_want] {
        request.extend(number.to_be_bytes());
    }
    request.extend(PORT.to_be_bytes());
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announce_has_the_fields_of_bep_15() {
        let seed = announce([9; 8], 5, &[7; 20], 0);
        assert_eq!(seed.len(), 98);
        assert_eq!((&seed[..8], &seed[8..16]), (&[9; 8][..], &[0, 0, 0, 1, 0, 0, 0, 5][..]));
        assert_eq!((&seed[16..36], &seed[36..44]), (&[7; 20][..], &b"-OB0001-"[..]));
        assert_eq!((seed[71], seed[83]), (0, 2));
        assert_eq!(announce([9; 8], 5, &[7; 20], 1)[71], 1);
        assert_eq!(seed[96..], PORT.to_be_bytes());
    }

    #[test]
    fn an_error_is_no_answer_to_an_announce() {
        assert_eq!(transaction_of(&[0, 0, 0, 1, 0, 0, 0, 5, 0], 1), Some(5));
        assert_eq!(transaction_of(&[0, 0, 0, 3, 0, 0, 0, 5, b'x'], 1), None);
        assert_eq!(transaction_of(&[0, 0, 0, 1], 1), None);
    }
}
