//! Whose turn it is: BEP 12's walk through the tiers, BEP 27's stay at the tracker in use, and the order by latency.

use std::sync::LazyLock;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use tracker_failover::TrackerUrl;
use tracker_failover::{Order, TrackerSet};

/// Trackers by number; the last one has a scheme that isn't supported.
const TRACKERS: u8 = 8;

fn url(tracker: u8) -> &'static TrackerUrl {
    static URLS: LazyLock<Vec<TrackerUrl>> = LazyLock::new(|| {
        let url = |tracker| {
            let scheme = if is_spoken(tracker) { "http" } else { "wss" };
            format!("{scheme}://t{tracker}.test/announce").parse().unwrap()
        };
        (0..TRACKERS).map(url).collect()
    });
    &URLS[usize::from(tracker)]
}

fn number(tracker: &TrackerUrl) -> u8 {
    tracker.host()[1..2].parse().unwrap()
}

fn is_spoken(tracker: u8) -> bool {
    tracker + 1 < TRACKERS
}

/// No two trackers at any distances are equally fast, and none is as slow as the day at which latencies are cut.
fn latency(tracker: u8, distance: u8) -> Duration {
    Duration::from_micros(100) * (1 << (distance * TRACKERS + tracker))
}

/// A torrent's trackers, as the rules see them.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    nearest: bool,
    private: bool,
    tiers: Vec<Vec<u8>>,
    /// Where it was measured.
    latency: [Option<Duration>; TRACKERS as usize],
    failing: [bool; TRACKERS as usize],
    in_use: Option<u8>,
    /// Where the walk stands, if not at its beginning.
    at: Option<u8>,
    asked: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Begin,
    /// The one whose turn it is fails, and the next has its turn.
    Fails,
    Answers,
    /// A tracker is measured, at this distance.
    Measured(u8, u8),
    Add(u8, u8),
    Remove(u8),
}

impl Rules {
    fn place(&self, tracker: u8) -> Option<(usize, usize)> {
        let place = |tier: &Vec<u8>| tier.iter().position(|other| *other == tracker);
        self.tiers.iter().enumerate().find_map(|(number, tier)| Some((number, place(tier)?)))
    }

    /// The order of a walk.
    fn order(&self) -> Vec<u8> {
        let mut order: Vec<u8> =
            self.tiers.iter().flatten().copied().filter(|tracker| is_spoken(*tracker)).collect();
        if self.is_nearest() {
            let of = |tracker: u8| usize::from(tracker);
            order.sort_by_key(|t| {
                (self.failing[of(*t)], self.latency[of(*t)].is_none(), self.latency[of(*t)])
            });
        }
        if let Some(in_use) = self.in_use.filter(|_| self.is_nearest() || self.private) {
            order.retain(|tracker| *tracker != in_use);
            order.insert(0, in_use);
        }
        order
    }

    fn is_nearest(&self) -> bool {
        self.nearest && !self.private
    }

    fn turn(&self) -> Option<u8> {
        self.at.or_else(|| self.order().first().copied())
    }
}

impl ReferenceStateMachine for Rules {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        let places = Just((0..TRACKERS).collect::<Vec<u8>>()).prop_shuffle();
        (any::<(bool, bool)>(), places, vec(1..4_usize, 1..4))
            .prop_map(|((nearest, private), places, sizes)| {
                let mut places = places.into_iter();
                let tiers = sizes.into_iter().map(|size| places.by_ref().take(size).collect::<Vec<u8>>());
                Self {
                    nearest,
                    private,
                    tiers: tiers.filter(|tier| !tier.is_empty()).collect(),
                    latency: Default::default(),
                    failing: Default::default(),
                    in_use: None,
                    at: None,
                    asked: Vec::new(),
                }
            })
            .boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        prop_oneof![
            4 => Just(Step::Begin),
            12 => Just(Step::Fails),
            6 => Just(Step::Answers),
            2 => (0..TRACKERS, 0..3_u8).prop_map(|(tracker, distance)| Step::Measured(tracker, distance)),
            1 => (0..4_u8, 0..TRACKERS).prop_map(|(tier, tracker)| Step::Add(tier, tracker)),
            1 => (0..TRACKERS).prop_map(Step::Remove),
        ]
        .boxed()
    }

    fn preconditions(rules: &Self, step: &Step) -> bool {
        match step {
            Step::Fails | Step::Answers => rules.turn().is_some(),
            _ => true,
        }
    }

    fn apply(mut rules: Self, step: &Step) -> Self {
        match *step {
            Step::Begin => (rules.at, rules.asked) = (None, Vec::new()),
            Step::Fails => {
                let Some(turn) = rules.turn() else { return rules };
                rules.failing[usize::from(turn)] = true;
                rules.asked.push(turn);
                rules.at = rules.order().into_iter().find(|tracker| !rules.asked.contains(tracker));
                if rules.at.is_none() {
                    rules.asked.clear();
                }
            }
            Step::Answers => {
                let Some(turn) = rules.turn() else { return rules };
                rules.failing[usize::from(turn)] = false;
                if let Some((tier, place)) = rules.place(turn).filter(|_| !rules.is_nearest()) {
                    let first = rules.tiers[tier].remove(place);
                    rules.tiers[tier].insert(0, first);
                }
                (rules.in_use, rules.at, rules.asked) = (Some(turn), Some(turn), Vec::new());
            }
            Step::Measured(tracker, distance) => {
                if rules.place(tracker).is_some() {
                    rules.latency[usize::from(tracker)] = Some(latency(tracker, distance));
                    rules.failing[usize::from(tracker)] = false;
                }
            }
            Step::Add(tier, tracker) => {
                if !rules.private && rules.place(tracker).is_none() {
                    match rules.tiers.get_mut(usize::from(tier)) {
                        Some(tier) => tier.push(tracker),
                        None => rules.tiers.push(vec![tracker]),
                    }
                }
            }
            Step::Remove(tracker) => {
                rules.tiers.iter_mut().for_each(|tier| tier.retain(|other| *other != tracker));
                rules.tiers.retain(|tier| !tier.is_empty());
                rules.latency[usize::from(tracker)] = None;
                rules.failing[usize::from(tracker)] = false;
                rules.in_use = rules.in_use.filter(|in_use| *in_use != tracker);
                rules.at = rules.at.filter(|at| *at != tracker);
            }
        }
        rules
    }
}

/// The real one.
pub(crate) struct Real;

impl StateMachineTest for Real {
    type SystemUnderTest = TrackerSet;
    type Reference = Rules;

    fn init_test(rules: &Rules) -> TrackerSet {
        let order = if rules.nearest { Order::Nearest } else { Order::Bep12 };
        let tiers = rules.tiers.iter().map(|tier| tier.iter().map(|tracker| url(*tracker).clone()));
        let set = TrackerSet::new(tiers).with_order(order);
        if rules.private { set.private() } else { set }
    }

    fn apply(mut set: TrackerSet, _: &Rules, step: Step) -> TrackerSet {
        match step {
            Step::Begin => set.begin_round(),
            Step::Fails => {
                let turn = set.current().cloned().expect("a tracker has its turn");
                set.record_failure(&turn);
                assert_eq!(set.current(), Some(&turn), "a failure alone moves no tracker");
                set.advance();
            }
            Step::Answers => {
                let turn = set.current().cloned().expect("a tracker has its turn");
                set.record_success(&turn);
            }
            Step::Measured(tracker, distance) => {
                set.record_latency(url(tracker), latency(tracker, distance));
            }
            Step::Add(tier, tracker) => {
                set.add(tier.into(), url(tracker).clone());
            }
            Step::Remove(tracker) => {
                set.remove(url(tracker));
            }
        }
        set
    }

    fn check_invariants(set: &TrackerSet, rules: &Rules) {
        let tiers: Vec<Vec<u8>> = set.tiers().map(|tier| tier.map(number).collect()).collect();
        assert_eq!(tiers, rules.tiers, "the tiers");
        assert_eq!(set.in_use().map(number), rules.in_use, "the one in use");
        let order: Vec<u8> = set.failover_order().into_iter().map(number).collect();
        assert_eq!(order, rules.order(), "the order");
        assert_eq!(set.current().map(number), rules.turn(), "whose turn it is");
    }
}

prop_state_machine! {
    #![proptest_config(crate::config())]

    /// R12-02, R12-04, R12-06, R12-07, R27-03.
    #[test]
    fn the_cursor_walks_as_bep_12_says(sequential 1..60 => Real);
}
