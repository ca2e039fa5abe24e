//! One announce over reqwest.

use std::time::SystemTime;

use tracker_failover::wire::http::{MAX_BODY_LEN, announce_url, read_answer};
use tracker_failover::{AnnounceError, AnnounceRequest, AnnounceResponse, TrackerUrl};

pub async fn announce(
    client: reqwest::Client,
    tracker: TrackerUrl,
    request: AnnounceRequest,
) -> Result<AnnounceResponse, AnnounceError> {
    let mut answer = client.get(announce_url(&tracker, &request)).send().await.map_err(failed)?;
    let mut body = Vec::new();
    // What came before the connection broke may be a complete reply.
    while body.len() <= MAX_BODY_LEN
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
    read_answer(&request, answer.status().as_u16(), retry_after, &body, SystemTime::now())
}

fn failed(error: reqwest::Error) -> AnnounceError {
    let is_connect = error.is_connect();
    let error = error.without_url(); // which holds the passkey
    if is_connect { AnnounceError::connecting(error) } else { AnnounceError::requesting(error) }
}
