//! Which event each tracker is owed.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use tracker_failover::internals::Ledger;
use tracker_failover::policy::Timestamp;
use tracker_failover::{AnnounceResponse, AnnounceTo, Event, TrackerSet, TrackerUrl};

/// A named host on two ports, another name, and two ports of an address, which are no siblings.
const TRACKERS: [&str; 5] = [
    "http://a.test/announce",
    "http://a.test:81/announce",
    "http://b.test/announce",
    "http://127.0.0.1/announce",
    "http://127.0.0.1:81/announce",
];

const FORTY_FIVE_MINUTES: u64 = 45 * 60;

fn url(tracker: usize) -> &'static TrackerUrl {
    static URLS: LazyLock<Vec<TrackerUrl>> =
        LazyLock::new(|| TRACKERS.map(|tracker| tracker.parse().unwrap()).into());
    &URLS[tracker]
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_secs(secs))
}

/// One torrent's session, as the rules see it.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact")]
pub(crate) struct Rules {
    private: bool,
    /// Each tracker counts downloads for itself.
    each: bool,
    complete_from_start: bool,
    /// The download became complete in this session.
    completed: bool,
    /// All that are to be sent that have accepted it.
    told_completed: bool,
    ending: bool,
    trackers: [Tracker; TRACKERS.len()],
    now: u64,
}

/// What went on between us and one tracker.
#[derive(Debug, Clone, Default)]
struct Tracker {
    /// An announce on its way: since when, its event, and whether nothing is left to download.
    in_flight: Option<(u64, Option<Event>, bool)>,
    /// It accepted an announce, last then, with this interval.
    accepted: Option<(u64, u64)>,
    /// When an announce was sent that was never answered.
    unanswered: Option<u64>,
    id: Option<u8>,
    told_stopped: bool,
    told_completed: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Announce(usize),
    Accepts(usize, u64, Option<u8>),
    Refuses(usize),
    IsSilent(usize),
    Complete,
    FoundComplete,
    Stop(usize),
    Pass(u64),
}

impl Rules {
    fn nothing_left(&self) -> bool {
        self.completed || self.complete_from_start
    }

    /// BEP 3; and for those it doesn't speak of, trackers that share their peers, the manual.
    fn event(&self, tracker: usize) -> Option<Event> {
        if self.trackers[tracker].accepted.is_some() {
            let owed = self.completed && !self.told_completed && !self.trackers[tracker].told_completed;
            return owed.then_some(Event::Completed);
        }
        let siblings: &[usize] = match tracker {
            _ if self.private => &[0, 1, 2, 3, 4],
            0 | 1 => &[0, 1],
            _ => &[],
        };
        let introduced = siblings.iter().any(|other| self.trackers[*other].accepted.is_some());
        (!introduced).then_some(Event::Started)
    }

    /// All that accepted any announce and may remember it, and all that may have.
    fn stop_recipients(&self) -> BTreeSet<&TrackerUrl> {
        let owed = |tracker: &Tracker| !tracker.told_stopped && self.may_be_listed(tracker);
        (0..TRACKERS.len()).filter(|tracker| owed(&self.trackers[*tracker])).map(url).collect()
    }

    /// Whether a tracker may remember us.
    fn may_be_listed(&self, tracker: &Tracker) -> bool {
        let remembers = |(at, interval)| self.now - at < FORTY_FIVE_MINUTES.max(2 * interval);
        let may = |at| self.now - at < FORTY_FIVE_MINUTES;
        let in_flight = tracker.in_flight.map(|(since, ..)| since);
        tracker.accepted.is_some_and(remembers)
            || in_flight.is_some_and(may)
            || tracker.unanswered.is_some_and(may)
    }

    fn accept(&mut self, number: usize, interval: u64, id: Option<u8>) {
        let now = self.now;
        let tracker = &mut self.trackers[number];
        let Some((_, event, nothing_left)) = tracker.in_flight.take() else { return };
        let is_first = tracker.accepted.is_none();
        tracker.accepted = Some((now, interval));
        tracker.unanswered = None;
        tracker.id = id.or(tracker.id);
        // A tracker that first sees a complete torrent is sent no `completed`.
        if event == Some(Event::Completed) || (self.completed && is_first && nothing_left) {
            tracker.told_completed = true;
            // Where one counts for all, none of the others is owed it. Nor is one that has dropped us meanwhile.
            let owed = |tracker: &Tracker| {
                tracker.accepted.is_some() && !tracker.told_completed && self.may_be_listed(tracker)
            };
            self.told_completed |= !self.each || !self.trackers.iter().any(owed);
        }
    }
}

impl ReferenceStateMachine for Rules {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        let session = |(private, each, complete_from_start)| Self {
            private,
            each: each && !private,
            complete_from_start,
            completed: false,
            told_completed: false,
            ending: false,
            trackers: Default::default(),
            now: 0,
        };
        (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2)).prop_map(session).boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        let tracker = || 0..TRACKERS.len();
        prop_oneof![
            30 => tracker().prop_map(Step::Announce),
            20 => (tracker(), 60..4000_u64, any::<Option<u8>>()).prop_map(|(t, i, id)| Step::Accepts(t, i, id)),
            8 => tracker().prop_map(Step::Refuses),
            8 => tracker().prop_map(Step::IsSilent),
            2 => Just(Step::Complete),
            1 => Just(Step::FoundComplete),
            2 => tracker().prop_map(Step::Stop),
            10 => prop_oneof![0..60_u64, 1000..3000_u64].prop_map(Step::Pass),
        ]
        .boxed()
    }

    fn preconditions(rules: &Self, step: &Step) -> bool {
        let in_flight = |tracker: usize| rules.trackers[tracker].in_flight.is_some();
        // Nothing is announced beside an announce of `completed`.
        let telling = |tracker: &Tracker| matches!(tracker.in_flight, Some((_, Some(Event::Completed), _)));
        match step {
            Step::Announce(tracker) => {
                !rules.ending && !in_flight(*tracker) && !rules.trackers.iter().any(telling)
            }
            Step::Accepts(tracker, ..) | Step::Refuses(tracker) | Step::IsSilent(tracker) => {
                !rules.ending && in_flight(*tracker)
            }
            Step::Complete => !rules.ending,
            Step::FoundComplete => rules.trackers.iter().all(|tracker| {
                tracker.in_flight.is_none() && tracker.accepted.is_none() && tracker.unanswered.is_none()
            }),
            Step::Stop(_) | Step::Pass(_) => true,
        }
    }

    fn apply(mut rules: Self, step: &Step) -> Self {
        let (now, nothing_left) = (rules.now, rules.nothing_left());
        match *step {
            Step::Announce(tracker) => {
                let event = rules.event(tracker);
                rules.trackers[tracker].in_flight = Some((now, event, nothing_left));
            }
            Step::Accepts(tracker, interval, id) => rules.accept(tracker, interval, id),
            Step::Refuses(tracker) => rules.trackers[tracker].in_flight = None,
            Step::IsSilent(number) => {
                let tracker = &mut rules.trackers[number];
                tracker.unanswered = tracker.in_flight.take().map(|(since, ..)| since);
            }
            Step::Complete => rules.completed |= !rules.complete_from_start,
            Step::FoundComplete => rules.complete_from_start |= !rules.completed,
            Step::Stop(tracker) => {
                rules.ending = true;
                rules.trackers[tracker].told_stopped = true;
            }
            Step::Pass(secs) => rules.now += secs,
        }
        rules
    }
}

/// The real one, and what was in the announces under way.
pub(crate) struct Real {
    ledger: Ledger,
    trackers: TrackerSet,
    sent: [Option<(Option<Event>, u64)>; TRACKERS.len()],
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Rules;

    fn init_test(rules: &Rules) -> Self {
        let urls = (0..TRACKERS.len()).map(|tracker| url(tracker).clone());
        let announce_to = if rules.each { AnnounceTo::AsNeeded } else { AnnounceTo::One };
        let trackers = TrackerSet::new([urls]).with_announce_to(announce_to);
        let trackers = if rules.private { trackers.private() } else { trackers };
        let left = u64::from(!rules.complete_from_start);
        Self { ledger: Ledger::new(&trackers, Some(left)), trackers, sent: [None; TRACKERS.len()] }
    }

    fn apply(mut real: Self, rules: &Rules, step: Step) -> Self {
        let Self { ledger, trackers, sent } = &mut real;
        let now = at(rules.now);
        match step {
            Step::Announce(tracker) => {
                let event = ledger.event_for(trackers, url(tracker));
                sent[tracker] = Some((event, u64::from(!rules.nothing_left())));
                ledger.sent(trackers, url(tracker), now);
            }
            Step::Accepts(tracker, interval, id) => {
                let (event, left) = sent[tracker].take().expect("only what was sent is accepted");
                let interval = Duration::from_secs(interval);
                ledger.accepted(trackers, url(tracker), (event, Some(left)), interval, now);
                let mut response = AnnounceResponse::default();
                response.tracker_id = id.map(|id| vec![id]);
                ledger.keep_tracker_id(trackers, url(tracker), &response);
            }
            Step::Refuses(tracker) => ledger.failed(trackers, url(tracker), true),
            Step::IsSilent(tracker) => ledger.failed(trackers, url(tracker), false),
            Step::Complete => {
                ledger.complete();
            }
            Step::FoundComplete => ledger.was_complete(),
            Step::Stop(tracker) => ledger.stopped(trackers, url(tracker)),
            Step::Pass(_) => {}
        }
        real
    }

    fn check_invariants(real: &Self, rules: &Rules) {
        let (ledger, trackers) = (&real.ledger, &real.trackers);
        for (number, tracker) in rules.trackers.iter().enumerate() {
            let (name, url) = (TRACKERS[number], url(number));
            if !rules.ending {
                assert_eq!(ledger.event_for(trackers, url), rules.event(number), "the event for {name}");
                assert_eq!(
                    ledger.is_registered(trackers, url),
                    tracker.accepted.is_some(),
                    "whether it is registered at {name}"
                );
            }
            let id = tracker.id.map(|id| vec![id]);
            assert_eq!(ledger.tracker_id(trackers, url), id.as_deref(), "the id that {name} gave");
        }
        assert_eq!(ledger.owes_any_completed(), rules.completed && !rules.told_completed);
        let owed = ledger.stop_recipients(trackers, at(rules.now));
        assert_eq!(owed.iter().collect::<BTreeSet<_>>(), rules.stop_recipients(), "who is owed stopped");
    }
}

prop_state_machine! {
    #![proptest_config(crate::config())]

    /// G7: R20 to R23, R27 to R29, POL-16.
    #[test]
    fn each_tracker_is_sent_the_event_it_is_owed(sequential 1..60 => Real);
}
