//! Scripted BitTorrent trackers on loopback, or in memory, that do what a test sets and log what they receive.
//!
//! They judge a client, so they share no code with it: requests are read and replies are written here, by
//! hand. Nothing here is published; tests, benches and the demo use it.
//!
//! ```
//! use std::time::Duration;
//! use fake_tracker::{Behaviour, FakeTracker};
//!
//! # async fn client(_: &str) {}
//! # async fn example() {
//! let tracker = FakeTracker::start(Behaviour::ok_after(Duration::from_millis(30))).await;
//! client(&tracker.announce_url()).await;
//! let announces = tracker.wait_for_announces(1).await;
//! assert_eq!(announces[0].event(), Some("started"));
//!
//! tracker.set_behaviour(Behaviour::status(500));   // broken,
//! tracker.kill().await;                            // dead,
//! tracker.revive().await;                          // and back on the same port
//! # }
//! ```
//!
//! | To have | take |
//! |---|---|
//! | one tracker on a port | [`FakeTracker::start`], [`start_at`](FakeTracker::start_at) |
//! | several that gossip | [`Cluster::start`] |
//! | virtual time: no ports, a paused clock | [`FakeTracker::in_memory`], [`connect_in_memory`](FakeTracker::connect_in_memory), [`Cluster::in_memory`] |
//! | the script over another stream, such as TLS | [`FakeTracker::serve_stream`] |
//! | what a tracker does | [`Behaviour`], and [`Step`] by step for the rest |
//! | a proxy on the way to them | [`FakeProxy`] |
//! | what it heard | [`FakeTracker::heard`], [`Heard`] |
//!
//! All waiting is done by tokio's clock. Real sockets and a paused clock don't go together: an idle runtime
//! jumps ahead while a packet is on its way.

pub mod bencode;

mod answer;
mod behaviour;
mod cluster;
mod http;
mod log;
mod port;
mod proxy;
mod request;
mod serve;
mod shared;
mod swarm;
mod tracker;
mod udp;

pub use answer::{Answer, Failure, Framing, PeerForm, Peers, Reply, RetryIn};
pub use behaviour::{Behaviour, Step};
pub use cluster::Cluster;
pub use http::compact;
pub use log::{Counts, LOG_LIMIT};
pub use proxy::{FakeProxy, ProxyRules};
pub use request::{Asked, Heard, percent_decode, percent_encode};
pub use swarm::{PEER_LIMIT, Swarm, SwarmCounts, SwarmPeer};
pub use tracker::FakeTracker;
pub use udp::{FakeUdpTracker, UdpAnswer, UdpAsked, UdpBehaviour, UdpHeard};
