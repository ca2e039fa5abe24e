//! Our side of the comparison: the library as a client would use it, until it is killed.

use std::process::ExitCode;

use tracker_failover::{Announcer, Config, Metainfo, Order, PeerId, Torrent, TrackerSet};

/// Announces a torrent file's torrent, and prints what happens.
pub(crate) async fn run(file: &str, bep12: bool) -> ExitCode {
    let metainfo = match std::fs::read(file).map(|bytes| Metainfo::parse(&bytes)) {
        Ok(Ok(metainfo)) => metainfo,
        Ok(Err(error)) => return refused(&error),
        Err(error) => return refused(&error),
    };
    let mut torrent = Torrent::new(metainfo.info_hash(), PeerId::new(*b"-TF0001-compare00000"), 6881);
    torrent.transfer.left = Some(metainfo.total_length());
    let trackers = TrackerSet::new(metainfo.announce_tiers().to_vec()).with_private(metainfo.is_private());
    let mut config = Config::default();
    if bep12 {
        config.order = Order::Bep12;
    }
    let mut session = Announcer::builder().config(config).spawn().add(trackers, torrent);
    while let Some(alert) = session.next_alert().await {
        println!("[{}] {alert}", alert.tag());
    }
    ExitCode::SUCCESS
}

fn refused(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}
