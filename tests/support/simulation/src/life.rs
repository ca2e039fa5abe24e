//! What clients are asked to do in a world, and what becomes of it.

use std::sync::Arc;

use tracker_failover::{AnnounceTo, Config, Event, Order};

use crate::network::{Contact, Heard};
use crate::time::Millis;
use crate::world::World;

/// What a client is to do: torrents with their trackers, and what their user does when.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The trackers and their scripts.
    pub world: Arc<World>,
    /// The tiers of every torrent, by the numbers of the trackers.
    pub tiers: Vec<Vec<usize>>,
    /// What the user does, in order.
    pub deeds: Vec<Deed>,
    /// How long it is played.
    pub until: Millis,
    /// How our client is set up.
    pub config: Config,
    /// How many peers an answer names to our client. Of more than one half are seeds.
    pub named: u16,
}

/// Something the user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    /// The moment at which the user acts.
    pub at: Millis,
    /// The number of the torrent.
    pub torrent: usize,
    /// The action.
    pub what: What,
}

/// What a user does to a torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Adds it, and wants peers.
    Add,
    /// Wants an announce now.
    Reannounce,
    /// Would like more peers.
    WantPeers,
    /// Has all of it.
    Complete,
    /// Ends its session.
    Stop,
    /// Suspends the machine for so long: the world and the engine's clock go on, and nothing is done. Ours only.
    Sleep(Millis),
    /// Changes to another network, which is reported to the client. Ours only.
    ChangeNetwork,
}

/// What became of a plan.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What trackers heard, by time.
    pub heard: Vec<Heard>,
    /// What became of each torrent, by its number.
    pub torrents: Vec<Life>,
    /// How many announces came sooner than a tracker had asked for, where there is one torrent.
    pub impolite: usize,
    /// How long the longest attempt was kept open. Ours only.
    pub longest_attempt: Millis,
    /// How many attempts to announce came to nothing.
    pub wasted: usize,
}

/// What became of a torrent.
#[derive(Debug, Clone, Default)]
pub struct Life {
    /// When announces were due, or asked for.
    pub needs: Vec<Millis>,
    /// When which tracker accepted one.
    pub answers: Vec<Accepted>,
    /// Whether the torrent was stopped, when that was over, and which trackers heard of it.
    pub stopped: Option<Stopped>,
}

/// An announce that was accepted, as the client learned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// When the answer arrived.
    pub at: Millis,
    /// The number of the tracker.
    pub tracker: usize,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// When the user wanted it.
    pub wanted: Millis,
    /// When it was over.
    pub at: Millis,
    /// The trackers that acknowledged `stopped`.
    pub acknowledged: Vec<usize>,
}

impl Plan {
    /// One torrent, added at the start, with all trackers in one tier and the default configuration, but registered at
    /// one tracker at a time: what is measured is failover, and an answer here names a single peer.
    pub fn one_torrent(world: World, until: Millis) -> Self {
        let tiers = vec![(0..world.trackers.len()).collect()];
        let add = Deed { at: 0, torrent: 0, what: What::Add };
        let config = Config::default().announce_to(AnnounceTo::One);
        Self { world: Arc::new(world), tiers, deeds: vec![add], until, config, named: 1 }
    }

    /// The same plan with each tracker in its own tier.
    #[must_use]
    pub fn in_tiers(mut self) -> Self {
        self.tiers = (0..self.world.trackers.len()).map(|tracker| vec![tracker]).collect();
        self
    }

    /// The same plan with our client keeping to BEP 12's order.
    #[must_use]
    pub fn bep12(mut self) -> Self {
        self.config = self.config.order(Order::Bep12);
        self
    }

    /// The same plan with our client registered at as many trackers as needed, and answers that name 50 peers.
    #[must_use]
    pub fn as_needed(mut self) -> Self {
        self.config = self.config.announce_to(AnnounceTo::AsNeeded);
        self.named = 50;
        self
    }

    /// The same plan, and the user does this to the first torrent.
    #[must_use]
    pub fn and(self, at: Millis, what: What) -> Self {
        self.and_to(0, at, what)
    }

    /// The same plan, and the user does this to a torrent.
    #[must_use]
    pub fn and_to(mut self, torrent: usize, at: Millis, what: What) -> Self {
        self.deeds.push(Deed { at, torrent, what });
        self.deeds.sort_by_key(|deed| deed.at);
        self.until = self.until.max(at);
        self
    }

    /// The same plan in another world.
    #[must_use]
    pub fn in_world(mut self, change: impl FnOnce(&mut World)) -> Self {
        change(Arc::make_mut(&mut self.world));
        self
    }

    /// How many torrents there are.
    pub fn torrents(&self) -> usize {
        self.deeds.iter().map(|deed| deed.torrent + 1).max().unwrap_or(0)
    }
}

impl History {
    /// A history in which nothing has happened to these torrents.
    pub(crate) fn of(torrents: usize) -> Self {
        Self { torrents: vec![Life::default(); torrents], ..Self::default() }
    }

    /// The announces that trackers heard from `from` until before `to`, `stopped` left out.
    pub fn announces(&self, from: Millis, to: Millis) -> impl Iterator<Item = &Heard> {
        self.heard.iter().filter(move |heard| {
            let counts = !matches!(heard.what, Contact::Connection | Contact::Probe)
                && heard.what != Contact::Announce(Some(Event::Stopped));
            counts && (from..to).contains(&heard.at)
        })
    }
}

impl Life {
    /// The first accepted announce from `at` on.
    pub fn answer_after(&self, at: Millis) -> Option<Accepted> {
        self.answers.iter().find(|answer| answer.at >= at).copied()
    }

    /// The tracker that accepted the last announce before `at`.
    pub fn in_use_at(&self, at: Millis) -> Option<usize> {
        self.answers.iter().rev().find(|answer| answer.at < at).map(|answer| answer.tracker)
    }

    /// How long each need from `from` until before `to` had to wait; `None` for one that was never met.
    pub fn delays(&self, from: Millis, to: Millis) -> Vec<Option<Millis>> {
        let needs = self.needs.iter().filter(|need| (from..to).contains(need));
        needs.map(|need| self.answer_after(*need).map(|answer| answer.at - need)).collect()
    }

    /// How often the tracker that accepts changes, from `from` on.
    pub fn switches(&self, from: Millis) -> usize {
        let answers = self.answers.iter().filter(|answer| answer.at >= from);
        let trackers: Vec<usize> = answers.map(|answer| answer.tracker).collect();
        trackers.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }
}
