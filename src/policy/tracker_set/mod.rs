//! The trackers of one torrent, and the order in which they are announced to.

mod answers;
mod cursor;
mod hint;
mod list;
mod record;
mod records;
mod registration;
mod settings;
#[cfg(feature = "serde")]
mod stored;
#[cfg(test)]
mod tests;

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

pub(crate) use self::answers::{Answers, Yield};
use self::cursor::Cursor;
use self::list::{Entry, List};
pub(crate) use self::record::{Listed, TrackerFailure, TrackerRecord};
pub(crate) use self::registration::Registration;
use self::settings::SetSettings;
use super::config::{AnnounceTo, Config, Order};
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
    list: List,
    settings: SetSettings,
    cursor: Cursor,
}

impl TrackerSet {
    /// The tiers as a torrent lists them. A tracker that is listed twice keeps its first place, and empty tiers are
    /// dropped. Trackers with an unsupported scheme stay in the list and are never tried.
    pub fn new<Tier: IntoIterator<Item = TrackerUrl>>(tiers: impl IntoIterator<Item = Tier>) -> Self {
        Self { list: List::new(tiers), ..Self::default() }
    }

    /// The same trackers with this order, in place of [`Config::order`].
    #[must_use]
    pub fn with_order(mut self, order: Order) -> Self {
        self.settings.order = Some(order);
        self
    }

    /// The same trackers, registered at as many of them, in place of [`Config::announce_to`].
    #[must_use]
    pub fn with_announce_to(mut self, announce_to: AnnounceTo) -> Self {
        self.settings.announce_to = Some(announce_to);
        self
    }

    /// The same trackers for a private torrent: [`Order::Bep12`] and one tracker at a time, the one in use first
    /// until it fails (BEP 27). Those of a list for public torrents are dropped ([`add_list`](Self::add_list)).
    #[must_use]
    pub fn private(mut self) -> Self {
        self.settings.private = true;
        self.drop_listed();
        self
    }

    /// The same trackers with each tier shuffled (BEP 12). The same seed gives the same order.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Self {
        self.list.shuffle(&mut StdRng::seed_from_u64(seed));
        self.settings.shuffled = true;
        self
    }

    /// What the set says beside its trackers.
    pub(crate) fn settings(&self) -> SetSettings {
        self.settings
    }

    /// Takes over what a change of the set has left open: a new set in place of this one says nothing of it. A private
    /// torrent stays private.
    pub(crate) fn keep_settings(&mut self, before: SetSettings, config: &Config) {
        self.settings.keep(before, config);
        if self.settings.private {
            self.drop_listed();
        }
    }

    /// Prepares the set for a session: takes from the configuration what the caller left open, and drops what an
    /// earlier session knew.
    pub(crate) fn prepare(&mut self, config: &Config, seed: u64) {
        self.settings.prepare(config);
        for entry in self.list.iter_mut() {
            (entry.probing, entry.known) = (false, None);
        }
        if self.order() == Order::Bep12 && config.shuffle && !self.settings.shuffled {
            *self = std::mem::take(self).shuffled(seed);
        }
    }

    /// Replaces each URL by the copy that all torrents share.
    pub(crate) fn share(&mut self, urls: &mut UrlInterner) {
        self.list.share(urls);
        self.cursor.share(urls);
    }

    /// Whether these are the trackers of a private torrent.
    pub fn is_private(&self) -> bool {
        self.settings.private
    }

    /// The order in force.
    pub fn order(&self) -> Order {
        self.settings.order()
    }

    /// How many trackers a torrent with this set is registered at.
    pub fn announce_to(&self) -> AnnounceTo {
        self.settings.announce_to()
    }

    /// How many trackers there are, unsupported ones included.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no tracker.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The tiers in their present order: under [`Order::Bep12`] a tracker that answers moves to the front of its
    /// tier.
    pub fn tiers(&self) -> impl Iterator<Item = impl Iterator<Item = &TrackerUrl>> {
        self.list.tiers()
    }

    /// All trackers, tier by tier.
    pub fn trackers(&self) -> impl Iterator<Item = &TrackerUrl> {
        self.list.iter().map(Entry::tracker)
    }

    /// The tier of a tracker, counted from 0.
    pub fn tier_of(&self, tracker: &TrackerUrl) -> Option<usize> {
        self.list.get(tracker).or_else(|| self.with_second(tracker)).map(Entry::tier)
    }

    /// The measured latency of a tracker.
    pub fn latency(&self, tracker: &TrackerUrl) -> Option<Duration> {
        self.list.get(tracker)?.latency()
    }

    /// Whether a tracker can be announced to: its scheme is supported here.
    pub fn is_supported(&self, tracker: &TrackerUrl) -> bool {
        self.settings.schemes.contains(tracker.scheme())
    }

    /// Whether anything is known of any tracker: a latency, a failure, an answer.
    pub(crate) fn is_known(&self) -> bool {
        self.in_use().is_some() || self.list.iter().any(|entry| entry.latency().is_some() || entry.failing)
    }

    /// Whether any tracker is known to answer.
    pub(crate) fn has_answer(&self) -> bool {
        self.in_use().is_some() || self.list.iter().any(|entry| entry.latency().is_some() && !entry.failing)
    }

    /// Fills in latencies that are known of hosts, for trackers that were neither measured nor found failing, and
    /// lists those that stay unknown. Trackers that are being probed are left out.
    pub(crate) fn recall_latencies(
        &mut self,
        known: impl Fn(&TrackerUrl) -> Option<Duration>,
    ) -> Vec<TrackerUrl> {
        let schemes = self.settings.schemes;
        let supported = self.list.iter_mut().filter(|entry| schemes.contains(entry.tracker().scheme()));
        let mut unknown = Vec::new();
        for entry in supported.filter(|entry| entry.latency().is_none() && !entry.failing && !entry.probing) {
            entry.set_latency(known(entry.tracker()));
            if entry.latency().is_none() {
                unknown.push(entry.tracker().clone());
            }
        }
        unknown
    }

    /// Notes whether a tracker is being probed. Gives whether it was before.
    pub(crate) fn set_probing(&mut self, tracker: &TrackerUrl, probing: bool) -> bool {
        self.list.get_mut(tracker).is_some_and(|entry| std::mem::replace(&mut entry.probing, probing))
    }

    /// Notes that no probe is awaited any more.
    pub(crate) fn end_probes(&mut self) {
        for entry in self.list.iter_mut() {
            entry.probing = false;
        }
    }

    /// Whether a tracker is being probed.
    pub(crate) fn is_probing(&self, tracker: &TrackerUrl) -> bool {
        self.list.get(tracker).is_some_and(|entry| entry.probing)
    }

    /// Whether any tracker is being probed.
    pub(crate) fn is_any_probing(&self) -> bool {
        self.list.iter().any(|entry| entry.probing)
    }

    /// The trackers that can be announced to, tier by tier.
    pub(crate) fn supported_trackers(&self) -> impl Iterator<Item = &TrackerUrl> {
        self.supported().map(Entry::tracker)
    }

    /// Whether the last probe of or announce to a tracker failed.
    pub fn is_failing(&self, tracker: &TrackerUrl) -> bool {
        if tracker.family().is_some() {
            return self.failure(tracker).is_some();
        }
        self.list.get(tracker).is_some_and(|entry| entry.failing)
    }

    /// The tracker that answered last.
    pub fn in_use(&self) -> Option<&TrackerUrl> {
        self.cursor.in_use()
    }

    /// The same as the list holds it, so that it can be compared by address.
    pub(crate) fn listed_in_use(&self) -> Option<&TrackerUrl> {
        self.list.get(self.in_use()?).map(Entry::tracker)
    }

    /// The tracker to announce to: where the cursor is, else the first of the order.
    pub fn current(&self) -> Option<&TrackerUrl> {
        self.cursor.at().or_else(|| self.failover_order().first().copied())
    }

    /// The tracker that the cursor is on, if it was moved in this round.
    pub(crate) fn pointed_at(&self) -> Option<&TrackerUrl> {
        self.cursor.at()
    }

    /// Moves the cursor to the next tracker in failover order, and gives it. `None` after the last one: the lap is
    /// over, and the cursor is at the start again, so that the next round tries all of them (R1). What becomes known
    /// meanwhile changes the order of those that remain; no tracker is visited twice in a lap.
    pub fn advance(&mut self) -> Option<&TrackerUrl> {
        self.cursor.leave(self.current().cloned());
        let mut order = self.failover_order().into_iter();
        let next = order.find(|tracker| !self.cursor.has_left(tracker)).cloned();
        self.cursor.go_on(next);
        self.cursor.at()
    }

    /// All trackers that can be announced to, in the order in which they are tried.
    ///
    /// Under [`Order::Nearest`] the one in use comes first, then those that answer, by latency, then unmeasured ones
    /// in list order, and failing ones last. Under [`Order::Bep12`] it is tier by tier; for a private torrent the one
    /// in use comes first.
    pub fn failover_order(&self) -> Vec<&TrackerUrl> {
        let mut order: Vec<&Entry> = self.supported().collect();
        if self.order() == Order::Nearest {
            order.sort_by_key(|entry| entry.nearness());
        }
        let mut order: Vec<&TrackerUrl> = order.into_iter().map(Entry::tracker).collect();
        if self.order() == Order::Nearest || self.is_private() {
            move_to_front(&mut order, self.in_use());
        }
        order
    }

    /// Notes how long a tracker took to answer, which shows that it is alive.
    pub fn record_latency(&mut self, tracker: &TrackerUrl, latency: Duration) {
        if let Some(entry) = self.list.get_mut(tracker) {
            entry.set_latency(Some(latency));
            entry.failing = false;
        }
    }

    /// Notes that a tracker failed: under [`Order::Nearest`] it comes after those that don't. The cursor stays on it
    /// until [`advance`](Self::advance) or [`begin_round`](Self::begin_round).
    pub fn record_failure(&mut self, tracker: &TrackerUrl) {
        if self.current() == Some(tracker) {
            self.cursor.point_at(tracker);
        }
        if let Some(entry) = self.list.get_mut(tracker) {
            entry.failing = true;
        }
    }

    /// Notes that a tracker answered an announce: it is the one in use now, and under [`Order::Bep12`] it moves to
    /// the front of its tier.
    pub fn record_success(&mut self, tracker: &TrackerUrl) {
        let Some(entry) = self.list.get_mut(tracker) else { return };
        entry.failing = false;
        if self.order() == Order::Bep12 {
            self.list.move_to_front(tracker);
        }
        self.cursor.stay_at(tracker);
    }

    /// Moves the cursor to where a round begins: the tracker in use, or under [`Order::Bep12`] the first tier.
    pub fn begin_round(&mut self) {
        self.cursor.begin_round();
    }

    /// Makes a tracker the one in use again, before it has answered an announce: its probe was answered.
    pub(crate) fn fail_back_to(&mut self, tracker: &TrackerUrl) {
        self.cursor.use_again(tracker);
    }

    /// Moves the cursor to a tracker of the list.
    pub(crate) fn point_at(&mut self, tracker: &TrackerUrl) {
        if self.list.get(tracker).is_some() {
            self.cursor.point_at(tracker);
        }
    }

    /// Adds a tracker to a tier, or as a new last tier if there is no tier of that number. Changes nothing and gives
    /// `false` if the tracker is listed already, or if the torrent is private: its trackers are those of its file
    /// (BEP 27). For a private tracker that has moved there is [`replace`](Self::replace).
    pub fn add(&mut self, tier: usize, tracker: TrackerUrl) -> bool {
        !self.is_private() && self.list.add(tier, tracker.unrestricted())
    }

    /// Removes a tracker; `false` if it isn't listed. A cursor on it goes back to the start.
    pub fn remove(&mut self, tracker: &TrackerUrl) -> bool {
        let is_removed = self.list.remove(tracker);
        if is_removed {
            self.forget_missing();
        }
        is_removed
    }

    /// Replaces all trackers. What is known of those that stay is kept, and so is the cursor if its tracker stays.
    pub fn replace<Tier: IntoIterator<Item = TrackerUrl>>(&mut self, tiers: impl IntoIterator<Item = Tier>) {
        self.list.replace(tiers);
        self.forget_missing();
    }

    /// Adds the trackers of a list for all public torrents behind the torrent's own, in tiers of theirs, but for those that are
    /// listed already. Gives how many were added. A private torrent takes none of them, and loses them when it turns
    /// private (BEP 27): its trackers are those of its file.
    pub fn add_list(&mut self, list: &TrackerList) -> usize {
        if self.is_private() { 0 } else { self.list.add_list(list) }
    }

    /// Removes the trackers that aren't wanted. Gives how many were removed.
    pub fn remove_denied(&mut self, denied: &DenyList) -> usize {
        let removed = self.list.remove_denied(denied);
        if removed > 0 {
            self.forget_missing();
        }
        removed
    }

    /// Drops the trackers of a list.
    fn drop_listed(&mut self) {
        if self.list.remove_listed() > 0 {
            self.forget_missing();
        }
    }

    /// Takes the cursor and the tracker in use off trackers that aren't in the list any more.
    fn forget_missing(&mut self) {
        self.cursor.keep(|tracker| self.list.get(tracker).is_some());
    }

    /// The trackers whose schemes are supported.
    fn supported(&self) -> impl Iterator<Item = &Entry> {
        self.list.iter().filter(|entry| self.is_supported(entry.tracker()))
    }
}

/// Moves one tracker before all others, if it is among them.
pub(crate) fn move_to_front(order: &mut [&TrackerUrl], front: Option<&TrackerUrl>) {
    if let Some(place) = front.and_then(|front| order.iter().position(|tracker| *tracker == front)) {
        order[..=place].rotate_right(1);
    }
}
