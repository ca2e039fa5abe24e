//! Finds the nearest living BitTorrent tracker, announces to it, and moves on in well under a second when it
//! dies.

pub mod address;
pub mod alert;
pub mod announce;
pub mod error;
mod from_metainfo;
#[cfg(feature = "tokio")]
pub mod net;
pub mod policy;
pub mod prober;
pub mod scrape;
pub mod tracker;
pub mod transport;
pub mod wire;

pub use address::{AddressKind, AddressPolicy, usable_peers};
pub use alert::{Alert, Announced, ToldStopped};
pub use announce::{
    AnnounceRequest, AnnounceResponse, Event, InfoHash, InfoHashError, Peer, PeerAddress, PeerId, Torrent,
    Transfer,
};
pub use error::{
    AnnounceError, Cause, FailedAttempt, Phase, ProbeError, RedirectError, Rejection, ReplyError, Retry,
    RoundError,
};
#[cfg(feature = "tokio")]
pub use net::{Alerts, AnnounceHandle, Announcer, AnnouncerBuilder};
pub use policy::{Config, Order, Probing, TrackerSet};
pub use prober::{Measurement, Prober};
pub use scrape::{ScrapeResponse, SwarmCounts};
pub use tracker::{Scheme, TrackerHost, TrackerUrl, TrackerUrlError};
pub use transport::{Channel, Transport};
pub use wire::metainfo::{Metainfo, MetainfoError};
