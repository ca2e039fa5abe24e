//! Finds the nearest living BitTorrent tracker, announces to it, and moves on in well under a second when it
//! dies.

pub mod alert;
pub mod announce;
pub mod error;
pub mod policy;
pub mod prober;
pub mod scrape;
pub mod tracker;
pub mod transport;
pub mod wire;

pub use alert::{Alert, Announced, ToldStopped};
pub use announce::{
    AnnounceRequest, AnnounceResponse, Event, InfoHash, InfoHashError, Peer, PeerAddress, PeerId, Torrent,
    Transfer,
};
pub use error::{
    AnnounceError, Cause, FailedAttempt, Phase, ProbeError, RedirectError, Rejection, ReplyError, Retry,
    RoundError,
};
pub use prober::{Measurement, Prober};
pub use scrape::{ScrapeResponse, SwarmCounts};
pub use tracker::{Scheme, TrackerHost, TrackerUrl, TrackerUrlError};
pub use transport::{Channel, Transport};
pub use wire::metainfo::{Metainfo, MetainfoError};
