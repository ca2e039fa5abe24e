//! What a user does in a life, and what happens to our machine.

use std::time::Duration;

use tracker_failover::TrackerSet;
use tracker_failover::policy::Timestamp;
use tracker_failover::{InfoHash, PeerId, Torrent, Transfer};

use super::facts::{Listed, Member};
use super::life::Life;
use super::world::Script;

/// A torrent to be added.
#[derive(Debug, Clone, Default)]
pub struct Newcomer {
    /// Its tiers.
    pub tiers: Vec<Vec<Listing>>,
    /// Whether it is private.
    pub private: bool,
    /// Whether it is complete from the start.
    pub seed: bool,
}

/// A tracker of a torrent.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Its number in the world.
    pub tracker: usize,
    /// How it is towards this torrent, if not as towards all.
    pub own: Option<Script>,
}

/// How long after a sleep the engine lets the network come up, and over how long it spreads what is due at most.
const SETTLE: Duration = Duration::from_secs(2);
const SPREAD: Duration = Duration::from_secs(60);

impl Life {
    /// Adds a torrent, and gives its number.
    pub fn add(&mut self, newcomer: Newcomer) -> usize {
        let number = self.members.len();
        let urls = newcomer.tiers.iter().map(|tier| {
            tier.iter().map(|listing| self.world.trackers[listing.tracker].url.clone()).collect::<Vec<_>>()
        });
        let set = TrackerSet::new(urls.collect::<Vec<_>>());
        let set = if newcomer.private { set.private() } else { set };
        let mut info_hash = [0; 20];
        info_hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let mut torrent = Torrent::new(InfoHash::new(info_hash), PeerId::new([2; 20]), 6881);
        torrent.transfer.left = Some(if newcomer.seed { 0 } else { 1000 });
        let id = self.driver.add(set, torrent);
        self.ids.insert(id, number);
        let now = self.driver.now();
        let listings = newcomer.tiers.into_iter().flatten();
        self.members.push(Member {
            id,
            runs: true,
            stopping_since: None,
            private: newcomer.private,
            races: !newcomer.private && !self.one_by_one,
            as_needed: self.as_needed && !newcomer.private,
            breaker: self.breaker,
            complete: newcomer.seed,
            complete_from_start: newcomer.seed,
            owes_since: None,
            completed_accepted: false,
            in_use: None,
            unused_since: now,
            answered_at: Timestamp::ZERO,
            due: now,
            listed: listings.map(|listing| Listed::new(listing.tracker, listing.own, now)).collect(),
            forced_until: 0,
            rounds_ended: 0,
            check_at: None,
            answers: Vec::new(),
        });
        self.limit_steps_at_once();
        self.trace.note(now, Some(number), None, || "added".to_owned());
        for place in 0..self.members[number].listed.len() {
            self.count_listed(number, place, true);
        }
        self.look_out(number);
        number
    }

    /// Adds a tracker to a torrent's list, in its own tier at the end.
    pub fn list(&mut self, torrent: usize, listing: Listing) {
        let (now, id) = (self.driver.now(), self.members[torrent].id);
        let url = self.world.trackers[listing.tracker].url.clone();
        let tracker = listing.tracker;
        self.trace.note(now, Some(torrent), Some(tracker), || "added to the list".to_owned());
        let mut is_new = false;
        self.driver.engine.change_trackers(id, |set| is_new = set.add(usize::MAX, url), now);
        if !is_new {
            return; // Private torrents keep the trackers of their file.
        }
        let member = &mut self.members[torrent];
        let place = member.place(tracker).unwrap_or_else(|| {
            member.listed.push(Listed::new(tracker, listing.own, now));
            member.listed.len() - 1
        });
        let listed = &mut member.listed[place];
        (listed.on_list, listed.since) = (true, now);
        self.count_listed(torrent, place, true);
        self.look_out(torrent);
    }

    /// Takes a tracker from a torrent's list.
    pub fn unlist(&mut self, torrent: usize, tracker: usize) {
        let (now, id) = (self.driver.now(), self.members[torrent].id);
        let url = self.world.trackers[tracker].url.clone();
        self.trace.note(now, Some(torrent), Some(tracker), || "taken from the list".to_owned());
        self.driver.engine.change_trackers(id, |set| _ = set.remove(&url), now);
        let member = &mut self.members[torrent];
        let Some(place) = member.place(tracker) else { return };
        if member.in_use == Some(tracker) {
            (member.in_use, member.unused_since) = (None, now);
        }
        let listed = &mut member.listed[place];
        listed.on_list = false;
        (listed.not_before, listed.no_regular_before, listed.not_again) =
            (Timestamp::ZERO, Timestamp::ZERO, false);
        self.count_listed(torrent, place, false);
        self.look_out(torrent);
    }

    /// The download is complete.
    pub fn complete(&mut self, torrent: usize) {
        let (now, member) = (self.driver.now(), &mut self.members[torrent]);
        if !member.complete {
            member.complete = true;
            member.owes_since = Some(now);
        }
        member.forced_until = member.forced_until.max(member.rounds_ended + 2);
        self.driver.engine.complete(member.id, now);
        self.trace.note(now, Some(torrent), None, || "complete".to_owned());
        self.look_out(torrent);
    }

    /// The user wants an announce.
    pub fn reannounce(&mut self, torrent: usize) {
        let member = &mut self.members[torrent];
        let round = self.driver.engine.reannounce(member.id, self.driver.now());
        member.forced_until = member.forced_until.max(round.unwrap_or_default());
        self.trace.note(self.driver.now(), Some(torrent), None, || "reannounce".to_owned());
    }

    /// More peers are wanted.
    pub fn want_peers(&mut self, torrent: usize) {
        self.driver.engine.want_peers(self.members[torrent].id, self.driver.now());
        self.trace.note(self.driver.now(), Some(torrent), None, || "wants peers".to_owned());
    }

    /// The counters go on.
    pub fn update(&mut self, torrent: usize, uploaded: u64) {
        let member = &self.members[torrent];
        let left = if member.complete { 0 } else { 500 };
        let transfer = Transfer { uploaded, downloaded: uploaded, left: Some(left), ..Transfer::default() };
        self.driver.engine.update(member.id, transfer, self.driver.now());
    }

    /// Ends a torrent.
    pub fn stop(&mut self, torrent: usize) {
        if self.leave(torrent) {
            self.driver.engine.stop(self.members[torrent].id, self.driver.now());
            self.trace.note(self.driver.now(), Some(torrent), None, || "stop".to_owned());
        }
    }

    /// Drops a torrent without `stopped`.
    pub fn forget(&mut self, torrent: usize) {
        if self.leave(torrent) {
            self.driver.engine.forget(self.members[torrent].id, self.driver.now());
            self.members[torrent].listed.clear();
        }
    }

    fn leave(&mut self, torrent: usize) -> bool {
        let member = &mut self.members[torrent];
        if !std::mem::replace(&mut member.runs, false) {
            return false;
        }
        (member.stopping_since, member.check_at) = (Some(self.driver.now()), None);
        for place in 0..member.listed.len() {
            if self.members[torrent].listed[place].on_list {
                self.count_listed(torrent, place, false);
            }
        }
        true
    }

    /// Another network, as good as this one.
    pub fn change_network(&mut self) {
        self.driver.engine.network_changed(self.driver.now());
    }

    /// Our process stands still; what arrives meanwhile is read afterwards.
    pub fn stand_still(&mut self, gap: Duration) {
        self.lose(gap);
        while let Some((attempt, happening)) = self.driver.take_due() {
            self.happens(attempt, happening);
        }
    }

    /// The machine sleeps; answers on their way are lost.
    pub fn sleep(&mut self, gap: Duration) {
        self.driver.lose_events();
        self.lose(gap);
    }

    fn lose(&mut self, gap: Duration) {
        let running = self.driver.engine.torrents().count() as u64;
        let now = self.driver.now() + gap;
        self.well_since = now + SETTLE + SPREAD.min(Duration::from_secs(running / 20));
        self.gaps += gap;
        self.driver.advance(now);
        self.look_at_deadlines();
        self.trace.note(now, None, None, || format!("{gap:?} were lost"));
        self.driver.engine.resumed(gap, now);
    }

    fn count_listed(&mut self, torrent: usize, place: usize, more: bool) {
        let listed = &self.members[torrent].listed[place];
        let host = &mut self.hosts[self.world.trackers[listed.tracker].host];
        let slow = usize::from(listed.is_slow(&self.world));
        if more {
            (host.listed, host.slow) = (host.listed + 1, host.slow + slow);
        } else {
            (host.listed, host.slow) = (host.listed - 1, host.slow - slow);
            host.failed_torrents.remove(&torrent);
        }
    }
}
