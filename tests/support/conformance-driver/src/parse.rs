//! Operations without a session: replies, torrent files and addresses.

use serde::Deserialize;
use serde_json::{Value, json};
use tracker_failover::wire::clean_text;
use tracker_failover::wire::http::{read_announce, read_scrape, scrape_address};
use tracker_failover::{
    Config, InfoHash, InfoHashError, Metainfo, MetainfoError, Scheme, SkippedTracker, TrackerUrl,
    TrackerUrlError,
};

use crate::answer::{self, Failure};

#[derive(Deserialize)]
pub(crate) struct Body {
    body_hex: String,
    #[serde(default)]
    info_hashes: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Torrent {
    torrent_hex: String,
}

#[derive(Deserialize)]
pub(crate) struct Url {
    url: String,
}

pub(crate) fn announce(body: &Body) -> Result<Value, Failure> {
    let config = Config::default();
    let response = read_announce(&bytes(&body.body_hex)?).map_err(|error| Failure::of(&error, &config))?;
    Ok(answer::reply(&response, &config))
}

pub(crate) fn scrape(body: &Body) -> Result<Value, Failure> {
    let asked: Vec<InfoHash> =
        body.info_hashes.iter().map(|hash| info_hash(hash)).collect::<Result<_, _>>()?;
    let config = Config::default();
    let response = read_scrape(&bytes(&body.body_hex)?).map_err(|error| Failure::of(&error, &config))?;
    Ok(answer::scraped(&response, &asked))
}

pub(crate) fn metainfo(torrent: &Torrent) -> Result<Value, Failure> {
    let metainfo = read_metainfo(&torrent.torrent_hex)?;
    let files: Vec<Value> = metainfo
        .files()
        .iter()
        .map(|file| {
            let path: Vec<String> = file.path().iter().map(|part| clean_text(part.as_bytes())).collect();
            json!({ "path": path, "length": file.length() })
        })
        .collect();
    let hashes: Vec<String> = metainfo.announce_hashes().iter().map(InfoHash::to_string).collect();
    let (tiers, skipped) = usable(metainfo.announce_tiers(), metainfo.skipped_trackers());
    Ok(json!({
        "tiers": written(&tiers),
        "skipped": skipped,
        "info_hash_v1": metainfo.info_hash_v1().map(|hash| hash.to_string()),
        "info_hash_v2": metainfo.info_hash_v2().map(hex::encode),
        "announce_hashes": hashes,
        "private": metainfo.is_private(),
        "name": clean_text(metainfo.name().as_bytes()),
        "files": files,
        "piece_length": metainfo.piece_length(),
    }))
}

pub(crate) fn scrape_url(url: &Url) -> Result<Value, Failure> {
    let tracker = TrackerUrl::parse(&url.url).map_err(|error| invalid_url(&error))?;
    Ok(json!({ "url": scrape_address(&tracker).map(|url| url.as_str().to_owned()) }))
}

pub(crate) fn url_display(url: &Url) -> Result<Value, Failure> {
    let tracker = TrackerUrl::parse(&url.url).map_err(|error| invalid_url(&error))?;
    Ok(json!({ "text": tracker.to_string() }))
}

/// The bytes of hexadecimal digits.
pub(crate) fn bytes(digits: &str) -> Result<Vec<u8>, Failure> {
    hex::decode(digits).map_err(|error| Failure::new("malformed", &error.to_string()))
}

/// The info-hash of 40 digits, or of the first 40 of a longer hash, as trackers know those (BEP 52).
pub(crate) fn info_hash(digits: &str) -> Result<InfoHash, Failure> {
    let front = digits.get(..40).unwrap_or(digits);
    front.parse().map_err(|error: InfoHashError| Failure::new("malformed", &error.to_string()))
}

/// The torrent file of these digits.
pub(crate) fn read_metainfo(digits: &str) -> Result<Metainfo, Failure> {
    Metainfo::parse(&bytes(digits)?).map_err(|error| {
        let kind = match error {
            MetainfoError::UnsupportedVersion { .. } => "unsupported_version",
            MetainfoError::TooLarge { .. } => "too_large",
            _ => "malformed",
        };
        Failure::new(kind, &error.to_string())
    })
}

/// The tiers without addresses of foreign schemes, which the crate keeps in its list for the user to see, and the
/// report of those beside what the crate skipped itself.
pub(crate) fn usable(
    tiers: &[Vec<TrackerUrl>],
    skipped: &[SkippedTracker],
) -> (Vec<Vec<TrackerUrl>>, Vec<Value>) {
    let mut skipped: Vec<Value> =
        skipped.iter().map(|one| json!({ "url": one.shown, "reason": one.reason.to_string() })).collect();
    let mut kept = Vec::new();
    for tier in tiers {
        let (foreign, spoken): (Vec<_>, Vec<_>) =
            tier.iter().cloned().partition(|url| url.scheme() == Scheme::Other);
        skipped.extend(foreign.iter().map(foreign_scheme));
        if !spoken.is_empty() {
            kept.push(spoken);
        }
    }
    (kept, skipped)
}

pub(crate) fn foreign_scheme(url: &TrackerUrl) -> Value {
    json!({ "url": url.as_str(), "reason": "its scheme is not supported" })
}

/// Addresses as they were given.
pub(crate) fn written(tiers: &[Vec<TrackerUrl>]) -> Vec<Vec<&str>> {
    tiers.iter().map(|tier| tier.iter().map(TrackerUrl::as_str).collect()).collect()
}

fn invalid_url(error: &TrackerUrlError) -> Failure {
    Failure::new("invalid_url", &error.to_string())
}
