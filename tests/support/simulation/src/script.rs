//! What a tracker does at which time: the script that every way of playing a world reads.

use rand::Rng;
use rand_distr::{Distribution, Exp};

use crate::time::{MINUTE, Millis, rounded, seconds};

/// What a tracker does as a function of time, in phases. Nothing in it depends on who asks or how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// When each phase begins; the first at 0.
    phases: Vec<(Millis, State)>,
}

/// What a tracker does while a phase lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// What becomes of looking its name up.
    pub name: Name,
    /// What becomes of connecting to it.
    pub connection: Connection,
    /// What becomes of an announce.
    pub answer: Answer,
}

/// What becomes of looking up a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// It is found after this time.
    Found(Millis),
    /// There is no such name, which is known after this time.
    Unknown(Millis),
    /// No name server answers.
    Silent,
}

/// What becomes of a connection, or of UDP's connect packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// It is accepted.
    Accepted,
    /// It is refused, and those that exist are reset. Over UDP that is silence.
    Refused,
    /// Packets vanish.
    Silent,
    /// TCP is accepted, and TLS fails.
    BadCertificate,
}

/// What is answered to an announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A good reply with peers.
    Good,
    /// A status of HTTP, and perhaps `Retry-After`. Over UDP an error.
    Status(u16, Retry),
    /// A page that a captive portal shows.
    Html,
    /// A failure reason, and perhaps BEP 31's `retry in`.
    Failure(Retry),
    /// Nothing, though the connection stands.
    Mute,
    /// Nothing to an announce; probes are answered.
    Stalled,
}

/// When a refusal allows the next announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Nothing.
    Unsaid,
    /// After this time.
    After(Millis),
    /// Never in this session.
    Never,
}

impl State {
    /// All is well.
    pub const UP: Self =
        Self { name: Name::Found(0), connection: Connection::Accepted, answer: Answer::Good };
    /// Packets vanish.
    pub const SILENT: Self = Self { connection: Connection::Silent, ..Self::UP };
    /// No process listens.
    pub const REFUSED: Self = Self { connection: Connection::Refused, ..Self::UP };
    /// Accepts, and sends nothing.
    pub const MUTE: Self = Self::answering(Answer::Mute);
    /// Accepts, answers probes, and doesn't answer announces.
    pub const STALLED: Self = Self::answering(Answer::Stalled);
    /// The name is gone.
    pub const NAMELESS: Self = Self { name: Name::Unknown(20), ..Self::UP };
    /// Broken behind its front.
    pub const BROKEN: Self = Self::answering(Answer::Status(502, Retry::Unsaid));

    /// All is well but the answer.
    pub const fn answering(answer: Answer) -> Self {
        Self { answer, ..Self::UP }
    }

    /// Whether an announce would be accepted.
    pub fn lives(self) -> bool {
        matches!(self.name, Name::Found(_))
            && self.connection == Connection::Accepted
            && self.answer == Answer::Good
    }

    /// How trackers are down, drawn at random: 70 % silent, 15 % refused, 5 % with an
    /// error of their front, 10 % without a name.
    pub fn down(random: &mut impl Rng) -> Self {
        match random.next_u32() % 20 {
            0..=13 => Self::SILENT,
            14..=16 => Self::REFUSED,
            17 => Self::BROKEN,
            _ => Self::NAMELESS,
        }
    }
}

impl Script {
    /// The same for ever.
    pub fn always(state: State) -> Self {
        Self { phases: vec![(0, state)] }
    }

    /// The same script until `at`, and from then on this state. Later phases of it are dropped.
    #[must_use]
    pub fn then(mut self, at: Millis, state: State) -> Self {
        self.phases.retain(|(from, _)| *from < at || *from == 0);
        match self.phases.last_mut() {
            Some(last) if last.0 == at => last.1 = state,
            _ => self.phases.push((at, state)),
        }
        self
    }

    /// The same script, but in this state from `from` until `to`, and as it was at `from` after that.
    #[must_use]
    pub fn outage(self, from: Millis, to: Millis, state: State) -> Self {
        let before = self.at(from);
        self.then(from, state).then(to, before)
    }

    /// Up and down in turn: each period begins up and is so for its first half.
    pub fn flapping(period: Millis, offset: Millis, down: State, until: Millis) -> Self {
        let mut script = Self::always(State::UP);
        let mut at = offset;
        while at < until {
            script = script.then(at + period / 2, down).then(at + period, State::UP);
            at += period;
        }
        script
    }

    /// Up and down at random: exponential times of the one with this mean, and of the other with this median.
    /// How it is down is drawn anew each time.
    pub fn up_and_down(mean_up: Millis, median_down: Millis, until: Millis, random: &mut impl Rng) -> Self {
        let mean_down = seconds(median_down) / std::f64::consts::LN_2;
        let (up, down) = (Exp::new(1.0 / seconds(mean_up)), Exp::new(1.0 / mean_down));
        let mut script = Self::always(State::UP);
        let (Ok(up), Ok(down)) = (up, down) else { return script };
        let mut at = 0;
        while at < until {
            let fails = at + rounded(up.sample(random) * 1000.0).max(MINUTE);
            at = fails + rounded(down.sample(random) * 1000.0).max(1);
            script = script.then(fails, State::down(random)).then(at, State::UP);
        }
        script
    }

    /// The state at this moment.
    pub fn at(&self, at: Millis) -> State {
        let index = self.phases.partition_point(|(from, _)| *from <= at);
        self.phases[index.saturating_sub(1)].1
    }

    /// The first moment from `at` on at which an announce would be accepted.
    pub fn next_life(&self, at: Millis) -> Option<Millis> {
        self.next(at, State::lives)
    }

    /// The first moment from `at` on at which connections are refused, and reset.
    pub fn next_refusal(&self, at: Millis) -> Option<Millis> {
        self.next(at, |state| state.connection == Connection::Refused)
    }

    /// When the last phase begins, where there is more than one.
    pub fn last_change(&self) -> Option<Millis> {
        self.phases.last().map(|(from, _)| *from).filter(|from| *from > 0)
    }

    fn next(&self, at: Millis, wanted: impl Fn(State) -> bool) -> Option<Millis> {
        if wanted(self.at(at)) {
            return Some(at);
        }
        self.phases.iter().find(|(from, state)| *from > at && wanted(*state)).map(|(from, _)| *from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_each_other() {
        let script = Script::always(State::UP).outage(100, 200, State::SILENT).then(300, State::MUTE);
        let states: Vec<State> = [0, 99, 100, 199, 200, 299, 300, 9999].map(|at| script.at(at)).to_vec();
        assert_eq!(
            states,
            [
                State::UP,
                State::UP,
                State::SILENT,
                State::SILENT,
                State::UP,
                State::UP,
                State::MUTE,
                State::MUTE
            ]
        );
        assert_eq!((script.next_life(100), script.next_life(300)), (Some(200), None));
    }

    #[test]
    fn flapping_is_up_half_of_the_time() {
        let script = Script::flapping(100, 30, State::REFUSED, 1000);
        let up = (30..930).filter(|at| script.at(*at).lives()).count();
        assert_eq!(up, 450);
        assert_eq!(script.next_refusal(0), Some(80));
    }
}
