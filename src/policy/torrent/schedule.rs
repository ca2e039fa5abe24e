//! When one torrent announces next: its trackers' intervals, and its back-off after failed rounds.

use std::time::Duration;

use crate::announce::AnnounceResponse;
use crate::policy::config::Config;
use crate::policy::hosts::needs_peers_wait;
use crate::time::Timestamp;

/// The jitter of a regular announce. It only shortens the interval, because some trackers drop a peer a minute after
/// it.
const MIN_JITTER: f64 = 0.92;

/// After a failure that isn't held against a tracker, the same torrent waits this long. Not less, because what looks like
/// our own network may be the tracker's trouble; not more, so that a captive portal costs at most a minute.
const WITHHELD_RETRY: Duration = Duration::from_secs(50);

/// How long a torrent counts as new. Tools that wait for an upload to be known give up after some minutes.
const NEW_TORRENT: Duration = Duration::from_secs(120);

/// The first and the longest wait of a new torrent after a refusal: 10, 20, 30, 30 s.
const NEW_TORRENT_RETRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// When one torrent announces next.
///
/// The interval is that of the tracker that answered last. What single trackers ask for (`min interval`, `retry in`)
/// is kept with them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schedule {
    /// When the next announce is due; `None` while a round is under way, or if no tracker may be announced to.
    due: Option<Timestamp>,
    /// Whether the user requested the announce that is due, so that no interval holds it back.
    requested: bool,
    /// Whether the announce waits until some tracker may be announced to. Another torrent may find one alive sooner.
    deferred: bool,
    /// How many rounds have failed in a row.
    failed_rounds: u32,
    /// Until when trackers that don't serve this torrent get no announce, while every round fails.
    refused_until: Timestamp,
    /// A tracker that failed before this wasn't asked in the round that set `refused_until`.
    refused_since: Timestamp,
    /// The same for trackers whose hosts gave no sign of life, if hosts have no back-off and the torrent needs peers.
    needs_peers_until: Timestamp,
}

impl Schedule {
    /// When the next announce is due; `None` while a round is under way, or if none may be sent.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        // Timestamps saturate. An announce due at the last of them would be due again after each round.
        self.due.filter(|due| *due < Timestamp::NEVER)
    }

    /// Makes an announce due now because the user requested it, whatever the intervals are.
    pub(crate) fn request(&mut self, now: Timestamp) {
        self.due = Some(now);
        (self.requested, self.deferred) = (true, false);
    }

    /// Makes an announce due now, as far as the trackers allow.
    pub(crate) fn due_now(&mut self, now: Timestamp) {
        self.due = Some(now);
    }

    /// Defers the announce that is due until a tracker may be announced to; `None` if none ever may.
    pub(crate) fn defer(&mut self, until: Option<Timestamp>) {
        self.due = until;
        self.deferred = until.is_some();
    }

    /// Whether the announce is deferred until a tracker may be announced to.
    pub(crate) fn is_deferred(&self) -> bool {
        self.deferred && self.due().is_some()
    }

    /// Delays an announce that is due by now, because many torrents are due at once.
    pub(crate) fn spread(&mut self, wait: Duration, now: Timestamp) {
        self.due = self.due.map(|due| if due <= now { now + wait } else { due });
    }

    /// Whether the last round failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failed_rounds > 0
    }

    /// Whether the announce that is due was requested by the user.
    pub(crate) fn is_requested(&self) -> bool {
        self.requested
    }

    /// Until when a tracker that doesn't serve this torrent gets no announce, if it failed at `failed_at`. A round in which
    /// it wasn't asked, because its host was in back-off, doesn't hold it back: else it would wait for one back-off after
    /// the other.
    pub(crate) fn refused_until(&self, failed_at: Timestamp) -> Timestamp {
        if failed_at < self.refused_since { Timestamp::ZERO } else { self.refused_until }
    }

    /// Until when trackers at lifeless hosts get no announce, if hosts have no back-off and the torrent needs peers.
    pub(crate) fn needs_peers_until(&self) -> Timestamp {
        self.needs_peers_until
    }

    /// Brings the next announce forward because peers are wanted: to `allowed_at`, when the tracker in use may be asked
    /// for more.
    pub(crate) fn want_peers(&mut self, allowed_at: Timestamp, now: Timestamp) {
        let Some(due) = self.due else { return };
        if self.failed_rounds > 0 {
            return; // The back-off is as short as trackers can bear already.
        }
        self.due = Some(due.min(now.max(allowed_at)));
    }

    /// Notes that the round that was due has begun. Gives whether the user requested it.
    pub(crate) fn begun(&mut self) -> bool {
        (self.due, self.deferred) = (None, false);
        std::mem::take(&mut self.requested)
    }

    /// Plans the announce after an answer, and gives the interval in force. `random` is from [0, 1).
    pub(crate) fn succeeded(
        &mut self,
        response: &AnnounceResponse,
        config: &Config,
        random: f64,
        now: Timestamp,
    ) -> Duration {
        self.failed_rounds = 0;
        (self.refused_since, self.refused_until) = (Timestamp::ZERO, Timestamp::ZERO);
        (self.due, self.deferred) = (Some(now + jittered_interval(response, config, random)), false);
        config.interval_after(response)
    }

    /// Notes a round in which every tracker failed. Trackers that don't serve the torrent are left out of rounds
    /// until the back-off is over, and rounds within it don't lengthen it. `random` gives values from [0, 1).
    pub(crate) fn round_failed(
        &mut self,
        cause: RoundFailure,
        config: &Config,
        mut random: impl FnMut() -> f64,
        now: Timestamp,
    ) {
        // A torrent may try lifeless hosts within its back-off. Those rounds are no reason to lengthen it.
        if self.refused_until <= now {
            self.refused_since = self.refused_until;
            self.refused_until = match cause {
                RoundFailure::Withheld => {
                    self.failed_rounds = self.failed_rounds.max(1);
                    now + WITHHELD_RETRY
                }
                RoundFailure::Refused { age } if age < NEW_TORRENT => {
                    self.failed_rounds = self.failed_rounds.max(1);
                    now + (NEW_TORRENT_RETRY.0 + age).min(NEW_TORRENT_RETRY.1)
                }
                RoundFailure::Refused { .. } | RoundFailure::Failed => now + self.back_off(config, random()),
            };
        }
        self.needs_peers_until = now + needs_peers_wait(random());
    }

    /// The next back-off: a random time between a floor and a bound that doubles with each failed round up to a
    /// ceiling, so that the torrents of a tracker that failed don't come back together.
    fn back_off(&mut self, config: &Config, random: f64) -> Duration {
        let doubled = config.back_off.retry_first.saturating_mul(1 << self.failed_rounds.min(16));
        self.failed_rounds = self.failed_rounds.saturating_add(1);
        let range = doubled.min(config.back_off.retry_ceiling).saturating_sub(config.back_off.retry_floor);
        let back_off = config.back_off.retry_floor + range.mul_f64(random);
        config.overriding_interval().map_or(back_off, |interval| back_off.min(interval))
    }

    /// Makes an announce due because the list of trackers changed: at once if the last round failed or the tracker in
    /// use was removed (`lost_tracker`), else only if none is due. A new tracker doesn't wait for the back-off of
    /// those before it (R83).
    pub(crate) fn trackers_changed(&mut self, lost_tracker: bool, now: Timestamp) {
        if lost_tracker || self.failed_rounds > 0 {
            self.due = Some(now);
        } else {
            self.due.get_or_insert(now);
        }
    }

    /// Notes that the user has set an interval: the next announce is due no later than that.
    pub(crate) fn overridden(&mut self, interval: Duration, now: Timestamp) {
        self.due = self.due.map(|due| due.min(now + interval));
    }
}

/// How long after an answer the next regular announce is due. Torrents that were added together would announce together
/// for ever without jitter. `random` is from [0, 1).
pub(super) fn jittered_interval(response: &AnnounceResponse, config: &Config, random: f64) -> Duration {
    let interval = config.interval_after(response);
    if config.overriding_interval().is_some() {
        return interval;
    }
    let jittered = interval.mul_f64(MIN_JITTER + (1.0 - MIN_JITTER) * random);
    jittered.max(config.min_interval_after(response))
}

/// Why a round failed, as far as the next one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoundFailure {
    /// Our own network seems to be down, so no back-off grows.
    Withheld,
    /// Trackers refused a torrent that was added `age` ago. A tracker may need some seconds until it knows a torrent
    /// that was just uploaded, so a new one asks again sooner (R119).
    Refused { age: Duration },
    /// Anything else.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{AnnounceError, Rejection, Retry};

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_start(secs(seconds))
    }

    fn reply(interval: Option<u64>, min_interval: Option<u64>) -> AnnounceResponse {
        AnnounceResponse {
            interval: interval.map(secs),
            min_interval: min_interval.map(secs),
            ..AnnounceResponse::default()
        }
    }

    /// R40 and R41: clamped to [60 s, 8 h], missing and zero are 30 min, `min interval` is a floor.
    #[test]
    fn intervals_are_clamped() {
        let rows = [
            (reply(Some(1800), None), 1800),
            (reply(Some(0), None), 1800),
            (reply(None, None), 1800),
            (reply(Some(5), None), 60),
            (reply(Some(u64::MAX), None), 8 * 3600),
            (reply(Some(900), Some(1200)), 1200),
            (reply(Some(1800), Some(900)), 1800),
            (reply(None, Some(4000)), 4000),
        ];
        for (response, expected) in rows {
            let mut schedule = Schedule::default();
            let config = Config::default();
            let interval = schedule.succeeded(&response, &config, 0.999_999, at(0));
            assert_eq!(interval, secs(expected), "{response:?}");
            let due = schedule.due().unwrap();
            assert!(due <= at(expected) && due >= at(expected * 92 / 100), "{response:?} {due:?}");
            let earliest = schedule.succeeded(&response, &config, 0.0, at(0));
            assert!(
                schedule.due().unwrap()
                    >= Timestamp::ZERO + response.min_interval.unwrap_or_default().min(earliest)
            );
        }
    }

    #[test]
    fn a_floor_above_the_ceiling_wins() {
        let config = Config::default().interval_floor(secs(1800)).interval_ceiling(secs(900));
        let busy = AnnounceError::Rejected(Rejection { interval: Some(secs(5)), ..Rejection::new("busy") });
        assert_eq!(config.interval_after(&reply(Some(5), None)), secs(1800));
        assert_eq!(config.retry_after(&busy), Retry::After(secs(1800)));
    }

    #[test]
    fn an_override_replaces_interval_and_floor() {
        let config = Config::default().interval_override(secs(5));
        let mut schedule = Schedule::default();
        schedule.succeeded(&reply(Some(1800), Some(900)), &config, 0.5, at(100));
        assert_eq!(schedule.due(), Some(at(105)));
    }

    #[test]
    fn an_override_that_comes_later_replaces_them_too() {
        let (mut schedule, config) = (Schedule::default(), Config::default());
        schedule.succeeded(&reply(Some(1800), Some(900)), &config, 0.5, at(100));
        schedule.overridden(secs(5), at(100));
        assert_eq!(schedule.due(), Some(at(105)));
    }

    /// R17 and R44: back-off, not interval; capped, and reset by success.
    #[test]
    fn failed_rounds_back_off_to_a_cap() {
        let (mut schedule, config) = (Schedule::default(), Config::default());
        let failed = |schedule: &mut Schedule, random: f64| {
            schedule.refused_until = Timestamp::ZERO;
            schedule.round_failed(RoundFailure::Failed, &config, || random, at(0));
            schedule.refused_until
        };
        let longest: Vec<u64> =
            (0..40).map(|_| failed(&mut schedule, 0.999_999_999).as_micros().div_ceil(1_000_000)).collect();
        assert_eq!(longest[..4], [60, 120, 240, 480]);
        assert_eq!(longest.last(), Some(&1800));
        assert_eq!(failed(&mut schedule, 0.0), at(30), "the jitter has a floor");
        assert!(schedule.is_failing());
        schedule.succeeded(&reply(None, None), &config, 0.5, at(0));
        assert!(!schedule.is_failing() && schedule.refused_until == at(0));
        assert!(failed(&mut schedule, 0.999_999_999) <= at(60));
    }

    #[test]
    fn a_round_within_the_back_off_does_not_lengthen_it() {
        let (mut schedule, config) = (Schedule::default(), Config::default());
        schedule.round_failed(RoundFailure::Failed, &config, || 0.0, at(0));
        schedule.round_failed(RoundFailure::Failed, &config, || 1.0, at(10));
        assert_eq!(schedule.refused_until, at(30));
    }

    #[test]
    fn a_round_holds_back_no_tracker_that_was_not_asked_in_it() {
        let (mut schedule, config) = (Schedule::default(), Config::default());
        schedule.round_failed(RoundFailure::Failed, &config, || 0.0, at(1));
        assert_eq!(schedule.refused_until(at(0)), at(31));
        schedule.round_failed(RoundFailure::Failed, &config, || 0.0, at(31));
        assert_eq!([0, 1, 31].map(|failed| schedule.refused_until(at(failed))), [at(0), at(0), at(61)]);
    }

    /// R119: 10, 20, 30 s for a torrent that was just added, then the usual back-off.
    #[test]
    fn a_new_torrent_asks_again_soon_after_a_refusal() {
        let (mut schedule, config) = (Schedule::default(), Config::default());
        for (now, next) in [(0, 10), (10, 30), (30, 60), (60, 90), (90, 120)] {
            let refused = RoundFailure::Refused { age: secs(now) };
            schedule.round_failed(refused, &config, || 0.0, at(now));
            assert_eq!(schedule.refused_until, at(next));
        }
        schedule.round_failed(RoundFailure::Refused { age: secs(120) }, &config, || 0.0, at(120));
        assert_eq!(schedule.refused_until, at(150), "30 s is the floor of the usual back-off");
    }

    #[test]
    fn wanting_peers_respects_the_min_interval() {
        let (mut schedule, config) = (Schedule::default(), Config::default());
        schedule.succeeded(&reply(Some(1800), Some(300)), &config, 0.5, at(0));
        schedule.want_peers(at(300), at(10));
        assert_eq!(schedule.due(), Some(at(300)));
        schedule.want_peers(at(0), at(200));
        assert_eq!(schedule.due(), Some(at(200)));
        schedule.want_peers(at(0), at(250));
        assert_eq!(schedule.due(), Some(at(200)), "never later");
        schedule.request(at(150));
        assert_eq!(schedule.due(), Some(at(150)));
    }
}
