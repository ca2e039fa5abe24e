//! When a failing host may be tried again, and by how many.

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use tracker_failover::policy::{Blame, Config, Failure, HealthBook, HostHealth, Timestamp};
use tracker_failover::{Measurement, TrackerHost, TrackerUrl};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

static HOST: LazyLock<TrackerHost> =
    LazyLock::new(|| "http://t.test/announce".parse::<TrackerUrl>().unwrap().tracker_host());

/// One host, as the rules see it.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    now: Timestamp,
    state: State,
    /// How many times in a row it has been left alone.
    times: u32,
    /// Since it works again, if it does.
    works_since: Option<Timestamp>,
    failures_in_a_row: u32,
    answered: Option<Timestamp>,
    failed: Option<Timestamp>,
    /// When the attempts under way began, and of which announce each is.
    attempts: Vec<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Works,
    LeftAlone {
        until: Timestamp,
        /// By those who want peers.
        starving_until: Timestamp,
    },
    /// One of those who would like to is finding out, since then.
    Tried(Timestamp),
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Somebody begins an attempt because the host may be tried.
    Begin,
    /// The user insists, whatever is known of the host.
    Insist,
    Answers(usize),
    /// With so much luck in drawing the wait, of 1000.
    Fails(usize, Kind, u16),
    GivenUp(usize),
    /// It connects, long after another host was asked in its place.
    OpensLate(usize),
    NetworkChanges,
    Pass(Duration),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Unreachable,
    Silent,
    Broken,
    Local,
}

impl Rules {
    fn is_free(&self) -> bool {
        match self.state {
            State::Works => true,
            State::LeftAlone { until, .. } => until <= self.now,
            State::Tried(_) => false,
        }
    }

    /// The one who tries came back without a word about the host: the next may try. Others who do are no news.
    fn gave_up(&mut self, began: Timestamp) {
        if let State::Tried(since) = self.state
            && began >= since
        {
            self.state = State::LeftAlone { until: self.now, starving_until: self.now };
        }
    }

    fn fail(&mut self, began: Timestamp, kind: Kind, luck: u16) {
        let now = self.now;
        if let Kind::Local = kind {
            return self.gave_up(began);
        }
        // What began before the last news of the host is no news.
        if self.answered.max(self.failed).is_some_and(|news| news > began) {
            return;
        }
        let is_trusted = self.answered.is_some_and(|answered| now.since(answered) < DAY);
        self.failures_in_a_row += 1;
        self.failed = Some(now);
        let is_definite = matches!(kind, Kind::Unreachable) || !is_trusted || self.failures_in_a_row >= 2;
        if self.state == State::Works && !is_definite {
            return;
        }
        self.times += 1;
        self.works_since = None;
        let floor = MINUTE / 2;
        let longest = (MINUTE * 2_u32.pow(self.times.min(10) - 1)).min(120 * MINUTE);
        let until = now + floor + longest.saturating_sub(floor).mul_f64(fraction(luck));
        let starving_until = match kind {
            Kind::Broken => until,
            _ => until.min(now + floor + Duration::from_secs(45).mul_f64(fraction(luck))),
        };
        self.state = State::LeftAlone { until, starving_until };
    }

    fn answer(&mut self) {
        let now = self.now;
        (self.failures_in_a_row, self.answered, self.state) = (0, Some(now), State::Works);
        let since = *self.works_since.get_or_insert(now);
        if now.since(since) >= MINUTE {
            self.times = 0;
        }
    }
}

fn fraction(luck: u16) -> f64 {
    f64::from(luck) / 1000.0
}

impl ReferenceStateMachine for Rules {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self {
            now: Timestamp::ZERO,
            state: State::Works,
            times: 0,
            works_since: None,
            failures_in_a_row: 0,
            answered: None,
            failed: None,
            attempts: Vec::new(),
        })
        .boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        let attempt = || 0..4_usize;
        let kind = prop::sample::select(
            &[Kind::Unreachable, Kind::Silent, Kind::Silent, Kind::Broken, Kind::Local][..],
        );
        let secs = |secs| Step::Pass(Duration::from_secs(secs));
        prop_oneof![
            20 => Just(Step::Begin),
            4 => Just(Step::Insist),
            8 => attempt().prop_map(Step::Answers),
            16 => (attempt(), kind, 0..1000_u16).prop_map(|(which, kind, luck)| Step::Fails(which, kind, luck)),
            3 => attempt().prop_map(Step::GivenUp),
            1 => attempt().prop_map(Step::OpensLate),
            1 => Just(Step::NetworkChanges),
            16 => prop_oneof![1..5_u64, 20..90_u64, 20..90_u64, 1000..9000_u64].prop_map(secs),
            1 => Just(Step::Pass(DAY)),
        ]
        .boxed()
    }

    fn preconditions(rules: &Self, step: &Step) -> bool {
        match step {
            Step::Begin => rules.is_free() && rules.attempts.len() < 4,
            Step::Insist => rules.attempts.len() < 4,
            Step::Answers(which) | Step::Fails(which, ..) | Step::GivenUp(which) | Step::OpensLate(which) => {
                *which < rules.attempts.len()
            }
            Step::NetworkChanges | Step::Pass(_) => true,
        }
    }

    fn apply(mut rules: Self, step: &Step) -> Self {
        let now = rules.now;
        match *step {
            Step::Begin | Step::Insist => {
                rules.attempts.push(now);
                if let State::LeftAlone { .. } = rules.state {
                    rules.state = State::Tried(now);
                }
            }
            Step::Answers(which) => {
                rules.attempts.remove(which);
                rules.answer();
            }
            Step::Fails(which, kind, luck) => {
                let began = rules.attempts.remove(which);
                rules.fail(began, kind, luck);
            }
            Step::GivenUp(which) | Step::OpensLate(which) => {
                let began = rules.attempts.remove(which);
                rules.gave_up(began);
            }
            Step::NetworkChanges => {
                if rules.state != State::Works {
                    rules.state = State::LeftAlone { until: now, starving_until: now };
                }
            }
            Step::Pass(time) => rules.now = now + time,
        }
        rules
    }
}

/// The real one, and when its attempts began.
pub(crate) struct Real {
    health: HealthBook,
    config: Config,
    attempts: Vec<Timestamp>,
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Rules;

    fn init_test(_: &Rules) -> Self {
        Self { health: HealthBook::default(), config: Config::default(), attempts: Vec::new() }
    }

    fn apply(mut real: Self, rules: &Rules, step: Step) -> Self {
        let (now, health) = (rules.now, &mut real.health);
        match step {
            Step::Begin | Step::Insist => {
                if let Step::Begin = step {
                    assert!(health.free_at(&HOST, false, &real.config, now) <= now, "it may be tried");
                }
                health.tried(&HOST, now);
                real.attempts.push(now);
            }
            Step::Answers(which) => {
                real.attempts.remove(which);
                let took = Duration::from_millis(20);
                health.answered(HOST.clone(), Measurement { connect: took, first_byte: took }, now);
            }
            Step::Fails(which, kind, luck) => {
                let began = real.attempts.remove(which);
                let kind = match kind {
                    Kind::Unreachable => Failure::Unreachable,
                    Kind::Silent => Failure::Silent,
                    Kind::Broken => Failure::Broken,
                    Kind::Local => Failure::Local,
                };
                let blame = Blame { kind, may_be_ours: false };
                health.failed(HOST.clone(), blame, began, &real.config, fraction(luck), now);
            }
            Step::GivenUp(which) => {
                let began = real.attempts.remove(which);
                health.gave_up(&HOST, began, now);
            }
            Step::OpensLate(which) => {
                let began = real.attempts.remove(which);
                health.connected(HOST.clone(), now.since(began), now);
            }
            Step::NetworkChanges => health.network_changed(now),
            Step::Pass(_) => {}
        }
        real
    }

    fn check_invariants(real: &Self, rules: &Rules) {
        let left_alone = real.health.host(&HOST).is_some_and(HostHealth::is_left_alone);
        assert_eq!(left_alone, rules.state != State::Works, "whether it is left alone");
        let [free_at, starving_at] =
            [false, true].map(|starving| real.health.free_at(&HOST, starving, &real.config, rules.now));
        match rules.state {
            State::Works => assert!(free_at.max(starving_at) <= rules.now, "it works"),
            State::LeftAlone { until, starving_until } => {
                assert_eq!((free_at, starving_at), (until, starving_until), "when it may be tried");
            }
            State::Tried(_) => {
                let soon = rules.now + Duration::from_secs(2);
                assert!(free_at > rules.now && starving_at > rules.now, "one tries, the others wait");
                assert!(free_at <= soon && starving_at <= soon, "and not for long");
            }
        }
    }
}

prop_state_machine! {
    #![proptest_config(crate::config())]

    /// G5, G6: one failure or two, a wait that doubles, one at a time.
    #[test]
    fn a_failing_host_is_left_alone_as_the_rules_say(sequential 1..60 => Real);
}
