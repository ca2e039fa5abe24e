//! What must not be sent, and what is noted of what was: every rule that a tracker operator would complain about.

use std::time::Duration;

use tracker_failover::policy::Timestamp;
use tracker_failover::{
    AnnounceError, AnnounceRequest, AnnounceResponse, Announced, Event, Retry, StopResult,
};

use super::facts::{Failing, REMEMBERED};
use super::life::{Attempt, Life, Stage};

/// The longest time that a hint keeps us away.
const HINT_CEILING: Duration = Duration::from_secs(24 * 3600);

/// The interval where a tracker names none, the shortest and the longest.
const INTERVALS: [Duration; 3] =
    [Duration::from_secs(1800), Duration::from_secs(60), Duration::from_secs(8 * 3600)];

/// So many announces of a torrent are heard by a tracker in a minute at most, unless the user asks for more: looks during
/// an outage come 5 s apart at first.
const A_MINUTE: u32 = 12;

/// How long an end may take.
const END: Duration = Duration::from_secs(3);

impl Life {
    pub(super) fn judge_opening(&mut self, torrent: Option<usize>, tracker: usize) {
        let Some(torrent) = torrent else { return };
        let round = self.members[torrent].rounds_ended + 1;
        let is_running = self.members[torrent].runs;
        let url = self.world.trackers[tracker].url.clone();
        let Some(listed) = self.listed_mut(torrent, tracker) else {
            panic!("torrent {torrent} opens {url}, which it doesn't list")
        };
        let before = std::mem::replace(&mut listed.opened_in_round, round);
        if is_running && before == round {
            self.accuse(torrent, &format!("{url} was opened twice in a round"));
        }
    }

    pub(super) fn accuse(&mut self, torrent: usize, rule: &str) -> ! {
        self.trace.accused = Some(torrent);
        panic!("torrent {torrent} at {:?}: {rule}", self.driver.now())
    }

    pub(super) fn judge_announce(&mut self, torrent: usize, tracker: usize, request: &AnnounceRequest) {
        self.tally.announces += 1;
        if let Err(rule) = self.may_announce(torrent, tracker, request) {
            let url = self.world.trackers[tracker].url.clone();
            self.accuse(torrent, &format!("{url}, {:?}: {rule}", request.event));
        }
        let (now, member) = (self.driver.now(), &mut self.members[torrent]);
        let is_forced = member.rounds_ended < member.forced_until;
        if let Some(place) = member.place(tracker) {
            let listed = &mut member.listed[place];
            if now.since(listed.minute.0) >= Duration::from_secs(60) {
                listed.minute = (now, 0);
            }
            listed.minute.1 += u32::from(!is_forced);
            listed.uploaded = request.transfer.uploaded;
            listed.announces += 1;
            listed.in_flight += 1;
            listed.may_know = true;
            listed.times_stopped += u32::from(request.event == Some(Event::Stopped));
        }
    }

    fn may_announce(&self, torrent: usize, tracker: usize, request: &AnnounceRequest) -> Result<(), String> {
        let (member, now) = (&self.members[torrent], self.driver.now());
        let Some(listed) = member.place(tracker).map(|place| &member.listed[place]) else {
            return Err("never listed".to_owned());
        };
        let stopping = member.stopping_since.is_some();
        let check = |holds: bool, rule: &str| if holds { Ok(()) } else { Err(rule.to_owned()) };
        check(listed.on_list || stopping, "not listed any more")?;
        check(!listed.not_again, "refused the torrent for ever")?;
        check(now >= listed.not_before, &format!("wants no announce until {:?}", listed.not_before))?;
        check(listed.in_flight == 0 || stopping, "has one in flight")?;
        let is_pestered = listed.minute.1 >= A_MINUTE && now.since(listed.minute.0) < Duration::from_secs(60);
        check(
            !is_pestered || self.tolerates_starvation,
            &format!("is announced to more than {A_MINUTE} times in a minute"),
        )?;
        check(request.transfer.uploaded >= listed.uploaded, "counters go back")?;
        let host = self.world.trackers[tracker].host;
        let is_introduced = member.listed.iter().any(|other| {
            other.accepted && (member.private || self.world.trackers[other.tracker].host == host)
        });
        match request.event {
            Some(Event::Started) => check(!listed.accepted, "accepted an announce before"),
            Some(Event::Completed) => {
                check(listed.accepted, "has no registration")?;
                check(member.complete && !member.complete_from_start, "there was nothing to complete")?;
                // Further trackers count downloads as well, each for itself.
                let accepted = if member.as_needed { listed.completed } else { member.completed_accepted };
                check(!accepted, "completed was accepted before")
            }
            Some(Event::Stopped) => {
                check(stopping, "stopped while it runs")?;
                check(listed.times_stopped == 0, "stopped twice")?;
                check(listed.knows || listed.may_know, "stopped without a registration")
            }
            None => {
                let forced = member.rounds_ended < member.forced_until;
                let early = format!("wants no regular announce until {:?}", listed.no_regular_before);
                check(forced || now >= listed.no_regular_before, &early)?;
                check(listed.accepted || is_introduced, "is to be sent `started` first")
            }
            Some(event) => check(false, &format!("an event without a rule: {event}")),
        }
    }

    /// An announce was given up or answered.
    pub(super) fn unanswered(&mut self, attempt: &Attempt, _request: &AnnounceRequest) {
        if let Some(listed) = attempt.torrent.and_then(|torrent| self.listed_mut(torrent, attempt.tracker)) {
            listed.in_flight = listed.in_flight.saturating_sub(1);
        }
    }

    pub(super) fn replied(&mut self, attempt: &Attempt, result: &Result<AnnounceResponse, AnnounceError>) {
        let (Stage::Announcing(request), Some(torrent)) = (&attempt.stage, attempt.torrent) else { return };
        self.unanswered(attempt, request);
        match result {
            Ok(response) => self.accepted(torrent, attempt.tracker, request, response),
            Err(error) => {
                self.failed(attempt, Failing::Answer);
                self.refused(torrent, attempt.tracker, error);
            }
        }
    }

    fn accepted(
        &mut self,
        torrent: usize,
        tracker: usize,
        request: &AnnounceRequest,
        response: &AnnounceResponse,
    ) {
        let now = self.driver.now();
        let is_stopped = request.event == Some(Event::Stopped);
        if !is_stopped && self.members[torrent].runs {
            self.judge_deadline(torrent);
        }
        self.hosts[self.world.trackers[tracker].host].answered(now);
        let min_interval = now + response.min_interval.unwrap_or_default().min(INTERVALS[2]);
        let Some(listed) = self.listed_mut(torrent, tracker) else { return };
        let first = !listed.accepted;
        listed.failed = None;
        listed.accepted |= !is_stopped;
        listed.knows = !is_stopped;
        listed.last_accepted = now;
        // A tracker's last word counts.
        (listed.early_until, listed.no_regular_before) = (min_interval, min_interval);
        let is_completed = request.event == Some(Event::Completed);
        listed.completed |= is_completed;
        let member = &mut self.members[torrent];
        member.completed_accepted |= is_completed;
        if is_completed || (first && request.transfer.left == Some(0)) {
            member.owes_since = None;
        }
        member.answers.push((now, tracker));
    }

    fn refused(&mut self, torrent: usize, tracker: usize, error: &AnnounceError) {
        let now = self.driver.now();
        let Some(listed) = self.listed_mut(torrent, tracker) else { return };
        match error.retry() {
            Retry::Never => (listed.never, listed.not_again) = (true, true),
            Retry::After(wait) => {
                let until = now + wait.min(HINT_CEILING);
                (listed.suspended_until, listed.not_before) = (until, until);
            }
            _ => {}
        }
    }

    /// An answer has come: in time?
    fn judge_deadline(&mut self, torrent: usize) {
        let now = self.driver.now();
        let outlook = self.outlook(torrent, now);
        match outlook.deadline.filter(|deadline| deadline.since <= now) {
            Some(deadline) if deadline.at < now => {
                if !self.tolerates_starvation {
                    self.starved(torrent, &outlook, now);
                }
            }
            Some(deadline) => {
                self.tally.met(deadline.class, now.since(deadline.since), deadline.at.since(deadline.since));
            }
            None => self.tally.early += 1,
        }
    }

    pub(super) fn round_ended(&mut self, torrent: usize, announced: Option<&Announced>) {
        let now = self.driver.now();
        self.trace
            .note(now, Some(torrent), None, || format!("round ended, answered: {}", announced.is_some()));
        self.members[torrent].rounds_ended += 1;
        let Some(announced) = announced else { return };
        let tracker = self.world.number(&announced.tracker);
        self.tally.answers += 1;
        // Our process may have stood still between the answer and the end of its round.
        if self.members[torrent].answers.last().is_none_or(|(_, of)| *of != tracker) {
            self.accuse(torrent, "a round has succeeded without an answer");
        }
        let member = &mut self.members[torrent];
        let is_listed = member.place(tracker).is_some_and(|place| member.listed[place].on_list);
        if is_listed {
            member.in_use = Some(tracker);
        }
        let of = &self.world.trackers[tracker];
        let [default, shortest, longest] = INTERVALS;
        let named = of.interval.filter(|interval| !interval.is_zero()).unwrap_or(default);
        let interval = named.max(of.min_interval.unwrap_or_default()).clamp(shortest, longest);
        (member.answered_at, member.due) = (now, now + interval);
    }

    pub(super) fn judge_end(&mut self, torrent: usize, stopped: &[StopResult]) {
        self.tally.ended += 1;
        let member = &self.members[torrent];
        let Some(since) = member.stopping_since else { self.accuse(torrent, "ended and was never stopped") };
        let took = self.driver.now().since(since);
        if took > END + self.gaps_since(since) {
            self.accuse(torrent, &format!("the end took {took:?}"));
        }
        let owed = member.listed.iter().find(|listed| {
            let remembers = self.driver.now().since(listed.last_accepted) < REMEMBERED;
            let suspended = listed.not_again || listed.not_before > since;
            let url = &self.world.trackers[listed.tracker].url;
            let was_sent = stopped.iter().any(|result| result.tracker == *url);
            listed.on_list && listed.knows && remembers && !suspended && !was_sent
        });
        if let Some(owed) = owed {
            let url = self.world.trackers[owed.tracker].url.clone();
            self.accuse(torrent, &format!("{url} has a registration and was sent no `stopped`"));
        }
    }

    /// How long we slept since then, at most.
    fn gaps_since(&self, _since: Timestamp) -> Duration {
        self.gaps
    }
}
