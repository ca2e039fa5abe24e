//! When a failing host may be tried again, and by which of the torrents that wait for it.

use std::time::Duration;

use super::line::{Line, Rank};
use super::slot::SlotId;
use crate::policy::config::Config;
use crate::policy::io::TorrentId;
use crate::time::Timestamp;

/// How long a host has to have worked before its past failures are forgotten.
const SETTLED: Duration = Duration::from_secs(60);

/// How far apart torrents that never failed at a doubted host try it, one by one. A tenth of the pace of a host that
/// works, and fast enough that fifty torrents with a bad passkey delay a good one by less than a minute.
const NEXT_TRIAL: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(500));

/// How much later the next in line may try than the one before. Just enough for timers to keep the order.
const STEP: Duration = Duration::from_millis(10);

/// Keeps torrents away from a failing host for a while that grows with each failure. Then one of them tries it (the
/// trial); its success lets all back in.
///
/// The trial goes round, because a shared permission that always goes to the same torrent starves the others: first to
/// the torrent that was answered here last, and whoever tried without success goes to the end of the line.
#[derive(Debug, Clone, Default)]
pub(super) struct Breaker {
    state: State,
    /// How many times it has opened in a row.
    openings: u32,
    /// When it last closed: two successes a minute apart forget the past.
    closed_at: Option<Timestamp>,
    /// The torrents that wait, while it isn't closed.
    line: Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Closed,
    Open(BackOff),
    /// One attempt tries the host (the trial), since then; the reason stands until something comes of it.
    HalfOpen {
        trial: SlotId,
        since: Timestamp,
        before: BackOff,
    },
}

/// From when on a host may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BackOff {
    reason: Reason,
    until: Timestamp,
    /// For torrents that need peers.
    needy_until: Timestamp,
}

/// Why a host is backed off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// No sign of life: no name, refused, silent, TLS. The same for all torrents, so one trial speaks for all. Torrents
    /// that need peers try sooner: it costs the host a connection and tells it nothing.
    NoLife,
    /// It lives, and two different torrents or addresses got no tracker's answer. That may be their own trouble, for which
    /// each has a back-off of its own. Torrents that haven't failed here go in one by one, so that not all of them find
    /// out.
    Doubted,
    /// It failed while our own network or machine was to blame. Not held against it; it isn't tried without pause.
    Withheld,
}

/// What a torrent brings to a host that is backed off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    /// It wants peers, and no other tracker can name any.
    pub(crate) needs_peers: bool,
    /// It failed here since it was last answered here.
    pub(crate) failed_here: bool,
    /// When it was last answered here.
    pub(crate) answered_at: Option<Timestamp>,
}

impl Demand {
    fn rank(self) -> Rank {
        if self.failed_here { Rank::Failed } else { Rank::unfailed(self.answered_at) }
    }
}

impl Breaker {
    /// As an earlier run left it. A host that was backed off may be tried at once, by one torrent: what kept us
    /// away may be over.
    pub(super) fn recalled(openings: u32, is_backed_off: bool, now: Timestamp) -> Self {
        let state =
            if is_backed_off { State::Open(BackOff::until(Reason::NoLife, now)) } else { State::Closed };
        Self { state, openings, ..Self::default() }
    }

    /// How many times it has opened in a row.
    pub(super) fn openings(&self) -> u32 {
        self.openings
    }

    /// Whether the host counts as working.
    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether the host gave no sign of life, as far as is known.
    pub(super) fn is_lifeless(&self) -> bool {
        self.back_off().is_some_and(|back_off| back_off.reason == Reason::NoLife)
    }

    /// Whether the host lives and is doubted.
    pub(super) fn is_doubted(&self) -> bool {
        self.back_off().is_some_and(|back_off| back_off.reason == Reason::Doubted)
    }

    fn back_off(&self) -> Option<BackOff> {
        match self.state {
            State::Closed => None,
            State::Open(back_off) | State::HalfOpen { before: back_off, .. } => Some(back_off),
        }
    }

    /// When a torrent may try the host; a moment that has passed where it may now. While another tries, it may look
    /// again after `patience` or as long as that has taken, whichever is longer.
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
            State::Open(back_off) => back_off.from(demand) + STEP * self.line.place(torrent, demand.rank()),
            State::HalfOpen { since, .. } => now + patience.max(now.since(since)).max(STEP),
        }
    }

    /// Notes that a torrent waits for the host, so that its place in line is kept.
    pub(super) fn wait(&mut self, torrent: TorrentId, demand: Demand) {
        if !self.is_closed() {
            self.line.join(torrent, demand.rank());
        }
    }

    /// Notes that an attempt of a torrent begins.
    pub(super) fn tried(&mut self, slot: SlotId, torrent: TorrentId, failed_here: bool, now: Timestamp) {
        if let State::Open(before) = self.state
            && !(failed_here && before.reason == Reason::Doubted)
        {
            self.state = State::HalfOpen { trial: slot, since: now, before };
            self.line.leave(torrent);
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

    /// Notes an answer: the host works.
    pub(super) fn succeeded(&mut self, now: Timestamp) {
        let settled = self.closed_at.is_some_and(|closed_at| now.since(closed_at) >= SETTLED);
        if self.is_closed() && settled {
            self.openings = 0;
        } else if !self.is_closed() || self.closed_at.is_none() {
            self.closed_at = Some(now);
        }
        self.close();
    }

    /// Lets all in: a host without a sign of life has given one, or nothing is held against it any more. The past isn't
    /// forgotten by that.
    pub(super) fn close(&mut self) {
        self.state = State::Closed;
        self.line = Line::default();
    }

    /// Notes that the host gave no sign of life. `random` is from [0, 1).
    pub(super) fn open(&mut self, config: &Config, random: f64, now: Timestamp) {
        self.openings = self.openings.saturating_add(1);
        self.closed_at = None;
        let floor = config.retry_floor;
        let doublings = (self.openings - 1).min(16);
        let longest = config.retry_first.saturating_mul(1 << doublings).min(config.retry_ceiling);
        let until = now + floor + longest.saturating_sub(floor).mul_f64(random);
        let needy_until = until.min(now + config.needs_peers_wait(random));
        self.state = State::Open(BackOff { reason: Reason::NoLife, until, needy_until });
    }

    /// Notes that a torrent which hadn't failed here before got no tracker's answer. `random` is from [0, 1).
    pub(super) fn doubt(&mut self, random: f64, now: Timestamp) {
        let (soonest, latest) = NEXT_TRIAL;
        let next = match self.back_off() {
            Some(before) if before.reason == Reason::Doubted => {
                now + soonest + latest.saturating_sub(soonest).mul_f64(random)
            }
            // What two torrents met may be their own trouble: the first of the others finds out at once.
            _ => now,
        };
        self.closed_at = None;
        self.state = State::Open(BackOff::until(Reason::Doubted, next));
    }

    /// Notes a failure that isn't held against the host: it is tried again at `look_at`.
    pub(super) fn withhold(&mut self, look_at: Timestamp) {
        let reason = self.back_off().map_or(Reason::Withheld, |back_off| back_off.reason);
        self.state = State::Open(BackOff::until(reason, look_at));
    }

    /// Takes back the last failure. A host that had failed before that is still backed off.
    pub(super) fn pardon(&mut self) {
        if self.is_lifeless() {
            self.openings = self.openings.saturating_sub(1);
        }
        if self.openings == 0 || self.is_doubted() {
            self.close();
        }
    }

    /// Ends what was withheld: our own network works again.
    pub(super) fn end_withholding(&mut self) {
        if self.back_off().is_some_and(|back_off| back_off.reason == Reason::Withheld) {
            self.close();
        }
    }

    /// Lets the next torrent try at once: the network has changed, and with it the reason.
    pub(super) fn forgive(&mut self, now: Timestamp) {
        if let Some(back_off) = self.back_off() {
            self.state = State::Open(BackOff::until(back_off.reason, now));
        }
    }
}

impl BackOff {
    /// The same for all torrents.
    fn until(reason: Reason, until: Timestamp) -> Self {
        Self { reason, until, needy_until: until }
    }

    /// Whether this torrent has met the reason already, and has its own back-off for it.
    fn passes(self, demand: Demand) -> bool {
        self.reason == Reason::Doubted && demand.failed_here
    }

    fn from(self, demand: Demand) -> Timestamp {
        if demand.needs_peers { self.needy_until } else { self.until }
    }
}
