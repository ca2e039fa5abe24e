//! Finds the nearest living BitTorrent tracker, announces to it, and moves on in well under a second when it
//! dies.
//!
#![cfg_attr(feature = "http", doc = "```no_run")]
#![cfg_attr(not(feature = "http"), doc = "```ignore")]
//! use tracker_failover::{Announcer, Metainfo, PeerId, Torrent, TrackerSet};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let metainfo = Metainfo::parse(&std::fs::read("some.torrent")?)?;
//! let peer_id = PeerId::with_prefix(*b"-XX0001-", rand::random());
//! let mut torrent = Torrent::new(metainfo.info_hash(), peer_id, 6881);
//! torrent.transfer.left = Some(metainfo.total_length());
//!
//! let mut session = Announcer::new().add(TrackerSet::from(&metainfo), torrent);
//! while let Some(alert) = session.next_alert().await {
//!     println!("[{}] {alert}", alert.tag()); // [TRACKER] switching http://a.example -> http://b.example
//!     for peer in alert.peers() { /* connect to peer.address */ }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! All trackers of a torrent are measured in parallel; the announce goes to the first that answers, and later ones
//! stay there. Each of `started`, the regular announces, `completed` and `stopped` fails over: connections to the
//! next trackers are raced, and the announce goes to the first that shows life, so a silent tracker costs
//! about a quarter of a second where somebody waits, and no living one hears more than it has to.
//!
//! ```text
//!  your client ── AnnounceHandle (one torrent) ◄── Alert, Status
//!                    │
//!                 Announcer (one per process): one loop; clock, entropy, tasks, open channels
//!                    │ outputs: Probe Open Announce Close Alert Wait    ▲ inputs: Probed Opened Replied Failed
//!    policy (pure)   ▼                                                  │
//!    Engine: torrents (TrackerSet, round, Schedule, Ledger) and hosts (HealthBook)
//!    wire (pure): torrent files · bencode as it is found · queries and replies · UDP packets · compact peers
//!    net (IO): HttpTransport · UdpTransport · HttpProber · UdpProber · Resolver
//! ```
//!
//! # Map
//!
//! | To | see |
//! |---|---|
//! | announce a torrent for the whole of its life | `Announcer::add`, `AnnounceHandle` |
//! | make one announce with failover | `Announcer::announce` |
//! | know what happens | [`Alert`] as it does, [`Status`](policy::Status) as it stands |
//! | change the order, the patience, the intervals | [`Config`], with its reasons in [`manual::defaults`] |
//! | start where the last run ended | `AnnouncerBuilder::latency_cache`, [`policy::HealthBook::recall`] |
//! | bring an HTTP client or a network | [`transport::from_fn`], [`Transport`], [`Prober`] |
//! | bring a runtime, or none | [`policy::Engine`] |
//! | read torrent files, write queries, read replies | [`wire`] |
//! | know how it works, and where it differs from the specifications | [`manual`] |
//!
//! # Features
//!
//! They only add. `http` (default): HTTP trackers over hyper. `udp` (default): UDP trackers (BEP 15). `tls` (default):
//! HTTPS trackers over rustls with the roots of Mozilla; `tls-native-roots`: the system's beside them. `gzip`
//! (default): compressed answers. `cache`: a file that keeps what is known of tracker hosts from one run to the next.
//! `tokio`: the `Announcer` for whoever brings the transport. With none of them there are the policy and the wire
//! formats, without tokio and hyper.
//!
//! # Secrets
//!
//! Announce addresses hold passkeys. [`TrackerUrl`] prints scheme, host and port; nothing else of an address is in
//! any alert, error or debug output.

pub mod address;
pub mod alert;
pub mod announce;
pub mod error;
mod from_metainfo;
pub mod host_snapshot;
pub mod manual;
#[cfg(feature = "tokio")]
pub mod net;
pub mod policy;
pub mod prober;
pub mod scrape;
mod text;
mod time;
pub mod tracker;
pub mod transport;
pub mod wire;

pub use address::{AddressKind, AddressPolicy, usable_peers};
pub use alert::{Alert, Announced, ShutdownReport, StopResult, TorrentStopped};
pub use announce::{
    AnnounceRequest, AnnounceResponse, Event, InfoHash, InfoHashError, Peer, PeerAddress, PeerId, Torrent,
    Transfer,
};
pub use error::{
    AnnounceError, AnnouncerEnded, CacheError, Cause, FailedAttempt, Phase, RedirectError, Rejection,
    ReplyError, Retry, RoundError,
};
pub use host_snapshot::{HostSnapshot, RttSnapshot};
#[cfg(feature = "tokio")]
pub use net::{alerts::Alerts, announcer::Announcer, builder::AnnouncerBuilder, handle::AnnounceHandle};
pub use policy::{Config, Order, Probing, TrackerSet};
pub use prober::{Measurement, Prober};
pub use scrape::{ScrapeResponse, SwarmCounts};
pub use tracker::{Scheme, TrackerHost, TrackerUrl, TrackerUrlError};
pub use transport::{Channel, Transport};
pub use wire::metainfo::{Metainfo, MetainfoError};

/// The README's examples, compiled.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../README.md")]
struct Readme;
