//! When a failing host may be tried again, and by which torrent: a model written from the rules, and random steps
//! played against both.

mod rules;

use proptest::prelude::*;
use proptest::test_runner::Config as Runs;

use self::rules::*;
use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// The torrent asks, and queues if it may not try.
    Asks(usize),
    /// It asks, and tries if it may.
    Tries(usize),
    /// Its user asks for an announce, whatever is known of the host.
    Insists(usize),
    /// It waits for its turn, and tries.
    Comes(usize),
    Opens(usize),
    /// Its announce isn't answered in time.
    Stalls(usize, u16),
    Answered(usize),
    /// With the random number for the wait, in thousandths.
    Fails(usize, Kind, u16),
    GivesUp(usize),
    /// It begins a second attempt, at another tracker of this host.
    BeginsSecond(usize),
    GivesUpSecond(usize),
    /// An attempt is admitted and never begins.
    BeginsNothing(usize),
    NetworkChanges,
    Passes(Duration),
}

/// The rules and the real thing, side by side.
struct Both {
    rules: Rules,
    hosts: Hosts,
    slots: [Option<Slot>; TORRENTS],
    second: [Option<Slot>; TORRENTS],
}

impl Both {
    fn new() -> Self {
        // Two attempts of each torrent at once, and one that doesn't begin.
        let config = Config::default().connections_per_host(2 * TORRENTS + 1);
        Self {
            rules: Rules::default(),
            hosts: Hosts::new(Arc::new(config)),
            slots: Default::default(),
            second: Default::default(),
        }
    }

    fn demand(&self, torrent: usize) -> Demand {
        let Member { failed_here, answered: answered_at, .. } = self.rules.torrents[torrent];
        Demand { needs_peers: needs_peers(torrent), failed_here, answered_at }
    }

    fn earliest(&self, torrent: usize) -> Timestamp {
        self.hosts.earliest(&host("a"), id(torrent as u64), self.demand(torrent), self.rules.now)
    }

    fn asks(&mut self, torrent: usize) {
        if !self.rules.may_try(torrent) {
            self.hosts.wait(&host("a"), id(torrent as u64), self.demand(torrent));
            self.rules.queues(torrent);
        }
    }

    fn begins(&mut self, torrent: usize) {
        if self.slots[torrent].is_some() {
            return;
        }
        self.slots[torrent] = Some(self.begun(torrent));
        self.rules.begin(Attempt::Main(torrent));
    }

    fn begins_second(&mut self, torrent: usize) {
        if self.second[torrent].is_none() {
            self.second[torrent] = Some(self.begun(torrent));
            self.rules.begin(Attempt::Second(torrent));
        }
    }

    fn begun(&mut self, torrent: usize) -> Slot {
        let slot = self.admitted(torrent);
        self.hosts.tried(&slot, self.rules.torrents[torrent].failed_here, self.rules.now);
        slot
    }

    fn admitted(&mut self, torrent: usize) -> Slot {
        self.hosts.admit(&host("a"), id(torrent as u64), Priority::Stopped, self.rules.now).unwrap()
    }

    fn ends(&mut self, torrent: usize) -> Option<(Slot, Timestamp)> {
        Some((self.slots[torrent].take()?, self.rules.torrents[torrent].attempt.take()?))
    }

    fn opens(&mut self, torrent: usize) {
        if let Some(slot) = &mut self.slots[torrent] {
            let began = slot.started_at();
            self.hosts.opened(slot, self.rules.now);
            self.rules.opened(began);
        }
    }

    fn stalls(&mut self, torrent: usize, luck: u16) {
        let Some(slot) = &mut self.slots[torrent] else { return };
        let (verdict, random) = (Verdict::of(&mute()), fraction(luck));
        let before = self.rules.torrents[torrent].failed_here;
        let failed = Failed { verdict, tracker: &url("a"), before, random };
        self.hosts.stalled(slot, &failed, self.rules.now);
        self.rules.stalls(torrent, slot.started_at(), random);
    }

    fn fails(&mut self, torrent: usize, kind: Kind, luck: u16) {
        let Some((slot, began)) = self.ends(torrent) else { return };
        let (verdict, random) = (Verdict::of(&kind.error()), fraction(luck));
        let before = self.rules.torrents[torrent].failed_here;
        let failed = Failed { verdict, tracker: &url("a"), before, random };
        self.hosts.finished(slot, Outcome::Failed(failed), self.rules.now);
        self.rules.fails(torrent, began, kind, random);
    }

    fn take(&mut self, step: &Step) {
        let now = self.rules.now;
        match *step {
            Step::Tries(torrent) if self.rules.may_try(torrent) => self.begins(torrent),
            Step::Asks(torrent) | Step::Tries(torrent) => self.asks(torrent),
            Step::Insists(torrent) => self.begins(torrent),
            Step::Comes(torrent) => {
                self.asks(torrent);
                self.rules.now = now.max(self.rules.earliest(torrent));
                if self.rules.may_try(torrent) {
                    self.begins(torrent);
                }
            }
            Step::Opens(torrent) => self.opens(torrent),
            Step::Stalls(torrent, luck) => self.stalls(torrent, luck),
            Step::Answered(torrent) => {
                let Some((slot, _)) = self.ends(torrent) else { return };
                self.hosts.finished(slot, Outcome::Answered(sample(5, 5)), now);
                let member = &mut self.rules.torrents[torrent];
                (member.failed_here, member.answered) = (false, Some(now));
                self.rules.answers();
            }
            Step::Fails(torrent, kind, luck) => self.fails(torrent, kind, luck),
            Step::GivesUp(torrent) => {
                let Some((slot, _)) = self.ends(torrent) else { return };
                self.hosts.finished(slot, Outcome::GaveUp, now);
                self.rules.gave_up(Attempt::Main(torrent));
            }
            Step::BeginsSecond(torrent) => self.begins_second(torrent),
            Step::GivesUpSecond(torrent) => {
                let Some(slot) = self.second[torrent].take() else { return };
                self.hosts.finished(slot, Outcome::GaveUp, now);
                self.rules.gave_up(Attempt::Second(torrent));
            }
            Step::BeginsNothing(torrent) => {
                let slot = self.admitted(torrent);
                self.hosts.finished(slot, Outcome::Unused, now);
            }
            Step::NetworkChanges => {
                self.hosts.network_changed(now);
                self.rules.free_at_once();
                self.rules.withheld = 0;
            }
            Step::Passes(time) => self.rules.now = now + time,
        }
    }
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let torrent = || 0..TORRENTS;
    let kind = prop_oneof![
        4 => prop::sample::select(&[Kind::Refused, Kind::Silent, Kind::Nonsense, Kind::Mute][..]),
        1 => prop::sample::select(&[Kind::Rejected, Kind::Local][..]),
    ];
    let time = prop_oneof![
        (1..20_u64).prop_map(millis),
        (1..5_u64).prop_map(Duration::from_secs),
        (20..90_u64).prop_map(Duration::from_secs),
        (1000..9000_u64).prop_map(Duration::from_secs),
    ];
    let step = prop_oneof![
        4 => torrent().prop_map(Step::Asks),
        8 => torrent().prop_map(Step::Tries),
        2 => torrent().prop_map(Step::Insists),
        8 => torrent().prop_map(Step::Comes),
        2 => torrent().prop_map(Step::Opens),
        2 => (torrent(), 0..1000_u16).prop_map(|(torrent, luck)| Step::Stalls(torrent, luck)),
        3 => torrent().prop_map(Step::Answered),
        16 => (torrent(), kind, 0..1000_u16).prop_map(|(torrent, kind, luck)| Step::Fails(torrent, kind, luck)),
        2 => torrent().prop_map(Step::GivesUp),
        2 => torrent().prop_map(Step::BeginsSecond),
        2 => torrent().prop_map(Step::GivesUpSecond),
        1 => torrent().prop_map(Step::BeginsNothing),
        1 => Just(Step::NetworkChanges),
        8 => time.prop_map(Step::Passes),
    ];
    prop::collection::vec(step, 1..most)
}

fn runs() -> Runs {
    Runs { cases: 1000, failure_persistence: None, max_shrink_iters: 20_000, ..Runs::default() }
}

proptest! {
    #![proptest_config(runs())]

    /// When each torrent may try, after each step.
    #[test]
    fn a_failing_host_is_tried_when_and_by_the_torrents_that_the_rules_say(steps in steps(60)) {
        let mut both = Both::new();
        for (number, step) in steps.iter().enumerate() {
            both.take(step);
            let rules = &both.rules;
            prop_assert_eq!(both.hosts.is_backed_off(&host("a")), rules.state != State::Works, "{} {:?}", number, step);
            for torrent in 0..TORRENTS {
                prop_assert_eq!(both.earliest(torrent), rules.earliest(torrent), "{} {:?}: {}", number, step, torrent);
            }
        }
    }

    /// R80: whatever has happened, a torrent that the host serves again is let in within a bound, although the attempts
    /// of all others fail and the others go first whenever they may.
    #[test]
    fn a_torrent_that_a_host_serves_is_let_in_within_the_bound(
        steps in steps(40),
        served in 0..TORRENTS,
        others in prop::array::uniform4((prop::sample::select(&[Kind::Nonsense, Kind::Mute][..]), 1..5_u64, 0..1000_u16)),
    ) {
        let mut both = Both::new();
        // Every attempt ends, sooner or later.
        for step in steps.into_iter().chain((0..TORRENTS).map(Step::GivesUpSecond)) {
            both.take(&step);
        }
        let is_lifeless = matches!(both.rules.state, State::Lifeless { .. });
        let bound = if is_lifeless && !needs_peers(served) { 30 * MINUTE } else { Duration::from_secs(75) };
        let waited = until_let_in(&mut both, served, &others);
        prop_assert!(waited <= bound + GOES_ROUND, "{:?} of {:?}", waited, bound);
    }
}

/// How much longer it takes if each of the other torrents tries once before: as long as an attempt lasts, and as long
/// again until the next torrent asks.
const GOES_ROUND: Duration = Duration::from_secs(10 * (TORRENTS as u64 - 1));

/// How long it takes until a torrent is let in, at most an hour. The attempts of the others connect, last for some
/// seconds, and fail.
fn until_let_in(both: &mut Both, served: usize, others: &[(Kind, u64, u16); TORRENTS]) -> Duration {
    let start = both.rules.now;
    let end = start + 60 * MINUTE;
    // The torrent that is served comes last at each moment.
    let order: Vec<usize> = (0..TORRENTS).filter(|torrent| *torrent != served).chain([served]).collect();
    let mut wake = [start; TORRENTS];
    while let Some(torrent) = order.iter().copied().min_by_key(|torrent| wake[*torrent])
        && wake[torrent] <= end
    {
        both.rules.now = both.rules.now.max(wake[torrent]);
        let now = both.rules.now;
        let (kind, lasts, luck) = others[torrent];
        if both.slots[torrent].is_some() {
            if torrent == served {
                both.take(&Step::GivesUp(torrent));
                continue;
            }
            both.opens(torrent);
            both.fails(torrent, kind, luck);
            // The shortest back-off of the torrent itself.
            wake[torrent] = now + MINUTE / 2;
        } else if both.earliest(torrent) <= now {
            if torrent == served {
                return now.since(start);
            }
            both.begins(torrent);
            wake[torrent] = now + Duration::from_secs(lasts);
        } else {
            both.hosts.wait(&host("a"), id(torrent as u64), both.demand(torrent));
            wake[torrent] = both.earliest(torrent);
        }
    }
    60 * MINUTE
}
