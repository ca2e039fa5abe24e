//! Every knob of the policy, with its default and the reason for it.

use std::time::Duration;

use crate::announce::AnnounceResponse;
use crate::error::{AnnounceError, Rejection, Retry};
use crate::tracker::Scheme;

/// How trackers are chosen, how long each is waited for, and when announces are due.
///
/// The defaults are what the crate is for; their sources stand in the manual under *defaults*.
///
/// ```
/// use tracker_failover::{Config, Order};
///
/// let mut config = Config::default();
/// config.interval_override = Some(std::time::Duration::from_secs(5));
/// assert_eq!(config.order, Order::Nearest);
/// assert_eq!(Config::strict_bep12().order, Order::Bep12);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The schemes that are spoken. Trackers of others stay in the list, are shown as unsupported, and never
    /// tried. An `Announcer` leaves out what its transport doesn't speak.
    pub schemes: Schemes,
    /// The order of trackers. Private torrents are [`Order::Bep12`] whatever stands here (BEP 27).
    pub order: Order,
    /// Whether each tier is shuffled once (BEP 12). Only [`Order::Bep12`] does.
    pub shuffle: bool,
    /// Whether trackers are measured at the start.
    pub probing: Probing,
    /// How many probes run at once, for all torrents together.
    pub probes_in_flight: usize,
    /// How long one probe may take, everything included.
    pub probe_limit: Duration,
    /// How long the first announce waits for the first probe to answer before it goes ahead by the order of
    /// the list. It never waits for the slowest.
    pub probe_head_start: Duration,
    /// How long after a measurement a host isn't measured again.
    pub measurement_lifetime: Duration,
    /// Whether openings are raced, and a stalled announce is tried elsewhere before its time limit. Without it
    /// one tracker is tried after the other, each to its limit. Private torrents never race (BEP 27).
    pub race: bool,
    /// How long an opening may be silent before the next one starts beside it: RFC 8305's 250 ms.
    pub open_patience: Duration,
    /// The longest patience with a host that was reached before.
    pub open_patience_ceiling: Duration,
    /// The patience with openings of regular announces that nobody waits for.
    pub relaxed_open_patience: Duration,
    /// The shortest patience: each silent opening of a race makes the next wait 1.5 times shorter, down to this.
    pub open_patience_floor: Duration,
    /// How many openings of one race exist at once.
    pub openings_in_race: usize,
    /// How long an announce may be unanswered before another tracker is tried beside it.
    pub reply_patience: Duration,
    /// The shortest patience for an answer from a host whose answers were measured.
    pub reply_patience_floor: Duration,
    /// The longest patience for an answer.
    pub reply_patience_ceiling: Duration,
    /// The patience for answers to regular announces that nobody waits for.
    pub relaxed_reply_patience: Duration,
    /// How long the last opening of a tier has to be silent before the next tier's begin ([`Order::Bep12`]).
    pub tier_patience: Duration,
    /// How long an opening may take while another tracker is left.
    pub open_limit: Duration,
    /// How long an answer may take while another tracker is left.
    pub reply_limit: Duration,
    /// How long an opening may take when no other tracker is left: a single slow one must still work.
    pub last_open_limit: Duration,
    /// How long an answer may take when no other tracker is left.
    pub last_reply_limit: Duration,
    /// The interval where the tracker names none.
    pub interval_default: Duration,
    /// The shortest interval a tracker may ask for.
    pub interval_floor: Duration,
    /// The longest interval a tracker may ask for.
    pub interval_ceiling: Duration,
    /// Replaces the tracker's interval, its min interval and the floor: for private clusters and tests.
    pub interval_override: Option<Duration>,
    /// How soon after an announce more peers may be asked for where the tracker names no min interval.
    pub want_peers_floor: Duration,
    /// The shortest wait after a round in which every tracker failed.
    pub retry_floor: Duration,
    /// The longest wait after the first such round; it doubles with each.
    pub retry_first: Duration,
    /// The longest wait after any.
    pub retry_ceiling: Duration,
    /// How many attempts one HTTP host gets at once, from all torrents together.
    pub connections_per_host: usize,
    /// How many one UDP host gets at once.
    pub exchanges_per_host: usize,
    /// How many announces a host gets in a second; `stopped` is bound by the number at once only.
    pub announces_per_second: u32,
    /// How many it gets in one go before that.
    pub announces_burst: u32,
    /// Whether hosts that fail are left alone for a while, by all torrents together.
    pub breaker: bool,
    /// The shortest wait before a host that couldn't be reached is tried again for torrents that want peers.
    pub needs_peers_floor: Duration,
    /// The longest such wait.
    pub needs_peers_ceiling: Duration,
    /// The longest time a tracker can keep us away by a hint (`retry in`, `Retry-After`).
    pub hint_ceiling: Duration,
    /// How long `stopped` may take, all trackers together.
    pub stop_limit: Duration,
    /// How many alerts a listener may fall behind before it misses some.
    pub alert_queue: usize,
    /// Who decides that it is time for an announce.
    pub scheduling: Scheduling,
}

/// In which order trackers are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Order {
    /// By measured latency across all tiers, staying on the one that works. What this crate is for, and a
    /// deviation from BEP 12, which has the tiers in sequence.
    #[default]
    Nearest,
    /// BEP 12: tiers in sequence, each shuffled once, a success moves to the front of its tier, and every round
    /// starts at the first tier.
    Bep12,
}

/// Who decides that it is time for an announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Scheduling {
    /// The schedule: `started` at once, then at the tracker's interval, and again after failures.
    #[default]
    Automatic,
    /// The caller, by `reannounce`; the schedule only tells when the next announce would be due. For clients
    /// with a scheduler of their own. Which events are owed is the session's business all the same: they go
    /// along with the next announce that is asked for, and `stopped` when the session is stopped.
    Manual,
}

/// Whether and how trackers are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Probing {
    /// All at once at the start, under [`Order::Nearest`] and where there is a choice: a torrent with a single
    /// tracker isn't probed, nor is a private one.
    #[default]
    Parallel,
    /// Never.
    Off,
}

/// A set of schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Schemes {
    /// Plain HTTP.
    pub http: bool,
    /// HTTP over TLS.
    pub https: bool,
    /// UDP.
    pub udp: bool,
}

impl Schemes {
    /// Whether a scheme is among them.
    pub fn contains(self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Http => self.http,
            Scheme::Https => self.https,
            Scheme::Udp => self.udp,
            Scheme::Other => false,
        }
    }
}

impl Default for Schemes {
    fn default() -> Self {
        Self { http: true, https: true, udp: true }
    }
}

impl Config {
    /// BEP 12 to the letter: tiers in sequence, every round from the first tier, one tracker after the other.
    pub fn strict_bep12() -> Self {
        Self { order: Order::Bep12, probing: Probing::Off, race: false, breaker: false, ..Self::default() }
    }

    /// For private trackers: what a torrent with the private flag gets anyway (BEP 27), for those without it.
    pub fn private() -> Self {
        Self { open_limit: PRIVATE_OPEN_LIMIT, ..Self::strict_bep12() }
    }

    /// The interval in force after this answer: what the tracker named, but at least its min interval, between
    /// floor and ceiling, and the default where it named none or zero (BEP 3; POL-04).
    pub fn interval_after(&self, response: &AnnounceResponse) -> Duration {
        if let Some(interval) = self.overriding_interval() {
            return interval;
        }
        let named = response.interval.filter(|interval| !interval.is_zero());
        let longest = named.unwrap_or(self.interval_default).max(response.min_interval.unwrap_or_default());
        longest.clamp(self.interval_floor, self.interval_ceiling.max(self.interval_floor))
    }

    /// The min interval in force after this answer, which binds the tracker that gave it; zero if none is.
    pub(crate) fn min_interval_after(&self, response: &AnnounceResponse) -> Duration {
        match self.overriding_interval() {
            Some(_) => Duration::ZERO,
            None => response.min_interval.unwrap_or_default().min(self.interval_ceiling),
        }
    }

    /// When a tracker that failed like this wants to be asked again: what it said by BEP 31 or `Retry-After`,
    /// else the interval beside its refusal, which many trackers mean (Q-62). A hint, cut to the limits here.
    pub fn retry_after(&self, error: &AnnounceError) -> Retry {
        match error.retry() {
            Retry::After(wait) => Retry::After(wait.min(self.hint_ceiling)),
            Retry::Never => Retry::Never,
            Retry::Unsaid => match error {
                AnnounceError::Rejected(Rejection { interval: Some(beside), .. }) => Retry::After(
                    (*beside).clamp(self.interval_floor, self.interval_ceiling.max(self.interval_floor)),
                ),
                _ => Retry::Unsaid,
            },
        }
    }

    /// The interval that replaces the trackers' own. Never below a second, or a tracker that answers at once
    /// would be asked without pause (R40).
    pub(crate) fn overriding_interval(&self) -> Option<Duration> {
        self.interval_override.map(|interval| interval.clamp(MIN_WAIT, MAX_WAIT))
    }

    /// The same configuration with every value between its limits and every pair in order, so that no setting can
    /// make the engine spin, wait for ever or overflow. A ceiling below its floor is raised to it.
    pub(crate) fn normalised(mut self) -> Self {
        let config = &mut self;
        let patiences = [
            &mut config.open_patience,
            &mut config.open_patience_ceiling,
            &mut config.relaxed_open_patience,
            &mut config.open_patience_floor,
            &mut config.reply_patience,
            &mut config.reply_patience_floor,
            &mut config.reply_patience_ceiling,
            &mut config.relaxed_reply_patience,
            &mut config.tier_patience,
            &mut config.open_limit,
            &mut config.reply_limit,
            &mut config.last_open_limit,
            &mut config.last_reply_limit,
            &mut config.probe_limit,
        ];
        for patience in patiences {
            *patience = (*patience).clamp(MIN_PATIENCE, MAX_PATIENCE);
        }
        let waits = [
            &mut config.interval_default,
            &mut config.interval_floor,
            &mut config.interval_ceiling,
            &mut config.want_peers_floor,
            &mut config.retry_floor,
            &mut config.retry_first,
            &mut config.retry_ceiling,
            &mut config.needs_peers_floor,
            &mut config.needs_peers_ceiling,
        ];
        for wait in waits {
            *wait = (*wait).clamp(MIN_WAIT, MAX_WAIT);
        }
        for wait in [
            &mut config.probe_head_start,
            &mut config.measurement_lifetime,
            &mut config.hint_ceiling,
            &mut config.stop_limit,
        ] {
            *wait = (*wait).min(MAX_WAIT);
        }
        for (floor, ceiling) in [
            (config.open_patience_floor, &mut config.open_patience_ceiling),
            (config.reply_patience_floor, &mut config.reply_patience_ceiling),
            (config.open_limit, &mut config.last_open_limit),
            (config.reply_limit, &mut config.last_reply_limit),
            (config.interval_floor, &mut config.interval_ceiling),
            (config.retry_floor, &mut config.retry_first),
            (config.needs_peers_floor, &mut config.needs_peers_ceiling),
        ] {
            *ceiling = floor.max(*ceiling);
        }
        config.retry_ceiling = config.retry_ceiling.max(config.retry_first);
        for count in [
            &mut config.probes_in_flight,
            &mut config.openings_in_race,
            &mut config.connections_per_host,
            &mut config.exchanges_per_host,
            &mut config.alert_queue,
        ] {
            *count = (*count).max(1);
        }
        for rate in [&mut config.announces_per_second, &mut config.announces_burst] {
            *rate = (*rate).clamp(1, MAX_RATE);
        }
        self
    }

    /// How long a torrent that needs peers waits for a host that gave no sign of life. `random` is from [0, 1).
    pub(crate) fn needs_peers_wait(&self, random: f64) -> Duration {
        self.needs_peers_floor
            + self.needs_peers_ceiling.saturating_sub(self.needs_peers_floor).mul_f64(random)
    }

    /// This configuration as it applies to a torrent.
    pub(crate) fn for_torrent(&self, private: bool) -> Self {
        if !private {
            return self.clone();
        }
        Self {
            order: Order::Bep12,
            probing: Probing::Off,
            race: false,
            open_limit: self.open_limit.min(PRIVATE_OPEN_LIMIT),
            ..self.clone()
        }
    }
}

/// The limits of what is waited for within a round. Nothing answers within a hundredth of a second every time, and no
/// connection lives for a day without a word.
const MIN_PATIENCE: Duration = Duration::from_millis(10);
const MAX_PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// The limits of waits between announces: never without pause, and no longer than any process runs.
const MIN_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// More announces a second than this no host answers.
const MAX_RATE: u32 = 1_000_000;

/// Nothing may be tried beside a private torrent's tracker, so waiting for a silent one is all there is. Five
/// seconds outlast two lost SYN packets (sent at 0, 1 and 3 s).
const PRIVATE_OPEN_LIMIT: Duration = Duration::from_secs(5);

impl Default for Config {
    fn default() -> Self {
        Self {
            schemes: Schemes::default(),
            order: Order::Nearest,
            shuffle: true,
            probing: Probing::Parallel,
            probes_in_flight: 16,
            probe_limit: Duration::from_secs(3),
            probe_head_start: Duration::from_millis(500),
            measurement_lifetime: Duration::from_secs(6 * 3600),
            race: true,
            open_patience: Duration::from_millis(250),
            open_patience_ceiling: Duration::from_secs(2),
            relaxed_open_patience: Duration::from_millis(2200),
            open_patience_floor: Duration::from_millis(100),
            openings_in_race: 10,
            reply_patience: Duration::from_millis(1500),
            reply_patience_floor: Duration::from_millis(500),
            reply_patience_ceiling: Duration::from_secs(3),
            relaxed_reply_patience: Duration::from_secs(4),
            tier_patience: Duration::from_secs(1),
            open_limit: Duration::from_secs(10),
            reply_limit: Duration::from_secs(15),
            last_open_limit: Duration::from_secs(20),
            last_reply_limit: Duration::from_secs(30),
            interval_default: Duration::from_secs(30 * 60),
            interval_floor: Duration::from_secs(60),
            interval_ceiling: Duration::from_secs(8 * 3600),
            interval_override: None,
            want_peers_floor: Duration::from_secs(60),
            retry_floor: Duration::from_secs(30),
            retry_first: Duration::from_secs(60),
            retry_ceiling: Duration::from_secs(30 * 60),
            connections_per_host: 4,
            exchanges_per_host: 16,
            announces_per_second: 20,
            announces_burst: 20,
            breaker: true,
            needs_peers_floor: Duration::from_secs(30),
            needs_peers_ceiling: Duration::from_secs(75),
            hint_ceiling: Duration::from_secs(24 * 3600),
            stop_limit: Duration::from_secs(3),
            alert_queue: 256,
            scheduling: Scheduling::Automatic,
        }
    }
}
