//! Our client: the library with its defaults, as a program with many torrents uses it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tracker_failover::{Announcer, Metainfo, PeerId, Torrent, TrackerSet};

/// How long `stopped` may take for all torrents together.
const STOPPING: Duration = Duration::from_secs(30);

/// Announces all torrents of a folder until SIGTERM, and `stopped` then. They are leechers, and named peers count as they do
/// for a client that doesn't count its own.
pub(crate) fn run(folder: &Path, port: u16) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(announce(folder, port))
}

async fn announce(folder: &Path, port: u16) -> Result<(), String> {
    let mut terminated = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let announcer = Announcer::new();
    let mut handles = Vec::new();
    for file in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let file = file.and_then(|file| fs::read(file.path())).map_err(|error| error.to_string())?;
        let metainfo = Metainfo::parse(&file).map_err(|error| error.to_string())?;
        let mut torrent = Torrent::new(metainfo.info_hash(), PeerId::random(*b"-XX0001-"), port);
        torrent.transfer.left = Some(metainfo.total_length());
        let (handle, alerts) = announcer.add(TrackerSet::from(&metainfo), torrent);
        // Without a listener no alerts are kept.
        drop(alerts);
        handles.push(handle);
    }
    terminated.recv().await;
    let report = announcer.shutdown(STOPPING).await;
    let (failed, unanswered) = (report.failed.len(), report.unanswered.len());
    println!("stopped: {} acknowledged, {failed} failed, {unanswered} unanswered", report.acknowledged.len());
    Ok(())
}
