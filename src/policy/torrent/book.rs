//! What one torrent keeps from one announce to the next, and what each answer and each failure changes of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Attempt, SentAnnounce};
use super::counting::Counting;
use super::failback::Failback;
use super::ledger::Ledger;
use super::peer_supply::{PeerSupply, Shortage};
use super::round_kind::RoundKind;
use super::schedule::{RoundFailure, Schedule, jittered_interval};
use super::shared::Shared;
use crate::alert::Alert;
use crate::announce::{AnnounceRequest, AnnounceResponse, Event, Torrent, Transfer};
use crate::error::{AnnounceError, FailedAttempt, Retry};
use crate::policy::config::{AnnounceTo, Config, Order, Probing, Scheduling};
use crate::policy::hosts::{Failed, HostHealth, Outcome, Urgency};
use crate::policy::io::{Output, RoundNumber, TorrentId};
use crate::policy::tracker_set::{Listed, TrackerFailure, TrackerRecord, TrackerSet, Yield};
use crate::policy::verdict::{HostNews, Registered, Verdict};
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::{AddressFamily, Scheme, TrackerUrl};

/// One torrent's identity, its trackers with what each answered, its schedule, and the events that are due.
#[derive(Debug)]
pub(super) struct TorrentBook {
    /// The torrent's id in the engine.
    pub(super) id: TorrentId,
    /// Identity, port and counters, as announces carry them.
    pub(super) torrent: Torrent,
    /// The settings as they apply to this torrent.
    pub(super) config: Arc<Config>,
    /// The trackers, each with a record of what is known of it.
    pub(super) trackers: TrackerSet,
    /// When the next announce is due.
    pub(super) schedule: Schedule,
    /// Which event each tracker is sent.
    pub(super) ledger: Ledger,
    /// The tracker to go back to, after another took over.
    pub(super) failback: Option<Failback>,
    /// How many rounds have begun: the number of the last one.
    pub(super) rounds: RoundNumber,
    /// Whether the user wants peers, and no round has succeeded since.
    pub(super) wants_peers: bool,
    /// Whether the user was sent an alert of the tracker that is announced to first.
    pub(super) reported_first: bool,
    /// From when on trackers beside the one in use are announced to: later after a sleep.
    pub(super) beside_from: Timestamp,
    /// How many peers there are, by the client and by trackers.
    pub(super) supply: PeerSupply,
    /// When the client's counters are read.
    pub(super) counting: Counting,
    /// How many peers have the whole torrent, by the last answer with that number.
    pub(super) complete: Option<u64>,
    /// How many peers are still downloading, by the last answer with that number.
    pub(super) incomplete: Option<u64>,
    /// When the torrent was added. A new one asks again sooner after a refusal.
    added_at: Timestamp,
    /// The last warning that the user was sent, and the tracker that it came from.
    last_warning: Option<Box<(TrackerUrl, String)>>,
}

impl TorrentBook {
    pub(super) fn new(
        id: TorrentId,
        trackers: TrackerSet,
        torrent: Torrent,
        config: Arc<Config>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            ledger: Ledger::new(&trackers, torrent.transfer.left),
            torrent,
            trackers,
            config,
            schedule: Schedule::default(),
            failback: None,
            rounds: 0,
            wants_peers: false,
            reported_first: false,
            beside_from: Timestamp::ZERO,
            supply: PeerSupply::default(),
            counting: Counting::default(),
            complete: None,
            incomplete: None,
            added_at: now,
            last_warning: None,
        }
    }

    /// Takes in the counters of the download. Uploaded and downloaded are totals of the session and never go back
    /// (R30): a private tracker would take a smaller number for a new session.
    /// Gives whether the download has become complete by this.
    pub(super) fn update(&mut self, transfer: Transfer) -> bool {
        let known = self.torrent.transfer;
        let has_announced = || self.trackers.records().any(|(_, record)| !record.registration.is_empty());
        let is_complete = transfer.left == Some(0);
        // A torrent whose files were checked after it was added, and that has them all, wasn't downloaded (BEP 3,
        // R27).
        if known.left.is_none() && is_complete && !has_announced() {
            self.ledger.was_complete();
        }
        let has_completed = is_complete && known.left.is_some_and(|left| left > 0) && self.ledger.complete();
        if is_complete {
            self.nothing_left();
        }
        self.torrent.transfer = Transfer {
            uploaded: known.uploaded.max(transfer.uploaded),
            downloaded: known.downloaded.max(transfer.downloaded),
            left: transfer.left,
            partial_seed: transfer.partial_seed,
        };
        if known.wants_to_download() && !self.wants_to_download() {
            self.supply.became_seed();
        }
        has_completed
    }

    /// Notes that nothing was left to download when the files were checked.
    pub(super) fn found_complete(&mut self) {
        self.ledger.was_complete();
        self.nothing_left();
    }

    /// Until when an announce waits for the client's counters, which are asked for; `None` if they are known.
    pub(super) fn counters_awaited(&mut self, shared: &mut Shared<'_>) -> Option<Timestamp> {
        let (asks, until) = self.counting.missing(shared.now)?;
        if asks {
            shared.outputs.push_back(Output::CountTransfer { torrent: self.id });
        }
        Some(until)
    }

    /// Makes the torrent private, with these settings. What was measured decides no more.
    pub(super) fn become_private(&mut self, config: Arc<Config>) {
        self.config = config;
        self.ledger.become_private();
        self.trackers.end_probes();
        self.failback = None;
    }

    /// Notes that nothing is left to download.
    pub(super) fn nothing_left(&mut self) {
        if self.torrent.transfer.left != Some(0) {
            self.supply.became_seed();
        }
        self.torrent.transfer.left = Some(0);
    }

    /// Whether announces are made by the schedule, and not only on request.
    pub(super) fn is_automatic(&self) -> bool {
        self.config.scheduling == Scheduling::Automatic
    }

    /// Whether an announce is due. Scheduling that is left to the caller has none but those that the caller requests.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.schedule.due().is_some_and(|due| due <= now)
            && (self.is_automatic() || self.schedule.is_requested())
    }

    /// How many trackers the torrent is registered at.
    pub(super) fn announce_to(&self) -> AnnounceTo {
        self.trackers.announce_to()
    }

    /// Whether latency decides, so that hosts are measured.
    pub(super) fn measures_hosts(&self) -> bool {
        self.trackers.order() == Order::Nearest && self.config.probing == Probing::Parallel
    }

    /// Whether there may be something left that the client wants.
    pub(super) fn wants_to_download(&self) -> bool {
        self.torrent.transfer.wants_to_download()
    }

    /// Whether a round is in a hurry, so that a silent tracker is waited for less long.
    pub(super) fn urgency(&self, kind: &RoundKind, now: Timestamp) -> Urgency {
        // A torrent that has its peers loses nothing by two more seconds, and each tracker that is tried in haste
        // costs that tracker an announce. A torrent whose trackers fail, or that never had an answer, is always in a
        // hurry.
        let is_well = self.trackers.in_use().is_some() && !self.schedule.is_failing();
        let is_short = || self.supply.shortage(!self.wants_to_download(), now) == Shortage::Great;
        let is_awaited = kind.ignores_intervals() || self.wants_peers || kind.is_beside() && is_short();
        if is_well && !is_awaited { Urgency::Relaxed } else { Urgency::Urgent }
    }

    /// When the hints of a tracker allow the announce that it is due; `None` if it asked for no further announce. An
    /// event that is due doesn't wait for the `min interval` (R84).
    pub(super) fn allowed_at(&self, (tracker, record): Listed<'_>) -> Option<Timestamp> {
        let Some(record) = record else { return Some(Timestamp::ZERO) };
        // Which event is due is a question of many look-ups, and mostly makes no difference.
        let carries_event =
            record.hint.min_interval_until() > Timestamp::ZERO && self.event_for(tracker).is_some();
        record.hint.allowed_at(carries_event)
    }

    /// Whether the hints of a tracker allow the announce that it is due.
    pub(super) fn is_allowed(&self, listed: Listed<'_>, now: Timestamp) -> bool {
        self.allowed_at(listed).is_some_and(|allowed| allowed <= now)
    }

    /// Whether a tracker asked for no announce at all at this moment.
    pub(super) fn is_suspended(&self, tracker: &TrackerUrl, now: Timestamp) -> bool {
        self.trackers.record(tracker).is_some_and(|record| record.hint.is_suspended(now))
    }

    /// Whether the hints of any tracker hold announces back.
    pub(super) fn is_any_held_back(&self, now: Timestamp) -> bool {
        self.trackers.records().any(|(_, record)| record.hint.is_suspended(now) || record.hint.is_early(now))
    }

    /// Whether a tracker doesn't serve this torrent: it answered with an error, or not at all, on a connection that
    /// stood. Its host may serve other torrents.
    pub(super) fn is_refused_by(&self, tracker: &TrackerUrl) -> bool {
        self.trackers.record(tracker).is_some_and(TrackerRecord::is_refused)
    }

    /// Whether a tracker accepted an announce of this session.
    pub(super) fn is_registered(&self, tracker: &TrackerUrl) -> bool {
        self.ledger.is_registered(&self.trackers, tracker)
    }

    /// The event that the next announce to a tracker carries: the one that is due, or else that of a partial seed. That one is
    /// never due by itself: no tracker waits for it.
    pub(super) fn sent_event_for(&self, tracker: &TrackerUrl) -> Option<Event> {
        let may_pause = || {
            let refuses = self.trackers.record(tracker).is_some_and(|record| record.refuses_paused);
            self.torrent.transfer.is_of_partial_seed() && tracker.scheme() != Scheme::Udp && !refuses
        };
        self.event_for(tracker).or_else(|| may_pause().then_some(Event::Paused))
    }

    /// The event that is due at a tracker.
    pub(super) fn event_for(&self, tracker: &TrackerUrl) -> Option<Event> {
        self.ledger.event_for(&self.trackers, tracker)
    }

    /// The announce to a tracker with this event.
    pub(super) fn request(&self, tracker: &TrackerUrl, event: Option<Event>) -> AnnounceRequest {
        let torrent = &self.torrent;
        let mut request = AnnounceRequest::new(torrent.info_hash, torrent.peer_id, torrent.port);
        request.transfer = torrent.transfer;
        request.event = event;
        // Some trackers would answer `stopped` with a full list of peers.
        request.num_want = if event == Some(Event::Stopped) { Some(0) } else { torrent.num_want };
        request.key = torrent.key;
        // Over the other family it would be another peer's.
        let fits = |ip: &IpAddr| tracker.family().is_none_or(|family| family == AddressFamily::of(*ip));
        request.ip = torrent.ip.filter(fits);
        // It belongs to the tracker that sent it (R28).
        request.tracker_id = self.ledger.tracker_id(&self.trackers, tracker).map(Vec::from);
        request
    }

    /// Brings the next announce forward because peers are wanted.
    pub(super) fn want_peers(&mut self, now: Timestamp) {
        self.wants_peers = true;
        for (_, record) in self.trackers.records_mut() {
            record.answers.want_more();
        }
        // Only the tracker in use holds it back: the next announce goes there.
        let record = self.trackers.in_use().and_then(|tracker| self.trackers.record(tracker));
        let allowed_at = record.map_or(Timestamp::ZERO, |record| {
            let is_overridden = self.config.overriding_interval().is_some();
            let more_at = if is_overridden { Timestamp::ZERO } else { record.answers.more_at() };
            record.hint.min_interval_until().max(more_at)
        });
        self.schedule.want_peers(allowed_at, now);
    }

    /// Brings the next announce to each tracker that lists us forward, because the port or the address has changed: a plain
    /// announce, as soon as the tracker's `min interval` allows.
    pub(super) fn announce_address(&mut self, now: Timestamp) {
        for (_, record) in self.trackers.records_mut() {
            let allowed_at = record.hint.min_interval_until();
            record.answers.due_by(now.max(allowed_at));
        }
        let in_use = self.trackers.in_use().and_then(|tracker| self.trackers.record(tracker));
        let allowed_at = in_use.map_or(Timestamp::ZERO, |record| record.hint.min_interval_until());
        self.schedule.want_peers(allowed_at, now);
    }

    /// Sets the interval in place of what trackers ask for, or leaves it to them again. The min intervals of earlier
    /// answers are dropped: otherwise the tracker in use might not be announced to yet, and the round would go to
    /// another.
    pub(super) fn override_interval(&mut self, interval: Option<Duration>, now: Timestamp) {
        Arc::make_mut(&mut self.config).intervals.interval_override = interval;
        if let Some(interval) = self.config.overriding_interval() {
            self.schedule.overridden(interval, now);
            for (_, record) in self.trackers.records_mut() {
                record.hint.drop_min_interval();
                record.answers.due_by(now + interval);
            }
        }
    }

    /// Takes in the answer to an announce, whether its round is still under way or not.
    pub(super) fn accept(
        &mut self,
        tracker: &TrackerUrl,
        sent: SentAnnounce,
        response: &AnnounceResponse,
        due: Timestamp,
        now: Timestamp,
    ) {
        let interval = self.config.interval_after(response);
        // What was sent, and not what is true by now: the download may have become complete meanwhile.
        let announced = (sent.event, sent.transfer.left);
        self.ledger.accepted(&mut self.trackers, tracker, announced, interval, now);
        self.ledger.keep_tracker_id(&mut self.trackers, tracker, response);
        self.complete = response.complete.or(self.complete);
        self.incomplete = response.incomplete.or(self.incomplete);
        let min_interval = self.config.min_interval_after(response);
        let brought = if self.announce_to() == AnnounceTo::One {
            Yield { named: response.peers.len(), new: response.peers.len(), peers: 0 }
        } else {
            self.supply.answered(response, &self.torrent, interval, now)
        };
        if brought.new > 0 {
            self.wants_peers = false;
        }
        if let Some(record) = self.trackers.record_mut(tracker) {
            record.hint.answered(min_interval, now);
            record.failure = None;
            record.answers.answered(response, brought, due, now);
        }
        if sent.address != (self.torrent.port, self.torrent.ip) {
            self.announce_address(now);
        }
    }

    /// Takes in the answer of a tracker beside the one in use, and gives the interval in force.
    pub(super) fn answered_beside(
        &mut self,
        attempt: Attempt,
        sent: SentAnnounce,
        response: &AnnounceResponse,
        shared: &mut Shared<'_>,
    ) -> Duration {
        let now = shared.now;
        let tracker = self.measured(attempt, sent, shared);
        let due = now + jittered_interval(response, &self.config, shared.random());
        self.accept(&tracker, sent, response, due, now);
        let in_use = self.trackers.in_use().and_then(|in_use| self.trackers.record(in_use));
        let in_use = in_use.map(|record| record.answers);
        if self.announce_to() == AnnounceTo::AsNeeded
            && let Some(in_use) = in_use
            && let Some(record) = self.trackers.record_mut(&tracker)
        {
            record.answers.compare(&in_use, now);
        }
        self.config.interval_after(response)
    }

    /// Returns the slot of an attempt that was answered, with the time that this took, and gives its tracker.
    fn measured(&mut self, attempt: Attempt, sent: SentAnnounce, shared: &mut Shared<'_>) -> TrackerUrl {
        let Attempt { id, tracker, slot, second, .. } = attempt;
        if let Some(second) = second {
            self.trackers.set_second_family(&tracker, second);
        }
        // The slot is returned first, so that the latency below includes this sample.
        let sample = Measurement { connect: sent.opening, first_byte: shared.now.since(sent.at) };
        shared.finish(id, slot, Outcome::Answered(sample));
        if let Some(latency) = shared.hosts.health().host(tracker.host_key()).and_then(HostHealth::latency) {
            self.trackers.record_latency(&tracker, latency);
        }
        tracker
    }

    /// Takes in the answer that decides a round: its tracker is the one in use now. Gives the tracker that was in use
    /// before, if it was another, and the interval in force.
    pub(super) fn answered(
        &mut self,
        attempt: Attempt,
        sent: SentAnnounce,
        response: &AnnounceResponse,
        shared: &mut Shared<'_>,
    ) -> (Option<TrackerUrl>, Duration) {
        let now = shared.now;
        let tracker = self.measured(attempt, sent, shared);
        let moved_from = self.trackers.in_use().filter(|in_use| **in_use != tracker).cloned();
        if let Some(left) = &moved_from {
            // Whether it failed, was silent for too long, or its host is in back-off: it was chosen first, so it is
            // the better one, and the torrent goes back to it later. If the answer is from there, that has just
            // happened.
            let random = shared.random();
            match self.failback.as_mut().filter(|failback| *failback.tracker() == tracker) {
                Some(failback) => failback.returned(now),
                None => self.failback = Some(Failback::left(self.failback.take(), left.clone(), random, now)),
            }
        }
        self.wants_peers = false;
        self.trackers.record_success(&tracker);
        let interval = self.schedule.succeeded(response, &self.config, shared.random(), now);
        let due = self.schedule.due().unwrap_or(now + interval);
        self.accept(&tracker, sent, response, due, now);
        self.move_duplicates(moved_from.as_ref(), &tracker);
        (moved_from, interval)
    }

    /// Makes the tracker that was left the one in use again if its probe was answered. The one in use until now comes
    /// second.
    pub(super) fn fail_back(&mut self, now: Timestamp) {
        let Some(failback) = self.failback.as_mut().filter(|failback| failback.is_ready()) else { return };
        if self.trackers.tier_of(failback.tracker()).is_none() {
            return;
        }
        failback.returned(now);
        let tracker = failback.tracker().clone();
        let left = self.trackers.in_use().cloned();
        self.trackers.fail_back_to(&tracker);
        self.move_duplicates(left.filter(|left| *left != tracker).as_ref(), &tracker);
    }

    /// Which trackers are the same as the one in use changes with it. It is a duplicate of none itself. If it was one of
    /// the tracker that was left, that one is the duplicate now; otherwise nothing is known of the others.
    fn move_duplicates(&mut self, left: Option<&TrackerUrl>, tracker: &TrackerUrl) {
        let Some(record) = self.trackers.record_mut(tracker) else { return };
        let mark = record.answers.take_duplicate();
        let Some(left) = left else { return };
        match mark {
            Some(mark) => {
                if let Some(left) = self.trackers.record_mut(left) {
                    left.answers.duplicate(mark);
                }
            }
            None => self.trackers.records_mut().for_each(|(_, record)| record.answers.forget_duplicate()),
        }
    }

    /// Whether a tracker at this address lists us already under another name.
    pub(super) fn is_known_address(&self, tracker: &TrackerUrl, address: u64, now: Timestamp) -> bool {
        self.trackers.records().any(|(other, record)| {
            other != tracker
                && record.answers.address() == Some(address)
                && !record.answers.is_duplicate(now)
                && record.registration.lists_us(now)
        })
    }

    /// Takes in the failure of an attempt, whether its round is still under way or not. Gives whether the tracker may have
    /// refused no more than [`Event::Paused`], and is worth an announce without it.
    pub(super) fn failed(
        &mut self,
        attempt: Attempt,
        error: &AnnounceError,
        shared: &mut Shared<'_>,
    ) -> bool {
        let was_sent = attempt.sent().is_some();
        let sent_event = attempt.sent().and_then(|sent| sent.event);
        let Attempt { id, tracker, slot, .. } = attempt;
        // One table judges the error, and each owner takes its part of the verdict: host, ledger, and this torrent's
        // record.
        let verdict = Verdict::of(error);
        let refuses_event = sent_event == Some(Event::Paused) && verdict.host == HostNews::Alive;
        let failed = Failed {
            verdict,
            tracker: &tracker,
            before: self.is_refused_by(&tracker),
            random: shared.random(),
        };
        let withheld = shared.finish(id, slot, Outcome::Failed(failed));
        if was_sent {
            let answered = verdict.registered == Registered::No;
            self.ledger.failed(&mut self.trackers, &tracker, answered);
        }
        // If our own network is down a refusal may be a captive portal's page: the tracker isn't blamed for it
        // either.
        let news = if withheld { verdict.tracker.withheld() } else { verdict.tracker };
        let config = Arc::clone(&self.config);
        if let Some(record) = self.trackers.record_mut(&tracker) {
            record.hint.failed(error, &config, shared.now);
            if refuses_event {
                // Trackers that read events strictly refuse this one. The next announce goes there without it.
                record.refuses_paused = true;
                return true;
            }
            let failure = TrackerFailure { error: error.clone(), news, at: shared.now };
            record.failure = Some(Box::new(failure));
            record.answers.failed();
        }
        false
    }

    /// Takes in that every attempt of a round failed: the torrent's back-off grows.
    pub(super) fn round_failed(&mut self, attempts: &[FailedAttempt], shared: &mut Shared<'_>) {
        let is_outage = shared.hosts.is_outage();
        if is_outage {
            // What failed just before the outage was detected may have the same cause.
            for failure in self.trackers.records_mut().filter_map(|(_, record)| record.failure.as_mut()) {
                if Verdict::of(&failure.error).host.could_be_local() {
                    failure.news = failure.news.withheld();
                }
            }
        }
        // Only a refusal that names no time: the others are announced to again when they asked for that (R119).
        let is_plain_refusal = |attempt: &FailedAttempt| {
            matches!(&attempt.error, AnnounceError::Rejected(rejection)
                if rejection.retry == Retry::Unsaid && rejection.interval.is_none())
        };
        let cause = if is_outage {
            RoundFailure::Withheld
        } else if attempts.iter().any(is_plain_refusal) {
            RoundFailure::Refused { age: shared.now.since(self.added_at) }
        } else {
            RoundFailure::Failed
        };
        let now = shared.now;
        self.schedule.round_failed(cause, &self.config, || shared.random(), now);
    }

    /// Passes a warning on to the user, unless it is the last one again: some trackers send the same with each answer
    ///
    pub(super) fn warn(&mut self, tracker: &TrackerUrl, text: Option<&str>, shared: &mut Shared<'_>) {
        let Some(text) = text else { return };
        let is_known = self.last_warning.as_deref().is_some_and(|(of, last)| of == tracker && last == text);
        if !is_known {
            self.last_warning = Some(Box::new((tracker.clone(), text.to_owned())));
            shared.alert(Alert::Warning { tracker: tracker.clone(), text: text.to_owned() });
        }
    }
}
