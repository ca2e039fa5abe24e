//! The body of an HTTP tracker's answer: what is read stays within the limits, and the three readers agree.

use std::collections::HashSet;
use std::time::Duration;

use tracker_failover::wire::bencode::{Document, Rules};
use tracker_failover::wire::compact::MAX_PEERS;
use tracker_failover::wire::http::{announce_target, failure_in, read_announce, read_scrape};
use tracker_failover::{
    AddressPolicy, AnnounceError, AnnounceRequest, AnnounceResponse, InfoHash, Peer, PeerAddress, PeerId,
    Rejection, Retry, usable_peers,
};

use super::check_text;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reads the body as the answer to an announce and to a scrape.
///
/// # Panics
/// Where something does not hold.
pub fn check(body: &[u8]) {
    let failure = failure_in(body);
    if let Some(rejection) = &failure {
        check_rejection(rejection);
    }
    match read_announce(body) {
        Ok(response) => {
            assert_eq!(failure, None, "a success with a failure in it");
            check_announced(body, response);
        }
        Err(error) => check_refused(&error, failure.as_ref()),
    }
    match read_scrape(body) {
        Ok(response) => {
            assert_eq!(failure, None, "a success with a failure in it");
            assert!(response.files.len() <= body.len() / 20);
            assert_ne!(response.min_request_interval, Some(Duration::ZERO));
        }
        Err(error) => check_refused(&error, failure.as_ref()),
    }
}

/// An error shows the tracker's failure where there is one, and is no rejection where there is none.
fn check_refused(error: &AnnounceError, failure: Option<&Rejection>) {
    check_text(&error.to_string());
    match error {
        AnnounceError::Rejected(rejection) => assert_eq!(Some(rejection), failure),
        AnnounceError::NotAReply(_) => assert_eq!(failure, None),
        other => panic!("reading can't fail so: {other:?}"),
    }
}

fn check_rejection(rejection: &Rejection) {
    check_text(&rejection.reason);
    if let Retry::After(wait) = rejection.retry {
        assert!(wait <= DAY && !wait.is_zero(), "{wait:?}");
    }
    assert_ne!(rejection.interval, Some(Duration::ZERO));
}

fn check_announced(body: &[u8], mut response: AnnounceResponse) {
    check_peers(&response.peers);
    assert!(response.trailing_bytes < body.len());
    assert_ne!(response.interval, Some(Duration::ZERO));
    assert_ne!(response.min_interval, Some(Duration::ZERO));
    if let Some(warning) = &response.warning {
        check_text(warning);
    }
    check_tracker_id(response.tracker_id.as_deref());
    let document = Document::read(body, Rules::REPLY).expect("a reply is bencode");
    let again = read_announce(document.as_bytes()).expect("its canonical form is the same reply");
    assert_eq!(again.trailing_bytes, 0);
    response.trailing_bytes = 0;
    assert_eq!(again, response, "the order of keys makes a difference");

    let (all, dropped) = (response.peers.len(), response.dropped_peers);
    response.tracker_address = Some(([192, 0, 2, 1], 80).into());
    let tracker = "http://t.test/announce".parse().expect("an address");
    usable_peers(&mut response, Some(&AddressPolicy::ALLOW_ALL), &tracker, None);
    check_peers(&response.peers);
    assert_eq!(response.peers.len() + response.dropped_peers, all + dropped, "peers that nobody counts");
}

fn check_peers(peers: &[Peer]) {
    assert!(peers.len() <= MAX_PEERS);
    assert_eq!(peers.iter().map(|peer| &peer.address).collect::<HashSet<_>>().len(), peers.len());
    for peer in peers {
        match &peer.address {
            PeerAddress::Ip(address) => {
                assert!(address.port() != 0 && address.ip() == address.ip().to_canonical());
            }
            PeerAddress::Name(name, port) => {
                assert!(*port != 0 && !name.is_empty() && name.len() <= 254);
                assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{name}");
            }
            other => panic!("no tracker names a peer in this way: {other}"),
        }
    }
}

/// It goes back in the next query, and can't do anything there.
fn check_tracker_id(id: Option<&[u8]>) {
    let Some(id) = id else { return };
    assert!((1..=1024).contains(&id.len()));
    let mut request = AnnounceRequest::new(InfoHash::new([1; 20]), PeerId::new([b'a'; 20]), 6881);
    request.tracker_id = Some(id.to_vec());
    let target = announce_target(&"http://t.test/announce".parse().expect("an address"), &request);
    let (_, sent) = target.split_once("&trackerid=").expect("the id is sent back");
    assert!(sent.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b)), "{sent}");
    assert_eq!(percent_encoding::percent_decode_str(sent).collect::<Vec<u8>>(), id);
}
