//! When the next announce is due: intervals, floors, hints of single trackers, and back-off.

use std::time::Duration;

use super::by_tracker::ByTracker;
use super::config::Config;
use crate::announce::AnnounceResponse;
use crate::error::{AnnounceError, Retry};
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// The jitter of a regular announce: it only ever shortens the interval, since some trackers forget a peer a
/// minute after it.
const EARLIEST: f64 = 0.92;

/// How long after a failure that isn't held against it a tracker is asked again by the same torrent. Not sooner, since what
/// looks like our own network may be its own trouble; not later, so that a captive portal is left within a minute.
const WITHHELD_RETRY: Duration = Duration::from_secs(50);

/// For how long a torrent is new. Tools that wait for an upload to be known give up after some minutes.
const NEW_TORRENT: Duration = Duration::from_secs(120);

/// How soon a new torrent asks again after its first refusal, and at the latest: after 10, 20, 30, 30 s.
const NEW_TORRENT_RETRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// When one torrent announces next, and which of its trackers may not be asked yet.
///
/// An interval belongs to the tracker that answered; a hint (`retry in`, `Retry-After`, an interval beside a
/// failure) binds only the tracker that gave it.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    due: Option<Timestamp>,
    /// The round that is due was asked for, whatever the intervals say.
    forced: bool,
    /// The announce is put off until trackers may be asked again, which may be sooner than was known then.
    deferred: bool,
    failed_rounds: u32,
    last_success: Option<Timestamp>,
    hints: ByTracker<Hint>,
}

/// What one tracker said of when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Hint {
    never: bool,
    /// Not to be asked at all before this.
    suspended_until: Timestamp,
    /// The tracker failed, and is to be asked again then; others may be asked sooner.
    retry_at: Timestamp,
    /// Not to be asked for more peers before this.
    min_interval_until: Timestamp,
}

impl Schedule {
    /// When the next announce is due; `None` while a round runs.
    pub fn due(&self) -> Option<Timestamp> {
        // At the end of time everything would be due again and again.
        self.due.filter(|due| *due < Timestamp::NEVER)
    }

    /// Makes an announce due at once, whatever the intervals say.
    pub fn force(&mut self, now: Timestamp) {
        self.due = Some(now);
        (self.forced, self.deferred) = (true, false);
    }

    /// Makes an announce due at once, as far as its trackers allow.
    pub fn due_now(&mut self, now: Timestamp) {
        self.due = Some(now);
    }

    /// Puts off the announce that is due until a tracker may be asked.
    pub fn put_off(&mut self, until: Option<Timestamp>) {
        self.due = until;
        self.deferred = until.is_some();
    }

    /// Whether the announce is put off until trackers may be asked again.
    pub fn is_deferred(&self) -> bool {
        self.deferred && self.due().is_some()
    }

    /// Puts off what is due by now, because many torrents are due at once.
    pub fn spread(&mut self, wait: Duration, now: Timestamp) {
        self.due = self.due.map(|due| if due <= now { now + wait } else { due });
    }

    /// Whether the last round failed.
    pub fn is_troubled(&self) -> bool {
        self.failed_rounds > 0
    }

    /// When a tracker may be asked by what it said; `None` where it said "never". An owed event doesn't wait for its
    /// min interval, which is about regular announces.
    pub fn allowed_at(&self, tracker: &TrackerUrl, owes_event: bool) -> Option<Timestamp> {
        let hint = self.hints.get(tracker).copied().unwrap_or_default();
        let min_interval_until = if owes_event { Timestamp::ZERO } else { hint.min_interval_until };
        (!hint.never).then_some(hint.retry_at.max(min_interval_until))
    }

    /// Whether the announce that is due was asked for.
    pub fn is_forced(&self) -> bool {
        self.forced
    }

    /// Makes an announce due as soon as the tracker in use allows more peers to be asked for, if that is sooner
    /// than the regular one.
    pub fn want_peers(&mut self, in_use: Option<&TrackerUrl>, config: &Config, now: Timestamp) {
        let Some(due) = self.due else { return };
        if self.failed_rounds > 0 {
            return; // The back-off is as soon as is decent.
        }
        let floor = match config.overriding_interval() {
            Some(_) => Timestamp::ZERO,
            None => self.last_success.map_or(Timestamp::ZERO, |last| last + config.want_peers_floor),
        };
        let min_interval =
            in_use.and_then(|tracker| self.hints.get(tracker)).map(|hint| hint.min_interval_until);
        self.due = Some(due.min(now.max(floor).max(min_interval.unwrap_or_default())));
    }

    /// Notes that the round that was due has begun, and tells whether it was forced.
    pub fn begun(&mut self) -> bool {
        (self.due, self.deferred) = (None, false);
        std::mem::take(&mut self.forced)
    }

    /// Plans the announce after a good answer, and gives the interval in force. `random` is from [0, 1).
    pub fn succeeded(
        &mut self,
        tracker: &TrackerUrl,
        response: &AnnounceResponse,
        config: &Config,
        random: f64,
        now: Timestamp,
    ) -> Duration {
        self.failed_rounds = 0;
        self.last_success = Some(now);
        let interval = config.interval_after(response);
        let min_interval = self.heard(tracker, response, config, now);
        let jittered = if config.overriding_interval().is_some() {
            interval
        } else {
            interval.mul_f64(EARLIEST + (1.0 - EARLIEST) * random).max(min_interval)
        };
        (self.due, self.deferred) = (Some(now + jittered), false);
        interval
    }

    /// Keeps the min interval of an answer, whatever else comes of it, and gives it. It binds that tracker only.
    pub fn heard(
        &mut self,
        tracker: &TrackerUrl,
        response: &AnnounceResponse,
        config: &Config,
        now: Timestamp,
    ) -> Duration {
        let min_interval = match config.overriding_interval() {
            Some(_) => Duration::ZERO,
            None => response.min_interval.unwrap_or_default().min(config.interval_ceiling),
        };
        if min_interval.is_zero() {
            // What binds nobody needs no room: most trackers send none.
            self.hints.remove(tracker);
        } else {
            let hint = Hint { min_interval_until: now + min_interval, ..Hint::default() };
            self.hints.insert(tracker.clone(), hint);
        }
        min_interval
    }

    /// Notes what a failing tracker said of when to come back. It binds that tracker only.
    pub fn failed(&mut self, tracker: &TrackerUrl, error: &AnnounceError, config: &Config, now: Timestamp) {
        // An interval beside a refusal is no order to stay away: whoever overrides intervals overrides it too.
        let is_said = error.retry() != Retry::Unsaid;
        match config.retry_after(error) {
            Retry::Never => self.hints.or_default(tracker).never = true,
            Retry::After(wait) if is_said => {
                let hint = self.hints.or_default(tracker);
                hint.suspended_until = now + wait;
                hint.retry_at = now + wait;
            }
            Retry::After(wait) if config.overriding_interval().is_none() => {
                self.hints.or_default(tracker).retry_at = now + wait;
            }
            Retry::After(_) | Retry::Unsaid => {
                if let Some(hint) = self.hints.get_mut(tracker) {
                    hint.retry_at = Timestamp::ZERO;
                }
            }
        }
    }

    /// Counts a round in which every tracker failed, and gives the back-off after it. `random` is from [0, 1).
    pub fn round_failed(&mut self, config: &Config, random: f64, now: Timestamp) -> Timestamp {
        let doubled = config.retry_first.saturating_mul(1 << self.failed_rounds.min(16));
        self.failed_rounds = self.failed_rounds.saturating_add(1);
        let spread = doubled.min(config.retry_ceiling).saturating_sub(config.retry_floor);
        let backoff = config.retry_floor + spread.mul_f64(random);
        now + config.overriding_interval().map_or(backoff, |interval| backoff.min(interval))
    }

    /// Makes an announce due because the list of trackers changed: at once where the last round failed or the tracker in
    /// use is gone (`at_once`), else if none is.
    pub fn trackers_changed(&mut self, at_once: bool, now: Timestamp) {
        if at_once || self.failed_rounds > 0 {
            self.due = Some(now);
        } else {
            self.due.get_or_insert(now);
        }
    }

    /// Notes a round in which every tracker failed and our own network is to blame: no back-off grows by it. Gives when
    /// trackers that answered nonsense are asked again.
    pub fn round_withheld(&mut self, now: Timestamp) -> Timestamp {
        self.failed_rounds = self.failed_rounds.max(1);
        now + WITHHELD_RETRY
    }

    /// Counts a round in which trackers refused a torrent that was added `age` ago, and gives the moment to try again: a
    /// tracker may need some seconds until it knows a torrent that was just uploaded (R119). `None` where it is older.
    pub fn new_torrent_refused(&mut self, age: Duration, now: Timestamp) -> Option<Timestamp> {
        if age >= NEW_TORRENT {
            return None;
        }
        self.failed_rounds = self.failed_rounds.max(1);
        Some(now + (NEW_TORRENT_RETRY.0 + age).min(NEW_TORRENT_RETRY.1))
    }

    /// Whether a tracker is not to be asked yet, or not at all in this session.
    pub fn is_suspended(&self, tracker: &TrackerUrl, now: Timestamp) -> bool {
        self.hints.get(tracker).is_some_and(|hint| hint.never || hint.suspended_until > now)
    }

    /// Whether any tracker is [suspended](Self::is_suspended) or [early](Self::is_early).
    pub fn binds_anybody(&self, now: Timestamp) -> bool {
        let binds = |hint: &Hint| hint.never || hint.suspended_until > now || hint.min_interval_until > now;
        self.hints.values().any(binds)
    }

    /// Whether a tracker's min interval has not passed: nothing but an event is for it yet.
    pub fn is_early(&self, tracker: &TrackerUrl, now: Timestamp) -> bool {
        self.hints.get(tracker).is_some_and(|hint| hint.min_interval_until > now)
    }

    /// An interval of the user's own is in force from now on: the next announce is due no later than that, and
    /// what trackers said of their min interval before is void. Otherwise the tracker in use would be early in
    /// the next round, which would then go to another.
    pub fn overridden(&mut self, interval: Duration, now: Timestamp) {
        self.due = self.due.map(|due| due.min(now + interval));
        for hint in self.hints.values_mut() {
            hint.min_interval_until = Timestamp::ZERO;
        }
    }

    /// Forgets what removed trackers said.
    pub fn forget_all(&mut self, is_gone: impl Fn(&TrackerUrl) -> bool) {
        self.hints.retain(|tracker, _| !is_gone(tracker));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Rejection;

    fn url(host: &str) -> TrackerUrl {
        format!("http://{host}.test/announce").parse().unwrap()
    }

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
            let interval = schedule.succeeded(&url("a"), &response, &config, 0.999_999, at(0));
            assert_eq!(interval, secs(expected), "{response:?}");
            let due = schedule.due().unwrap();
            assert!(due <= at(expected) && due >= at(expected * 92 / 100), "{response:?} {due:?}");
            let earliest = schedule.succeeded(&url("a"), &response, &config, 0.0, at(0));
            assert!(
                schedule.due().unwrap()
                    >= Timestamp::ZERO + response.min_interval.unwrap_or_default().min(earliest)
            );
        }
    }

    #[test]
    fn a_floor_above_the_ceiling_wins() {
        let config = Config { interval_floor: secs(1800), interval_ceiling: secs(900), ..Config::default() };
        let busy = AnnounceError::Rejected(Rejection { interval: Some(secs(5)), ..Rejection::new("busy") });
        assert_eq!(config.interval_after(&reply(Some(5), None)), secs(1800));
        assert_eq!(config.retry_after(&busy), Retry::After(secs(1800)));
    }

    #[test]
    fn an_override_replaces_interval_and_floor() {
        let config = Config { interval_override: Some(secs(5)), ..Config::default() };
        let mut schedule = Schedule::default();
        schedule.succeeded(&url("a"), &reply(Some(1800), Some(900)), &config, 0.5, at(100));
        assert_eq!(schedule.due(), Some(at(105)));
    }

    #[test]
    fn an_override_that_comes_later_replaces_them_too() {
        let (mut schedule, config) = (Schedule::default(), Config::default());
        schedule.succeeded(&url("a"), &reply(Some(1800), Some(900)), &config, 0.5, at(100));
        assert!(schedule.is_early(&url("a"), at(105)));
        schedule.overridden(secs(5), at(100));
        assert_eq!(schedule.due(), Some(at(105)));
        assert!(!schedule.is_early(&url("a"), at(105)), "or the round would go to another tracker");
    }

    /// R17 and R44: back-off, not interval; capped, and reset by success.
    #[test]
    fn failed_rounds_back_off_to_a_cap() {
        let (mut schedule, config) = (Schedule::default(), Config::default());
        let mut longest = Vec::new();
        for _ in 0..40 {
            let backoff = schedule.round_failed(&config, 0.999_999_999, at(0));
            longest.push(backoff.as_micros().div_ceil(1_000_000));
        }
        assert_eq!(longest[..4], [60, 120, 240, 480]);
        assert_eq!(longest.last(), Some(&1800));
        assert_eq!(schedule.round_failed(&config, 0.0, at(0)), at(30), "the jitter has a floor");
        assert!(schedule.is_troubled());
        schedule.succeeded(&url("a"), &reply(None, None), &config, 0.5, at(0));
        assert!(!schedule.is_troubled());
        assert!(schedule.round_failed(&config, 0.999_999_999, at(0)) <= at(60));
    }

    /// R42: a hint binds its sender. R43: "never" is for the session.
    #[test]
    fn hints_bind_their_sender_only() {
        let (mut schedule, config) = (Schedule::default(), Config::default());
        let later =
            AnnounceError::Rejected(Rejection { retry: Retry::After(secs(3600)), ..Rejection::new("busy") });
        let never = AnnounceError::Status { status: 410, retry: Retry::Never };
        schedule.failed(&url("a"), &later, &config, at(0));
        assert!(schedule.is_suspended(&url("a"), at(3599)) && !schedule.is_suspended(&url("a"), at(3600)));
        assert_eq!(schedule.allowed_at(&url("a"), false), Some(at(3600)));
        assert!(!schedule.is_suspended(&url("b"), at(0)));
        assert_eq!(schedule.allowed_at(&url("b"), false), Some(at(0)), "b doesn't wait for a");
        schedule.failed(&url("a"), &never, &config, at(0));
        assert!(schedule.is_suspended(&url("a"), at(1_000_000)));
        assert_eq!(schedule.allowed_at(&url("a"), false), None);
    }

    #[test]
    fn an_interval_beside_a_failure_sets_the_retry_of_its_sender() {
        let (mut schedule, config) = (Schedule::default(), Config::default());
        let error =
            AnnounceError::Rejected(Rejection { interval: Some(secs(5400)), ..Rejection::new("busy") });
        schedule.failed(&url("a"), &error, &config, at(0));
        assert!(!schedule.is_suspended(&url("a"), at(0)));
        assert_eq!(schedule.allowed_at(&url("a"), false), Some(at(5400)));
        schedule.failed(&url("a"), &AnnounceError::Cancelled, &config, at(1));
        assert_eq!(schedule.allowed_at(&url("a"), false), Some(at(0)), "its last word counts");
    }

    #[test]
    fn a_min_interval_keeps_its_sender_from_being_asked_again() {
        let (mut schedule, config) = (Schedule::default(), Config::default());
        schedule.succeeded(&url("a"), &reply(Some(1800), Some(900)), &config, 0.5, at(0));
        schedule.failed(&url("a"), &AnnounceError::Cancelled, &config, at(10));
        assert_eq!(schedule.allowed_at(&url("a"), false), Some(at(900)));
        assert!(schedule.is_early(&url("a"), at(899)) && !schedule.is_early(&url("a"), at(900)));
    }

    #[test]
    fn wanting_peers_respects_the_min_interval() {
        let (mut schedule, config) = (Schedule::default(), Config::default());
        schedule.succeeded(&url("a"), &reply(Some(1800), Some(300)), &config, 0.5, at(0));
        schedule.want_peers(Some(&url("a")), &config, at(10));
        assert_eq!(schedule.due(), Some(at(300)));
        schedule.succeeded(&url("a"), &reply(Some(1800), None), &config, 0.5, at(1000));
        schedule.want_peers(Some(&url("a")), &config, at(1010));
        assert_eq!(schedule.due(), Some(at(1060)), "and a floor where there is none");
        schedule.want_peers(Some(&url("a")), &config, at(1200));
        assert_eq!(schedule.due(), Some(at(1060)));
        schedule.force(at(1001));
        assert_eq!(schedule.due(), Some(at(1001)));
    }
}
