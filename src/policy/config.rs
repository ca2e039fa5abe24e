//! The settings of the policy, each with its default and the reason for it.

use std::time::Duration;

use crate::announce::AnnounceResponse;
use crate::error::{AnnounceError, Rejection, Retry};
use crate::tracker::Scheme;

/// In which order trackers are tried, how long each is waited for, and when announces are due.
///
/// The defaults are meant to be kept; each setting says why its default is what it is. *Model* in these reasons is a
/// simulation of 50,000 starts with eight trackers that have the latencies and failures of public ones.
///
/// ```
/// use std::time::Duration;
/// use tracker_failover::{Config, Order};
///
/// let config = Config::default().order(Order::Bep12).interval_override(Duration::from_secs(5));
/// assert_ne!(config, Config::strict_bep12());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub(crate) schemes: Schemes,
    pub(crate) order: Order,
    pub(crate) shuffle: bool,
    pub(crate) probing: Probing,
    pub(crate) race: bool,
    pub(crate) scheduling: Scheduling,
    pub(crate) announce_to: AnnounceTo,
    pub(crate) limits: Limits,
    pub(crate) intervals: Intervals,
    pub(crate) back_off: BackOff,
    pub(crate) load: HostLoad,
    pub(crate) alert_queue: usize,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) tier_patience: Duration,
    pub(crate) open_limit: Duration,
    pub(crate) reply_limit: Duration,
    pub(crate) last_open_limit: Duration,
    pub(crate) last_reply_limit: Duration,
    pub(crate) stop_limit: Duration,
}

/// The time between announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "each is called like its setting")]
pub(crate) struct Intervals {
    pub(crate) interval_default: Duration,
    pub(crate) interval_floor: Duration,
    pub(crate) interval_ceiling: Duration,
    pub(crate) interval_override: Option<Duration>,
}

/// The time between attempts at what fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BackOff {
    /// Whether hosts have a back-off, shared by all torrents.
    pub(crate) of_hosts: bool,
    pub(crate) retry_floor: Duration,
    pub(crate) retry_first: Duration,
    pub(crate) retry_ceiling: Duration,
}

/// What one tracker host gets at most, from all torrents together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostLoad {
    pub(crate) connections_per_host: usize,
    pub(crate) exchanges_per_host: usize,
    pub(crate) announces_per_second: u32,
    pub(crate) announces_burst: u32,
}

/// In which order trackers are tried.
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Order {
    /// By measured latency across all tiers, staying with the one that works. This is what the crate is for; BEP 12 would
    /// try the tiers in sequence.
    #[default]
    Nearest,
    /// As in BEP 12: tiers in sequence, each shuffled once. A tracker that answers moves to the front of its tier, and each
    /// round starts at the first tier.
    Bep12,
}

/// What makes announces: the schedule or the caller.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Scheduling {
    /// The schedule: `started` at once, then at the tracker's interval, and again after failures.
    #[default]
    Automatic,
    /// The caller, by `reannounce`; the schedule only says when the next announce would be due. For clients with a scheduler
    /// of their own. The session still decides which event an announce carries, and sends `stopped` at its end.
    Manual,
}

/// How many trackers a torrent is registered at.
///
/// Independent trackers don't know each other's peers, so two clients meet only if they share one. A tracker of a
/// cluster knows all peers of the others.
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum AnnounceTo {
    /// One tracker at a time. Private torrents always do that (BEP 27).
    One,
    /// The tracker in use, and others while peers are short: the head of the list, where clients that follow BEP 12
    /// are, and one further tracker after the other. A tracker with IPv4 and IPv6 addresses counts as two.
    #[default]
    AsNeeded,
    /// One tracker of each tier.
    EachTier,
    /// Every tracker, over IPv4 and over IPv6 if it has addresses of both.
    All,
}

/// Whether and how trackers are measured.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Probing {
    /// All at once at the start, under [`Order::Nearest`], if there is a choice: neither a torrent with a single tracker nor
    /// a private one is probed.
    #[default]
    Parallel,
    /// Never.
    Off,
}

/// A set of schemes of announce URLs.
///
/// ```
/// use tracker_failover::{Scheme, Schemes};
///
/// let schemes = Schemes::none().with(Scheme::Http).with(Scheme::Udp);
/// assert!(schemes.contains(Scheme::Udp) && !schemes.contains(Scheme::Https));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Schemes {
    http: bool,
    https: bool,
    udp: bool,
}

impl Schemes {
    /// No scheme.
    pub const fn none() -> Self {
        Self { http: false, https: false, udp: false }
    }

    /// `http`, `https` and `udp`. The default.
    pub const fn all() -> Self {
        Self { http: true, https: true, udp: true }
    }

    /// The same set with a scheme added. [`Scheme::Other`] is in no set.
    #[must_use]
    pub const fn with(mut self, scheme: Scheme) -> Self {
        match scheme {
            Scheme::Http => self.http = true,
            Scheme::Https => self.https = true,
            Scheme::Udp => self.udp = true,
            Scheme::Other => {}
        }
        self
    }

    /// Whether a scheme is in the set.
    pub const fn contains(self, scheme: Scheme) -> bool {
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
        Self::all()
    }
}

impl Config {
    /// BEP 12 to the letter: tiers in sequence, each round from the first tier, one tracker after the other.
    pub fn strict_bep12() -> Self {
        Self::default()
            .order(Order::Bep12)
            .probing(Probing::Off)
            .without_race()
            .without_back_off()
            .announce_to(AnnounceTo::One)
    }

    /// For private trackers: what a torrent with the private flag gets anyway (BEP 27), for torrents without it.
    pub fn private() -> Self {
        Self::strict_bep12().open_limit(PRIVATE_OPEN_LIMIT)
    }

    /// The schemes that are supported. Trackers with another one stay in the list, are shown as unsupported, and are
    /// never tried. An `Announcer` leaves out what its transport doesn't support.
    ///
    /// Default: all.
    #[must_use]
    pub fn schemes(mut self, schemes: Schemes) -> Self {
        self.schemes = schemes;
        self
    }

    /// The order in which trackers are tried. Private torrents use [`Order::Bep12`] whatever is set here (BEP 27).
    ///
    /// Default: `Nearest`. Finding the nearest living tracker is what this crate is for.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Keeps the trackers of a tier in the order of the list.
    ///
    /// Default: under [`Order::Bep12`] each tier is shuffled once, as BEP 12 says. Under [`Order::Nearest`] chance
    /// would undo what was measured, so nothing is shuffled.
    #[must_use]
    pub fn without_shuffle(mut self) -> Self {
        self.shuffle = false;
        self
    }

    /// Whether trackers are measured at the start.
    ///
    /// Default: `Parallel`.
    #[must_use]
    pub fn probing(mut self, probing: Probing) -> Self {
        self.probing = probing;
        self
    }

    /// Tries one tracker after the other, each to its time limit. Private torrents never race (BEP 27).
    ///
    /// Default: openings are raced, and an announce that isn't answered in time is sent to another tracker as well. A
    /// silent tracker costs a fraction of a second then. Model, four of eight trackers silent: the first answer came
    /// within 0.9 s in 95 of 100 starts, and living trackers received 1.008 announces.
    #[must_use]
    pub fn without_race(mut self) -> Self {
        self.race = false;
        self
    }

    /// Tries hosts that fail as often as those that work.
    ///
    /// Default: a host that fails is in back-off, for all torrents: one torrent pays for finding it dead, and not ten
    /// thousand.
    #[must_use]
    pub fn without_back_off(mut self) -> Self {
        self.back_off.of_hosts = false;
        self
    }

    /// What makes announces: the schedule or the caller.
    ///
    /// Default: `Automatic`.
    #[must_use]
    pub fn scheduling(mut self, scheduling: Scheduling) -> Self {
        self.scheduling = scheduling;
        self
    }

    /// How many trackers a torrent is registered at. Private torrents use [`AnnounceTo::One`] whatever is set here
    /// (BEP 27), and so do announces on request.
    ///
    /// Default: `AsNeeded`. A tracker that is alive and knows no peer would hide the only seed for ever.
    #[must_use]
    pub fn announce_to(mut self, announce_to: AnnounceTo) -> Self {
        self.announce_to = announce_to;
        self
    }

    /// How long the last opening of a tier has to be silent before the next tier is tried, under [`Order::Bep12`].
    ///
    /// Default: 1 s. BEP 12 goes to the next tier if no tracker of this one can be reached; a second of silence is
    /// taken for that.
    #[must_use]
    pub fn tier_patience(mut self, tier_patience: Duration) -> Self {
        self.limits.tier_patience = tier_patience;
        self
    }

    /// How long an opening may take while another tracker is left.
    ///
    /// Default: 10 s, which outlasts three lost SYN packets (sent at 0, 1, 3 and 7 s). At most 5 s for private
    /// torrents, because no tracker may be tried beside a silent one.
    #[must_use]
    pub fn open_limit(mut self, open_limit: Duration) -> Self {
        self.limits.open_limit = open_limit;
        self
    }

    /// How long an answer may take while another tracker is left.
    ///
    /// Default: 15 s for the whole answer, so a tracker that sends byte by byte ends here as well.
    #[must_use]
    pub fn reply_limit(mut self, reply_limit: Duration) -> Self {
        self.limits.reply_limit = reply_limit;
        self
    }

    /// How long an opening may take if no other tracker is left.
    ///
    /// Default: 20 s. To give up early gains nothing if there is no other tracker.
    #[must_use]
    pub fn last_open_limit(mut self, last_open_limit: Duration) -> Self {
        self.limits.last_open_limit = last_open_limit;
        self
    }

    /// How long an answer may take if no other tracker is left.
    ///
    /// Default: 30 s. A client was seen to give up its only tracker after 5 s, which answered after 11 s.
    #[must_use]
    pub fn last_reply_limit(mut self, last_reply_limit: Duration) -> Self {
        self.limits.last_reply_limit = last_reply_limit;
        self
    }

    /// How long `stopped` may take, to all trackers together.
    ///
    /// Default: 3 s. No user waits longer for a program to exit.
    #[must_use]
    pub fn stop_limit(mut self, stop_limit: Duration) -> Self {
        self.limits.stop_limit = stop_limit;
        self
    }

    /// The interval if the tracker names none, or zero.
    ///
    /// Default: 30 min, which most trackers use.
    #[must_use]
    pub fn interval_default(mut self, interval_default: Duration) -> Self {
        self.intervals.interval_default = interval_default;
        self
    }

    /// The shortest interval that a tracker may ask for.
    ///
    /// Default: 60 s. Clients that obeyed an interval of 0 announced hundreds of times a second.
    #[must_use]
    pub fn interval_floor(mut self, interval_floor: Duration) -> Self {
        self.intervals.interval_floor = interval_floor;
        self
    }

    /// The longest interval that a tracker may ask for.
    ///
    /// Default: 8 h. A reply may name any number; with fewer than three announces a day a list of peers is of no use.
    #[must_use]
    pub fn interval_ceiling(mut self, interval_ceiling: Duration) -> Self {
        self.intervals.interval_ceiling = interval_ceiling;
        self
    }

    /// Replaces the interval and the min interval of trackers, and the floor: for private clusters and tests. Less than
    /// 1 s counts as 1 s.
    ///
    /// Default: none.
    #[must_use]
    pub fn interval_override(mut self, interval: Duration) -> Self {
        self.intervals.interval_override = Some(interval);
        self
    }

    /// The shortest wait before a failing host, or a torrent of which all trackers fail, tries again. The wait is
    /// random between this and a bound that doubles, so that the clients of a dead tracker don't return together.
    ///
    /// Default: 30 s.
    #[must_use]
    pub fn retry_floor(mut self, retry_floor: Duration) -> Self {
        self.back_off.retry_floor = retry_floor;
        self
    }

    /// The first bound of that wait.
    ///
    /// Default: 60 s. A tracker that only restarts is found again within a minute.
    #[must_use]
    pub fn retry_first(mut self, retry_first: Duration) -> Self {
        self.back_off.retry_first = retry_first;
        self
    }

    /// The last bound of that wait. A success resets it.
    ///
    /// Default: 30 min, so that no torrent waits for more than 35 min at a tracker that works again; a dead host gets
    /// at most 48 connections a day. A client whose back-off grew to 20 h cost its users their standing on private
    /// trackers.
    #[must_use]
    pub fn retry_ceiling(mut self, retry_ceiling: Duration) -> Self {
        self.back_off.retry_ceiling = retry_ceiling;
        self
    }

    /// How many attempts one HTTP host gets at once, from all torrents together.
    ///
    /// Default: 4. Browsers use six, and a tracker is smaller than a web site.
    #[must_use]
    pub fn connections_per_host(mut self, connections_per_host: usize) -> Self {
        self.load.connections_per_host = connections_per_host;
        self
    }

    /// How many attempts one UDP host gets at once, from all torrents together.
    ///
    /// Default: 16. They share one socket and one connection id.
    #[must_use]
    pub fn exchanges_per_host(mut self, exchanges_per_host: usize) -> Self {
        self.load.exchanges_per_host = exchanges_per_host;
        self
    }

    /// How many announces one host gets in a second. `stopped` is limited by the number at once only, since no announce
    /// follows it.
    ///
    /// Default: 20. Ten thousand torrents on one host take 500 s, those that want peers first.
    #[must_use]
    pub fn announces_per_second(mut self, announces_per_second: u32) -> Self {
        self.load.announces_per_second = announces_per_second;
        self
    }

    /// How many announces one host gets at once before they are paced.
    ///
    /// Default: 20. A few torrents needn't be paced.
    #[must_use]
    pub fn announces_burst(mut self, announces_burst: u32) -> Self {
        self.load.announces_burst = announces_burst;
        self
    }

    /// How many alerts a listener may fall behind before it loses some.
    ///
    /// Default: 256. A listener that doesn't read must not delay an announce.
    #[must_use]
    pub fn alert_queue(mut self, alert_queue: usize) -> Self {
        self.alert_queue = alert_queue;
        self
    }

    /// Whether trackers are tried one after the other, to the limit of each: openings aren't raced.
    pub fn is_sequential(&self) -> bool {
        !self.race
    }

    /// Whether trackers are tried tier by tier.
    pub fn is_by_tiers(&self) -> bool {
        self.order == Order::Bep12
    }

    /// Whether hosts that fail have a back-off.
    pub fn has_back_off(&self) -> bool {
        self.back_off.of_hosts
    }

    /// The interval in force after this answer: what the tracker named, but at least its min interval, between
    /// floor and ceiling, and the default where it named none or zero (BEP 3; POL-04).
    pub fn interval_after(&self, response: &AnnounceResponse) -> Duration {
        if let Some(interval) = self.overriding_interval() {
            return interval;
        }
        let named = response.interval.filter(|interval| !interval.is_zero());
        let longest =
            named.unwrap_or(self.intervals.interval_default).max(response.min_interval.unwrap_or_default());
        longest.clamp(
            self.intervals.interval_floor,
            self.intervals.interval_ceiling.max(self.intervals.interval_floor),
        )
    }

    /// The min interval in force after this answer, which binds the tracker that gave it; zero if none is.
    pub(crate) fn min_interval_after(&self, response: &AnnounceResponse) -> Duration {
        match self.overriding_interval() {
            Some(_) => Duration::ZERO,
            None => response.min_interval.unwrap_or_default().min(self.intervals.interval_ceiling),
        }
    }

    /// When a tracker that failed like this wants to be asked again: what it said by BEP 31 or `Retry-After`,
    /// else the interval beside its refusal, which many trackers mean (Q-62). A hint, cut to the limits here.
    pub fn retry_after(&self, error: &AnnounceError) -> Retry {
        match error.retry() {
            Retry::After(wait) => Retry::After(wait.min(MAX_HINT)),
            Retry::Never => Retry::Never,
            Retry::Unsaid => match error {
                AnnounceError::Rejected(Rejection { interval: Some(beside), .. }) => {
                    Retry::After((*beside).clamp(
                        self.intervals.interval_floor,
                        self.intervals.interval_ceiling.max(self.intervals.interval_floor),
                    ))
                }
                _ => Retry::Unsaid,
            },
        }
    }

    /// The interval that replaces the trackers' own. Never below a second, or a tracker that answers at once
    /// would be asked without pause (R40).
    pub(crate) fn overriding_interval(&self) -> Option<Duration> {
        self.intervals.interval_override.map(|interval| interval.clamp(MIN_WAIT, MAX_WAIT))
    }

    /// The same configuration with every value between its limits and every pair in order, so that no setting can make the
    /// engine spin, wait for ever or overflow. A ceiling below its floor is raised to it.
    pub(crate) fn normalised(mut self) -> Self {
        self.limits.normalise();
        self.intervals.normalise();
        self.back_off.normalise();
        self.load.normalise();
        self.alert_queue = self.alert_queue.max(1);
        self
    }

    /// This configuration as it applies to a torrent.
    pub(crate) fn for_torrent(&self, private: bool) -> Self {
        if !private {
            return self.clone();
        }
        let open_limit = self.limits.open_limit.min(PRIVATE_OPEN_LIMIT);
        self.clone()
            .order(Order::Bep12)
            .probing(Probing::Off)
            .without_race()
            .open_limit(open_limit)
            .announce_to(AnnounceTo::One)
    }
}

impl Limits {
    fn normalise(&mut self) {
        for limit in [
            &mut self.tier_patience,
            &mut self.open_limit,
            &mut self.reply_limit,
            &mut self.last_open_limit,
            &mut self.last_reply_limit,
        ] {
            *limit = (*limit).clamp(MIN_PATIENCE, MAX_PATIENCE);
        }
        self.last_open_limit = self.last_open_limit.max(self.open_limit);
        self.last_reply_limit = self.last_reply_limit.max(self.reply_limit);
        self.stop_limit = self.stop_limit.min(MAX_WAIT);
    }
}

impl Intervals {
    fn normalise(&mut self) {
        for wait in [&mut self.interval_default, &mut self.interval_floor, &mut self.interval_ceiling] {
            *wait = (*wait).clamp(MIN_WAIT, MAX_WAIT);
        }
        self.interval_ceiling = self.interval_ceiling.max(self.interval_floor);
    }
}

impl BackOff {
    fn normalise(&mut self) {
        for wait in [&mut self.retry_floor, &mut self.retry_first, &mut self.retry_ceiling] {
            *wait = (*wait).clamp(MIN_WAIT, MAX_WAIT);
        }
        self.retry_first = self.retry_first.max(self.retry_floor);
        self.retry_ceiling = self.retry_ceiling.max(self.retry_first);
    }
}

impl HostLoad {
    fn normalise(&mut self) {
        for count in [&mut self.connections_per_host, &mut self.exchanges_per_host] {
            *count = (*count).max(1);
        }
        for rate in [&mut self.announces_per_second, &mut self.announces_burst] {
            *rate = (*rate).clamp(1, MAX_RATE);
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

/// How long a tracker can keep us away by a hint (`retry in`, `Retry-After`). It binds that tracker only, but a number
/// with too many digits must not lose it for good.
const MAX_HINT: Duration = Duration::from_secs(24 * 3600);

impl Default for Config {
    fn default() -> Self {
        Self {
            schemes: Schemes::all(),
            order: Order::Nearest,
            shuffle: true,
            probing: Probing::Parallel,
            race: true,
            scheduling: Scheduling::Automatic,
            announce_to: AnnounceTo::AsNeeded,
            limits: Limits {
                tier_patience: Duration::from_secs(1),
                open_limit: Duration::from_secs(10),
                reply_limit: Duration::from_secs(15),
                last_open_limit: Duration::from_secs(20),
                last_reply_limit: Duration::from_secs(30),
                stop_limit: Duration::from_secs(3),
            },
            intervals: Intervals {
                interval_default: Duration::from_secs(30 * 60),
                interval_floor: Duration::from_secs(60),
                interval_ceiling: Duration::from_secs(8 * 3600),
                interval_override: None,
            },
            back_off: BackOff {
                of_hosts: true,
                retry_floor: Duration::from_secs(30),
                retry_first: Duration::from_secs(60),
                retry_ceiling: Duration::from_secs(30 * 60),
            },
            load: HostLoad {
                connections_per_host: 4,
                exchanges_per_host: 16,
                announces_per_second: 20,
                announces_burst: 20,
            },
            alert_queue: 256,
        }
    }
}
