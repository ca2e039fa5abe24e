//! What a session goes through with real trackers, and what they are expected to believe.

mod checker;
mod completed;
mod downloads;
mod encryption;
mod exchange;
mod failover;
mod families;
mod fast;
mod frozen;
mod https;
mod interrupted;
mod magnets;
mod mixed;
mod names;
mod npm;
mod overlay;
mod proxied;
mod reach;
mod single;
mod udp_dead;

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracker_failover::{Alert, Announced, Announcer, TrackerSet, TrackerUrl};
use tracker_failover::{AnnounceTo, Config};

use crate::report::Report;
use crate::session::Session;
use crate::tools::Tools;
use crate::tracker::{Family, Kind, Tracker};

/// The torrent of all scenarios; each has its own trackers.
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

/// Scenarios with this word in their names only run where it is asked for.
const ON_REQUEST: &str = "aquatic";

/// Runs the scenarios whose names hold one of these words; where there is none, all but those on request.
#[expect(clippy::too_many_lines, reason = "a table with a row for each scenario")]
pub(crate) async fn run(tools: &Arc<Tools>, words: &[String], report: &mut Report) {
    macro_rules! scenarios {
        ($($name:literal => $scenario:path,)*) => {$(
            if is_wanted($name, words) {
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
        "opentracker: an announce that arrives after its answer was given up" => frozen::given_up,
        "opentracker: completed" => completed::in_place,
        "opentracker: completed while the one in use is dead" => completed::elsewhere,
        "opentracker: a single one, from started to stopped" => single::opentracker,
        "opentracker over UDP: a single one, from started to stopped" => single::opentracker_udp,
        "opentracker over HTTPS: a single one, from started to stopped" => single::opentracker_https,
        "bittorrent-tracker: a single one, from started to stopped" => single::npm,
        "bittorrent-tracker over UDP: a single one, from started to stopped" => single::npm_udp,
        "bittorrent-tracker over HTTPS: a single one, from started to stopped" => single::npm_https,
        "bittorrent-tracker over IPv6: a single one, from started to stopped" => single::npm_v6,
        "bittorrent-tracker over UDP and IPv6: a single one, from started to stopped" => single::npm_udp_v6,
        "bittorrent-tracker over HTTPS and IPv6: a single one, from started to stopped" => single::npm_https_v6,
        "aquatic_udp: a single one, from started to stopped" => single::aquatic_udp,
        "aquatic_udp over IPv6: a single one, from started to stopped" => single::aquatic_udp_v6,
        "HTTPS: a certificate that isn't believed" => https::not_believed,
        "IPv6: the one in use dies, the next is in the other family, and back" => families::from_one_to_the_other,
        "IPv6: a name with both families, of which one has a tracker" => families::one_name,
        "bittorrent-tracker: two, one dies and returns" => npm::two,
        "checker: real trackers over each protocol and family" => checker::all,
        "mixed tiers from a torrent file, the nearest first" => mixed::nearest,
        "mixed tiers from a torrent file, by BEP 12" => mixed::bep12,
        "dante: trackers over HTTP, HTTPS and UDP through a SOCKS proxy" => proxied::by_dante,
        "downloads: our client from Transmission" => downloads::from_transmission,
        "downloads: our client from aria2" => downloads::from_aria2,
        "downloads: our client from libtorrent" => downloads::from_libtorrent,
        "downloads: Transmission from our client" => downloads::to_transmission,
        "downloads: aria2 from our client" => downloads::to_aria2,
        "downloads: libtorrent from our client" => downloads::to_libtorrent,
        "downloads: our client is killed ten times" => interrupted::client_killed,
        "downloads: the tracker in use is killed half-way" => interrupted::tracker_killed,
        "downloads: two dead UDP trackers before opentracker" => udp_dead::two_dead,
        "magnets: our client from libtorrent" => magnets::from_libtorrent,
        "magnets: our client from Transmission" => magnets::from_transmission,
        "magnets: our client from aria2" => magnets::from_aria2,
        "magnets: our client from qBittorrent" => magnets::from_qbittorrent,
        "magnets: each other client from our client" => magnets::from_ours,
        "encryption: our client from each that requires it, and from none that is plain" => encryption::from_others,
        "encryption: each that requires it from our client" => encryption::from_ours,
        "fast extension: libtorrent, both ways" => fast::both_ways,
        "names: libtorrent from our client" => names::from_ours,
        "names: our client from libtorrent" => names::from_libtorrent,
        "overlay: the DHT alone" => overlay::alone,
        "overlay: the DHT beside dead trackers" => overlay::beside_trackers,
        "overlay: libtorrent finds our client in the DHT" => overlay::announced,
        "overlay: our client and libtorrent exchange nodes" => overlay::nodes,
        "overlay: a private torrent stays out of the DHT" => overlay::private,
        "exchange: through our client" => exchange::by_ours,
        "exchange: through libtorrent" => exchange::by_libtorrent,
        "exchange: from a super-seeding libtorrent" => exchange::from_super_seed,
        "reach: two empty trackers before the one that knows the seed" => reach::two_empty_http,
        "reach over UDP: two empty trackers before the one that knows the seed" => reach::two_empty_udp,
        "reach: three opentrackers that share nothing, and three kinds of clients" => reach::spread,
    }
}

fn is_wanted(name: &str, words: &[String]) -> bool {
    let named = |words: &[String]| words.iter().any(|word| name.contains(word.as_str()));
    let on_request = !name.contains(ON_REQUEST) || words.iter().any(|word| word.contains(ON_REQUEST));
    on_request && (words.is_empty() || named(words))
}

impl Lab<'_> {
    /// Starts a tracker that knows a seed.
    async fn tracker(&self, kind: Kind) -> io::Result<Tracker> {
        self.tracker_at(kind, Family::V4).await
    }

    async fn tracker_at(&self, kind: Kind, family: Family) -> io::Result<Tracker> {
        let mut tracker = Tracker::start(self.tools, kind, family, TORRENT).await?;
        tracker.add_seed(SEEDS_PORT).await?;
        Ok(tracker)
    }
}

/// An announcer that announces to one tracker at a time, with short waits after rounds that failed; all else is the
/// default.
fn announcer() -> Announcer {
    Announcer::builder().config(short_waits()).spawn()
}

fn short_waits() -> Config {
    Config::default()
        .announce_to(AnnounceTo::One)
        .retry_floor(Duration::from_millis(500))
        .retry_first(Duration::from_secs(1))
        .retry_ceiling(Duration::from_secs(1))
}

/// These trackers, each a tier.
fn tiers_of(trackers: &[Tracker]) -> Result<TrackerSet, Box<dyn Error>> {
    let urls: Result<Vec<TrackerUrl>, _> =
        trackers.iter().map(|tracker| tracker.announce_url().parse()).collect();
    Ok(TrackerSet::new(urls?.into_iter().map(|url| [url])))
}

/// Which of these trackers it is.
fn place_of(trackers: &[Tracker], url: &TrackerUrl) -> Result<usize, String> {
    let is = |tracker: &Tracker| tracker.announce_url().parse::<TrackerUrl>().is_ok_and(|own| own == *url);
    let place = trackers.iter().position(is);
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
        other => panic!("a peer without a port: {other}"),
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
    let results = session.handle.stop().await.map(|stopped| stopped.results).unwrap_or_default();
    let well = results.iter().filter(|stopped| stopped.result.is_ok()).count();
    (well, results.len() - well)
}
