//! The life of one torrent: what the user asks of it, what happens to it, and what it does about that.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;

use super::attempts::Attempts;
use super::by_tracker::ByTracker;
use super::config::{Config, Scheduling};
use super::hosts::{Ended, Hosts, OutageNews, Outcome, Slot};
use super::io::{AttemptId, Output, RoundNumber, TorrentId};
use super::ledger::Ledger;
use super::returning::Home;
use super::round::{Attempt, Round, Stage};
use super::schedule::Schedule;
use super::status::{Status, TrackerState, TrackerStatus};
use super::stopping::Phase;
use super::tracker_set::TrackerSet;
use super::verdict::TrackerNews;
use crate::alert::{Alert, StopResult};
use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash, Torrent, Transfer};
use crate::error::AnnounceError;
use crate::time::Timestamp;
use crate::tracker::{TrackerHost, TrackerUrl};

/// One torrent of the engine: owns its trackers, its ledger and its schedule, and drives its rounds.
///
/// There may be ten thousands, nearly all of which wait: what they need only now and then is boxed.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and all combinations occur")]
pub(crate) struct Session {
    pub(super) id: TorrentId,
    pub(super) torrent: Torrent,
    pub(super) trackers: TrackerSet,
    pub(super) config: Arc<Config>,
    pub(super) ledger: Ledger,
    pub(super) schedule: Schedule,
    pub(super) round: Option<Box<Round>>,
    pub(super) phase: Phase,
    pub(super) wake: Option<Timestamp>,
    pub(super) round_number: RoundNumber,
    /// The round under way was asked for, whatever the intervals say.
    pub(super) forced: bool,
    /// The user wants peers, and no round has ended since.
    pub(super) wants_peers: bool,
    /// The user has been told that the announce which is due is put off.
    pub(super) told_put_off: bool,
    /// Another round is wanted right after the one under way.
    pub(super) again: bool,
    /// The hosts in whose queues we are.
    pub(super) queueing: Option<Box<Queueing>>,
    /// What that queue has just given us.
    pub(super) admitted: Option<Box<Slot>>,
    /// Told and unanswered when their round was won by another.
    pub(super) late: Vec<Attempt>,
    /// The one announce to be made, as it stands; no session around it.
    pub(super) once: Option<Box<AnnounceRequest>>,
    pub(super) probing: BTreeSet<TrackerUrl>,
    pub(super) selected: bool,
    /// The tracker that was left, to return to.
    pub(super) home: Option<Home>,
    /// A host that is measured again, without anybody waiting for it.
    pub(super) checking: Option<TrackerUrl>,
    /// Such a measurement that is to be asked for.
    pub(super) wanted_check: Option<TrackerUrl>,
    /// The last failure of each tracker that hasn't answered since.
    pub(super) failures: ByTracker<TrackerFailure>,
    /// While every round fails, trackers that don't serve this torrent aren't asked before this.
    pub(super) own_back_off: Timestamp,
    /// The same for trackers whose hosts gave no sign of life, where hosts have no back-off and peers are needed.
    pub(super) needy_back_off: Timestamp,
    pub(super) added_at: Timestamp,
    /// It waits until this session of the same torrent has said `stopped`.
    pub(super) waits_for: Option<TorrentId>,
    pub(super) complete: Option<u64>,
    pub(super) incomplete: Option<u64>,
    /// The last warning that was passed on, and whose it was.
    pub(super) warned: Option<Box<(TrackerUrl, String)>>,
}

/// How often a torrent whose announce is put off looks whether another has found one of its hosts alive. Within the
/// minute that a torrent may be without an announce at a host that works.
const LOOK_AGAIN: Duration = Duration::from_secs(40);

/// The queues of hosts in which a torrent waits.
#[derive(Debug)]
pub(super) struct Queueing {
    pub(super) hosts: Vec<TrackerHost>,
    /// When it joined the last.
    pub(super) since: Timestamp,
}

/// The last failure of a tracker.
#[derive(Debug, Clone)]
pub(super) struct TrackerFailure {
    pub(super) error: AnnounceError,
    pub(super) news: TrackerNews,
}

/// What a session needs of the engine around it.
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    pub(crate) random: &'a mut StdRng,
    pub(crate) hosts: &'a mut Hosts,
    pub(crate) attempts: &'a mut Attempts,
    pub(crate) outputs: &'a mut VecDeque<Output>,
}

impl Context<'_> {
    pub(super) fn alert(&mut self, torrent: TorrentId, alert: Alert) {
        self.outputs.push_back(Output::Alert { torrent, alert });
    }

    /// Ends an attempt, which gives its host back.
    pub(super) fn finish(
        &mut self,
        torrent: TorrentId,
        id: AttemptId,
        slot: Slot,
        outcome: Outcome<'_>,
    ) -> Ended {
        self.attempts.end(id);
        let ended = self.hosts.finished(slot, outcome, self.now);
        self.alert_outage(torrent, ended);
        ended
    }

    /// Alerts to a change of our own network.
    pub(crate) fn alert_outage(&mut self, torrent: TorrentId, ended: Ended) {
        match ended.outage {
            Some(OutageNews::Began) => self.alert(torrent, Alert::NetworkDown),
            Some(OutageNews::Ended) => self.alert(torrent, Alert::NetworkUp),
            None => {}
        }
    }

    /// Has what an attempt opened closed.
    pub(super) fn close(&mut self, attempt: AttemptId) {
        self.outputs.push_back(Output::Close { attempt });
    }

    /// Gives an attempt up from which nothing is learned about its host.
    pub(super) fn give_up(&mut self, torrent: TorrentId, attempt: Attempt) {
        self.close(attempt.id);
        let _ = self.finish(torrent, attempt.id, attempt.slot, Outcome::GaveUp);
    }
}

impl Session {
    pub(crate) fn new(
        id: TorrentId,
        trackers: TrackerSet,
        torrent: Torrent,
        config: Arc<Config>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            ledger: Ledger::new(trackers.is_private(), torrent.transfer.left == Some(0)),
            torrent,
            trackers,
            config,
            schedule: Schedule::default(),
            round: None,
            phase: Phase::Running,
            wake: None,
            round_number: 0,
            forced: false,
            wants_peers: false,
            told_put_off: false,
            again: false,
            queueing: None,
            admitted: None,
            late: Vec::new(),
            once: None,
            probing: BTreeSet::new(),
            selected: false,
            home: None,
            checking: None,
            wanted_check: None,
            failures: ByTracker::default(),
            own_back_off: Timestamp::ZERO,
            needy_back_off: Timestamp::ZERO,
            added_at: now,
            waits_for: None,
            complete: None,
            incomplete: None,
            warned: None,
        }
    }

    pub(crate) fn once(
        id: TorrentId,
        trackers: TrackerSet,
        request: AnnounceRequest,
        config: Arc<Config>,
        now: Timestamp,
    ) -> Self {
        let mut torrent = Torrent::new(request.info_hash, request.peer_id, request.port);
        torrent.transfer = request.transfer;
        Self { once: Some(Box::new(request)), ..Self::new(id, trackers, torrent, config, now) }
    }

    pub(crate) fn begin(&mut self, context: &mut Context<'_>) {
        let (trackers, unsupported): (Vec<_>, Vec<_>) =
            self.trackers.trackers().cloned().partition(|tracker| self.trackers.is_supported(tracker));
        let choice = trackers.len() > 1;
        context.alert(self.id, Alert::TrackersFound { trackers, unsupported });
        if choice && self.measures_hosts() && self.probing.is_empty() {
            // All of their hosts are known.
            self.tell_order(context);
        }
        if self.once.is_some() {
            self.schedule.force(context.now);
        } else if self.is_automatic() {
            self.schedule.due_now(context.now);
        }
    }

    pub(crate) fn update(&mut self, transfer: Transfer) {
        let known = self.torrent.transfer;
        if self.round_number == 0 && known.left.is_none() && transfer.left == Some(0) {
            self.ledger.was_complete();
        }
        self.torrent.transfer = Transfer {
            uploaded: known.uploaded.max(transfer.uploaded),
            downloaded: known.downloaded.max(transfer.downloaded),
            left: transfer.left,
        };
    }

    pub(crate) fn set_num_want(&mut self, num_want: Option<u32>) {
        self.torrent.num_want = num_want;
    }

    pub(crate) fn complete(&mut self, now: Timestamp) {
        self.torrent.transfer.left = Some(0);
        // A round under way tells it, or is followed by one that does.
        let running = self.phase == Phase::Running && self.round.is_none();
        if self.ledger.complete() && running && self.is_automatic() {
            self.schedule.due_now(now);
        }
    }

    pub(crate) fn want_peers(&mut self, now: Timestamp) {
        self.wants_peers = true;
        self.schedule.want_peers(self.trackers.in_use(), &self.config, now);
    }

    pub(crate) fn reannounce(&mut self, now: Timestamp) -> Option<RoundNumber> {
        if self.phase != Phase::Running {
            return None;
        }
        self.announce_again(now);
        Some(self.round_number + 1)
    }

    pub(crate) fn network_changed(&mut self, now: Timestamp) {
        let troubled = self.schedule.is_troubled() || self.trackers.in_use().is_none();
        if troubled && self.round.is_none() && self.phase == Phase::Running && self.is_automatic() {
            self.schedule.due_now(now);
        }
    }

    /// This process stood still for `gap`. What is under way loses no time by that, and an announce that has become due
    /// meanwhile waits for `wait`, so that not all go out at once.
    pub(crate) fn resumed(&mut self, gap: Duration, wait: Duration, now: Timestamp) {
        if let Some(round) = &mut self.round {
            round.extend(gap);
        }
        for attempt in &mut self.late {
            attempt.extend(gap);
        }
        self.phase.extend(gap);
        if self.phase == Phase::Running && self.once.is_none() {
            self.schedule.spread(wait, now);
        }
    }

    pub(crate) fn override_interval(&mut self, interval: Option<Duration>, now: Timestamp) {
        Arc::make_mut(&mut self.config).interval_override = interval;
        let interval = self.config.overriding_interval();
        if let Some(interval) = interval {
            self.schedule.overridden(interval, now);
        }
    }

    pub(crate) fn change_trackers(
        &mut self,
        change: impl FnOnce(&mut TrackerSet),
        context: &mut Context<'_>,
    ) {
        change(&mut self.trackers);
        let trackers = &self.trackers;
        let is_gone = |tracker: &TrackerUrl| trackers.tier_of(tracker).is_none();
        self.probing.retain(|tracker| !is_gone(tracker));
        self.failures.retain(|tracker, _| !is_gone(tracker));
        self.schedule.forget_all(is_gone);
        let gone: Vec<AttemptId> = self
            .round
            .iter()
            .flat_map(|round| round.attempts())
            .filter(|attempt| is_gone(&attempt.tracker))
            .map(|attempt| attempt.id)
            .collect();
        for id in gone {
            self.skip_attempt(id, AnnounceError::Cancelled, context);
        }
        if self.round.is_none() && self.phase == Phase::Running {
            // Nobody is asked again before its time by this: a new tracker is, and it may be the one that works.
            let at_once = self.trackers.in_use().is_none() && self.is_automatic();
            self.schedule.trackers_changed(at_once, context.now);
        }
    }

    /// Counts so much of an opening as none.
    pub(crate) fn discount(&mut self, id: AttemptId, time: Duration, now: Timestamp) {
        let late = self.late.iter_mut().find(|attempt| attempt.id == id);
        let of_round = self.round.as_mut().and_then(|round| round.attempt_mut(id));
        if let Some(attempt) = late.or(of_round)
            && attempt.stage == Stage::Opening
        {
            attempt.extend(time.min(now.since(attempt.started_at())));
        }
    }

    pub(crate) fn opened(&mut self, id: AttemptId, context: &mut Context<'_>) {
        let late = self.late.iter().position(|attempt| attempt.id == id && attempt.stage == Stage::Opening);
        if let Some(place) = late {
            // Slow, and not dead. Its round is settled, so nothing is said on this channel.
            let attempt = self.late.remove(place);
            let opening = context.now.since(attempt.started_at());
            context.close(id);
            context.finish(self.id, id, attempt.slot, Outcome::OpenedLate(opening));
        } else if let Some(round) = &mut self.round {
            if let Some(attempt) = round.attempt_mut(id) {
                context.hosts.opened(&mut attempt.slot, context.now);
            }
            round.opened(id, context.now);
        }
        self.phase.opened(id);
    }

    pub(crate) fn replied(&mut self, id: AttemptId, response: AnnounceResponse, context: &mut Context<'_>) {
        if self.phase.is_farewell(id) {
            return self.farewell_ended(id, Ok(&response), context);
        }
        let told = |attempt: &Attempt| match attempt.stage {
            Stage::Announcing(told) => Some(told),
            _ => None,
        };
        if let Some(place) = self.late.iter().position(|attempt| attempt.id == id && told(attempt).is_some())
        {
            let attempt = self.late.remove(place);
            if let Some(told) = told(&attempt) {
                self.answered_late(attempt, told, response, context);
            }
        } else if let Some(round) = &mut self.round
            && let Some(told) = round.attempt(id).and_then(told)
            && let Some(attempt) = round.take(id)
        {
            self.answered(attempt, told, response, context);
        }
    }

    pub(crate) fn failed(&mut self, id: AttemptId, error: AnnounceError, context: &mut Context<'_>) {
        if self.phase.is_farewell(id) {
            self.farewell_ended(id, Err(error), context);
        } else if let Some(place) = self.late.iter().position(|attempt| attempt.id == id) {
            let attempt = self.late.remove(place);
            self.note_failure(attempt, &error, context);
        } else {
            self.fail_attempt(id, error, context);
        }
    }

    pub(crate) fn trackers(&self) -> &TrackerSet {
        &self.trackers
    }

    pub(crate) fn info_hash(&self) -> InfoHash {
        self.torrent.info_hash
    }

    /// Whether trackers know both as the same peer.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let identity = |torrent: &Torrent| (torrent.info_hash, torrent.peer_id);
        identity(&self.torrent) == identity(&other.torrent)
    }

    /// Whether it is a whole session, and not a single announce.
    pub(crate) fn is_session(&self) -> bool {
        self.once.is_none()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Has it wait until another session of the same torrent has ended, or lets it go on.
    pub(crate) fn wait_for(&mut self, other: Option<TorrentId>) {
        self.waits_for = other.filter(|_| self.is_session());
    }

    pub(crate) fn waits_for(&self, other: TorrentId) -> bool {
        self.waits_for == Some(other)
    }

    pub(crate) fn wake(&self) -> Option<Timestamp> {
        self.wake
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.phase.has_ended()
    }

    pub(crate) fn end(self) -> (TrackerSet, Vec<StopResult>) {
        (self.trackers, self.phase.into_results())
    }

    /// Drops everything that is under way, and tells nobody.
    pub(crate) fn forget(&mut self, context: &mut Context<'_>) {
        self.abandon_round(context);
        self.drop_late(context);
        self.give_up_queueing(context);
        let phase = std::mem::replace(&mut self.phase, Phase::ended());
        phase.give_up(self.id, context);
    }

    /// Acts on what has changed, and decides when to look again.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) {
        self.wake = None;
        self.look_again(context);
        loop {
            self.begin_due_round(context);
            self.run_round(context);
            if self.round.is_some() || !self.is_due(context.now) {
                break;
            }
        }
        self.expire_late(context);
        self.check_hosts(context);
        self.drive_stopping(context);
        if self.round.is_none()
            && self.phase == Phase::Running
            && self.is_automatic()
            && self.waits_for.is_none()
        {
            self.wake_at(self.schedule.due());
            if self.schedule.is_deferred() {
                self.wake_at(Some(context.now + LOOK_AGAIN));
            }
        }
    }

    pub(super) fn is_automatic(&self) -> bool {
        self.config.scheduling == Scheduling::Automatic
    }

    /// Whether a round begins now.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let due = self.schedule.due().is_some_and(|due| due <= now) && self.waits_for.is_none();
        due && (self.is_automatic() || self.schedule.is_forced()) && self.phase == Phase::Running
    }

    pub(super) fn wake_at(&mut self, at: Option<Timestamp>) {
        self.wake = [self.wake, at].into_iter().flatten().min();
    }

    pub(super) fn announce_again(&mut self, now: Timestamp) {
        if self.round.is_some() {
            self.again = true;
        } else {
            self.schedule.force(now);
        }
    }

    pub(crate) fn status(&self, hosts: &Hosts, now: Timestamp) -> Status {
        let state = |tracker: &TrackerUrl| {
            let contacting = self
                .round
                .iter()
                .flat_map(|round| round.attempts())
                .any(|attempt| attempt.tracker == *tracker);
            if !self.trackers.is_supported(tracker) {
                TrackerState::Unsupported
            } else if contacting || self.probing.contains(tracker) {
                TrackerState::Contacting
            } else if self.schedule.is_suspended(tracker, now) {
                TrackerState::Suspended
            } else if self.trackers.is_failing(tracker) {
                TrackerState::Failing(self.failures.get(tracker).map(|failure| failure.error.clone()))
            } else if self.ledger.is_registered(tracker) || self.trackers.latency(tracker).is_some() {
                TrackerState::Working
            } else {
                TrackerState::NotContacted
            }
        };
        let tracker_status = |tracker: &TrackerUrl| TrackerStatus {
            tracker: tracker.clone(),
            state: state(tracker),
            latency: self.trackers.latency(tracker),
            is_registered: self.ledger.is_registered(tracker),
        };
        // Between rounds the cursor is a memory of the last one.
        let pointed_at = self.round.as_ref().and_then(|_| self.trackers.pointed_at());
        Status {
            tiers: self.trackers.tiers().map(|tier| tier.map(tracker_status).collect()).collect(),
            in_use: self.trackers.in_use().cloned(),
            current: pointed_at.or_else(|| self.failover_order(hosts, now).first().copied()).cloned(),
            announcing: self.round.is_some(),
            next_announce: self.schedule.due().map(|due| due.since(now)),
            complete: self.complete,
            incomplete: self.incomplete,
        }
    }
}
