//! What the answers of one tracker brought, and when it is due again.

use std::time::Duration;

use crate::announce::AnnounceResponse;
use crate::time::Timestamp;

/// How soon after its last answer a tracker may be asked for more peers, the first time (most trackers refuse an earlier
/// announce). Doubled each time up to half of the interval, so that a tracker with the usual one hears at most six
/// announces in its first hour.
const MORE_PEERS_WAIT: Duration = Duration::from_secs(60);

/// The longest interval of a tracker that brings nothing new, and of retries at one that fails.
const MAX_WAIT: Duration = Duration::from_secs(8 * 3600);

/// After so many answers in a row that brought nothing new a further tracker is asked at doubled intervals.
const BARREN: u8 = 2;

/// After so many answers in a row that named the peers of the tracker in use a tracker counts as one of the same
/// cluster. One alone may be chance.
const SAME: u8 = 2;

/// For how long a tracker of the same cluster isn't asked, the first time, and at most. The first is a little longer than
/// trackers remember a peer (45 minutes): in a small swarm independent trackers name the same peers as long as each client
/// is registered everywhere, and different ones once those that took them for a cluster have dropped out. After 4 hours 2
/// to 6 in 100 pairs of a swarm of ten didn't meet, after 50 minutes one in 400 (simulation). Found to be the same again
/// it is asked after 10 hours, and then once a day.
const DUPLICATE_WAIT: (Duration, Duration) = (Duration::from_secs(50 * 60), Duration::from_secs(24 * 3600));

/// By how much that time grows each time.
const DUPLICATE_GROWTH: u32 = 12;

/// For how long a UDP tracker isn't asked that has the address of another one. Names rarely change their addresses.
const ALIAS_WAIT: Duration = Duration::from_secs(4 * 3600);

/// What the answers of one tracker brought.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Answers {
    /// When it last answered.
    answered_at: Timestamp,
    /// When it is due again by its interval.
    due: Timestamp,
    /// Until when it isn't asked beside the tracker in use, because it is the same tracker or one of its cluster.
    duplicate_until: Timestamp,
    /// The peers that it named last, as one number; 0 if it named none. Two equal sets have the same number.
    peers: u64,
    /// The address of a UDP tracker, as a number; 0 if it isn't known.
    address: u64,
    /// How many peers have the whole torrent, by its last answer.
    complete: Option<u32>,
    /// How many peers are still downloading, by its last answer.
    incomplete: Option<u32>,
    /// How many announces it has answered.
    successes: u32,
    /// How many have failed since.
    failures: u16,
    /// How many peers it named last.
    named: u16,
    /// How many of them no tracker had named within the last hour.
    new: u16,
    /// How many answers in a row brought no new peer.
    barren: u8,
    /// How many answers in a row named the same peers as the tracker in use.
    same: u8,
    /// How many times in a row it was asked because peers were wanted.
    asked_for_more: u8,
    /// Whether peers were wanted since its last answer.
    more_wanted: bool,
}

/// What one answer brought.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Yield {
    /// How many usable peers it named, this client left out.
    pub(crate) named: usize,
    /// How many of them no tracker had named within the last hour.
    pub(crate) new: usize,
    /// All of them as one number; 0 if there are none.
    pub(crate) peers: u64,
}

/// That a tracker is the same as the one in use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DuplicateMark {
    /// How many answers in a row showed it.
    same: u8,
    /// Until when it isn't asked.
    until: Timestamp,
}

impl Answers {
    /// Takes in an answer. The tracker is due again at `due`.
    pub(crate) fn answered(
        &mut self,
        response: &AnnounceResponse,
        brought: Yield,
        due: Timestamp,
        now: Timestamp,
    ) {
        let count = |count: Option<u64>| count.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let short = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        (self.answered_at, self.due) = (now, due);
        (self.complete, self.incomplete) = (count(response.complete), count(response.incomplete));
        (self.successes, self.failures) = (self.successes.saturating_add(1), 0);
        (self.named, self.new, self.peers) = (short(brought.named), short(brought.new), brought.peers);
        self.barren = if brought.new == 0 { self.barren.saturating_add(1) } else { 0 };
        self.asked_for_more = if self.more_wanted { self.asked_for_more.saturating_add(1) } else { 0 };
        self.more_wanted = false;
    }

    /// Takes in that an announce failed.
    pub(crate) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Compares the peers of the last answer with those of the tracker in use. Twice the same: both are of one cluster,
    /// and this one isn't asked for a while. Looked at again, one such answer is enough.
    pub(crate) fn compare(&mut self, in_use: &Self, now: Timestamp) {
        if self.peers == 0 || self.peers != in_use.peers {
            self.forget_duplicate();
            return;
        }
        self.same = self.same.saturating_add(1);
        if self.same >= SAME {
            let (first, longest) = DUPLICATE_WAIT;
            let times = DUPLICATE_GROWTH.pow(u32::from(self.same - SAME).min(5));
            self.duplicate_until = now + first.saturating_mul(times).min(longest);
        }
    }

    /// Notes that this is the tracker in use under another name.
    pub(crate) fn is_alias(&mut self, now: Timestamp) {
        self.duplicate_until = now + ALIAS_WAIT;
    }

    /// Forgets that it is the same tracker as the one in use, since that is another one now.
    pub(crate) fn forget_duplicate(&mut self) {
        self.duplicate(DuplicateMark::default());
    }

    /// Takes the mark of a duplicate off, because this is the tracker in use now. Gives it if there was one.
    pub(crate) fn take_duplicate(&mut self) -> Option<DuplicateMark> {
        let mark = DuplicateMark { same: self.same, until: self.duplicate_until };
        let was_duplicate = self.is_known_duplicate();
        self.forget_duplicate();
        was_duplicate.then_some(mark)
    }

    /// Puts the mark of a duplicate on.
    pub(crate) fn duplicate(&mut self, mark: DuplicateMark) {
        (self.same, self.duplicate_until) = (mark.same, mark.until);
    }

    /// Whether it is the same tracker as the one in use, or one of its cluster.
    pub(crate) fn is_duplicate(&self, now: Timestamp) -> bool {
        self.duplicate_until > now
    }

    /// Whether it was found to be a duplicate, however long ago.
    pub(crate) fn is_known_duplicate(&self) -> bool {
        self.duplicate_until > Timestamp::ZERO
    }

    /// Until when it isn't asked because it is a duplicate.
    pub(crate) fn duplicate_until(&self) -> Timestamp {
        self.duplicate_until
    }

    /// Keeps the address of a UDP tracker, as a number.
    pub(crate) fn keep_address(&mut self, address: u64) {
        self.address = address;
    }

    /// Its address as a number; `None` if it isn't known.
    pub(crate) fn address(&self) -> Option<u64> {
        (self.address != 0).then_some(self.address)
    }

    /// Notes that peers are wanted.
    pub(crate) fn want_more(&mut self) {
        self.more_wanted = true;
    }

    /// When it may be asked for more peers: the wait after its last answer doubles with each time.
    pub(crate) fn more_at(&self) -> Timestamp {
        let wait = MORE_PEERS_WAIT.saturating_mul(1 << u32::from(self.asked_for_more).min(16));
        let is_worth_it = wait.saturating_mul(2) <= self.due.since(self.answered_at);
        if is_worth_it { self.answered_at + wait } else { self.due }
    }

    /// When it is due by its interval.
    pub(crate) fn due(&self) -> Timestamp {
        self.due
    }

    /// Sets when it is due, because the interval was overridden.
    pub(crate) fn due_by(&mut self, due: Timestamp) {
        self.due = self.due.min(due);
    }

    /// When it is due as a further tracker: at doubled intervals if it brings nothing new.
    pub(crate) fn due_by_yield(&self) -> Timestamp {
        let interval = self.due.since(self.answered_at);
        let times = 1 << u32::from(self.barren.saturating_add(1).saturating_sub(BARREN)).min(16);
        self.answered_at + interval.saturating_mul(times).min(MAX_WAIT.max(interval))
    }

    /// Whether its last answers brought nothing new.
    pub(crate) fn is_barren(&self) -> bool {
        self.barren >= BARREN
    }

    /// How long a further tracker that failed isn't asked again: its usual interval, doubled with each failure.
    pub(crate) fn retry_wait(&self, interval: Duration) -> Duration {
        let times = 1 << u32::from(self.failures.saturating_sub(1)).min(16);
        interval.saturating_mul(times).min(MAX_WAIT)
    }

    /// When it last answered; `None` if it never has.
    pub(crate) fn answered_at(&self) -> Option<Timestamp> {
        (self.successes > 0).then_some(self.answered_at)
    }

    /// How many peers have the whole torrent, by its last answer.
    pub(crate) fn complete(&self) -> Option<u32> {
        self.complete
    }

    /// How many peers are still downloading, by its last answer.
    pub(crate) fn incomplete(&self) -> Option<u32> {
        self.incomplete
    }

    /// How many announces it has answered.
    pub(crate) fn successes(&self) -> u32 {
        self.successes
    }

    /// How many announces have failed since its last answer.
    pub(crate) fn failures(&self) -> u32 {
        u32::from(self.failures)
    }

    /// How many peers it named last.
    pub(crate) fn named(&self) -> usize {
        usize::from(self.named)
    }

    /// How many of them no tracker had named within the last hour.
    pub(crate) fn new_peers(&self) -> usize {
        usize::from(self.new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(seconds))
    }

    /// Answers to announces at these seconds, each due half an hour later, which brought so many new peers.
    fn answered(answers: &mut Answers, new: usize, seconds: u64) {
        let brought = Yield { named: new, new, peers: new as u64 };
        answers.answered(&AnnounceResponse::default(), brought, at(seconds + 1800), at(seconds));
    }

    #[test]
    fn what_brings_nothing_new_twice_is_asked_at_doubled_intervals() {
        let mut answers = Answers::default();
        let waits: Vec<u64> = (0..8)
            .map(|_| {
                answered(&mut answers, 0, 1000);
                answers.due_by_yield().since(at(1000)).as_secs() / 60
            })
            .collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 480, 480, 480], "up to eight hours");
        answered(&mut answers, 1, 1000);
        assert_eq!(answers.due_by_yield(), at(2800), "a new peer ends it");
    }

    #[test]
    fn an_interval_beyond_eight_hours_is_kept() {
        let mut answers = Answers::default();
        for _ in 0..4 {
            answers.answered(&AnnounceResponse::default(), Yield::default(), at(9 * HOUR), at(0));
        }
        assert_eq!(answers.due_by_yield(), at(9 * HOUR));
    }

    #[test]
    fn more_peers_are_asked_for_after_a_wait_that_doubles() {
        let mut answers = Answers::default();
        answered(&mut answers, 50, 0);
        let mut waits = Vec::new();
        for _ in 0..6 {
            waits.push(answers.more_at().since(at(0)).as_secs());
            answers.want_more();
            answered(&mut answers, 50, 0);
        }
        assert_eq!(waits, [60, 120, 240, 480, 1800, 1800], "new peers don't make it shorter");
        answered(&mut answers, 50, 0);
        assert_eq!(answers.more_at(), at(60), "peers weren't wanted before this announce");
    }

    #[test]
    fn two_equal_answers_in_a_row_make_a_duplicate_for_a_time_that_doubles() {
        let (mut answers, mut in_use) = (Answers::default(), Answers::default());
        (answers.peers, in_use.peers) = (7, 7);
        answers.compare(&in_use, at(0));
        assert!(!answers.is_duplicate(at(1)), "one may be chance");
        let mut waits = Vec::new();
        for _ in 0..5 {
            answers.compare(&in_use, at(0));
            waits.push(answers.duplicate_until().since(at(0)).as_secs() / 60);
        }
        assert_eq!(waits, [50, 600, 1440, 1440, 1440]);
        in_use.peers = 8;
        answers.compare(&in_use, at(0));
        assert!(!answers.is_known_duplicate());
        (answers.peers, in_use.peers) = (0, 0);
        answers.compare(&in_use, at(0));
        answers.compare(&in_use, at(0));
        assert!(!answers.is_duplicate(at(1)), "two that name no peer aren't the same");
    }

    #[test]
    fn what_fails_is_asked_later_each_time_and_numbers_stay_in_bounds() {
        let mut answers = Answers::default();
        let half_an_hour = Duration::from_secs(1800);
        let waits: Vec<u64> = (0..6)
            .map(|_| {
                answers.failed();
                answers.retry_wait(half_an_hour).as_secs() / 60
            })
            .collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 480]);
        for _ in 0..70_000 {
            answers.failed();
            answers.want_more();
            answered(&mut answers, 0, 0);
            answers.compare(&answers.clone(), at(0));
        }
        answers.answered(&AnnounceResponse::default(), Yield::default(), Timestamp::NEVER, at(0));
        assert!(answers.due_by_yield() >= at(0) && answers.more_at() > at(0));
        assert_eq!(answers.retry_wait(Duration::MAX), MAX_WAIT);
    }
}
