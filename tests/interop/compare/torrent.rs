//! The torrent file that every client is given, and its swarm.

use std::net::{Ipv4Addr, SocketAddr};

use fake_tracker::SwarmPeer;
use tracker_failover::Metainfo;

/// How long the file is.
const LENGTH: u64 = 1 << 20;

/// 1 MiB of which no peer has a byte, with these tiers and the first tracker as `announce`.
pub(crate) fn with_trackers(tiers: &[Vec<String>]) -> Vec<u8> {
    let string = |text: &str| format!("{}:{text}", text.len());
    let tier = |tier: &Vec<String>| format!("l{}e", tier.iter().map(|url| string(url)).collect::<String>());
    let first = tiers.iter().flatten().next().map_or_else(String::new, |url| string(url));
    let list: String = tiers.iter().map(tier).collect();
    let pieces = "0123456789abcdefghij".repeat(4);
    format!(
        "d8:announce{first}13:announce-listl{list}e4:infod6:lengthi{LENGTH}e4:name8:measured\
         12:piece lengthi262144e6:pieces{}ee",
        string(&pieces)
    )
    .into_bytes()
}

/// The hash of such a torrent.
///
/// # Errors
/// Where it can't be read.
pub(crate) fn info_hash() -> Result<[u8; 20], String> {
    let file = with_trackers(&[vec!["http://tracker.test/announce".to_owned()]]);
    let metainfo = Metainfo::parse(&file).map_err(|error| error.to_string())?;
    Ok(*metainfo.info_hash().as_bytes())
}

/// A swarm: so many seeds, and then leechers. They refuse connections, which no tracker knows.
pub(crate) fn swarm(seeds: u8, leechers: u8) -> impl Iterator<Item = SwarmPeer> {
    (0..seeds + leechers).map(move |number| SwarmPeer {
        peer_id: [number; 20],
        address: SocketAddr::from((Ipv4Addr::new(127, 0, 1, 1 + number), 6881)),
        left: Some(if number < seeds { 0 } else { LENGTH }),
    })
}

#[cfg(test)]
mod tests {
    use tracker_failover::TrackerSet;

    use super::*;

    #[test]
    fn the_hash_is_that_of_any_tiers() {
        let [near, far] = ["http://near.test/announce", "http://far.test/announce"].map(str::to_owned);
        let hash = info_hash().unwrap();
        for (tiers, count) in [(vec![vec![near.clone(), far.clone()]], 1), (vec![vec![near], vec![far]], 2)] {
            let metainfo = Metainfo::parse(&with_trackers(&tiers)).unwrap();
            assert_eq!((*metainfo.info_hash().as_bytes(), metainfo.total_length()), (hash, LENGTH));
            assert_eq!(TrackerSet::from(&metainfo).tiers().count(), count);
        }
    }

    #[test]
    fn peers_of_a_swarm_differ() {
        let peers: Vec<SwarmPeer> = swarm(2, 3).collect();
        assert_eq!(peers.iter().filter(|peer| peer.left == Some(0)).count(), 2);
        let addresses: std::collections::BTreeSet<SocketAddr> =
            peers.iter().map(|peer| peer.address).collect();
        assert_eq!(addresses.len(), 5);
    }
}
