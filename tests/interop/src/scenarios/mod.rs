//! What a session goes through with real trackers, and what they are expected to believe.

mod completed;
mod downloads;
mod failover;
mod frozen;
mod interrupted;
mod mixed;
mod npm;
mod udp_dead;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tracker_failover::policy::Config;
use tracker_failover::{Alert, Announced, Announcer, TrackerSet, TrackerUrl};

use crate::report::Report;
use crate::session::Session;
use crate::tools::Tools;
use crate::tracker::{Kind, Tracker};

/// The torrent of all scenarios; each has trackers of its own.
pub(crate) const TORRENT: [u8; 20] = *b"\x00\x01 +%&=?/\x7f\x80\xc3\xfftorrent";

/// Where our session takes connections.
const OUR_PORT: u16 = 50_001;

/// Where the seed does that all trackers know from the beginning.
const SEEDS_PORT: u16 = 50_002;

/// A scenario that can't go on says why.
type Outcome = Result<(), Box<dyn Error>>;

/// What a scenario is given.
struct Lab<'a> {
    tools: &'a Arc<Tools>,
    report: &'a mut Report,
}

/// Runs the scenarios whose names hold one of these words, all where there is none.
pub(crate) async fn run(tools: &Arc<Tools>, words: &[String], report: &mut Report) {
    macro_rules! scenarios {
        ($($name:literal => $scenario:path,)*) => {$(
            if words.is_empty() || words.iter().any(|word| $name.contains(word.as_str())) {
                report.scenario($name);
                let mut lab = Lab { tools, report: &mut *report };
                if let Err(why) = $scenario(&mut lab).await {
                    report.broken(why);
                }
            }
        )*};
    }
    scenarios! {
        "opentracker: three up, the one in use dies, all die, the first returns" => failover::http,
        "opentracker over UDP: three up, the one in use dies, all die, the first returns" => failover::udp,
        "opentracker: the one in use freezes and thaws" => frozen::known,
        "opentracker over UDP: the one in use freezes and thaws" => frozen::known_over_udp,
        "opentracker: an announce that is answered after another was" => frozen::late,
        "opentracker: an announce that is heard though nobody waits for the answer" => frozen::given_up,
        "opentracker: completed" => completed::in_place,
        "opentracker: completed while the one in use is dead" => completed::elsewhere,
        "bittorrent-tracker: a single one, from started to stopped" => npm::single,
        "bittorrent-tracker over UDP: a single one, from started to stopped" => npm::single_over_udp,
        "bittorrent-tracker: two, one dies and returns" => npm::two,
        "mixed tiers from a torrent file, the nearest first" => mixed::nearest,
        "mixed tiers from a torrent file, by BEP 12" => mixed::bep12,
        "downloads: our client from Transmission" => downloads::from_transmission,
        "downloads: our client from aria2" => downloads::from_aria2,
        "downloads: our client from libtorrent" => downloads::from_libtorrent,
        "downloads: Transmission from our client" => downloads::to_transmission,
        "downloads: aria2 from our client" => downloads::to_aria2,
        "downloads: libtorrent from our client" => downloads::to_libtorrent,
        "downloads: our client is killed ten times" => interrupted::client_killed,
        "downloads: the tracker in use is killed half-way" => interrupted::tracker_killed,
        "downloads: two dead UDP trackers before opentracker" => udp_dead::two_dead,
    }
}

impl Lab<'_> {
    /// Starts a tracker that knows a seed.
    async fn tracker(&self, kind: Kind) -> io::Result<Tracker> {
        let mut tracker = Tracker::start(self.tools, kind, TORRENT).await?;
        tracker.add_seed(SEEDS_PORT).await?;
        Ok(tracker)
    }
}

/// An announcer with short waits after rounds that failed; all else is the default.
fn announcer() -> Announcer {
    let mut config = Config::default();
    config.retry_floor = Duration::from_millis(500);
    config.retry_first = Duration::from_secs(1);
    config.retry_ceiling = Duration::from_secs(1);
    Announcer::builder().config(config).spawn()
}

/// These trackers, each a tier.
fn tiers_of(trackers: &[Tracker]) -> Result<TrackerSet, Box<dyn Error>> {
    let urls: Result<Vec<TrackerUrl>, _> =
        trackers.iter().map(|tracker| tracker.announce_url().parse()).collect();
    Ok(TrackerSet::new(urls?.into_iter().map(|url| [url])))
}

/// Which of these trackers it is.
fn place_of(trackers: &[Tracker], url: &TrackerUrl) -> Result<usize, String> {
    let is = |address: SocketAddr| url.host() == address.ip().to_string() && url.port() == address.port();
    let place = trackers.iter().position(|tracker| is(tracker.address()));
    place.ok_or_else(|| format!("{url} is none of the trackers"))
}

/// The next announce that is answered.
async fn answered(session: &mut Session) -> Result<Arc<Announced>, String> {
    let pick = |alert: &Alert| match alert {
        Alert::Announced(announced) => Some(Arc::clone(announced)),
        _ => None,
    };
    session.wait_for("an answered announce", pick).await
}

/// Announces now, and gives what comes of it.
async fn announce(session: &mut Session) -> Result<Arc<Announced>, String> {
    session.forget().await;
    session.handle.reannounce();
    answered(session).await
}

/// The ports of the peers of an answer, in order.
fn ports(announced: &Announced) -> Vec<u16> {
    let port = |peer: &tracker_failover::Peer| match &peer.address {
        tracker_failover::PeerAddress::Ip(address) => address.port(),
        tracker_failover::PeerAddress::Name(_, port) => *port,
    };
    let mut ports: Vec<u16> = announced.response.peers.iter().map(port).collect();
    ports.sort_unstable();
    ports
}

/// Whether an answer named the seed.
fn found_the_seed(announced: &Announced) -> bool {
    ports(announced).contains(&SEEDS_PORT)
}

/// Ends a session, and gives how many trackers took its `stopped` and how many didn't.
async fn stop(session: Session) -> (usize, usize) {
    let told = session.handle.stop().await;
    let well = told.iter().filter(|told| told.result.is_ok()).count();
    (well, told.len() - well)
}
