//! Finds the nearest living BitTorrent tracker, announces to it, and moves on in well under a second when it
//! dies.

pub mod address;
pub mod announce;
pub mod error;
#[cfg(feature = "tokio")]
pub mod net;
pub mod prober;
pub mod scrape;
pub mod tracker;
pub mod transport;
pub mod wire;

pub use address::{AddressKind, AddressPolicy, usable_peers};
pub use announce::{
    AnnounceRequest, AnnounceResponse, Event, InfoHash, InfoHashError, Peer, PeerAddress, PeerId, Transfer,
};
pub use error::{
    AnnounceError, Cause, FailedAttempt, Phase, ProbeError, RedirectError, Rejection, ReplyError, Retry,
    RoundError,
};
pub use prober::{Measurement, Prober};
pub use scrape::{ScrapeResponse, SwarmCounts};
pub use tracker::{Scheme, TrackerHost, TrackerUrl, TrackerUrlError};
pub use transport::{Channel, Transport};
