//! The list of a torrent's trackers: each once, in tiers that are numbered from 0 without gaps.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::Duration;

use rand::Rng;
use rand::seq::SliceRandom;

use super::record::{Known, SecondFamily, TrackerRecord};
use crate::policy::url_interner::UrlInterner;
use crate::tracker::TrackerUrl;
use crate::tracker_list::{DenyList, TrackerList};

/// The trackers, tier by tier.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct List(Vec<Entry>);

/// One tracker of the list.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The announce URL.
    tracker: TrackerUrl,
    /// How long an announce to it takes, if that was measured.
    /// In microseconds: half of the room of a `Duration`, for each tracker of each torrent.
    latency: Option<Micros>,
    /// The number of its tier.
    tier: u32,
    /// The last probe or announce failed.
    pub(super) failing: bool,
    /// A probe is under way.
    pub(super) probing: bool,
    /// It comes from a list for all public torrents.
    from_list: bool,
    /// What the session knows beyond that. Boxed, because most trackers of most torrents are never announced to.
    pub(super) known: Option<Box<Known>>,
}

/// A latency in whole microseconds, cut to [`MAX_LATENCY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Micros(NonZeroU64);

/// The longest latency that is kept: a longer one is no measurement, and sums of it would overflow.
const MAX_LATENCY: Duration = Duration::from_secs(24 * 3600);

impl List {
    /// The tiers as a torrent lists them. A tracker that is listed twice keeps its first place, and empty tiers are dropped.
    pub(super) fn new<Tier: IntoIterator<Item = TrackerUrl>>(tiers: impl IntoIterator<Item = Tier>) -> Self {
        let mut list = Self::default();
        // Lists with thousands of trackers exist, so each URL is looked up once (S-19).
        let mut seen = BTreeSet::new();
        for tier in tiers {
            let number = list.next_tier();
            let new =
                tier.into_iter().map(TrackerUrl::unrestricted).filter(|tracker| seen.insert(tracker.clone()));
            list.0.extend(new.map(|tracker| Entry::new(tracker, number)));
        }
        list.0.shrink_to_fit();
        list
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.0.iter_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn tiers(&self) -> impl Iterator<Item = impl Iterator<Item = &TrackerUrl>> {
        self.0.chunk_by(Entry::is_beside).map(|tier| tier.iter().map(|entry| &entry.tracker))
    }

    pub(super) fn get(&self, tracker: &TrackerUrl) -> Option<&Entry> {
        self.0.get(self.place(tracker)?)
    }

    pub(super) fn get_mut(&mut self, tracker: &TrackerUrl) -> Option<&mut Entry> {
        let place = self.place(tracker)?;
        self.0.get_mut(place)
    }

    /// Adds a tracker to a tier, or as a new last tier if there is no tier of that number. `false` if it is listed already.
    pub(super) fn add(&mut self, tier: usize, tracker: TrackerUrl) -> bool {
        if let Some(entry) = self.get_mut(&tracker) {
            // From now on it is the torrent's own, also if it came from a list.
            entry.from_list = false;
            return false;
        }
        let tier = u32::try_from(tier).unwrap_or(u32::MAX).min(self.next_tier());
        let place = self.0.partition_point(|entry| entry.tier <= tier);
        self.0.insert(place, Entry::new(tracker, tier));
        true
    }

    /// Removes a tracker; `false` if it isn't listed.
    pub(super) fn remove(&mut self, tracker: &TrackerUrl) -> bool {
        let Some(place) = self.place(tracker) else { return false };
        let tier = self.0.remove(place).tier;
        if self.0.iter().all(|entry| entry.tier != tier) {
            for entry in &mut self.0[place..] {
                entry.tier -= 1;
            }
        }
        true
    }

    /// Replaces all trackers. What is known of those that stay is kept.
    pub(super) fn replace<Tier: IntoIterator<Item = TrackerUrl>>(
        &mut self,
        tiers: impl IntoIterator<Item = Tier>,
    ) {
        let mut replaced = Self::new(tiers);
        let known: BTreeMap<&TrackerUrl, &Entry> =
            self.0.iter().map(|entry| (&entry.tracker, entry)).collect();
        for entry in &mut replaced.0 {
            if let Some(known) = known.get(&entry.tracker).copied() {
                *entry = Entry { tier: entry.tier, from_list: false, ..known.clone() };
            }
        }
        *self = replaced;
    }

    /// Adds the trackers of a list for all public torrents behind the torrent's own, in tiers of theirs, but for those that are
    /// listed already. Gives how many were added.
    pub(super) fn add_list(&mut self, list: &TrackerList) -> usize {
        let before = self.0.len();
        let mut seen: BTreeSet<TrackerUrl> = self.0.iter().map(|entry| entry.tracker.clone()).collect();
        for tier in list.tiers() {
            let number = self.next_tier();
            let new = tier.iter().filter(|tracker| seen.insert((*tracker).clone()));
            self.0
                .extend(new.map(|tracker| Entry { from_list: true, ..Entry::new(tracker.clone(), number) }));
        }
        self.0.len() - before
    }

    /// Removes the trackers that aren't wanted. Gives how many were removed.
    pub(super) fn remove_denied(&mut self, denied: &DenyList) -> usize {
        self.retain(|entry| !denied.denies(&entry.tracker))
    }

    /// Removes the trackers of a list for all public torrents. Gives how many were removed.
    pub(super) fn remove_listed(&mut self) -> usize {
        self.retain(|entry| !entry.from_list)
    }

    /// Shuffles each tier.
    pub(super) fn shuffle(&mut self, random: &mut impl Rng) {
        for tier in self.0.chunk_by_mut(Entry::is_beside) {
            tier.shuffle(random);
        }
    }

    /// Moves a tracker to the front of its tier.
    pub(super) fn move_to_front(&mut self, tracker: &TrackerUrl) {
        let Some(place) = self.place(tracker) else { return };
        let tier = self.0[place].tier;
        let front = self.0.partition_point(|entry| entry.tier < tier);
        self.0[front..=place].rotate_right(1);
    }

    /// Replaces each URL by the copy that all torrents share.
    pub(super) fn share(&mut self, urls: &mut UrlInterner) {
        for entry in &mut self.0 {
            entry.tracker = urls.shared(&entry.tracker);
            if let Some(second) = entry.known.as_mut().and_then(|known| known.second.as_mut()) {
                second.tracker = urls.shared(&second.tracker);
            }
        }
    }

    /// Keeps some trackers, and gives how many are gone.
    fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) -> usize {
        let before = self.0.len();
        self.0.retain(keep);
        let gone = before - self.0.len();
        if gone > 0 {
            let (mut tiers, mut last) = (0, None);
            for entry in &mut self.0 {
                tiers += u32::from(last.is_some_and(|last| last != entry.tier));
                last = Some(entry.tier);
                entry.tier = tiers;
            }
        }
        gone
    }

    /// The number of a new last tier.
    fn next_tier(&self) -> u32 {
        self.0.last().map_or(0, |last| last.tier + 1)
    }

    /// The place of a tracker in the list. The caller nearly always has a clone of the URL in the list: to compare
    /// pointers costs half a microsecond for a thousand trackers, to compare texts ten.
    fn place(&self, tracker: &TrackerUrl) -> Option<usize> {
        let clone = self.0.iter().position(|entry| entry.tracker.is_clone_of(tracker));
        clone.or_else(|| self.0.iter().position(|entry| entry.tracker == *tracker))
    }
}

impl Entry {
    fn new(tracker: TrackerUrl, tier: u32) -> Self {
        Self { tracker, latency: None, tier, failing: false, probing: false, from_list: false, known: None }
    }

    pub(super) fn tracker(&self) -> &TrackerUrl {
        &self.tracker
    }

    /// The number of its tier, counted from 0 without gaps.
    pub(super) fn tier(&self) -> usize {
        self.tier as usize
    }

    pub(super) fn latency(&self) -> Option<Duration> {
        self.latency.map(Micros::duration)
    }

    /// Its rank by latency: unmeasured trackers come after measured ones, failing ones last.
    pub(super) fn nearness(&self) -> impl Ord + use<> {
        (self.failing, self.latency.is_none(), self.latency)
    }

    pub(super) fn set_latency(&mut self, latency: Option<Duration>) {
        self.latency = latency.map(Micros::of);
    }

    /// The tracker, and what the session knows of it, to change that.
    pub(super) fn split_mut(&mut self) -> (&TrackerUrl, Option<&mut Known>) {
        (&self.tracker, self.known.as_deref_mut())
    }

    /// What the session knows of it.
    pub(super) fn record(&self) -> Option<&TrackerRecord> {
        self.known.as_deref().map(|known| &known.record)
    }

    /// The same tracker over its other address family.
    pub(super) fn second(&self) -> Option<&SecondFamily> {
        self.known.as_deref()?.second.as_deref()
    }

    /// Whether both are in one tier.
    fn is_beside(&self, other: &Self) -> bool {
        self.tier == other.tier
    }
}

/// Two sets are equal if they try the same trackers in the same order. What a session knows beyond that doesn't
/// count.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (&self.tracker, self.latency, self.tier, self.failing)
            == (&other.tracker, other.latency, other.tier, other.failing)
    }
}

impl Eq for Entry {}

impl Micros {
    fn of(latency: Duration) -> Self {
        let micros = u64::try_from(latency.min(MAX_LATENCY).as_micros()).unwrap_or(u64::MAX);
        Self(NonZeroU64::MIN.saturating_add(micros))
    }

    fn duration(self) -> Duration {
        Duration::from_micros(self.0.get() - 1)
    }
}
