//! Finds the nearest working BitTorrent tracker, announces to it, and fails over when it stops working: mostly
//! within half a second while a user waits, else within 4 s.
//!
#![cfg_attr(all(feature = "http", feature = "metainfo"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "http", feature = "metainfo")), doc = "```ignore")]
//! use tracker_failover::{Announcer, Metainfo, PeerId, Torrent, TrackerSet};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let metainfo = Metainfo::parse(&std::fs::read("some.torrent")?)?;
//! let mut torrent = Torrent::new(metainfo.info_hash(), PeerId::random(*b"-XX0001-"), 6881);
//! torrent.transfer.left = Some(metainfo.total_length());
//!
//! let (handle, mut alerts) = Announcer::new().add(TrackerSet::from(&metainfo), torrent);
//! loop {
//!     tokio::select! {
//!         Some(alert) = alerts.next() => {
//!             println!("[{}] {alert}", alert.tag()); // [TRACKER] switching http://a.example -> http://b.example
//!             for _peer in alert.peers() { /* connect to peer.address */ }
//!         }
//!         _ = tokio::signal::ctrl_c() => break,
//!     }
//! }
//! handle.stop().await?; // sends `stopped` to the trackers that list us, which takes at most 3 s
//! # Ok(())
//! # }
//! ```
//!
//! It needs two crates: `tracker-failover`, and `tokio` with the features `macros`, `rt-multi-thread` and `signal`.
//!
//! All trackers of a torrent are measured in parallel. The first announce goes to the first tracker that answers, and later
//! announces stay there. `started`, regular announces, `completed` and `stopped` all fail over: connections to the next
//! trackers are raced, and the announce goes to the first one that is established. So a silent tracker costs about a quarter
//! of a second when the user waits for peers, and no working tracker gets more announces than it needs to.
//!
//! ```text
//!  your client ── AnnounceHandle (one torrent) ◄── Alert, Status
//!                    │
//!                 Announcer (one per process): one loop; clock, entropy, tasks, open channels
//!                    │ outputs: Probe Open Announce Close Alert Wait    ▲ inputs: Probed Opened Replied Failed
//!    policy (pure)   ▼                                                  │
//!    Engine: torrents (TrackerSet, round, Schedule, Ledger) and hosts (HealthBook)
//!    wire (pure): torrent files · bencode · queries and replies · UDP packets · compact peers
//!    net (IO): HttpTransport · UdpTransport · HttpProber · UdpProber · Resolver
//! ```
//!
//! # Map
//!
//! | To | see |
//! |---|---|
//! | announce a torrent from start to stop | [`Announcer::add`], [`AnnounceHandle`], [`Alerts`] |
//! | choose features: TLS, your own HTTP client | [`manual::features`] |
//! | announce many: a desktop client, a seedbox | [`manual::usage`], [`AnnounceHandle::count_with`], [`Announcer::alerts`] |
//! | go through a proxy, or by the interface of a VPN, with everything | `AnnouncerBuilder::proxy`, `interface` ([`manual::usage`]) |
//! | use another HTTP client, with its proxy and TLS | [`wire::http`], [`transport::from_fn`] |
//! | use another network or name look-up | [`Transport`], [`Prober`], [`Resolver`] |
//! | use another runtime, or none | [`policy::Engine`] |
//! | check a list of trackers | [`TrackerUrl`] and [`TrackerSet`] read it, [`Announcer::announce`] tries it, [`Prober`] measures one |
//! | show metrics and a status page | [`Announcer::hosts`], [`Announcer::alerts`], [`AnnounceHandle::status`] |
//! | change a running session | [`set_port`], [`set_private`], [`set_order`], [`change_trackers`], [`pause`], [`resume`] |
//! | scrape many torrents | [`AnnounceHandle::scrape_all`], [`wire::http::scrape_batches`] |
//! | make one announce with failover | [`Announcer::announce`] |
//! | follow what happens | [`Alert`] for events, [`Status`] for the current state |
//! | change order, patience or intervals | [`Config`], with a reason for each default in [`manual::defaults`] |
//! | add trackers of a public list, or deny some | [`TrackerList`], [`DenyList`], [`TrackerSet::add_list`] |
//! | keep latencies from one run to the next | `AnnouncerBuilder::latency_cache`, [`policy::HealthBook::restore`] |
//! | share what is known of trackers between processes | [`HostStore`], `AnnouncerBuilder::host_store`, [`policy::Engine::merge`] |
//! | read torrent files, write queries, read replies | [`wire`] |
//! | know how many trackers a torrent is announced to | [`manual::reach`] |
//! | learn how it works, and where it differs from the specifications | [`manual`] |
//!
//! What needs the feature `tokio` leads to the manual where it is off.
//!
#![cfg_attr(feature = "tokio", doc = "[`set_port`]: AnnounceHandle::set_port")]
#![cfg_attr(feature = "tokio", doc = "[`set_private`]: AnnounceHandle::set_private")]
#![cfg_attr(feature = "tokio", doc = "[`set_order`]: AnnounceHandle::set_order")]
#![cfg_attr(feature = "tokio", doc = "[`change_trackers`]: AnnounceHandle::change_trackers")]
#![cfg_attr(feature = "tokio", doc = "[`pause`]: AnnounceHandle::pause")]
#![cfg_attr(feature = "tokio", doc = "[`resume`]: AnnounceHandle::resume")]
#![cfg_attr(feature = "tokio", doc = "[`Resolver`]: net::resolver::Resolver")]
#![cfg_attr(not(feature = "tokio"), doc = "[`Announcer::add`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`AnnounceHandle`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`Alerts`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`AnnounceHandle::count_with`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`Announcer::alerts`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`Announcer::announce`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`Announcer::hosts`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`AnnounceHandle::status`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`AnnounceHandle::scrape_all`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`set_port`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`set_private`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`set_order`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`change_trackers`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`pause`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`resume`]: manual::usage")]
#![cfg_attr(not(feature = "tokio"), doc = "[`Resolver`]: manual::usage")]
//!
//! # Features
//!
//! All features are additive; [`manual::features`] says which line to add for which program. `http` (default): HTTP trackers over hyper. `udp` (default): UDP trackers (BEP 15).
//! `tls-ring` (default) or `tls-aws-lc-rs`: HTTPS trackers over rustls with one of its providers; `tls`: with the program's
//! own. `webpki-roots` (default): Mozilla's root certificates; `tls-native-roots`: those of the system.
//! `gzip` (default): compressed answers. `proxy` (default): all trackers through a SOCKS 5 or HTTP proxy. `metainfo`
//! (default): torrent files, with SHA-1 and SHA-256. `cache`: a file that keeps what is known about tracker hosts from one run
//! to the next; `redis`: a store in Redis, by which processes share it. `hickory`: name look-ups by family, over sockets of the
//! client's, and tracker records in DNS. `tracing`, `metrics` and `serde` pass on what happens, see [`manual::usage`]. `tokio`:
//! the `Announcer` alone, for clients with their own transport. Without features there are the policy and the wire formats,
//! without tokio and hyper.
//!
//! # Secrets
//!
//! Announce addresses hold passkeys. [`TrackerUrl`] displays scheme, host and port only, and no other part of an address
//! appears in alerts, errors or debug output.

mod address;
mod alert;
mod announce;
mod channel;
#[cfg(feature = "tokio")]
mod counters;
mod error;
#[cfg(feature = "metainfo")]
mod from_metainfo;
mod host_snapshot;
mod host_store;
pub mod manual;
#[cfg(feature = "tokio")]
pub mod net;
pub mod policy;
mod prober;
mod scrape;
#[cfg(feature = "serde")]
mod seconds;
mod text;
mod time;
mod tracker;
mod tracker_list;
pub mod transport;
pub mod wire;

pub use address::{AddressKind, AddressPolicy, usable_peers};
pub use alert::{
    Alert, AlertLevel, AnnounceReason, Announced, Deferral, ShutdownReport, StopResult, TorrentStopped,
};
pub use announce::{
    AnnounceRequest, AnnounceResponse, Event, InfoHash, InfoHashError, Peer, PeerAddress, PeerCounts, PeerId,
    Torrent, Transfer,
};
pub use channel::{Channel, Transport};
#[cfg(feature = "tokio")]
pub use counters::Counters;
pub use error::{
    AnnounceError, AnnouncerEnded, CacheError, Cause, FailedAttempt, RedirectError, Rejection, ReplyError,
    Retry, RoundError, TimeoutPhase, TlsMissing,
};
pub use host_snapshot::{HostSnapshot, RttSnapshot};
pub use host_store::{HostStore, StoreTimes};
#[cfg(any(feature = "http", feature = "udp"))]
pub use net::settings::BuildError;
#[cfg(feature = "tokio")]
pub use net::{
    alerts::{Alerts, AllAlerts},
    announcer::Announcer,
    builder::AnnouncerBuilder,
    handle::AnnounceHandle,
    torrents::StopReport,
};
pub use policy::config::{AnnounceTo, Config, Order, Probing, Scheduling, Schemes};
pub use policy::hosts::HostStatus;
pub use policy::torrent::{Status, TrackerRole, TrackerState, TrackerStatus};
pub use policy::tracker_set::TrackerSet;
pub use prober::{Measurement, Prober};
pub use scrape::{ScrapeResponse, SwarmCounts};
pub use tracker::{AddressFamily, Scheme, TrackerHost, TrackerUrl, TrackerUrlError};
pub use tracker_list::{DenyList, ListError, ListErrorReason, TrackerList};
#[cfg(feature = "metainfo")]
pub use wire::metainfo::{FileEntry, Metainfo, MetainfoError, SkipReason, SkippedTracker};

/// Parts of the policy for the reference models in `tests`. No part of the public interface.
#[doc(hidden)]
pub mod internals {
    pub use crate::policy::torrent::Ledger;
}

/// Compiles the examples of the README.
#[cfg(all(doctest, feature = "http", feature = "metainfo"))]
#[doc = include_str!("../README.md")]
struct Readme;
