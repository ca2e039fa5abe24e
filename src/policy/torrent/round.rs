//! One announce with failover: the race of openings, the patience with each, and which tracker gets the announce.

use std::collections::BTreeSet;
use std::time::Duration;

use super::attempt::{Attempt, SentAnnounce, Stage};
use super::candidates::{Candidate, Candidates};
use crate::announce::AnnounceRequest;
use crate::error::{AnnounceError, FailedAttempt, TimeoutPhase};
use crate::policy::config::Config;
use crate::policy::hosts::Slot;
use crate::policy::io::AttemptId;
use crate::time::Timestamp;
use crate::tracker::{TrackerHost, TrackerUrl};

/// How many openings of one race exist at once. Sockets are finite, and ten silent trackers in a row mean that the network
/// is the trouble.
const MAX_OPENINGS: usize = 10;

/// The attempts of one round.
///
/// A connection doesn't register us at a tracker, so openings are raced: the next one starts when the newest has
/// failed or has been silent for longer than its patience. The announce goes to the first that opened, and to another
/// only if that one failed or stalled. The caller does what [`next_step`](Self::next_step) gives, and asks again.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// The attempts under way, in the order in which they began.
    attempts: Vec<Attempt>,
    /// The trackers that were tried or passed by, which are no candidates any more.
    tried: BTreeSet<TrackerUrl>,
    /// Those of them that were passed by, because the round has waited in the queues of their hosts for too long.
    passed_by: BTreeSet<TrackerUrl>,
    /// The tracker tried last, which the alert of a switch names.
    last_tried: Option<TrackerUrl>,
    /// The trackers that failed or were left out, for the round's error.
    failed: Vec<FailedAttempt>,
    /// When the last opening started.
    last_started: Timestamp,
    /// Until when the first opening waits for a probe to be answered.
    hold_until: Option<Timestamp>,
    /// How many announces weren't answered in time.
    stalled: usize,
    /// Whether no attempt starts any more, because the session ends.
    closing: bool,
}

/// What a round needs next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Open a channel to this candidate: call [`Round::start`].
    Open(Candidate),
    /// Announce on this open channel: call [`Round::announced`].
    Announce(AttemptId),
    /// This opening is silent: the next may start beside it.
    Silent(AttemptId),
    /// This announce isn't answered in time: call [`Round::hedge`], or [`Round::wait_on`].
    Stalled(AttemptId),
    /// The time of this attempt is up: call [`Round::failed`].
    Expired(AttemptId, TimeoutPhase),
    /// Nothing before this moment, or before something happens.
    Wait(Option<Timestamp>),
    /// Every candidate failed.
    Exhausted,
}

impl Round {
    /// A round that waits for the first probe to be answered, until `hold_until` at most, and then goes by the list.
    pub(crate) fn new(hold_until: Option<Timestamp>) -> Self {
        Self { hold_until, ..Self::default() }
    }

    /// Notes that a probe was answered, or that all have ended: the round waits no longer.
    pub(crate) fn release(&mut self) {
        self.hold_until = None;
    }

    /// Starts no further attempts, and takes out those whose announce wasn't sent.
    pub(crate) fn close(&mut self) -> Vec<Attempt> {
        self.closing = true;
        let was_sent = |attempt: &Attempt| attempt.sent().is_some();
        let (sent, dropped) = std::mem::take(&mut self.attempts).into_iter().partition(was_sent);
        self.attempts = sent;
        dropped
    }

    /// Takes out the attempts whose announce wasn't sent, and makes their trackers candidates again. The next opening
    /// waits for no probe.
    pub(crate) fn restart(&mut self) -> Vec<Attempt> {
        let was_sent = |attempt: &Attempt| attempt.sent().is_some();
        let (sent, dropped): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.attempts).into_iter().partition(was_sent);
        self.attempts = sent;
        self.come_back();
        for attempt in &dropped {
            self.tried.remove(&attempt.tracker);
        }
        self.release();
        dropped
    }

    /// Whether it starts no further attempts, because the session ends.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    /// The attempts under way.
    pub(crate) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The attempt with this id, if it is under way.
    pub(crate) fn attempt(&self, id: AttemptId) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.id == id)
    }

    /// The same, to change it.
    pub(crate) fn attempt_mut(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.id == id)
    }

    /// Leaves out of account a time in which this process stood still.
    pub(crate) fn extend(&mut self, gap: Duration) {
        self.last_started = self.last_started + gap;
        self.hold_until = self.hold_until.map(|until| until + gap);
        for attempt in &mut self.attempts {
            attempt.extend(gap);
        }
    }

    /// How many trackers have been tried.
    pub(crate) fn tried(&self) -> usize {
        self.tried.len() - self.passed_by.len()
    }

    /// The first candidate at a host.
    pub(crate) fn candidate_at(&self, host: &TrackerHost, candidates: &Candidates<'_>) -> Option<Candidate> {
        candidates.first_at(host, &self.tried)
    }

    /// Passes by a candidate in whose host's queue the round has waited for too long, if there is another candidate.
    pub(crate) fn pass_by(&mut self, tracker: &TrackerUrl, candidates: &Candidates<'_>) -> bool {
        let passes = candidates.count(&self.tried) > 1;
        if passes {
            self.tried.insert(tracker.clone());
            self.passed_by.insert(tracker.clone());
        }
        passes
    }

    /// Makes the trackers of a host that were passed by candidates again, because the host has admitted the round.
    pub(crate) fn come_back_to(&mut self, host: &TrackerHost) {
        let (tried, passed_by) = (&mut self.tried, &mut self.passed_by);
        passed_by.retain(|tracker| {
            let comes_back = tracker.host_key() == host;
            if comes_back {
                tried.remove(tracker);
            }
            !comes_back
        });
    }

    /// Makes all trackers that were passed by candidates again, because the round has left the queues of their hosts.
    fn come_back(&mut self) {
        for tracker in std::mem::take(&mut self.passed_by) {
            self.tried.remove(&tracker);
        }
    }

    /// The tracker tried last.
    pub(crate) fn last_tried(&self) -> Option<&TrackerUrl> {
        self.last_tried.as_ref()
    }

    /// Notes that the opening of a candidate has started. Each opening that is silent already halves the patience
    /// with this one, down to the least that stands beside it.
    pub(crate) fn start(
        &mut self,
        id: AttemptId,
        candidate: Candidate,
        slot: Slot,
        patience: (Duration, Duration),
        now: Timestamp,
    ) {
        self.come_back();
        let silent = self.attempts.iter().filter(|attempt| attempt.stage == Stage::Opening).count();
        let patience = halved(patience, silent);
        self.tried.insert(candidate.tracker.clone());
        self.last_tried = Some(candidate.tracker.clone());
        self.last_started = now;
        self.attempts.push(Attempt {
            id,
            tracker: candidate.tracker,
            tier: candidate.tier,
            reason: candidate.reason,
            address: None,
            second: None,
            slot,
            patience_until: now + patience,
            reported_silent: false,
            stage: Stage::Opening,
        });
    }

    /// Notes that a channel is open.
    pub(crate) fn opened(&mut self, id: AttemptId, now: Timestamp) {
        if let Some(attempt) = self.attempt_mut(id)
            && attempt.stage == Stage::Opening
        {
            attempt.stage = Stage::Open { at: now };
        }
    }

    /// Notes that the announce was sent on a channel. After the patience another tracker may be announced to; each
    /// announce that has stalled already halves it, down to the least that stands beside it.
    pub(crate) fn announced(
        &mut self,
        id: AttemptId,
        request: &AnnounceRequest,
        patience: Option<(Duration, Duration)>,
        now: Timestamp,
    ) {
        let stalled = self.stalled;
        let patience = patience.map(|patience| halved(patience, stalled));
        if let Some(attempt) = self.attempt_mut(id) {
            let opening = match attempt.stage {
                Stage::Open { at } => at.since(attempt.started_at()),
                _ => Duration::ZERO,
            };
            let patience_until = patience.map(|patience| now + patience);
            attempt.stage = Stage::Announcing(SentAnnounce {
                at: now,
                opening,
                event: request.event,
                transfer: request.transfer,
                address: (request.port, request.ip),
                patience_until,
                stalled: false,
            });
        }
    }

    /// Allows an announce to another tracker beside one that stalled.
    pub(crate) fn hedge(&mut self, id: AttemptId) {
        self.stalled += 1;
        self.change_sent(id, |sent| sent.stalled = true);
    }

    /// Waits for an announce that stalled until a later moment.
    pub(crate) fn wait_on(&mut self, id: AttemptId, until: Timestamp) {
        self.change_sent(id, |sent| sent.patience_until = Some(until));
    }

    /// Changes an announce that was sent.
    fn change_sent(&mut self, id: AttemptId, change: impl FnOnce(&mut SentAnnounce)) {
        if let Some(attempt) = self.attempt_mut(id)
            && let Stage::Announcing(sent) = &mut attempt.stage
        {
            change(sent);
        }
    }

    /// Takes out an attempt that has sent its announce and was answered.
    pub(crate) fn take_announced(&mut self, id: AttemptId) -> Option<(Attempt, SentAnnounce)> {
        let sent = self.attempt(id)?.sent()?;
        Some((self.take(id)?, sent))
    }

    /// Takes out an attempt.
    pub(crate) fn take(&mut self, id: AttemptId) -> Option<Attempt> {
        let place = self.attempts.iter().position(|attempt| attempt.id == id)?;
        Some(self.attempts.remove(place))
    }

    /// Takes out an attempt that failed, and keeps its cause for the report.
    pub(crate) fn failed(&mut self, id: AttemptId, error: AnnounceError) -> Option<Attempt> {
        let attempt = self.take(id)?;
        self.failed.push(FailedAttempt { tracker: attempt.tracker.clone(), error });
        Some(attempt)
    }

    /// Makes a tracker that failed a candidate again.
    pub(crate) fn try_again(&mut self, tracker: &TrackerUrl) {
        self.tried.remove(tracker);
    }

    /// Notes, once and for the report, a tracker that was left out although it was its turn.
    pub(crate) fn skipped(&mut self, tracker: TrackerUrl, error: AnnounceError) {
        if !self.tried.contains(&tracker) && self.failed.iter().all(|failed| failed.tracker != tracker) {
            self.failed.push(FailedAttempt { tracker, error });
        }
    }

    /// How many attempts there may be: those made, and the candidates that are left.
    pub(crate) fn total(&self, candidates: &Candidates<'_>) -> usize {
        self.tried.len() + candidates.count(&self.tried)
    }

    /// Ends the round: gives the attempts that are still under way, and the failures.
    pub(crate) fn end(&mut self) -> (Vec<Attempt>, Vec<FailedAttempt>) {
        (std::mem::take(&mut self.attempts), std::mem::take(&mut self.failed))
    }

    /// What to do now. Limits first; then announces, of which one at a time is waited for; then the race of openings.
    pub(crate) fn next_step(&mut self, candidates: &Candidates<'_>, config: &Config, now: Timestamp) -> Step {
        let mut is_any = !self.closing && candidates.is_any(&self.tried);
        if !is_any && self.attempts.is_empty() && !self.passed_by.is_empty() {
            self.come_back();
            is_any = !self.closing && candidates.is_any(&self.tried);
        }
        // With no other tracker to go to, the last one gets longer limits (R48).
        let last = !is_any && self.attempts.len() == 1;
        let mut clock = Deadlines { now, next: None };

        for attempt in &self.attempts {
            if let Some((limit, phase)) = attempt.limit(config, last)
                && clock.due(limit)
            {
                return Step::Expired(attempt.id, phase);
            }
        }
        // One announce at a time: a second tracker is announced to only if the first has stalled or failed, because
        // every announce registers us at one more tracker.
        let mut answer_awaited = false;
        for attempt in &self.attempts {
            if let Some(sent) = attempt.sent()
                && !sent.stalled
            {
                if sent.patience_until.is_some_and(|until| clock.due(until)) {
                    return Step::Stalled(attempt.id);
                }
                answer_awaited = true;
            }
        }
        if answer_awaited {
            return Step::Wait(clock.next);
        }
        // The channel that opened first wins the race.
        let opened = |attempt: &&Attempt| match attempt.stage {
            Stage::Open { at } => Some((at, attempt.id)),
            _ => None,
        };
        if let Some((_, id)) = self.attempts.iter().filter_map(|attempt| opened(&attempt)).min() {
            return Step::Announce(id);
        }

        if !is_any {
            if self.attempts.is_empty() {
                return Step::Exhausted;
            }
            // A tracker that may be tried before those under way have ended is a spare for them. Without this wake-up
            // it would depend on chance whether the round sees it.
            let next = if self.closing { None } else { candidates.next_at(&self.tried) };
            return Step::Wait([clock.next, next].into_iter().flatten().min());
        }
        // At the start the first tracker to answer a probe gets the announce.
        if self.tried.is_empty()
            && let Some(hold_until) = self.hold_until
            && !clock.due(hold_until)
        {
            return Step::Wait(clock.next);
        }
        // The next opening starts once every one under way has been silent for its patience. Without a race (private
        // torrents, BEP 12 as written) none starts beside another.
        let mut openings = 0;
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.stage == Stage::Opening) {
            openings += 1;
            if !config.race || !clock.due(attempt.patience_until) {
                return Step::Wait(clock.next);
            }
            if !attempt.reported_silent {
                attempt.reported_silent = true;
                return Step::Silent(attempt.id);
            }
        }
        if openings >= MAX_OPENINGS {
            return Step::Wait(clock.next);
        }
        let Some(next) = candidates.first(&self.tried) else { return Step::Wait(clock.next) };
        // A later tier is a spare (BEP 12). With less time, a first tier that is only far away would lose its
        // announces.
        let is_silent = |attempt: &Attempt| attempt.tier < next.tier && attempt.stage == Stage::Opening;
        let crosses = self.attempts.iter().any(is_silent);
        if crosses && !clock.due(self.last_started + config.limits.tier_patience) {
            return Step::Wait(clock.next);
        }
        Step::Open(next)
    }
}

/// A patience halved as many times as trackers were silent before, down to the least: if many are silent, the network
/// or the list is bad, and each further one deserves less time.
fn halved((patience, least): (Duration, Duration), times: usize) -> Duration {
    (0..times).fold(patience, |patience, _| (patience / 2).max(least.min(patience)))
}

/// The deadlines that a decision looks at, and the next of them.
struct Deadlines {
    /// The present moment.
    now: Timestamp,
    /// The first deadline after it.
    next: Option<Timestamp>,
}

impl Deadlines {
    /// Whether a deadline is over; if not it is a moment to wake up at.
    fn due(&mut self, at: Timestamp) -> bool {
        if at > self.now && self.next.is_none_or(|next| at < next) {
            self.next = Some(at);
        }
        at <= self.now
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::sync::Arc;

    use super::*;
    use crate::announce::{InfoHash, PeerId, Torrent};
    use crate::policy::config::Order;
    use crate::policy::hosts::{
        Hosts, OPEN_PATIENCE, OPEN_PATIENCE_FLOOR, REPLY_PATIENCE, REPLY_PATIENCE_FLOOR,
    };
    use crate::policy::io::TorrentId;
    use crate::policy::torrent::book::TorrentBook;
    use crate::policy::torrent::round_kind::RoundKind;
    use crate::policy::tracker_set::TrackerSet;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    /// A torrent with these tiers, and hosts of which nothing is known.
    fn known(tiers: &[&[&str]], config: &Config) -> (TorrentBook, Hosts) {
        let url = |name: &&str| format!("http://{name}.test/announce").parse().unwrap();
        let trackers = TrackerSet::new(tiers.iter().map(|tier| tier.iter().map(url)));
        let config = Arc::new(Config { order: Order::Bep12, shuffle: false, ..config.clone() });
        let torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new([2; 20]), 6881);
        let mut book = TorrentBook::new(TorrentId::new(1), trackers, torrent, Arc::clone(&config), at(0));
        book.trackers.prepare(&config, 0);
        (book, Hosts::new(config))
    }

    /// How a tracker behaves: after so many milliseconds it opens, then after so many it answers.
    #[derive(Clone, Copy)]
    enum Script {
        Refused(u64),
        Silent,
        Mute,
        Fails(u64),
        Answers(u64, u64),
    }
    use Script::{Answers, Fails, Mute, Refused, Silent};

    /// Plays a round: which trackers were opened when, which were announced to when, and which answered when.
    fn play(
        tiers: &[&[&str]],
        scripts: &[Script],
        config: &Config,
    ) -> (String, String, Option<(usize, u64)>) {
        let (book, hosts) = known(tiers, config);
        let index =
            |tracker: &TrackerUrl| book.trackers.trackers().position(|other| other == tracker).unwrap();
        let request = AnnounceRequest::new(book.torrent.info_hash, book.torrent.peer_id, 6881);
        let mut round = Round::new(None);
        let (mut now, mut opened, mut announced) = (0, String::new(), String::new());
        let mut events: Vec<(u64, AttemptId, &str)> = Vec::new();
        let mut next_id = 0;
        loop {
            let wake = loop {
                let candidates = Candidates::new(&book, &RoundKind::Scheduled, &hosts, at(now));
                match round.next_step(&candidates, config, at(now)) {
                    Step::Open(candidate) => {
                        next_id += 1;
                        let id = AttemptId::new(next_id);
                        write!(opened, "{}@{now} ", candidate.tracker.host().trim_end_matches(".test"))
                            .unwrap();
                        match scripts[index(&candidate.tracker)] {
                            Refused(after) => events.push((now + after, id, "failed")),
                            Silent => {}
                            Mute => events.push((now + 1, id, "opened")),
                            Fails(after) | Answers(after, _) => events.push((now + after, id, "opened")),
                        }
                        let patience = (OPEN_PATIENCE, OPEN_PATIENCE_FLOOR);
                        let slot = Slot::unlimited(candidate.tracker.host_key(), at(now));
                        round.start(id, candidate, slot, patience, at(now));
                    }
                    Step::Announce(id) => {
                        let tracker = round.attempt(id).unwrap().tracker.clone();
                        write!(announced, "{}@{now} ", tracker.host().trim_end_matches(".test")).unwrap();
                        match scripts[index(&tracker)] {
                            Fails(after) => events.push((now + after, id, "failed")),
                            Answers(_, after) => events.push((now + after, id, "replied")),
                            _ => {}
                        }
                        let patience = config.race.then_some(REPLY_PATIENCE);
                        let patience = patience.map(|patience| (patience, REPLY_PATIENCE_FLOOR));
                        round.announced(id, &request, patience, at(now));
                    }
                    Step::Silent(_) => {}
                    Step::Stalled(id) => round.hedge(id),
                    Step::Expired(id, phase) => {
                        round.failed(id, AnnounceError::TimedOut(phase)).unwrap();
                    }
                    Step::Wait(wake) => break wake,
                    Step::Exhausted => return (opened, announced, None),
                }
            };
            events.sort_by_key(|(when, id, _)| (*when, *id));
            let wake = wake.map_or(u64::MAX, |wake| wake.as_micros().div_ceil(1000));
            match events.first().copied() {
                Some((when, id, what)) if when <= wake => {
                    events.remove(0);
                    now = when;
                    match what {
                        "opened" => round.opened(id, at(now)),
                        "failed" => drop(round.failed(id, AnnounceError::Cancelled)),
                        _ => {
                            if let Some((attempt, _)) = round.take_announced(id) {
                                return (opened, announced, Some((index(&attempt.tracker), now)));
                            }
                        }
                    }
                }
                _ => {
                    assert!(wake < u64::MAX, "stuck at {now}");
                    now = wake;
                }
            }
        }
    }

    #[test]
    fn a_healthy_first_tracker_is_the_only_one_touched() {
        let outcome =
            play(&[&["a", "b", "c"]], &[Answers(5, 5), Answers(1, 1), Answers(1, 1)], &Config::default());
        assert_eq!(outcome, ("a@0 ".into(), "a@5 ".into(), Some((0, 10))));
    }

    #[test]
    fn refused_moves_on_at_once_and_silence_after_its_patience() {
        let config = Config::default();
        let outcome = play(&[&["a", "b", "c"]], &[Refused(1), Refused(1), Answers(5, 5)], &config);
        assert_eq!(outcome, ("a@0 b@1 c@2 ".into(), "c@7 ".into(), Some((2, 12))));
        let outcome = play(&[&["a", "b", "c"]], &[Silent, Silent, Answers(5, 5)], &config);
        assert_eq!(outcome.0, "a@0 b@250 c@375 ", "each silent opening makes the next wait shorter");
        assert_eq!(outcome.2, Some((2, 385)));
    }

    #[test]
    fn a_slow_opening_wins_when_it_comes_before_the_next() {
        let outcome = play(&[&["a", "b"]], &[Answers(300, 5), Answers(100, 5)], &Config::default());
        assert_eq!(
            outcome,
            ("a@0 b@250 ".into(), "a@300 ".into(), Some((0, 305))),
            "b was opened, and nothing was sent to it"
        );
    }

    #[test]
    fn a_mute_tracker_costs_the_patience_for_a_reply() {
        let outcome = play(&[&["a", "b"]], &[Mute, Answers(5, 5)], &Config::default());
        assert_eq!(outcome, ("a@0 b@1501 ".into(), "a@1 b@1506 ".into(), Some((1, 1511))));
        let spare = play(
            &[&["a", "b"]],
            &[Silent, Mute],
            &Config::default().last_reply_limit(Duration::from_secs(2)),
        );
        assert_eq!(spare.2, None);
    }

    #[test]
    fn a_failing_announce_moves_on_at_once() {
        let outcome = play(&[&["a", "b"]], &[Fails(5), Answers(5, 5)], &Config::default());
        assert_eq!(outcome, ("a@0 b@10 ".into(), "a@5 b@15 ".into(), Some((1, 20))));
    }

    #[test]
    fn tiers_are_crossed_when_the_last_opening_was_silent_long_enough() {
        let outcome = play(&[&["a", "b"], &["c"]], &[Silent, Silent, Answers(5, 5)], &Config::default());
        assert_eq!(outcome.0, "a@0 b@250 c@1250 ");
        let outcome = play(&[&["a"], &["c"]], &[Refused(3), Answers(5, 5)], &Config::default());
        assert_eq!(outcome.0, "a@0 c@3 ", "nothing to wait for when the tier has failed");
    }

    #[test]
    fn without_a_race_one_follows_the_other_at_its_limit() {
        let config = Config::default().without_race();
        let outcome = play(&[&["a", "b", "c"]], &[Silent, Mute, Answers(5, 5)], &config);
        assert_eq!(outcome.0, "a@0 b@10000 c@25001 ");
        assert_eq!(outcome.1, "b@10001 c@25006 ");
    }

    /// R2 and R3: every attempt has an end. R48: the last candidate gets longer than the rest.
    #[test]
    fn silence_ends_and_the_last_candidate_gets_longer() {
        let config = Config::default();
        assert_eq!(play(&[&["a", "b"]], &[Silent, Mute], &config).2, None);
        assert_eq!(play(&[&["only"]], &[Answers(19_000, 29_000)], &config).2, Some((0, 48_000)));
        assert_eq!(play(&[&["only"]], &[Answers(20_001, 5)], &config).2, None);
        assert_eq!(play(&[&["a", "late"]], &[Refused(1), Answers(11_000, 5)], &config).2, Some((1, 11_006)));
    }

    /// R10: a full lap visits every tracker.
    #[test]
    fn a_lap_visits_all_forty() {
        let names: Vec<String> = (0..40).map(|n| format!("t{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for script in [Refused(1), Silent, Mute, Fails(3)] {
            let (opened, _, answer) = play(&[&names], &[script; 40], &Config::default());
            assert_eq!((opened.split_whitespace().count(), answer), (40, None));
        }
    }

    #[test]
    fn at_most_ten_openings_exist_at_once() {
        let names: Vec<String> = (0..12).map(|n| format!("t{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (opened, _, _) = play(&[&names], &[Silent; 12], &Config::default());
        let eleventh = opened.split_whitespace().nth(10).unwrap();
        assert_eq!(eleventh, "t10@10000", "{opened}");
    }

    #[test]
    fn a_held_round_goes_by_the_list_when_no_probe_answers() {
        let config = Config::default();
        let (book, hosts) = known(&[&["a"]], &config);
        let candidates = Candidates::new(&book, &RoundKind::Scheduled, &hosts, at(0));
        let mut round = Round::new(Some(at(1000)));
        assert!(
            matches!(round.next_step(&candidates, &config, at(0)), Step::Wait(Some(wake)) if wake == at(1000))
        );
        assert!(matches!(round.next_step(&candidates, &config, at(1000)), Step::Open(_)));
        let mut released = Round::new(Some(at(1000)));
        released.release();
        assert!(matches!(released.next_step(&candidates, &config, at(0)), Step::Open(_)));
    }
}
