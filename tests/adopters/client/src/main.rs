//! Announces a magnet's torrent to the trackers of the command line until Ctrl+C.

use std::time::Duration;

use client::Download;
use tracker_failover::{Announcer, TrackerSet, TrackerUrl};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tiers = std::env::args().skip(1).map(|tracker| Ok([tracker.parse()?]));
    let tiers: Vec<[TrackerUrl; 1]> = tiers.collect::<Result<_, Box<dyn std::error::Error>>>()?;
    let announcer = Announcer::new();
    let download = Download::magnet(&announcer, [5; 20], TrackerSet::new(tiers), 6881);
    tokio::signal::ctrl_c().await?;
    let report = announcer.shutdown(Duration::from_secs(5)).await;
    println!("stopped: {} acknowledged, {} failed", report.acknowledged.len(), report.failed.len());
    drop(download);
    Ok(())
}
