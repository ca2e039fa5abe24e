//! The rules of back-off, written down without the code: one host, and the torrents that list it.

use super::*;

/// How many torrents list the host. The first half want peers, and no other tracker can supply any.
pub(super) const TORRENTS: usize = 4;
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const TRIAL_APART: Duration = Duration::from_millis(250);

/// One host and the torrents that list it, as the rules see them.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) now: Timestamp,
    pub(super) state: State,
    /// One attempt tries the host, since then, and the other torrents wait for what comes of it.
    pub(super) trial: Option<(Attempt, Timestamp)>,
    pub(super) torrents: [Member; TORRENTS],
    /// The torrents that asked and wait, each with its standing when it asked.
    pub(super) queue: Vec<(Standing, usize)>,
    /// How many times in a row the host gave no sign of life.
    pub(super) lifeless: u32,
    pub(super) answered: Option<Timestamp>,
    pub(super) failed: Option<Timestamp>,
    /// The torrent that got no tracker's answer since the last success.
    pub(super) unanswered: Option<usize>,
    /// How many times in a row the blame was withheld.
    pub(super) withheld: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    #[default]
    Works,
    Lifeless {
        until: Timestamp,
        needy_until: Timestamp,
    },
    Doubted {
        next: Timestamp,
    },
    /// The failures had their reason in this machine.
    NotBlamed {
        look_at: Timestamp,
    },
}

/// An attempt of a torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    Main(usize),
    /// One at another tracker of the same host, beside it.
    Second(usize),
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Member {
    pub(super) failed_here: bool,
    pub(super) answered: Option<Timestamp>,
    /// When the attempt under way began.
    pub(super) attempt: Option<Timestamp>,
}

/// Torrents that haven't failed go first, of them the one that was answered last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    pub(super) failed_here: bool,
    pub(super) answered: std::cmp::Reverse<Option<Timestamp>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Refused,
    Silent,
    /// A 502 or a page.
    Nonsense,
    Mute,
    /// A tracker's own refusal.
    Rejected,
    Local,
}

impl Kind {
    pub(super) fn error(self) -> AnnounceError {
        match self {
            Self::Refused => refused(),
            Self::Silent => silent(),
            Self::Nonsense => broken(),
            Self::Mute => mute(),
            Self::Rejected => AnnounceError::Rejected(Rejection::new("unregistered torrent")),
            Self::Local => AnnounceError::Local(Cause::new("no descriptor")),
        }
    }

    /// Whether the reason may be the torrent itself.
    pub(super) fn is_own(self) -> bool {
        matches!(self, Self::Nonsense | Self::Mute | Self::Rejected)
    }
}

pub(super) fn fraction(luck: u16) -> f64 {
    f64::from(luck) / 1000.0
}

pub(super) fn needs_peers(torrent: usize) -> bool {
    torrent < TORRENTS / 2
}

impl Member {
    pub(super) fn standing(&self) -> Standing {
        let answered = if self.failed_here { None } else { self.answered };
        Standing { failed_here: self.failed_here, answered: std::cmp::Reverse(answered) }
    }
}

impl Rules {
    /// When a torrent may try; a moment in the past if it may now.
    pub(super) fn earliest(&self, torrent: usize) -> Timestamp {
        let from = match self.state {
            State::Works => return Timestamp::ZERO,
            State::Doubted { .. } if self.torrents[torrent].failed_here => return Timestamp::ZERO,
            State::Lifeless { needy_until, .. } if needs_peers(torrent) => needy_until,
            State::Lifeless { until: from, .. }
            | State::Doubted { next: from }
            | State::NotBlamed { look_at: from } => from,
        };
        match self.trial {
            // Later the longer that trial lasts.
            Some((_, since)) => self.now + self.now.since(since).max(millis(250)),
            None => from + millis(10) * self.place(torrent),
        }
    }

    pub(super) fn may_try(&self, torrent: usize) -> bool {
        self.earliest(torrent) <= self.now
    }

    pub(super) fn place(&self, torrent: usize) -> u32 {
        let place = match self.queue.iter().position(|(_, other)| *other == torrent) {
            Some(place) => place,
            None => self.behind(self.torrents[torrent].standing()),
        };
        u32::try_from(place).unwrap()
    }

    /// How many torrents go before one that joins with this standing.
    pub(super) fn behind(&self, standing: Standing) -> usize {
        self.queue.iter().filter(|(other, _)| *other <= standing).count()
    }

    pub(super) fn queues(&mut self, torrent: usize) {
        let standing = self.torrents[torrent].standing();
        if self.state != State::Works && !self.queue.contains(&(standing, torrent)) {
            self.queue.retain(|(_, other)| *other != torrent);
            self.queue.insert(self.behind(standing), (standing, torrent));
        }
    }

    pub(super) fn begin(&mut self, attempt: Attempt) {
        let (Attempt::Main(torrent) | Attempt::Second(torrent)) = attempt;
        if attempt == Attempt::Main(torrent) {
            self.torrents[torrent].attempt = Some(self.now);
        }
        let has_own_back_off =
            matches!(self.state, State::Doubted { .. }) && self.torrents[torrent].failed_here;
        if self.state == State::Works || self.trial.is_some() || has_own_back_off {
            return;
        }
        self.trial = Some((attempt, self.now));
        // Those before it had their turn and didn't use it.
        if let Some(place) = self.queue.iter().position(|(_, other)| *other == torrent) {
            self.queue.drain(..=place);
        }
    }

    /// If this was the trial, the next torrent may try.
    pub(super) fn gave_up(&mut self, attempt: Attempt) {
        if self.trial.is_some_and(|(trial, _)| trial == attempt) {
            self.free_at_once();
        }
    }

    pub(super) fn free_at_once(&mut self) {
        let now = self.now;
        self.state = match self.state {
            State::Works => State::Works,
            State::Lifeless { .. } => State::Lifeless { until: now, needy_until: now },
            State::Doubted { .. } => State::Doubted { next: now },
            State::NotBlamed { .. } => State::NotBlamed { look_at: now },
        };
        self.trial = None;
    }

    pub(super) fn all_in(&mut self) {
        (self.state, self.trial) = (State::Works, None);
        self.queue.clear();
    }

    pub(super) fn opened(&mut self, began: Timestamp) {
        let is_new_connection = self.now.since(began) >= millis(5);
        if matches!(self.state, State::Lifeless { .. }) && is_new_connection {
            self.all_in();
        }
    }

    pub(super) fn answers(&mut self) {
        (self.answered, self.unanswered) = (Some(self.now), None);
        (self.withheld, self.lifeless) = (0, 0);
        self.all_in();
    }

    /// Whether an attempt began before the last news of the host.
    pub(super) fn is_old_news(&self, began: Timestamp) -> bool {
        self.answered.max(self.failed).is_some_and(|news| news > began)
    }

    /// The same evidence as a time-out, earlier. Only an answer shows that a lifeless host lives.
    pub(super) fn stalls(&mut self, torrent: usize, began: Timestamp, luck: f64) {
        if !self.is_old_news(began) && !matches!(self.state, State::Lifeless { .. }) {
            self.gets_no_answer(torrent, self.torrents[torrent].failed_here, luck);
        }
    }

    pub(super) fn fails(&mut self, torrent: usize, began: Timestamp, kind: Kind, luck: f64) {
        let is_old_news = self.is_old_news(began);
        let had_failed = self.torrents[torrent].failed_here;
        self.torrents[torrent].failed_here |= kind.is_own();
        match kind {
            Kind::Rejected => self.answers(),
            _ if is_old_news => {}
            Kind::Local => self.is_not_blamed(luck),
            Kind::Refused | Kind::Silent => self.gives_no_life(luck),
            Kind::Mute if matches!(self.state, State::Lifeless { .. }) => self.gives_no_life(luck),
            Kind::Nonsense | Kind::Mute => self.gets_no_answer(torrent, had_failed, luck),
        }
    }

    pub(super) fn is_not_blamed(&mut self, luck: f64) {
        let step = [5, 10, 20, 30][self.withheld.min(3)];
        let look_at = self.now + Duration::from_secs(step).mul_f64(0.75 + 0.25 * luck);
        self.withheld += 1;
        self.trial = None;
        self.state = match self.state {
            State::Works | State::NotBlamed { .. } => State::NotBlamed { look_at },
            State::Lifeless { .. } => State::Lifeless { until: look_at, needy_until: look_at },
            State::Doubted { .. } => State::Doubted { next: look_at },
        };
    }

    pub(super) fn gives_no_life(&mut self, luck: f64) {
        let now = self.now;
        self.failed = Some(self.now);
        self.lifeless += 1;
        let longest = (MINUTE * 2_u32.pow(self.lifeless.min(10) - 1)).min(30 * MINUTE);
        let until = now + MINUTE / 2 + longest.saturating_sub(MINUTE / 2).mul_f64(luck);
        let needy_until = until.min(now + (MINUTE / 2 + Duration::from_secs(45).mul_f64(luck)));
        (self.state, self.trial) = (State::Lifeless { until, needy_until }, None);
    }

    /// The reason may be the torrent, so it takes two to doubt the host. The attempt reached it, which ends other
    /// reasons.
    pub(super) fn gets_no_answer(&mut self, torrent: usize, had_failed: bool, luck: f64) {
        let now = self.now;
        if let State::Doubted { .. } = self.state {
            if had_failed {
                return;
            }
            self.failed = Some(self.now);
            self.state = State::Doubted { next: now + TRIAL_APART + TRIAL_APART.mul_f64(luck) };
        } else {
            self.all_in();
            match self.unanswered {
                Some(other) if other != torrent => {
                    self.failed = Some(self.now);
                    self.state = State::Doubted { next: now };
                }
                _ => return self.unanswered = Some(torrent),
            }
        }
        self.trial = None;
    }
}
