//! Which pieces a peer may be asked for though it chokes (BEP 6).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use sha1::{Digest, Sha1};
use tracker_failover::InfoHash;

/// The pieces that a peer at this address may ask for, which follow from the address: a peer that comes again, or from
/// another address of its network, gets no others.
pub(crate) fn allowed_fast(address: Ipv4Addr, info_hash: InfoHash, pieces: u32) -> BTreeSet<u32> {
    let [a, b, c, _] = address.octets();
    let mut hash: [u8; 20] =
        Sha1::new().chain_update([a, b, c, 0]).chain_update(info_hash.as_bytes()).finalize().into();
    let mut allowed = BTreeSet::new();
    let count = MAX_ALLOWED.min(pieces as usize);
    // Of few pieces one comes up again and again, and the last may take a while.
    for _ in 0..MAX_ROUNDS {
        for word in hash.chunks_exact(4).filter_map(<[u8]>::first_chunk) {
            if allowed.len() >= count {
                return allowed;
            }
            allowed.insert(u32::from_be_bytes(*word) % pieces);
        }
        hash = Sha1::digest(hash).into();
    }
    allowed
}

/// Pieces that a peer may ask for (BEP 6: k).
pub(crate) const MAX_ALLOWED: usize = 10;
const MAX_ROUNDS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pieces: u32) -> Vec<u32> {
        allowed_fast(Ipv4Addr::new(80, 4, 4, 200), InfoHash::new([0xaa; 20]), pieces).into_iter().collect()
    }

    /// The examples of BEP 6 have 7 and 9 pieces: 1059, 431, 808, 1217, 287, 376, 1188, and 353, 508. The next is 1246.
    #[test]
    fn it_is_the_set_of_the_document() {
        assert_eq!(set(1313), [287, 353, 376, 431, 508, 808, 1059, 1188, 1217, 1246]);
    }

    #[test]
    fn a_small_torrent_has_fewer() {
        assert_eq!((set(0), set(1), set(3)), (vec![], vec![0], vec![0, 1, 2]));
        assert_eq!(set(10).len(), 10);
    }

    #[test]
    fn a_network_gets_one_set() {
        let of = |host, hash| allowed_fast(Ipv4Addr::new(80, 4, 4, host), InfoHash::new([hash; 20]), 1313);
        assert_eq!(of(1, 0xaa), of(200, 0xaa));
        assert_ne!(of(1, 0xaa), of(1, 0xab));
    }
}
