//! Swarms: many clients of one torrent among several trackers, and which of them learn of each other.
//!
//! Failover is measured with one client, because a tracker lives or doesn't. Whether clients *meet* takes at least two:
//! independent trackers don't know each other's peers, so a client that is content with any living tracker may never
//! be named to the one it looks for. A [`World`] here is trackers (independent, or clusters with a common set of
//! peers), and clients with their region, role and start. [`play`] lets all of them live in one virtual time, each of
//! ours with an engine of its own, and gives a [`Log`] of what trackers heard and which peers they named; [`watch`] shows every
//! packet as well, and what our clients print.

mod agent;
mod draw;
mod log;
mod model;
mod ours;
mod play;
mod registry;
mod rules;
mod watch;
mod world;

pub use draw::{Draw, Starts};
pub use log::{Heard, Log};
pub use play::{explain, play, watch};
pub use watch::{Carries, Line, Packet, Watched};
pub use world::{Answers, Kind, Member, REGIONS, Residents, Tracker, World};
