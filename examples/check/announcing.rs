//! The announce of a random torrent, which shows that a tracker is one. It is taken back at once.

use std::time::Duration;

use tokio::time::timeout;
use tracker_failover::{
    AnnounceError, AnnounceRequest, AnnounceResponse, Event, InfoHash, PeerId, TimeoutPhase, TrackerUrl,
    Transport,
};

use crate::finding::Announced;

/// The port at which we would accept peers, of which there are none. That of the discard service (RFC 863): no BitTorrent
/// client listens there, and what reaches it is thrown away. Should anybody else guess the torrent, or a tracker
/// look whether the peer can be reached, it disturbs nothing.
const PORT: u16 = 9;

/// How long an announce may take, opening and answer together.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long `stopped` may take.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// Announces `started` for a random torrent, which is in no swarm, and then `stopped`, unless nothing was sent or the tracker
/// refused the torrent.
///
/// # Cancel safety
/// Dropping the future may leave the torrent registered, until the tracker forgets it.
pub(crate) async fn announce(transport: &dyn Transport, tracker: &TrackerUrl) -> Announced {
    let mut request = AnnounceRequest::new(InfoHash::new(rand::random()), PeerId::random(*b"-TF0001-"), PORT);
    request.event = Some(Event::Started);
    request.transfer.left = Some(1);
    request.num_want = Some(0);
    let started = send(transport, tracker, &request, PATIENCE).await;
    let is_registered = match &started {
        Err(AnnounceError::Rejected(rejection)) => return Announced::Refused(rejection.reason.clone()),
        // It may have been received.
        Ok(_)
        | Err(
            AnnounceError::TimedOut(_)
            | AnnounceError::Broken(_)
            | AnnounceError::NotAReply(_)
            | AnnounceError::TooLarge { .. },
        ) => true,
        Err(_) => false,
    };
    let mut has_stopped = false;
    if is_registered {
        request.event = Some(Event::Stopped);
        request.tracker_id = started.as_ref().ok().and_then(|response| response.tracker_id.clone());
        has_stopped = send(transport, tracker, &request, STOP_PATIENCE).await.is_ok();
    }
    match started {
        Ok(response) => Announced::Accepted { interval: response.interval, has_stopped },
        Err(error) => Announced::Failed(error.to_string()),
    }
}

async fn send(
    transport: &dyn Transport,
    tracker: &TrackerUrl,
    request: &AnnounceRequest,
    patience: Duration,
) -> Result<AnnounceResponse, AnnounceError> {
    let announce = async {
        let mut channel = transport.open(tracker).await?;
        channel.announce(request).await
    };
    timeout(patience, announce).await.unwrap_or(Err(AnnounceError::TimedOut(TimeoutPhase::Reply)))
}
