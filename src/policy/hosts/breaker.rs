//! When a failing host may be tried again, and by which of the torrents that wait for it.

use std::time::Duration;

use super::slot::SlotId;
use super::trial_queue::{TrialQueue, TrialRank};
use crate::policy::config::Config;
use crate::policy::io::TorrentId;
use crate::time::Timestamp;

/// Torrents that need peers and have no other tracker try a host that gave no sign of life at a random moment within
/// these bounds. With the 20 s of an opening that fails, a tracker that returns is found within 95 s, however long it was
/// away. Clients that back off by hours take 16 to 60 minutes for that (model). It costs the host one connection for all
/// torrents together.
const NEEDS_PEERS_WAIT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(75));

/// The least and the greatest time between the trials of a doubted host by torrents that haven't failed there. A tenth
/// of the pace of a host that works, and fast enough that fifty torrents with a bad passkey delay a good one by less
/// than a minute.
const NEXT_TRIAL: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(500));

/// How much later the next in the queue may try than the one before: enough for their timers to keep the order.
const STEP: Duration = Duration::from_millis(10);

/// A circuit breaker. It keeps torrents from a failing host for a time that grows with each failure. Then one attempt
/// tries it (the trial), and its success lets all torrents back in.
///
/// The trial goes round: first to the torrent that was answered here last, and a torrent that tried without success
/// goes to the end of the queue. A trial that always went to the same torrent would starve the others if the host
/// doesn't serve that one (R80, R81).
#[derive(Debug, Clone, Default)]
pub(super) struct Breaker {
    /// Whether torrents may try the host.
    state: State,
    /// How many times in a row the host gave no sign of life: the back-off doubles with each.
    trips: u32,
    /// The torrents that wait for a trial; empty while the breaker is closed.
    queue: TrialQueue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// The host counts as working.
    #[default]
    Closed,
    /// The host is backed off.
    Open(BackOff),
    /// One attempt tries the host.
    HalfOpen {
        /// The attempt.
        trial: SlotId,
        /// When it began.
        since: Timestamp,
        /// The back-off before it, which stands until the attempt brings news.
        before: BackOff,
    },
}

/// The moments from which on a host may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BackOff {
    /// Why the host is backed off.
    reason: Reason,
    /// When it may be tried.
    until: Timestamp,
    /// When it may be tried by torrents that need peers; not later.
    needs_peers_until: Timestamp,
}

/// Why a host is backed off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// No sign of life: no name, refused, silent, TLS. That is the same for all torrents, so one trial is evidence for
    /// all. Torrents that need peers try sooner: it costs the host one connection.
    NoLife,
    /// It lives, and two different torrents or addresses got no tracker's answer. The reason may lie in those torrents,
    /// and each has its own back-off for that. Torrents that haven't failed here try one by one, so that they don't all
    /// fail if the reason is the host.
    Doubted,
    /// An attempt failed because of our own network or machine. The host isn't blamed, and isn't tried without pause
    /// either.
    Withheld,
}

/// What decides when a torrent may try a host in back-off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    /// Whether the torrent wants peers, and no other tracker can supply any.
    pub(crate) needs_peers: bool,
    /// Whether it has failed at this host since it was last answered there.
    pub(crate) failed_here: bool,
    /// When it was last answered there, if ever.
    pub(crate) answered_at: Option<Timestamp>,
}

impl Demand {
    /// Its rank in the queue for the trial.
    fn rank(self) -> TrialRank {
        if self.failed_here { TrialRank::Failed } else { TrialRank::unfailed(self.answered_at) }
    }
}

impl Breaker {
    /// The state after an earlier run. A host that was backed off may be tried at once, by one torrent: the outage may
    /// be over.
    pub(super) fn restored(trips: u32, is_backed_off: bool, now: Timestamp) -> Self {
        let state =
            if is_backed_off { State::Open(BackOff::until(Reason::NoLife, now)) } else { State::Closed };
        Self { state, trips, ..Self::default() }
    }

    /// How many times in a row the host gave no sign of life.
    pub(super) fn trips(&self) -> u32 {
        self.trips
    }

    /// Until when the host is backed off, for torrents that have other trackers; `None` if it counts as working.
    pub(super) fn backed_off_until(&self) -> Option<Timestamp> {
        match self.state {
            State::Closed => None,
            State::Open(back_off) | State::HalfOpen { before: back_off, .. } => Some(back_off.until),
        }
    }

    /// Whether the host counts as working.
    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether the host is backed off because it gave no sign of life.
    pub(super) fn is_lifeless(&self) -> bool {
        self.back_off().is_some_and(|back_off| back_off.reason == Reason::NoLife)
    }

    /// Whether the host is backed off because two torrents or addresses got no tracker's answer.
    pub(super) fn is_doubted(&self) -> bool {
        self.back_off().is_some_and(|back_off| back_off.reason == Reason::Doubted)
    }

    /// The back-off that stands, also during a trial.
    fn back_off(&self) -> Option<BackOff> {
        match self.state {
            State::Closed => None,
            State::Open(back_off) | State::HalfOpen { before: back_off, .. } => Some(back_off),
        }
    }

    /// When a torrent may try the host; a moment in the past if it may now. During a trial it is to ask again after
    /// `patience`, or after as long as the trial has taken already: doubling that time bounds how often thousands of
    /// torrents ask during a long trial.
    pub(super) fn earliest(
        &self,
        torrent: TorrentId,
        demand: Demand,
        patience: Duration,
        now: Timestamp,
    ) -> Timestamp {
        match self.state {
            State::Closed => Timestamp::ZERO,
            State::Open(back_off) | State::HalfOpen { before: back_off, .. } if back_off.passes(demand) => {
                Timestamp::ZERO
            }
            State::Open(back_off) => back_off.from(demand) + STEP * self.queue.place(torrent, demand.rank()),
            State::HalfOpen { since, .. } => now + patience.max(now.since(since)).max(STEP),
        }
    }

    /// Notes that a torrent waits for the host, so that it keeps its place in the queue.
    pub(super) fn wait(&mut self, torrent: TorrentId, demand: Demand) {
        if !self.is_closed() {
            self.queue.join(torrent, demand.rank());
        }
    }

    /// Notes that an attempt of a torrent begins.
    pub(super) fn tried(&mut self, slot: SlotId, torrent: TorrentId, failed_here: bool, now: Timestamp) {
        if let State::Open(before) = self.state
            && !(failed_here && before.reason == Reason::Doubted)
        {
            self.state = State::HalfOpen { trial: slot, since: now, before };
            self.queue.leave(torrent);
        }
    }

    /// Notes that an attempt ended. If it was the trial and brought no news about the host, the next torrent may try.
    pub(super) fn ended(&mut self, slot: SlotId, now: Timestamp) {
        if let State::HalfOpen { trial, before, .. } = self.state
            && trial == slot
        {
            self.state = State::Open(BackOff::until(before.reason, now));
        }
    }

    /// Notes a tracker's answer: the host works.
    pub(super) fn succeeded(&mut self) {
        self.trips = 0;
        self.close();
    }

    /// Lets all torrents in: the host has given a sign of life, or isn't blamed any more. The trips still count
    /// until a tracker there answers.
    pub(super) fn close(&mut self) {
        self.state = State::Closed;
        self.queue = TrialQueue::default();
    }

    /// Notes that the host gave no sign of life. `random` is from [0, 1).
    pub(super) fn open(&mut self, config: &Config, random: f64, now: Timestamp) {
        self.trips = self.trips.saturating_add(1);
        let floor = config.back_off.retry_floor;
        let doublings = (self.trips - 1).min(16);
        let longest =
            config.back_off.retry_first.saturating_mul(1 << doublings).min(config.back_off.retry_ceiling);
        let until = now + floor + longest.saturating_sub(floor).mul_f64(random);
        let needs_peers_until = until.min(now + needs_peers_wait(random));
        self.state = State::Open(BackOff { reason: Reason::NoLife, until, needs_peers_until });
    }

    /// Notes that a torrent that hadn't failed here before got no tracker's answer. `random` is from [0, 1).
    pub(super) fn doubt(&mut self, random: f64, now: Timestamp) {
        let (soonest, latest) = NEXT_TRIAL;
        let next = match self.back_off() {
            Some(before) if before.reason == Reason::Doubted => {
                now + soonest + latest.saturating_sub(soonest).mul_f64(random)
            }
            // The reason may lie in the two torrents, so the first of the others finds out at once.
            _ => now,
        };
        self.state = State::Open(BackOff::until(Reason::Doubted, next));
    }

    /// Notes a failure for which the host isn't blamed: it may be tried again at `look_at`. A reason from before
    /// stands.
    pub(super) fn withhold(&mut self, look_at: Timestamp) {
        let reason = self.back_off().map_or(Reason::Withheld, |back_off| back_off.reason);
        self.state = State::Open(BackOff::until(reason, look_at));
    }

    /// Takes back the last failure, which our own network caused. A host that had failed before that stays backed off.
    pub(super) fn pardon(&mut self) {
        if self.is_lifeless() {
            self.trips = self.trips.saturating_sub(1);
        }
        if self.trips == 0 || self.is_doubted() {
            self.close();
        }
    }

    /// Lets all torrents in if our own network was the only reason: it works again.
    pub(super) fn end_withholding(&mut self) {
        if self.back_off().is_some_and(|back_off| back_off.reason == Reason::Withheld) {
            self.close();
        }
    }

    /// Lets the next torrent try at once: the network has changed, and the reason may have gone with the old one.
    pub(super) fn forgive(&mut self, now: Timestamp) {
        if let Some(back_off) = self.back_off() {
            self.state = State::Open(BackOff::until(back_off.reason, now));
        }
    }
}

impl BackOff {
    /// A back-off that ends at the same moment for all torrents.
    fn until(reason: Reason, until: Timestamp) -> Self {
        Self { reason, until, needs_peers_until: until }
    }

    /// Whether it doesn't apply to a torrent, because that has failed here itself and has its own back-off for it.
    fn passes(self, demand: Demand) -> bool {
        self.reason == Reason::Doubted && demand.failed_here
    }

    /// When this torrent may try.
    fn from(self, demand: Demand) -> Timestamp {
        if demand.needs_peers { self.needs_peers_until } else { self.until }
    }
}

/// How long a torrent that needs peers waits for a host that gave no sign of life. `random` is from [0, 1).
pub(crate) fn needs_peers_wait(random: f64) -> Duration {
    let (least, most) = NEEDS_PEERS_WAIT;
    least + most.checked_sub(least).unwrap().mul_f64(random)
}
