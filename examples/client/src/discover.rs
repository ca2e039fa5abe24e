//! How the command line wants peers to be found.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddrV4};
use std::time::Duration;

use tracker_failover::{AnnounceTo, InfoHash, Order, Torrent, TrackerSet};

use crate::discovery::Discovery;
use crate::discovery::node_file::NodeFile;
use crate::discovery::overlay::{self, Overlay};
use crate::discovery::rule::Joins;
use crate::discovery::trackers::{Options, Trackers};
use crate::process::Process;
use crate::ui::cli::{DiscoveryMode, Download, TrackerCount, TrackerOrder};
use crate::ui::report::Report;
use crate::way_out;

/// Starts to look for peers of a torrent: at these trackers, and by the DHT unless it is private.
pub(crate) async fn discover(
    (process, options): (&Process, &Download),
    set: TrackerSet,
    torrent: Torrent,
    private: bool,
    report: &RefCell<Report>,
) -> Discovery {
    let overlay = overlay(options, torrent.info_hash, private, torrent.port, report);
    let overlay = overlay.map(|settings| Overlay::new(settings, process.clock.now()));
    let mut trackers = None;
    if !options.no_trackers && options.discovery_mode != DiscoveryMode::Overlay {
        trackers = Trackers::start(&process.announcer, set, torrent, &asked(options, report).await);
    }
    Discovery::new(trackers, overlay)
}

/// How the DHT is used: not at all unless the command line wants it, and never for a private torrent (BEP 27).
fn overlay(
    options: &Download,
    info_hash: InfoHash,
    private: bool,
    port: u16,
    report: &RefCell<Report>,
) -> Option<overlay::Settings> {
    let joins = match options.discovery_mode {
        DiscoveryMode::Tracker => return None,
        DiscoveryMode::Overlay => Joins::AtOnce,
        DiscoveryMode::Both => Joins::AsNeeded,
    };
    if private {
        report.borrow_mut().tracker("OVERLAY", "private torrent: the DHT stays off");
        return None;
    }
    let allow_loopback = options.allow_loopback;
    let bootstrap = options.dht_bootstrap.iter().map(|node| node.0.clone()).collect();
    let further = options.dht_nodes.iter().flat_map(NodeFile::names).map(str::to_owned).collect();
    Some(overlay::Settings { joins, info_hash, port, bootstrap, further, allow_loopback })
}

/// Keeps nodes of the DHT for the next start, if the user wants that and there are any: those that have answered before
/// those that peers have named.
pub(crate) fn keep_nodes(
    options: &Download,
    discovery: &Discovery,
    learnt: Vec<SocketAddrV4>,
    report: &RefCell<Report>,
) {
    let nodes = [discovery.known_nodes(), learnt].concat();
    if let Some(file) = options.dht_nodes.as_ref().filter(|_| !nodes.is_empty())
        && let Err(error) = file.update(nodes)
    {
        report.borrow_mut().error(&format!("--dht-nodes: {error}"));
    }
}

/// How the command line wants trackers to be asked.
async fn asked(options: &Download, report: &RefCell<Report>) -> Options {
    let mut ip = None;
    if let Some(name) = &options.hostname {
        ip = address(name).await;
        if ip.is_none() {
            report
                .borrow_mut()
                .error(&format!("--hostname: {name} has no address, trackers use what they see"));
        }
    }
    let order = match options.order {
        TrackerOrder::Nearest => Order::Nearest,
        TrackerOrder::Bep12 => Order::Bep12,
    };
    let announce_to = match options.announce_to {
        TrackerCount::One => AnnounceTo::One,
        TrackerCount::Needed => AnnounceTo::AsNeeded,
        TrackerCount::Tier => AnnounceTo::EachTier,
        TrackerCount::All => AnnounceTo::All,
    };
    let interval = options.announce_interval.map(|seconds| Duration::from_secs(seconds.into()));
    let (allow_loopback, latency_cache) = (options.allow_loopback, options.latency_cache.clone());
    Options { order, announce_to, interval, ip, allow_loopback, latency_cache }
}

/// The address of a name, which is looked up unless that would pass the way out by.
async fn address(name: &str) -> Option<IpAddr> {
    if !way_out::looks_up() {
        return name.parse().ok();
    }
    let found = tokio::net::lookup_host((name, 0)).await.ok();
    found.and_then(|mut found| found.next()).map(|address| address.ip())
}
