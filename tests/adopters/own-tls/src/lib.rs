//! One announce of a program that brings the TLS of its own: provider, and the certificates that it trusts.

use tracker_failover::net::http::{HttpConfig, TlsConfig};
use tracker_failover::{Alert, Announcer, InfoHash, PeerId, Torrent, TrackerSet, TrackerUrl};

/// Announces to a tracker and stops. Gives the number of peers, or a text that says why there are none.
pub async fn announce(tracker: TrackerUrl, tls: TlsConfig) -> Result<usize, String> {
    let announcer = Announcer::builder().http(HttpConfig::new().tls(tls)).spawn();
    let torrent = Torrent::new(InfoHash::from([7; 20]), PeerId::random(*b"-OT0001-"), 6881);
    let (handle, mut alerts) = announcer.add(TrackerSet::new([[tracker]]), torrent);
    let result = loop {
        match alerts.next().await {
            Some(Alert::Announced(announced)) => break Ok(announced.response.peers.len()),
            Some(Alert::RoundFailed { error, .. }) => break Err(error.to_string()),
            Some(_) => {}
            None => break Err("the announcer has ended".to_owned()),
        }
    };
    handle.stop().await.map_err(|error| error.to_string())?;
    result
}
