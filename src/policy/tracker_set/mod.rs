//! The trackers of one torrent: their tiers, the cursor, and one record of what is known of each.

mod answers;
mod hint;
mod record;
mod registration;
#[cfg(feature = "serde")]
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

pub(crate) use self::answers::{Answers, Yield};
use self::record::{Known, SecondFamily};
pub(crate) use self::record::{TrackerFailure, TrackerRecord};
pub(crate) use self::registration::Registration;
use super::config::{AnnounceTo, Config, Order, Scheduling, Schemes};
use super::url_interner::UrlInterner;
use crate::tracker::TrackerUrl;
use crate::tracker_list::{DenyList, TrackerList};

/// The tiers of a torrent's trackers, and a cursor on the one to announce to.
///
/// A plain value without IO: [`current`](Self::current) is the tracker that an announce goes to,
/// [`advance`](Self::advance) moves on if it failed, and [`failover_order`](Self::failover_order) lists all trackers
/// in the order in which they are tried.
///
/// ```
/// use std::time::Duration;
/// use tracker_failover::TrackerUrl;
/// use tracker_failover::TrackerSet;
///
/// let (far, near) = ("http://far.test/announce".parse()?, "http://near.test/announce".parse()?);
/// let mut trackers = TrackerSet::new([vec![far], vec![near]]);
/// trackers.record_latency(&"http://near.test/announce".parse()?, Duration::from_millis(5));
/// assert_eq!(trackers.current().map(TrackerUrl::host), Some("near.test"));
/// trackers.record_failure(&"http://near.test/announce".parse()?);
/// assert_eq!(trackers.advance().map(TrackerUrl::host), Some("far.test"));
/// # Ok::<(), tracker_failover::TrackerUrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrackerSet {
    /// The trackers, tier by tier.
    entries: Vec<Entry>,
    /// The order that the caller asked for; `None` leaves it to the configuration.
    order: Option<Order>,
    /// How many trackers the caller wants to be registered at; `None` leaves it to the configuration.
    announce_to: Option<AnnounceTo>,
    /// The schemes that can be announced to.
    schemes: Schemes,
    /// Whether the torrent is private (BEP 27).
    private: bool,
    /// Whether the tiers were shuffled already: BEP 12 wants that once.
    shuffled: bool,
    /// The tracker that answered last.
    in_use: Option<TrackerUrl>,
    /// The tracker that an announce goes to; `None` for the first of the order.
    cursor: Option<TrackerUrl>,
    /// The trackers that the cursor has left in this lap.
    visited: Vec<TrackerUrl>,
}

/// What a set says beside its trackers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetSettings {
    private: bool,
    order: Option<Order>,
    announce_to: Option<AnnounceTo>,
    schemes: Schemes,
    shuffled: bool,
}

/// The longest latency that is kept: a longer one is no measurement, and sums of it would overflow.
const MAX_LATENCY: Duration = Duration::from_secs(24 * 3600);

/// One tracker of the list.
#[derive(Debug, Clone)]
struct Entry {
    /// The announce URL.
    tracker: TrackerUrl,
    /// How long an announce to it takes, if that was measured.
    /// In microseconds: half of the room of a `Duration`, for each tracker of each torrent.
    latency: Option<Micros>,
    /// The number of its tier, counted from 0 without gaps.
    tier: u32,
    /// The last probe or announce failed.
    failing: bool,
    /// A probe is under way.
    probing: bool,
    /// It comes from a list for all public torrents.
    from_list: bool,
    /// What the session knows beyond that. Boxed, because most trackers of most torrents are never announced to.
    known: Option<Box<Known>>,
}

/// A tracker of the list with its record. To look up the record of each of a thousand trackers by its URL takes a
/// millisecond, so loops over all of them have both.
pub(crate) type Listed<'a> = (&'a TrackerUrl, Option<&'a TrackerRecord>);

/// A latency in whole microseconds, cut to [`MAX_LATENCY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Micros(NonZeroU64);

impl Micros {
    fn of(latency: Duration) -> Self {
        let micros = u64::try_from(latency.min(MAX_LATENCY).as_micros()).unwrap_or(u64::MAX);
        Self(NonZeroU64::MIN.saturating_add(micros))
    }

    fn duration(self) -> Duration {
        Duration::from_micros(self.0.get() - 1)
    }
}

impl TrackerSet {
    /// The tiers as a torrent lists them. A tracker that is listed twice keeps its first place, and empty tiers are
    /// dropped. Trackers with an unsupported scheme stay in the list and are never tried.
    pub fn new<Tier: IntoIterator<Item = TrackerUrl>>(tiers: impl IntoIterator<Item = Tier>) -> Self {
        let mut set = Self::default();
        // Lists with thousands of trackers exist, so each URL is looked up once (S-19).
        let mut seen = BTreeSet::new();
        for tier in tiers {
            let number = set.next_tier();
            let new =
                tier.into_iter().map(TrackerUrl::unrestricted).filter(|tracker| seen.insert(tracker.clone()));
            set.entries.extend(new.map(|tracker| Entry::new(tracker, number)));
        }
        set.entries.shrink_to_fit();
        set
    }

    /// The same trackers with this order, in place of [`Config::order`].
    #[must_use]
    pub fn with_order(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// The same trackers, registered at as many of them, in place of [`Config::announce_to`].
    #[must_use]
    pub fn with_announce_to(mut self, announce_to: AnnounceTo) -> Self {
        self.announce_to = Some(announce_to);
        self
    }

    /// The same trackers for a private torrent: [`Order::Bep12`] and one tracker at a time, the one in use first
    /// until it fails (BEP 27). Those of a list for public torrents are dropped ([`add_list`](Self::add_list)).
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self.drop_listed();
        self
    }

    /// The same trackers with each tier shuffled (BEP 12). The same seed gives the same order.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        for tier in self.entries.chunk_by_mut(Entry::is_beside) {
            tier.shuffle(&mut random);
        }
        self.shuffled = true;
        self
    }

    /// What the set says beside its trackers.
    pub(crate) fn settings(&self) -> SetSettings {
        SetSettings {
            private: self.private,
            order: self.order,
            announce_to: self.announce_to,
            schemes: self.schemes,
            shuffled: self.shuffled,
        }
    }

    /// Takes over what a change of the set has left open: a new set in place of this one says nothing of it. A private
    /// torrent stays private.
    pub(crate) fn keep_settings(&mut self, before: SetSettings, config: &Config) {
        self.private |= before.private;
        if self.private {
            self.drop_listed();
        }
        self.order = self.order.or(before.order);
        self.announce_to = match config.scheduling {
            Scheduling::Automatic => self.announce_to.or(before.announce_to),
            Scheduling::Manual => Some(AnnounceTo::One),
        };
        (self.schemes, self.shuffled) = (before.schemes, self.shuffled || before.shuffled);
    }

    /// Prepares the set for a session: takes from the configuration what the caller left open, and drops what an
    /// earlier session knew.
    pub(crate) fn prepare(&mut self, config: &Config, seed: u64) {
        self.schemes = config.schemes;
        self.order.get_or_insert(config.order);
        match config.scheduling {
            Scheduling::Automatic => self.announce_to.get_or_insert(config.announce_to),
            // A caller that decides when to announce gets one announce each time.
            Scheduling::Manual => self.announce_to.insert(AnnounceTo::One),
        };
        for entry in &mut self.entries {
            (entry.probing, entry.known) = (false, None);
        }
        if self.order() == Order::Bep12 && config.shuffle && !self.shuffled {
            *self = std::mem::take(self).shuffled(seed);
        }
    }

    /// Replaces each URL by the copy that all torrents share.
    pub(crate) fn share(&mut self, urls: &mut UrlInterner) {
        for entry in &mut self.entries {
            entry.tracker = urls.shared(&entry.tracker);
            if let Some(second) = entry.known.as_mut().and_then(|known| known.second.as_mut()) {
                second.tracker = urls.shared(&second.tracker);
            }
        }
        for pointer in [&mut self.in_use, &mut self.cursor].into_iter().flatten() {
            *pointer = urls.shared(pointer);
        }
    }

    /// Whether these are the trackers of a private torrent.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The order in force.
    pub fn order(&self) -> Order {
        if self.private { Order::Bep12 } else { self.order.unwrap_or_default() }
    }

    /// How many trackers a torrent with this set is registered at.
    pub fn announce_to(&self) -> AnnounceTo {
        if self.private { AnnounceTo::One } else { self.announce_to.unwrap_or_default() }
    }

    /// How many trackers there are, unsupported ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no tracker.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The tiers in their present order: under [`Order::Bep12`] a tracker that answers moves to the front of its
    /// tier.
    pub fn tiers(&self) -> impl Iterator<Item = impl Iterator<Item = &TrackerUrl>> {
        self.entries.chunk_by(Entry::is_beside).map(|tier| tier.iter().map(|entry| &entry.tracker))
    }

    /// All trackers, tier by tier.
    pub fn trackers(&self) -> impl Iterator<Item = &TrackerUrl> {
        self.entries.iter().map(|entry| &entry.tracker)
    }

    /// The tier of a tracker, counted from 0.
    pub fn tier_of(&self, tracker: &TrackerUrl) -> Option<usize> {
        self.entry(tracker).or_else(|| self.with_second(tracker)).map(|entry| entry.tier as usize)
    }

    /// The measured latency of a tracker.
    pub fn latency(&self, tracker: &TrackerUrl) -> Option<Duration> {
        self.entry(tracker)?.latency.map(Micros::duration)
    }

    /// Whether a tracker can be announced to: its scheme is supported here.
    pub fn is_supported(&self, tracker: &TrackerUrl) -> bool {
        self.schemes.contains(tracker.scheme())
    }

    /// Whether anything is known of any tracker: a latency, a failure, an answer.
    pub(crate) fn is_known(&self) -> bool {
        self.in_use.is_some() || self.entries.iter().any(|entry| entry.latency.is_some() || entry.failing)
    }

    /// Whether any tracker is known to answer.
    pub(crate) fn has_answer(&self) -> bool {
        self.in_use.is_some() || self.entries.iter().any(|entry| entry.latency.is_some() && !entry.failing)
    }

    /// Fills in latencies that are known of hosts, for trackers that were neither measured nor found failing, and
    /// lists those that stay unknown. Trackers that are being probed are left out.
    pub(crate) fn recall_latencies(
        &mut self,
        known: impl Fn(&TrackerUrl) -> Option<Duration>,
    ) -> Vec<TrackerUrl> {
        let schemes = self.schemes;
        let supported = self.entries.iter_mut().filter(|entry| schemes.contains(entry.tracker.scheme()));
        let mut unknown = Vec::new();
        for entry in supported.filter(|entry| entry.latency.is_none() && !entry.failing && !entry.probing) {
            entry.latency = known(&entry.tracker).map(Micros::of);
            if entry.latency.is_none() {
                unknown.push(entry.tracker.clone());
            }
        }
        unknown
    }

    /// Notes whether a tracker is being probed. Gives whether it was before.
    pub(crate) fn set_probing(&mut self, tracker: &TrackerUrl, probing: bool) -> bool {
        self.entry_mut(tracker).is_some_and(|entry| std::mem::replace(&mut entry.probing, probing))
    }

    /// Notes that no probe is awaited any more.
    pub(crate) fn end_probes(&mut self) {
        for entry in &mut self.entries {
            entry.probing = false;
        }
    }

    /// Whether a tracker is being probed.
    pub(crate) fn is_probing(&self, tracker: &TrackerUrl) -> bool {
        self.entry(tracker).is_some_and(|entry| entry.probing)
    }

    /// Whether any tracker is being probed.
    pub(crate) fn is_any_probing(&self) -> bool {
        self.entries.iter().any(|entry| entry.probing)
    }

    /// What this session knows of a tracker; `None` if nothing.
    pub(crate) fn record(&self, tracker: &TrackerUrl) -> Option<&TrackerRecord> {
        if tracker.family().is_some() {
            return self.with_second(tracker)?.second().map(|second| &second.record);
        }
        self.entry(tracker)?.known.as_deref().map(|known| &known.record)
    }

    /// The record of a tracker, made if there is none; `None` if the tracker isn't in the list.
    pub(crate) fn record_mut(&mut self, tracker: &TrackerUrl) -> Option<&mut TrackerRecord> {
        if tracker.family().is_some() {
            let seconds = self.entries.iter_mut().filter_map(|entry| entry.known.as_mut()?.second.as_mut());
            let mut seconds = seconds.filter(|second| second.tracker == *tracker);
            return seconds.next().map(|second| &mut second.record);
        }
        Some(&mut self.entry_mut(tracker)?.known.get_or_insert_default().record)
    }

    /// All trackers of which this session knows something, second address families included.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&TrackerUrl, &TrackerRecord)> {
        self.entries.iter().filter_map(|entry| Some((&entry.tracker, entry.known.as_deref()?))).flat_map(
            |(tracker, known)| {
                let second = known.second.as_deref().map(|second| (&second.tracker, &second.record));
                std::iter::once((tracker, &known.record)).chain(second)
            },
        )
    }

    /// The same records, to change them.
    pub(crate) fn records_mut(&mut self) -> impl Iterator<Item = (&TrackerUrl, &mut TrackerRecord)> {
        self.entries
            .iter_mut()
            .filter_map(|entry| Some((&entry.tracker, entry.known.as_deref_mut()?)))
            .flat_map(|(tracker, known)| {
                let second = known.second.as_deref_mut();
                let second = second.map(|second| (&second.tracker, &mut second.record));
                std::iter::once((tracker, &mut known.record)).chain(second)
            })
    }

    /// Notes the other address family over which a tracker of a public torrent can be announced to as well: `second` is
    /// its URL restricted to that. If it was the other way round until now, the two registrations have changed places.
    pub(crate) fn set_second_family(&mut self, tracker: &TrackerUrl, second: TrackerUrl) {
        if !self.asks_second_families() {
            return;
        }
        if let Some(entry) = self.entry_mut(tracker) {
            let known = entry.known.get_or_insert_default();
            let record = known.second.take().map(|known| known.record).unwrap_or_default();
            known.second = Some(Box::new(SecondFamily { tracker: second, record }));
        }
    }

    /// The same tracker over its other address family, if it is announced to over both.
    pub(crate) fn second_family_of(&self, tracker: &TrackerUrl) -> Option<&TrackerUrl> {
        let second = self.entry(tracker).filter(|_| self.asks_second_families())?.second()?;
        Some(&second.tracker)
    }

    /// The trackers over their other address families, tier by tier, each with its record.
    pub(crate) fn second_families(&self) -> impl Iterator<Item = Listed<'_>> {
        let seconds = self.supported().filter_map(Entry::second);
        let seconds = seconds.filter(|_| self.asks_second_families());
        seconds.map(|second| (&second.tracker, Some(&second.record)))
    }

    /// Whether trackers are announced to over their second address family. Those of a private torrent would count it as
    /// another client.
    fn asks_second_families(&self) -> bool {
        matches!(self.announce_to(), AnnounceTo::AsNeeded | AnnounceTo::All)
    }

    /// The trackers that can be announced to, tier by tier, each with its record.
    pub(crate) fn supported_with_records(&self) -> impl Iterator<Item = Listed<'_>> {
        self.supported().map(|entry| (&entry.tracker, entry.known.as_deref().map(|known| &known.record)))
    }

    /// The last failure of a tracker, if it hasn't answered since.
    pub(crate) fn failure(&self, tracker: &TrackerUrl) -> Option<&TrackerFailure> {
        self.record(tracker)?.failure.as_deref()
    }

    /// The trackers that can be announced to, tier by tier.
    pub(crate) fn supported_trackers(&self) -> impl Iterator<Item = &TrackerUrl> {
        self.supported().map(|entry| &entry.tracker)
    }

    /// Whether the last probe of or announce to a tracker failed.
    pub fn is_failing(&self, tracker: &TrackerUrl) -> bool {
        if tracker.family().is_some() {
            return self.failure(tracker).is_some();
        }
        self.entry(tracker).is_some_and(|entry| entry.failing)
    }

    /// The tracker that answered last.
    pub fn in_use(&self) -> Option<&TrackerUrl> {
        self.in_use.as_ref()
    }

    /// The same as the list holds it, so that it can be compared by address.
    pub(crate) fn listed_in_use(&self) -> Option<&TrackerUrl> {
        self.entry(self.in_use()?).map(|entry| &entry.tracker)
    }

    /// The tracker to announce to: where the cursor is, else the first of the order.
    pub fn current(&self) -> Option<&TrackerUrl> {
        self.cursor.as_ref().or_else(|| self.failover_order().first().copied())
    }

    /// The tracker that the cursor is on, if it was moved in this round.
    pub(crate) fn pointed_at(&self) -> Option<&TrackerUrl> {
        self.cursor.as_ref()
    }

    /// Moves the cursor to the next tracker in failover order, and gives it. `None` after the last one: the lap is
    /// over, and the cursor is at the start again, so that the next round tries all of them (R1). What becomes known
    /// meanwhile changes the order of those that remain; no tracker is visited twice in a lap.
    pub fn advance(&mut self) -> Option<&TrackerUrl> {
        self.visited.extend(self.current().cloned());
        let mut order = self.failover_order().into_iter();
        self.cursor = order.find(|tracker| !self.visited.contains(tracker)).cloned();
        if self.cursor.is_none() {
            self.visited.clear();
        }
        self.cursor.as_ref()
    }

    /// All trackers that can be announced to, in the order in which they are tried.
    ///
    /// Under [`Order::Nearest`] the one in use comes first, then those that answer, by latency, then unmeasured ones
    /// in list order, and failing ones last. Under [`Order::Bep12`] it is tier by tier; for a private torrent the one
    /// in use comes first.
    pub fn failover_order(&self) -> Vec<&TrackerUrl> {
        let mut order: Vec<&Entry> = self.supported().collect();
        if self.order() == Order::Nearest {
            order.sort_by_key(|entry| (entry.failing, entry.latency.is_none(), entry.latency));
        }
        let mut order: Vec<&TrackerUrl> = order.into_iter().map(|entry| &entry.tracker).collect();
        if self.order() == Order::Nearest || self.private {
            move_to_front(&mut order, self.in_use());
        }
        order
    }

    /// Notes how long a tracker took to answer, which shows that it is alive.
    pub fn record_latency(&mut self, tracker: &TrackerUrl, latency: Duration) {
        if let Some(entry) = self.entry_mut(tracker) {
            entry.latency = Some(Micros::of(latency));
            entry.failing = false;
        }
    }

    /// Notes that a tracker failed: under [`Order::Nearest`] it comes after those that don't. The cursor stays on it
    /// until [`advance`](Self::advance) or [`begin_round`](Self::begin_round).
    pub fn record_failure(&mut self, tracker: &TrackerUrl) {
        if self.current() == Some(tracker) {
            self.cursor = Some(tracker.clone());
        }
        if let Some(entry) = self.entry_mut(tracker) {
            entry.failing = true;
        }
    }

    /// Notes that a tracker answered an announce: it is the one in use now, and under [`Order::Bep12`] it moves to
    /// the front of its tier.
    pub fn record_success(&mut self, tracker: &TrackerUrl) {
        let Some(place) = self.place(tracker) else { return };
        self.entries[place].failing = false;
        if self.order() == Order::Bep12 {
            let tier = self.entries[place].tier;
            let front = self.entries.partition_point(|entry| entry.tier < tier);
            self.entries[front..=place].rotate_right(1);
        }
        self.in_use = Some(tracker.clone());
        self.cursor = self.in_use.clone();
        self.visited.clear();
    }

    /// Moves the cursor to where a round begins: the tracker in use, or under [`Order::Bep12`] the first tier.
    pub fn begin_round(&mut self) {
        self.visited.clear();
        self.cursor = None;
    }

    /// Makes a tracker the one in use again, before it has answered an announce: its probe was answered.
    pub(crate) fn fail_back_to(&mut self, tracker: &TrackerUrl) {
        self.in_use = Some(tracker.clone());
    }

    /// Moves the cursor to a tracker of the list.
    pub(crate) fn point_at(&mut self, tracker: &TrackerUrl) {
        if self.entry(tracker).is_some() {
            self.cursor = Some(tracker.clone());
        }
    }

    /// Adds a tracker to a tier, or as a new last tier if there is no tier of that number. Changes nothing and gives
    /// `false` if the tracker is listed already, or if the torrent is private: its trackers are those of its file
    /// (BEP 27). For a private tracker that has moved there is [`replace`](Self::replace).
    pub fn add(&mut self, tier: usize, tracker: TrackerUrl) -> bool {
        let tracker = tracker.unrestricted();
        if self.private {
            return false;
        }
        if let Some(entry) = self.entry_mut(&tracker) {
            // From now on it is the torrent's own, also if it came from a list.
            entry.from_list = false;
            return false;
        }
        let tier = u32::try_from(tier).unwrap_or(u32::MAX).min(self.next_tier());
        let place = self.entries.partition_point(|entry| entry.tier <= tier);
        self.entries.insert(place, Entry::new(tracker, tier));
        true
    }

    /// Removes a tracker; `false` if it isn't listed. A cursor on it goes back to the start.
    pub fn remove(&mut self, tracker: &TrackerUrl) -> bool {
        let Some(place) = self.place(tracker) else { return false };
        let tier = self.entries.remove(place).tier;
        if self.entries.iter().all(|entry| entry.tier != tier) {
            for entry in &mut self.entries[place..] {
                entry.tier -= 1;
            }
        }
        self.forget_missing();
        true
    }

    /// Replaces all trackers. What is known of those that stay is kept, and so is the cursor if its tracker stays.
    pub fn replace<Tier: IntoIterator<Item = TrackerUrl>>(&mut self, tiers: impl IntoIterator<Item = Tier>) {
        let mut replaced = Self::new(tiers);
        let known: BTreeMap<&TrackerUrl, &Entry> =
            self.entries.iter().map(|entry| (&entry.tracker, entry)).collect();
        for entry in &mut replaced.entries {
            if let Some(known) = known.get(&entry.tracker).copied() {
                *entry = Entry { tier: entry.tier, from_list: false, ..known.clone() };
            }
        }
        self.entries = replaced.entries;
        self.forget_missing();
    }

    /// Adds the trackers of a list for all public torrents behind the torrent's own, in tiers of theirs, but for those that are
    /// listed already. Gives how many were added. A private torrent takes none of them, and loses them when it turns
    /// private (BEP 27): its trackers are those of its file.
    pub fn add_list(&mut self, list: &TrackerList) -> usize {
        if self.private {
            return 0;
        }
        let before = self.entries.len();
        let mut seen: BTreeSet<TrackerUrl> = self.trackers().cloned().collect();
        for tier in list.tiers() {
            let number = self.next_tier();
            let new = tier.iter().filter(|tracker| seen.insert((*tracker).clone()));
            self.entries
                .extend(new.map(|tracker| Entry { from_list: true, ..Entry::new(tracker.clone(), number) }));
        }
        self.entries.len() - before
    }

    /// Removes the trackers that aren't wanted. Gives how many were removed.
    pub fn remove_denied(&mut self, denied: &DenyList) -> usize {
        self.retain(|entry| !denied.denies(&entry.tracker))
    }

    /// Drops the trackers of a list.
    fn drop_listed(&mut self) {
        self.retain(|entry| !entry.from_list);
    }

    /// Keeps some trackers, and gives how many are gone.
    fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) -> usize {
        let before = self.entries.len();
        self.entries.retain(keep);
        let gone = before - self.entries.len();
        if gone > 0 {
            let mut tiers = 0;
            let mut last = None;
            for entry in &mut self.entries {
                tiers += u32::from(last.is_some_and(|last| last != entry.tier));
                last = Some(entry.tier);
                entry.tier = tiers;
            }
            self.forget_missing();
        }
        gone
    }

    /// Takes the cursor and the tracker in use off trackers that aren't in the list any more.
    fn forget_missing(&mut self) {
        let missing = |pointer: &Option<TrackerUrl>| {
            pointer.as_ref().is_some_and(|tracker| self.entry(tracker).is_none())
        };
        let (in_use, cursor) = (missing(&self.in_use), missing(&self.cursor));
        if in_use {
            self.in_use = None;
        }
        if cursor {
            self.cursor = None;
        }
    }

    /// The number of a new last tier.
    fn next_tier(&self) -> u32 {
        self.entries.last().map_or(0, |last| last.tier + 1)
    }

    /// The trackers whose schemes are supported.
    fn supported(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| self.schemes.contains(entry.tracker.scheme()))
    }

    fn entry(&self, tracker: &TrackerUrl) -> Option<&Entry> {
        self.entries.get(self.place(tracker)?)
    }

    /// The tracker of the list that has this one as its second address family.
    fn with_second(&self, tracker: &TrackerUrl) -> Option<&Entry> {
        tracker.family()?;
        let is_second = |entry: &Entry| entry.second().is_some_and(|second| second.tracker == *tracker);
        self.entries.iter().find(|entry| is_second(entry))
    }

    fn entry_mut(&mut self, tracker: &TrackerUrl) -> Option<&mut Entry> {
        let place = self.place(tracker)?;
        self.entries.get_mut(place)
    }

    /// The place of a tracker in the list. The caller nearly always has a clone of the URL in the list: to compare
    /// pointers costs half a microsecond for a thousand trackers, to compare texts ten.
    fn place(&self, tracker: &TrackerUrl) -> Option<usize> {
        let clone = self.entries.iter().position(|entry| entry.tracker.is_clone_of(tracker));
        clone.or_else(|| self.entries.iter().position(|entry| entry.tracker == *tracker))
    }
}

/// Moves one tracker before all others, if it is among them.
pub(crate) fn move_to_front(order: &mut [&TrackerUrl], front: Option<&TrackerUrl>) {
    if let Some(place) = front.and_then(|front| order.iter().position(|tracker| *tracker == front)) {
        order[..=place].rotate_right(1);
    }
}

impl Entry {
    fn new(tracker: TrackerUrl, tier: u32) -> Self {
        Self { tracker, latency: None, tier, failing: false, probing: false, from_list: false, known: None }
    }

    /// The same tracker over its other address family.
    fn second(&self) -> Option<&SecondFamily> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn url(name: &str) -> TrackerUrl {
        format!("http://{name}.test/announce").parse().unwrap()
    }

    fn set(tiers: &[&[&str]]) -> TrackerSet {
        TrackerSet::new(tiers.iter().map(|tier| tier.iter().map(|name| url(name))))
    }

    fn names<'a>(order: impl IntoIterator<Item = &'a TrackerUrl>) -> String {
        let names: Vec<_> =
            order.into_iter().map(|tracker| tracker.host().trim_end_matches(".test")).collect();
        names.join(" ")
    }

    fn layout(set: &TrackerSet) -> String {
        let tiers: Vec<String> = set.tiers().map(names).collect();
        tiers.join(" | ")
    }

    /// Walks a round as a client would and returns who was asked.
    fn walk(set: &mut TrackerSet, answers: &[&str]) -> String {
        set.begin_round();
        let mut asked = Vec::new();
        let mut next = set.current().cloned();
        while let Some(tracker) = next {
            asked.push(tracker.host().trim_end_matches(".test").to_owned());
            if answers.iter().any(|name| url(name) == tracker) {
                set.record_success(&tracker);
                break;
            }
            next = set.advance().cloned();
        }
        asked.join(" ")
    }

    /// T-1 to T-9 of the conformance notes: traces that tell BEP 12 from something like it.
    #[test]
    fn bep12_walks_as_written() {
        struct Row {
            tiers: &'static [&'static [&'static str]],
            private: bool,
            rounds: &'static [(&'static [&'static str], &'static str)],
            after: &'static str,
        }
        let rows = [
            Row {
                tiers: &[&["t1"], &["b1"], &["b2"]],
                private: false,
                rounds: &[(&["b1", "b2"], "t1 b1"), (&["t1", "b1"], "t1")],
                after: "t1 | b1 | b2",
            },
            Row {
                tiers: &[&["t1", "t2", "t3"]],
                private: false,
                rounds: &[(&["t2"], "t1 t2")],
                after: "t2 t1 t3",
            },
            Row {
                tiers: &[&["t1", "t2", "t3"]],
                private: false,
                rounds: &[(&["t2"], "t1 t2"), (&["t3"], "t2 t1 t3")],
                after: "t3 t2 t1",
            },
            Row {
                tiers: &[&["t1", "t2"], &["b1"]],
                private: false,
                rounds: &[(&["b1"], "t1 t2 b1")],
                after: "t1 t2 | b1",
            },
            Row {
                tiers: &[&["t1", "t2"]],
                private: false,
                rounds: &[(&["t2"], "t1 t2"), (&["t2"], "t2"), (&["t2"], "t2")],
                after: "t2 t1",
            },
            Row {
                tiers: &[&["t1"], &["t1", "t2"]],
                private: false,
                rounds: &[(&[], "t1 t2")],
                after: "t1 | t2",
            },
            Row {
                tiers: &[&["t1"], &["b1"]],
                private: true,
                rounds: &[(&["b1"], "t1 b1"), (&["t1", "b1"], "b1"), (&["t1"], "b1 t1")],
                after: "t1 | b1",
            },
        ];
        for row in rows {
            let set = set(row.tiers).with_order(Order::Bep12);
            let mut set = if row.private { set.private() } else { set };
            for (answers, asked) in row.rounds {
                assert_eq!(walk(&mut set, answers), *asked, "{:?}", row.tiers);
            }
            assert_eq!(layout(&set), row.after, "{:?}", row.tiers);
        }
    }

    #[test]
    fn nearest_orders_across_tiers_and_stays_on_what_works() {
        let mut set = set(&[&["a"], &["b", "c"], &["d"]]);
        assert_eq!(names(set.failover_order()), "a b c d");
        set.record_latency(&url("d"), Duration::from_millis(5));
        set.record_latency(&url("b"), Duration::from_millis(30));
        set.record_failure(&url("a"));
        assert_eq!(names(set.failover_order()), "d b c a");
        set.record_success(&url("b"));
        assert_eq!(names(set.failover_order()), "b d c a", "the nearer one doesn't pull back");
        set.record_latency(&url("a"), Duration::from_millis(1));
        assert_eq!(names(set.failover_order()), "b a d c");
    }

    /// R1 and R10: a lap visits everybody, and the next lap does so again.
    #[test]
    fn after_a_failing_lap_the_next_round_tries_all_again() {
        for order in [Order::Nearest, Order::Bep12] {
            let all: Vec<String> = (0..40).map(|n| format!("t{n}")).collect();
            let mut set = TrackerSet::new([all.iter().map(|name| url(name))]).with_order(order);
            for _ in 0..3 {
                assert_eq!(walk(&mut set, &[]), all.join(" "));
            }
            for _ in 0..3 {
                let laps = (0..40).map(|_| set.advance().is_some()).collect::<Vec<_>>();
                assert!(
                    laps[..39].iter().all(|more| *more) && !laps[39],
                    "without being told that a round begins"
                );
            }
        }
    }

    #[test]
    fn changes_at_run_time_keep_the_cursor_and_what_is_known() {
        let mut set = set(&[&["a", "b"], &["c"]]);
        set.record_latency(&url("c"), Duration::from_millis(9));
        set.record_success(&url("b"));
        assert!(set.add(1, url("d")) && set.add(7, url("e")) && !set.add(0, url("a")));
        assert_eq!((layout(&set).as_str(), set.current()), ("a b | c d | e", Some(&url("b"))));
        set.replace([vec![url("x"), url("c")], vec![url("b")]]);
        assert_eq!((layout(&set).as_str(), set.in_use()), ("x c | b", Some(&url("b"))));
        assert_eq!(set.latency(&url("c")), Some(Duration::from_millis(9)));
        assert!(set.remove(&url("b")) && !set.remove(&url("b")));
        assert_eq!((set.in_use(), set.current()), (None, Some(&url("c"))));
    }

    /// R27-02, S-30.
    #[test]
    fn a_private_torrent_takes_no_further_trackers() {
        let mut set = set(&[&["a"]]).private();
        assert!(!set.add(0, url("b")) && !set.add(1, url("c")));
        assert_eq!(layout(&set), "a");
        set.replace([[url("moved")]]);
        assert_eq!((layout(&set).as_str(), set.is_private()), ("moved", true));
    }

    /// R27-02: a list for all public torrents is none of a private one's business.
    #[test]
    fn trackers_of_a_list_go_behind_and_leave_a_private_torrent() {
        let list = |names: &[&[&str]]| {
            let tier =
                |tier: &&[&str]| tier.iter().map(|name| url(name).as_str().to_owned()).collect::<Vec<_>>();
            let tiers: Vec<String> = names.iter().map(tier).map(|tier| tier.join("\n")).collect();
            TrackerList::parse(tiers.join("\n\n"))
        };
        let listed = list(&[&["b", "x"], &["y", "x"], &["a"], &["c"]]);
        let mut set = set(&[&["a"], &["b"]]);
        assert_eq!(set.add_list(&listed), 3);
        assert_eq!((layout(&set).as_str(), set.add_list(&listed)), ("a | b | x | y | c", 0));
        set.record_success(&url("x"));
        assert!(!set.add(0, url("c")), "it is the torrent's own now");
        let private = set.clone().private();
        assert_eq!((layout(&private).as_str(), private.in_use()), ("a | b | c", None));
        let mut private = private;
        assert_eq!(private.add_list(&listed), 0);
        // A new set in the place of that of a private torrent.
        let before = private.settings();
        let mut replaced = set.clone();
        replaced.keep_settings(before, &Config::default());
        assert_eq!(layout(&replaced), "a | b | c");
        let mut denied = set.clone();
        assert_eq!(denied.remove_denied(&DenyList::from(&list(&[&["a", "y"]]))), 2);
        assert_eq!((layout(&denied).as_str(), denied.in_use()), ("b | x | c", Some(&url("x"))));
        set.replace([[url("x")]]);
        assert_eq!(layout(&set.private()), "x", "a replaced list is the torrent's own");
    }

    #[test]
    fn unsupported_trackers_stay_in_the_list_and_are_never_tried() {
        let foreign: TrackerUrl = "wss://w.test/announce".parse().unwrap();
        for order in [Order::Nearest, Order::Bep12] {
            let set = TrackerSet::new([vec![foreign.clone(), url("a")]]).with_order(order);
            assert_eq!((set.len(), names(set.failover_order()).as_str()), (2, "a"));
        }
    }

    #[test]
    fn shuffling_stays_inside_tiers_and_follows_its_seed() {
        let tiers: [&[&str]; 2] = [&["a", "b", "c", "d", "e", "f"], &["x", "y", "z"]];
        let shuffled = |seed| set(&tiers).with_order(Order::Bep12).shuffled(seed);
        assert_eq!(layout(&shuffled(7)), layout(&shuffled(7)));
        let mut firsts = BTreeMap::new();
        for seed in 0..600 {
            let set = shuffled(seed);
            assert!(set.tier_of(&url("a")) == Some(0) && set.tier_of(&url("z")) == Some(1));
            *firsts.entry(names(set.failover_order())[..1].to_owned()).or_insert(0) += 1;
        }
        assert!(firsts.len() == 6 && firsts.values().all(|count| (60..140).contains(count)), "{firsts:?}");
    }
}
