//! Worlds, torrents and users as a seed draws them.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tracker_failover::policy::Timestamp;
use tracker_failover::{AnnounceTo, Config, Order, Probing};
use tracker_failover::{Retry, Scheme};

use super::commands::{Listing, Newcomer};
use super::life::Life;
use super::world::{Condition, Host, Script, World};

/// How long scripts go on.
const HORIZON: Duration = Duration::from_secs(48 * 3600);

/// Torrents, hosts, and sick ones among these in a full world.
const FULL: (usize, usize, usize) = (200, 40, 30);

/// How large a world is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// As the seed draws it: 1 to 200 torrents (thousands in one of a hundred) on 1 to 40 hosts.
    Drawn,
    /// 200 torrents on 40 hosts of which 30 are sick.
    Full,
}

/// What a seed draws: a life, and the user in it.
pub(super) struct Drawn {
    pub(super) life: Life,
    pub(super) user: User,
    /// When it ends.
    pub(super) until: Timestamp,
}

/// A user who adds, changes and ends torrents.
pub(super) struct User {
    random: StdRng,
    /// How many torrents there are at most.
    most: usize,
    /// How long it does nothing, on average.
    idle: Duration,
    private: f64,
    seeds: f64,
    own: f64,
    gaps: f64,
    trackers: usize,
    longest_list: usize,
}

impl Drawn {
    pub(super) fn new(seed: u64, size: Size) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let is_start_of_thousands = random.random_bool(0.01) && size == Size::Drawn;
        let world = world(&mut random, size);
        let most = match random.random_range(0..4) {
            0 => random.random_range(1..=4),
            1 => random.random_range(2..=12),
            2 => random.random_range(10..=60),
            _ => random.random_range(50..=200),
        };
        let most = if size == Size::Full { FULL.0 } else { most };
        let mut user = User {
            most: if is_start_of_thousands { random.random_range(1000..4000) } else { most },
            idle: Duration::from_secs(*pick(&mut random, &[20, 120, 600, 3600])),
            private: *pick(&mut random, &[0.0, 0.1, 0.5]),
            seeds: *pick(&mut random, &[0.0, 0.3, 0.8]),
            own: *pick(&mut random, &[0.0, 0.1, 0.4]),
            gaps: *pick(&mut random, &[0.0, 0.0, 0.05]),
            trackers: world.trackers.len(),
            longest_list: *pick(&mut random, &[1, 3, 6, 12]),
            random: StdRng::seed_from_u64(random.random()),
        };
        let mut config = config(&mut random);
        // `Config::strict_bep12` keeps to one tracker.
        let as_needed = !config.is_by_tiers() && random.random_bool(0.3);
        if as_needed {
            config = config.announce_to(AnnounceTo::AsNeeded);
        }
        let mut life = Life::new(world, config, random.random());
        life.as_needed = as_needed;
        let first =
            if random.random_bool(0.5) || size == Size::Full { user.most } else { user.most.div_ceil(4) };
        for _ in 0..first {
            let newcomer = user.newcomer();
            life.add(newcomer);
        }
        let until = if is_start_of_thousands { 1800 } else { random.random_range(2..=24) * 3600 };
        Self { life, user, until: Timestamp::from_start(Duration::from_secs(until)) }
    }
}

fn pick<'a, T>(random: &mut StdRng, from: &'a [T]) -> &'a T {
    &from[random.random_range(0..from.len())]
}

fn config(random: &mut StdRng) -> Config {
    let mut config = Config::default().announce_to(AnnounceTo::One);
    match random.random_range(0..12) {
        0 => config = Config::strict_bep12(),
        1 | 2 => config = config.order(Order::Bep12),
        3 => config = config.without_race(),
        _ => {}
    }
    if random.random_bool(0.3) {
        config = config.probing(Probing::Off);
    }
    config
}

fn world(random: &mut StdRng, size: Size) -> World {
    let mut world = World::default();
    let most = *pick(random, &[8, 40]);
    let hosts = random.random_range(1..=most);
    let sick = *pick(random, &[0.2, 0.5, 0.75, 0.95]);
    let hosts = if size == Size::Full { FULL.1 } else { hosts };
    for number in 0..hosts {
        let scheme = *pick(random, &[Scheme::Http, Scheme::Http, Scheme::Https, Scheme::Udp]);
        let is_sick = if size == Size::Full { number < FULL.2 } else { random.random_bool(sick) };
        let script = if is_sick { sick_script(random, false) } else { Script::well() };
        let host = world.host(Host {
            scheme,
            round_trip: Duration::from_millis(random.random_range(5..200)),
            work: Duration::from_millis(random.random_range(0..100)),
            script,
        });
        // Siblings share a host, and one may fail where another doesn't.
        for _ in 0..*pick(random, &[1, 1, 1, 2, 3]) {
            let script = if random.random_bool(0.1) { sick_script(random, true) } else { Script::well() };
            let tracker = world.tracker(host, script);
            let of = &mut world.trackers[tracker];
            let secs =
                *pick(random, &[None, Some(0), Some(60), Some(300), Some(1800), Some(1800), Some(7200)]);
            of.interval = secs.map(Duration::from_secs);
            if random.random_bool(0.4) {
                of.min_interval = Some(Duration::from_secs(random.random_range(0..2400)));
            }
        }
    }
    world
}

/// How a host, one of its addresses, or a host towards one torrent comes and goes.
fn sick_script(random: &mut StdRng, opens: bool) -> Script {
    let (sick, well) = match random.random_range(0..5) {
        // Dead for ever.
        0 => return Script::always(sickness(random, opens)),
        // Flaps.
        1 => (1..120, 1..120),
        // Drops packets for a moment.
        2 => (1..20, 300..7200),
        // Mostly dead.
        3 => (600..20_000, 60..1200),
        // Mostly well.
        _ => (30..3600, 600..20_000),
    };
    let mut script = Script::always(Condition::Well);
    let mut at = Duration::ZERO;
    let same = random.random_bool(0.7).then(|| sickness(random, opens));
    if random.random_bool(0.5) {
        at = Duration::from_millis(1000 * random.random_range(well.clone()) / 2);
    }
    while at < HORIZON {
        let condition = same.unwrap_or_else(|| sickness(random, opens));
        script = script.then(Timestamp::from_start(at), condition);
        at += Duration::from_millis(random.random_range(sick.start * 1000..sick.end * 1000));
        script = script.then(Timestamp::from_start(at), Condition::Well);
        at += Duration::from_millis(random.random_range(well.start * 1000..well.end * 1000));
    }
    script
}

fn sickness(random: &mut StdRng, opens: bool) -> Condition {
    let hint = match random.random_range(0..10) {
        0..=6 => Retry::Unsaid,
        7..=8 => Retry::After(Duration::from_secs(random.random_range(10..5000))),
        _ if random.random_bool(0.2) => Retry::Never,
        _ => Retry::Unsaid,
    };
    match random.random_range(if opens { 5..11 } else { 0..11 }) {
        0 => Condition::Unresolved,
        1 => Condition::Refused,
        2 | 3 => Condition::Silent,
        4 => Condition::BadCertificate,
        5 => Condition::Mute,
        6 => Condition::Page,
        7 => Condition::Status(*pick(random, &[500, 502, 503, 404, 403]), hint),
        8 => Condition::HangsUp,
        _ => Condition::Rejects(hint),
    }
}

impl User {
    fn newcomer(&mut self) -> Newcomer {
        let count = self.random.random_range(1..=self.longest_list);
        let mut tiers: Vec<Vec<Listing>> = Vec::new();
        let mut seen = Vec::new();
        for _ in 0..count {
            let listing = self.listing();
            if seen.contains(&listing.tracker) {
                continue;
            }
            seen.push(listing.tracker);
            if tiers.is_empty() || self.random.random_bool(0.5) {
                tiers.push(Vec::new());
            }
            tiers.last_mut().into_iter().for_each(|tier| tier.push(listing.clone()));
        }
        let private = self.random.random_bool(self.private);
        Newcomer { tiers, private, seed: self.random.random_bool(self.seeds) }
    }

    fn listing(&mut self) -> Listing {
        let tracker = self.random.random_range(0..self.trackers);
        let own = self.random.random_bool(self.own).then(|| sick_script(&mut self.random, true));
        Listing { tracker, own }
    }

    /// When it does something next.
    pub(super) fn next(&mut self, now: Timestamp) -> Timestamp {
        let unit: f64 = self.random.random();
        now + self.idle.mul_f64(-(1.0 - unit).ln())
    }

    /// Does something.
    pub(super) fn act(&mut self, life: &mut Life) {
        let running = life.running();
        if self.random.random_bool(self.gaps) {
            let gap = Duration::from_millis(self.random.random_range(3000..1_000_000));
            return match self.random.random_range(0..3) {
                0 => life.sleep(gap * 30),
                1 => life.stand_still(gap),
                _ => life.stand_still(gap / 30),
            };
        }
        if running.is_empty() || (running.len() < self.most && self.random.random_bool(0.3)) {
            let newcomer = self.newcomer();
            life.add(newcomer);
            return;
        }
        let torrent = *pick(&mut self.random, &running);
        match self.random.random_range(0..20) {
            0..=3 => life.want_peers(torrent),
            4..=5 => life.reannounce(torrent),
            6..=8 => life.complete(torrent),
            9..=11 => life.stop(torrent),
            12 => life.forget(torrent),
            13..=14 => {
                let listing = self.listing();
                if !life.listed(torrent).contains(&listing.tracker) {
                    life.list(torrent, listing);
                }
            }
            15..=16 => {
                let listed = life.listed(torrent);
                if !listed.is_empty() {
                    let tracker = *pick(&mut self.random, &listed);
                    life.unlist(torrent, tracker);
                }
            }
            17 if self.random.random_bool(0.2) => life.change_network(),
            _ => {
                let uploaded = self.random.random_range(0..1_000_000);
                life.update(torrent, uploaded);
            }
        }
    }
}
