//! One torrent: what its user asks for, what happens to its announces, and what it does next.
//!
//! A torrent asks [`Hosts`] what all torrents know of tracker hosts, and never another torrent.
//!
//! | Question | File |
//! |---|---|
//! | Which event does a tracker get? | `ledger` |
//! | When is the next announce due? | `schedule`; `idle` defers it while no tracker may be announced to |
//! | Which trackers may be announced to, and which goes first? | `candidates` |
//! | Which trackers are announced to beside the one in use? | `reach`; whether peers are short: `peer_supply` |
//! | What does a round do next? | `round`; `announcing` does it |
//! | What does an answer or a failure change? | `book` |
//! | When does the torrent go back to the tracker that it left? | `failback`, with `probing` |
//! | When are the client's counters read? | `counting` |
//! | How does a session end? | `stopping` |

mod announcing;
mod attempt;
mod book;
mod candidates;
mod counting;
mod failback;
mod idle;
mod ledger;
mod peer_supply;
mod probing;
mod queue;
mod reach;
mod round;
mod round_kind;
mod schedule;
mod shared;
mod status;
mod stopping;
mod stragglers;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use self::announcing::{Announcing, Progress};
use self::attempt::Attempt;
use self::book::TorrentBook;
use self::idle::{Beside, Idle};
pub use self::ledger::Ledger;
use self::round_kind::RoundKind;
pub(crate) use self::shared::Shared;
pub use self::status::{Status, TrackerRole, TrackerState, TrackerStatus};
use self::stopping::Stopping;
use self::stragglers::Stragglers;
use super::config::Config;
use super::hosts::{Hosts, Outcome, Slot};
use super::io::{AttemptId, RoundNumber, TorrentId};
use super::tracker_set::TrackerSet;
use super::url_interner::UrlInterner;
use crate::alert::{Alert, StopResult};
use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash, PeerCounts, Torrent, Transfer};
use crate::error::AnnounceError;
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::{AddressFamily, TrackerHost, TrackerUrl};

/// One torrent of the engine. An engine may have tens of thousands, nearly all of which are idle, so what is needed
/// only during a round is boxed.
#[derive(Debug)]
pub(crate) struct TorrentState {
    /// What is kept from one announce to the next.
    book: TorrentBook,
    /// What the torrent is doing.
    activity: Activity,
    /// The attempts of earlier rounds that are still under way.
    stragglers: Stragglers,
    /// When it wakes up next, and what for.
    timer: Option<(Timestamp, Timer)>,
}

/// What a torrent is doing.
#[derive(Debug)]
enum Activity {
    /// It waits for its next announce.
    Idle(Idle),
    /// A round is under way.
    Announcing(Box<Announcing>),
    /// `stopped` is on its way, and this follows.
    Stopping(Box<Stopping>, AfterStopped),
    /// It is paused: nothing is sent until it is resumed.
    Paused,
    /// The session has ended, with these results of `stopped`.
    Stopped(Vec<StopResult>),
}

/// What follows `stopped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterStopped {
    /// The session ends.
    End,
    /// It is paused.
    Pause,
    /// It goes on: it was resumed while it was sending `stopped`.
    Resume,
}

/// What a torrent wakes up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The next announce is due, or has to be reconsidered.
    Announce,
    /// A patience or a time limit of the round under way is over.
    Round,
    /// A further tracker is due beside the one in use.
    Beside,
    /// The time limit of an attempt that outlived its round is over.
    Stragglers,
    /// The tracker that was left is to be probed.
    Failback,
    /// `stopped` has taken as long as it may.
    Stop,
}

impl TorrentState {
    pub(crate) fn new(
        id: TorrentId,
        trackers: TrackerSet,
        torrent: Torrent,
        config: Arc<Config>,
        now: Timestamp,
    ) -> Self {
        let book = TorrentBook::new(id, trackers, torrent, config, now);
        let activity = Activity::Idle(Idle::default());
        Self { book, activity, stragglers: Stragglers::default(), timer: None }
    }

    /// Begins a session, or the one announce of a torrent that has none.
    pub(crate) fn begin(&mut self, one_shot: Option<AnnounceRequest>, shared: &mut Shared<'_>) {
        // A caller of single announces hands the set back in. What it knows of its trackers isn't measured again.
        if one_shot.is_none() || !self.book.trackers.is_known() {
            probing::probe_unknown(&mut self.book, shared);
        }
        let trackers = &self.book.trackers;
        let (supported, unsupported): (Vec<_>, Vec<_>) =
            trackers.trackers().cloned().partition(|tracker| trackers.is_supported(tracker));
        let has_choice = supported.len() > 1;
        shared.alert(Alert::TrackersFound { trackers: supported, unsupported });
        if has_choice && self.book.measures_hosts() && !self.book.trackers.is_any_probing() {
            // All hosts are known already, so no probe will report the order when it ends.
            probing::report_order(&self.book, shared);
        }
        if let Some(request) = one_shot {
            let kind = RoundKind::OneShot(Box::new(request));
            self.activity = Activity::Announcing(Box::new(Announcing::begin(kind, &mut self.book, shared)));
        } else if self.book.is_automatic() {
            self.book.schedule.due_now(shared.now);
        }
    }

    /// Takes in the counters of the download, which may have become complete. Gives whether something follows from it.
    pub(crate) fn update(&mut self, transfer: Transfer, now: Timestamp) -> bool {
        let were_awaited = self.book.counting.counted(now);
        let has_completed = self.book.update(transfer);
        if has_completed {
            self.announce_completed(now);
        }
        were_awaited || has_completed
    }

    /// Has the client asked for its counters when an announce is written.
    pub(crate) fn count_transfer_on_demand(&mut self) {
        self.book.counting.on_demand();
    }

    /// Notes that the download was found to be complete.
    pub(crate) fn found_complete(&mut self) {
        self.book.found_complete();
    }

    /// Sets how many peers announces ask for.
    pub(crate) fn set_num_want(&mut self, num_want: Option<u32>) {
        self.book.torrent.num_want = num_want;
    }

    /// Sets the port at which the client takes connections. A change is announced soon.
    pub(crate) fn set_port(&mut self, port: u16, now: Timestamp) {
        if std::mem::replace(&mut self.book.torrent.port, port) != port {
            self.book.announce_address(now);
        }
    }

    /// Sets the address to announce. A change is announced soon.
    pub(crate) fn set_ip(&mut self, ip: Option<IpAddr>, now: Timestamp) {
        if std::mem::replace(&mut self.book.torrent.ip, ip) != ip {
            self.book.announce_address(now);
        }
    }

    /// Takes in how many peers the client has.
    pub(crate) fn set_peers(&mut self, peers: PeerCounts, now: Timestamp) {
        self.book.supply.set(peers, now);
    }

    /// Has the client asked how many peers it has when a decision is due.
    pub(crate) fn count_peers_on_demand(&mut self) {
        self.book.supply.count_on_demand();
    }

    /// Notes that the download is complete. A round under way sends `completed`, or is followed by one that does.
    pub(crate) fn complete(&mut self, now: Timestamp) {
        self.book.nothing_left();
        if self.book.ledger.complete() {
            self.announce_completed(now);
        }
    }

    fn announce_completed(&mut self, now: Timestamp) {
        if self.is_between_rounds() && self.book.is_automatic() {
            self.book.schedule.due_now(now);
        }
    }

    /// Brings the next announce forward because peers are wanted.
    pub(crate) fn want_peers(&mut self, now: Timestamp) {
        self.book.want_peers(now);
    }

    /// Makes an announce due now, whatever the intervals are. Gives the number of its round.
    pub(crate) fn reannounce(&mut self, now: Timestamp) -> Option<RoundNumber> {
        match &mut self.activity {
            Activity::Announcing(announcing) if !announcing.is_beside() => announcing.announce_again(),
            Activity::Idle(_) | Activity::Announcing(_) => self.book.schedule.request(now),
            Activity::Stopping(..) | Activity::Paused | Activity::Stopped(_) => return None,
        }
        Some(self.book.rounds + 1)
    }

    /// Announces at once after the network has changed, if the announces before failed. A torrent whose tracker works
    /// keeps to its interval: the tracker asked for that, whatever our network is.
    pub(crate) fn network_changed(&mut self, now: Timestamp) {
        let is_failing = self.book.schedule.is_failing() || self.book.trackers.in_use().is_none();
        if is_failing && self.is_between_rounds() && self.book.is_automatic() {
            self.book.schedule.due_now(now);
        }
    }

    /// This process stood still for `gap`. What is under way loses none of its time by that, and an announce that has
    /// become due meanwhile waits for `wait`, so that not all torrents announce at once.
    pub(crate) fn resumed(&mut self, gap: Duration, wait: Duration, now: Timestamp) {
        self.stragglers.extend(gap);
        for (_, record) in self.book.trackers.records_mut() {
            record.registration.extend(gap);
        }
        if self.is_between_rounds() {
            self.book.schedule.spread(wait, now);
            self.book.beside_from = now + wait;
        }
        match &mut self.activity {
            Activity::Announcing(announcing) => announcing.extend(gap),
            Activity::Stopping(stopping, _) => stopping.extend(gap),
            Activity::Idle(_) | Activity::Paused | Activity::Stopped(_) => {}
        }
    }

    /// Sets the interval in place of what trackers ask for, or leaves it to them again.
    pub(crate) fn override_interval(&mut self, interval: Option<Duration>, now: Timestamp) {
        self.book.override_interval(interval, now);
    }

    /// Changes the list of trackers. No tracker gets its next announce earlier because of that, but a new one is
    /// announced to at once if no other works (R83).
    pub(crate) fn change_trackers(
        &mut self,
        change: impl FnOnce(&mut TrackerSet),
        private_config: &Arc<Config>,
        shared: &mut Shared<'_>,
    ) {
        // A caller may put a new set in the place of the old one.
        let before = self.book.trackers.settings();
        let was_private = self.book.trackers.is_private();
        self.book.ledger.change_trackers(&mut self.book.trackers, change);
        self.book.trackers.keep_settings(before, &self.book.config);
        if !was_private && self.book.trackers.is_private() {
            self.become_private(Arc::clone(private_config), shared);
        }
        if self.is_between_rounds() {
            let lost_tracker = self.book.trackers.in_use().is_none() && self.book.is_automatic();
            self.book.schedule.trackers_changed(lost_tracker, shared.now);
        }
        match &mut self.activity {
            Activity::Announcing(announcing) => announcing.drop_removed(&mut self.book, shared),
            Activity::Stopping(stopping, _) => {
                if let Some(announcing) = stopping.announcing() {
                    announcing.drop_removed(&mut self.book, shared);
                }
            }
            Activity::Idle(_) | Activity::Paused | Activity::Stopped(_) => {}
        }
        if self.is_running() {
            probing::probe_unknown(&mut self.book, shared);
        }
    }

    /// Ends what a private torrent doesn't do (BEP 27): probes, races, and announces beside the tracker in use. What was
    /// sent already may be answered.
    fn become_private(&mut self, config: Arc<Config>, shared: &mut Shared<'_>) {
        self.book.become_private(config);
        shared.probes.forget(shared.torrent);
        if let Activity::Announcing(announcing) = &mut self.activity {
            if announcing.is_beside() {
                let attempts = announcing.give_way(shared);
                self.round_ended(attempts, shared);
            } else {
                announcing.end_race(&mut self.book, shared);
            }
        }
    }

    /// Sends `stopped`, which takes at most `limit`, even if that has begun already.
    pub(crate) fn stop(&mut self, then: AfterStopped, limit: Duration, shared: &mut Shared<'_>) {
        let announcing = match &mut self.activity {
            Activity::Idle(_) => None,
            Activity::Announcing(_) => self.take_announcing(),
            Activity::Stopping(stopping, after) => {
                // A session that ends isn't paused any more.
                if *after != AfterStopped::End {
                    *after = then;
                }
                return stopping.hurry(shared.now + limit);
            }
            Activity::Paused if then == AfterStopped::End => None,
            Activity::Paused | Activity::Stopped(_) => return,
        };
        self.stragglers.give_up(shared);
        let stopping = Stopping::begin(announcing, limit, shared);
        self.activity = Activity::Stopping(Box::new(stopping), then);
    }

    /// Pauses without sending `stopped`, and gives up what is under way.
    pub(crate) fn pause_silently(&mut self, shared: &mut Shared<'_>) {
        match &mut self.activity {
            Activity::Idle(_) | Activity::Announcing(_) => {
                self.give_up(shared);
                self.activity = Activity::Paused;
            }
            Activity::Stopping(_, after @ AfterStopped::Resume) => *after = AfterStopped::Pause,
            Activity::Stopping(..) | Activity::Paused | Activity::Stopped(_) => {}
        }
    }

    /// Ends a pause, as soon as `stopped` has been sent.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        match &mut self.activity {
            Activity::Paused => self.go_on(now),
            Activity::Stopping(_, after @ AfterStopped::Pause) => *after = AfterStopped::Resume,
            Activity::Idle(_) | Activity::Announcing(_) | Activity::Stopping(..) | Activity::Stopped(_) => {}
        }
    }

    /// Looks at trackers that were added in a pause.
    pub(crate) fn resumed_pause(&mut self, shared: &mut Shared<'_>) {
        if self.is_running() {
            probing::probe_unknown(&mut self.book, shared);
        }
    }

    /// Whether it is paused, or will be once `stopped` has been sent.
    pub(crate) fn is_paused(&self) -> bool {
        matches!(self.activity, Activity::Paused | Activity::Stopping(_, AfterStopped::Pause))
    }

    /// Announces again after a pause.
    fn go_on(&mut self, now: Timestamp) {
        self.activity = Activity::Idle(Idle::default());
        if self.book.is_automatic() {
            self.book.schedule.due_now(now);
        }
    }

    /// Ends at once or pauses, and leaves all registrations to another session of the same torrent and peer id.
    pub(crate) fn leave_to(&mut self, other: &mut Self, then: AfterStopped, shared: &mut Shared<'_>) {
        self.give_up(shared);
        let (book, others) = (&mut other.book, &mut self.book);
        book.ledger.take_over(&mut book.trackers, &mut others.ledger, &mut others.trackers);
        if then == AfterStopped::Pause {
            self.activity = Activity::Paused;
        }
    }

    /// Ends at once. No tracker is sent `stopped`.
    pub(crate) fn forget(&mut self, shared: &mut Shared<'_>) {
        self.give_up(shared);
    }

    /// Leaves `time` of an opening out of account, see [`Engine::discount`](crate::policy::Engine::discount).
    pub(crate) fn discount(&mut self, id: AttemptId, time: Duration, now: Timestamp) {
        if self.stragglers.contain(id) {
            if let Some(attempt) = self.stragglers.opening_mut(id) {
                attempt.extend(time.min(now.since(attempt.started_at())));
            }
            return;
        }
        let opening = match &mut self.activity {
            Activity::Announcing(announcing) => announcing.opening_mut(id),
            Activity::Stopping(stopping, _) => {
                stopping.announcing().and_then(|announcing| announcing.opening_mut(id))
            }
            Activity::Idle(_) | Activity::Paused | Activity::Stopped(_) => None,
        };
        if let Some(attempt) = opening {
            attempt.extend(time.min(now.since(attempt.started_at())));
        }
    }

    /// Takes in the address to which the channel of an attempt leads.
    pub(crate) fn reached(&mut self, id: AttemptId, address: SocketAddr) {
        if let Activity::Announcing(announcing) = &mut self.activity {
            announcing.reached(id, address);
        }
    }

    /// Takes in that the tracker of an attempt has addresses of another family as well.
    pub(crate) fn reachable_over(&mut self, id: AttemptId, family: AddressFamily, urls: &mut UrlInterner) {
        if let Activity::Announcing(announcing) = &mut self.activity {
            announcing.reachable_over(id, family, urls);
        }
    }

    /// Takes in the result of a probe.
    pub(crate) fn probed(
        &mut self,
        tracker: &TrackerUrl,
        result: &Result<Measurement, AnnounceError>,
        shared: &mut Shared<'_>,
    ) {
        if probing::probed(tracker, result, &mut self.book, shared)
            && let Activity::Announcing(announcing) = &mut self.activity
        {
            announcing.release();
        }
    }

    /// Takes in that a channel is open.
    pub(crate) fn opened(&mut self, id: AttemptId, shared: &mut Shared<'_>) {
        if self.stragglers.contain(id) {
            return self.stragglers.opened(id, shared);
        }
        match &mut self.activity {
            Activity::Announcing(announcing) => announcing.opened(id, shared),
            Activity::Stopping(stopping, _) => stopping.opened(id),
            Activity::Idle(_) | Activity::Paused | Activity::Stopped(_) => {}
        }
    }

    /// Takes in the answer to an announce.
    pub(crate) fn replied(&mut self, id: AttemptId, response: AnnounceResponse, shared: &mut Shared<'_>) {
        let book = &mut self.book;
        if self.stragglers.contain(id) {
            return self.stragglers.replied(id, response, book, shared);
        }
        match &mut self.activity {
            Activity::Announcing(announcing) => announcing.replied(id, response, book, shared),
            Activity::Stopping(stopping, _) => match stopping.announcing() {
                Some(announcing) => announcing.replied(id, response, book, shared),
                None => stopping.finished(id, Ok(&response), book, shared),
            },
            Activity::Idle(_) | Activity::Paused | Activity::Stopped(_) => {}
        }
    }

    /// Takes in that an attempt failed.
    pub(crate) fn failed(&mut self, id: AttemptId, error: AnnounceError, shared: &mut Shared<'_>) {
        let book = &mut self.book;
        if self.stragglers.contain(id) {
            return self.stragglers.failed(id, &error, book, shared);
        }
        match &mut self.activity {
            Activity::Announcing(announcing) => announcing.failed(id, error, book, shared),
            Activity::Stopping(stopping, _) => match stopping.announcing() {
                Some(announcing) => announcing.failed(id, error, book, shared),
                None => stopping.finished(id, Err(error), book, shared),
            },
            Activity::Idle(_) | Activity::Paused | Activity::Stopped(_) => {}
        }
    }

    /// Takes in that a host has admitted the torrent, which queued for it.
    pub(crate) fn admitted(&mut self, slot: Slot, shared: &mut Shared<'_>) {
        match &mut self.activity {
            Activity::Announcing(announcing) => announcing.admitted(slot),
            Activity::Stopping(stopping, _) => stopping.admitted(slot, shared),
            Activity::Idle(_) | Activity::Paused | Activity::Stopped(_) => {
                // Returned at once, or the host would count an attempt that never ends.
                let _ = shared.hosts.finished(slot, Outcome::Unused, shared.now);
            }
        }
    }

    /// Takes in that a host has removed the torrent from its queue, because it is silent or doubted.
    pub(crate) fn evicted(&mut self, host: &TrackerHost) {
        match &mut self.activity {
            Activity::Announcing(announcing) => announcing.evicted(host),
            Activity::Stopping(stopping, _) => stopping.evicted(host),
            Activity::Idle(_) | Activity::Paused | Activity::Stopped(_) => {}
        }
    }

    /// Goes on as far as possible after any change, and sets the timer.
    pub(crate) fn advance(&mut self, shared: &mut Shared<'_>) {
        self.timer = None;
        let expires = self.stragglers.expire(&mut self.book, shared);
        self.wake_at(Timer::Stragglers, expires);
        loop {
            let book = &mut self.book;
            match &mut self.activity {
                Activity::Idle(idle) => {
                    if idle.is_due(book, shared.now)
                        && let Some(until) = book.counters_awaited(shared)
                    {
                        return self.wake_at(Timer::Announce, Some(until));
                    }
                    if let Some(kind) = idle.next_round(book, shared) {
                        self.stragglers.begin_round(shared);
                        let announcing = Announcing::begin(kind, book, shared);
                        self.activity = Activity::Announcing(Box::new(announcing));
                        continue;
                    }
                    match idle.beside(book, shared) {
                        Beside::Due => {
                            self.activity =
                                Activity::Announcing(Box::new(Announcing::begin_beside(shared.now)));
                        }
                        Beside::At(beside_at) => {
                            let probe_at = probing::probe_for_failback(book, shared);
                            let announce_at = idle.wake(book, shared.now);
                            self.wake_at(Timer::Failback, probe_at);
                            self.wake_at(Timer::Announce, announce_at);
                            self.wake_at(Timer::Beside, beside_at);
                            return;
                        }
                    }
                }
                Activity::Announcing(announcing) if announcing.is_beside() && book.is_due(shared.now) => {
                    let attempts = announcing.give_way(shared);
                    self.round_ended(attempts, shared);
                }
                Activity::Announcing(announcing) => {
                    match announcing.run(book, &mut self.stragglers, shared) {
                        Progress::Waits(wake) => {
                            self.wake_at_round(wake, shared);
                            return;
                        }
                        Progress::Ended(attempts) => self.round_ended(attempts, shared),
                        Progress::Cancelled => {
                            idle::defer(book, shared);
                            self.activity = Activity::Idle(Idle::default());
                        }
                    }
                }
                Activity::Stopping(stopping, after) => match (stopping.run(book, shared), *after) {
                    (Some(deadline), _) => return self.wake_at(Timer::Stop, Some(deadline)),
                    (None, AfterStopped::End) => self.activity = Activity::Stopped(stopping.results()),
                    (None, AfterStopped::Pause) => self.activity = Activity::Paused,
                    (None, AfterStopped::Resume) => self.go_on(shared.now),
                },
                Activity::Paused | Activity::Stopped(_) => return,
            }
        }
    }

    /// When the torrent wakes up next, and what for.
    pub(crate) fn timer(&self) -> Option<(Timestamp, Timer)> {
        self.timer
    }

    /// Its trackers.
    pub(crate) fn trackers(&self) -> &TrackerSet {
        &self.book.trackers
    }

    /// Its info-hash.
    pub(crate) fn info_hash(&self) -> InfoHash {
        self.book.torrent.info_hash
    }

    /// Whether trackers know both as one peer.
    pub(crate) fn is_same_peer(&self, other: &Self) -> bool {
        let identity = |state: &Self| (state.book.torrent.info_hash, state.book.torrent.peer_id);
        identity(self) == identity(other)
    }

    /// Whether it goes on by itself: it is neither ending nor over.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.activity, Activity::Idle(_) | Activity::Announcing(_))
    }

    /// Whether it hasn't begun to end.
    pub(crate) fn is_live(&self) -> bool {
        self.is_running() || matches!(self.activity, Activity::Paused)
    }

    /// Whether it is a session, and not a single announce.
    pub(crate) fn is_session(&self) -> bool {
        !self.announcing().is_some_and(Announcing::is_one_shot)
    }

    /// Whether the session is sending `stopped`.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.activity, Activity::Stopping(..))
    }

    /// Has a new session wait until another one of the same torrent has ended, or lets it go on.
    pub(crate) fn wait_for(&mut self, other: Option<TorrentId>) {
        if let Activity::Idle(idle) = &mut self.activity {
            idle.waits_for = other;
        }
    }

    /// Whether it waits for another session to end.
    pub(crate) fn waits_for(&self, other: TorrentId) -> bool {
        matches!(&self.activity, Activity::Idle(idle) if idle.waits_for == Some(other))
    }

    /// Whether the session has ended.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.activity, Activity::Stopped(_))
    }

    /// Ends it for good: gives its trackers, and the results of `stopped`.
    pub(crate) fn end(self) -> (TrackerSet, Vec<StopResult>) {
        let results = match self.activity {
            Activity::Stopped(results) => results,
            Activity::Idle(_) | Activity::Announcing(_) | Activity::Stopping(..) | Activity::Paused => {
                Vec::new()
            }
        };
        (self.book.trackers, results)
    }

    /// How its announces stand.
    pub(crate) fn status(&self, hosts: &Hosts, now: Timestamp) -> Status {
        status::status(&self.book, self.announcing(), hosts, now)
    }

    /// Which tracker it uses and why, and what comes next, in one line.
    pub(crate) fn explain(&self, hosts: &Hosts, now: Timestamp) -> String {
        status::explain(&self.book, self.announcing(), hosts, now)
    }

    /// The round under way, unless the session is ending. Rounds beside the tracker in use count too.
    fn announcing(&self) -> Option<&Announcing> {
        match &self.activity {
            Activity::Announcing(announcing) => Some(announcing),
            Activity::Idle(_) | Activity::Stopping(..) | Activity::Paused | Activity::Stopped(_) => None,
        }
    }

    /// Whether no round is under way, or only one beside the tracker in use.
    fn is_between_rounds(&self) -> bool {
        match &self.activity {
            Activity::Idle(_) => true,
            Activity::Announcing(announcing) => announcing.is_beside(),
            Activity::Stopping(..) | Activity::Paused | Activity::Stopped(_) => false,
        }
    }

    /// Takes the round under way out, which leaves the torrent stopped until the caller sets what it does next.
    fn take_announcing(&mut self) -> Option<Box<Announcing>> {
        match std::mem::replace(&mut self.activity, Activity::Stopped(Vec::new())) {
            Activity::Announcing(announcing) => Some(announcing),
            Activity::Idle(_) | Activity::Stopping(..) | Activity::Paused | Activity::Stopped(_) => None,
        }
    }

    /// Goes on after a round: a session is idle again, and a single announce is over.
    fn round_ended(&mut self, attempts: Vec<Attempt>, shared: &mut Shared<'_>) {
        self.stragglers.add(attempts);
        let is_over = self.announcing().is_some_and(Announcing::is_one_shot);
        self.activity = if is_over {
            self.stragglers.give_up(shared);
            Activity::Stopped(Vec::new())
        } else {
            // A straggler may be over its limit by now.
            let expires = self.stragglers.expire(&mut self.book, shared);
            self.wake_at(Timer::Stragglers, expires);
            Activity::Idle(Idle::default())
        };
    }

    /// Gives up everything that is under way.
    fn give_up(&mut self, shared: &mut Shared<'_>) {
        self.stragglers.give_up(shared);
        match &mut self.activity {
            Activity::Announcing(announcing) => announcing.abandon(&self.book, shared),
            Activity::Stopping(stopping, _) => stopping.give_up(&self.book, shared),
            Activity::Idle(_) | Activity::Paused | Activity::Stopped(_) => {}
        }
        self.activity = Activity::Stopped(Vec::new());
    }

    /// Sets the timer while a round is under way. One beside the tracker in use delays neither the next announce nor the
    /// probe before it.
    fn wake_at_round(&mut self, wake: Option<Timestamp>, shared: &mut Shared<'_>) {
        self.wake_at(Timer::Round, wake);
        if self.is_between_rounds() {
            let probe_at = probing::probe_for_failback(&mut self.book, shared);
            let due = self.book.schedule.due().filter(|_| self.book.is_automatic());
            self.wake_at(Timer::Failback, probe_at);
            self.wake_at(Timer::Announce, due);
        }
    }

    /// Sets the timer, unless it is set to an earlier moment.
    fn wake_at(&mut self, timer: Timer, at: Option<Timestamp>) {
        let wake = at.map(|at| (at, timer));
        self.timer = [self.timer, wake].into_iter().flatten().min();
    }
}
