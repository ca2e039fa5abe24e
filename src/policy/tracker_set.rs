//! The trackers of one torrent: their tiers, the cursor, and the order of failover.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::addresses::Addresses;
use super::config::{Config, Order, Schemes};
use crate::tracker::TrackerUrl;

/// The tiers of a torrent's trackers and a cursor on the one to be asked.
///
/// A plain value: it decides who is next, and asks nobody. [`current`](Self::current) is the tracker an
/// announce goes to, [`advance`](Self::advance) moves on when it failed, and
/// [`failover_order`](Self::failover_order) is everybody in the order in which they would be tried.
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
    /// Tier by tier.
    entries: Vec<Entry>,
    order: Option<Order>,
    schemes: Schemes,
    private: bool,
    shuffled: bool,
    latency_in_tiers: bool,
    in_use: Option<TrackerUrl>,
    cursor: Option<TrackerUrl>,
    /// Where the cursor has been in this lap.
    visited: Vec<TrackerUrl>,
}

/// Larger ones are no measurement, and would overflow where they are compared.
const MAX_LATENCY: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    tracker: TrackerUrl,
    latency: Option<Duration>,
    /// Counted from 0, without gaps.
    tier: u32,
    failing: bool,
}

impl TrackerSet {
    /// The tiers as a torrent lists them. A tracker that stands there twice keeps its first place, and empty
    /// tiers vanish. Addresses of schemes that aren't spoken stay in the list, and are never tried.
    pub fn new<Tier: IntoIterator<Item = TrackerUrl>>(tiers: impl IntoIterator<Item = Tier>) -> Self {
        let mut set = Self { latency_in_tiers: true, ..Self::default() };
        // Lists of thousands are met, so each address is looked for once (S-19).
        let mut seen = BTreeSet::new();
        for tier in tiers {
            let number = set.next_tier();
            let new = tier.into_iter().filter(|tracker| seen.insert(tracker.clone()));
            set.entries.extend(new.map(|tracker| Entry::new(tracker, number)));
        }
        set.entries.shrink_to_fit();
        set
    }

    /// The same trackers in this order, whatever the configuration says.
    #[must_use]
    pub fn with_order(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// The same trackers for a private torrent: [`Order::Bep12`] and one tracker at a time, the one in use first
    /// until it fails (BEP 27).
    #[must_use]
    pub fn with_private(mut self, private: bool) -> Self {
        self.private = private;
        self
    }

    /// Each tier shuffled by itself, once, when it is first read (BEP 12). The same seed gives the same order.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        for tier in self.entries.chunk_by_mut(Entry::is_beside) {
            tier.shuffle(&mut random);
        }
        self.shuffled = true;
        self
    }

    /// Makes the set ready for a session: what the caller left open is as the configuration has it.
    pub(crate) fn prepare(&mut self, config: &Config, seed: u64) {
        self.schemes = config.schemes;
        self.order.get_or_insert(config.order);
        self.latency_in_tiers = config.latency_in_tiers;
        if self.order() == Order::Bep12 && config.shuffle && !self.shuffled {
            *self = std::mem::take(self).shuffled(seed);
        }
    }

    /// Puts clones of shared addresses in the place of equal ones.
    pub(crate) fn share(&mut self, addresses: &mut Addresses) {
        for entry in &mut self.entries {
            entry.tracker = addresses.shared(&entry.tracker);
        }
        for pointer in [&mut self.in_use, &mut self.cursor].into_iter().flatten() {
            *pointer = addresses.shared(pointer);
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

    /// How many trackers there are, unsupported ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The tiers in their present order: a success moves to the front of its tier under [`Order::Bep12`].
    pub fn tiers(&self) -> impl Iterator<Item = impl Iterator<Item = &TrackerUrl>> {
        self.entries.chunk_by(Entry::is_beside).map(|tier| tier.iter().map(|entry| &entry.tracker))
    }

    /// All trackers, tier by tier.
    pub fn trackers(&self) -> impl Iterator<Item = &TrackerUrl> {
        self.entries.iter().map(|entry| &entry.tracker)
    }

    /// The tier a tracker stands in, counted from 0.
    pub fn tier_of(&self, tracker: &TrackerUrl) -> Option<usize> {
        self.entry(tracker).map(|entry| entry.tier as usize)
    }

    /// The measured latency of a tracker.
    pub fn latency(&self, tracker: &TrackerUrl) -> Option<Duration> {
        self.entry(tracker).and_then(|entry| entry.latency)
    }

    /// Whether a tracker can be asked: its scheme is spoken here.
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

    /// Takes over what is known of trackers that can be asked and were never heard or blamed.
    pub(crate) fn recall_latencies(&mut self, known: impl Fn(&TrackerUrl) -> Option<Duration>) {
        let schemes = self.schemes;
        let unknown = self.entries.iter_mut().filter(|entry| schemes.contains(entry.tracker.scheme()));
        for entry in unknown.filter(|entry| entry.latency.is_none() && !entry.failing) {
            entry.latency = known(&entry.tracker);
        }
    }

    /// The trackers that can be asked and were never heard or blamed.
    pub(crate) fn unknown_trackers(&self) -> impl Iterator<Item = &TrackerUrl> {
        let unknown = self.supported().filter(|entry| entry.latency.is_none() && !entry.failing);
        unknown.map(|entry| &entry.tracker)
    }

    /// The trackers that can be asked, tier by tier.
    pub(crate) fn supported_trackers(&self) -> impl Iterator<Item = &TrackerUrl> {
        self.supported().map(|entry| &entry.tracker)
    }

    /// Whether the last probe of or announce to a tracker failed.
    pub fn is_failing(&self, tracker: &TrackerUrl) -> bool {
        self.entry(tracker).is_some_and(|entry| entry.failing)
    }

    /// The tracker that answered last.
    pub fn in_use(&self) -> Option<&TrackerUrl> {
        self.in_use.as_ref()
    }

    /// The tracker to be asked: where the cursor stands, else the first of the order.
    pub fn current(&self) -> Option<&TrackerUrl> {
        self.cursor.as_ref().or_else(|| self.failover_order().first().copied())
    }

    /// Where the cursor stands.
    pub(crate) fn pointed_at(&self) -> Option<&TrackerUrl> {
        self.cursor.as_ref()
    }

    /// Moves the cursor to the next tracker in failover order, and gives it. `None` after the last one: the lap
    /// is over, and the cursor stands at the start again, so the next round tries them all. What becomes known
    /// meanwhile changes the order of those still to come; nobody is visited twice in a lap.
    pub fn advance(&mut self) -> Option<&TrackerUrl> {
        self.visited.extend(self.current().cloned());
        let mut order = self.failover_order().into_iter();
        self.cursor = order.find(|tracker| !self.visited.contains(tracker)).cloned();
        if self.cursor.is_none() {
            self.visited.clear();
        }
        self.cursor.as_ref()
    }

    /// All trackers that can be asked, in the order in which they would be tried.
    ///
    /// Under [`Order::Nearest`] the one in use comes first, then those that answer, by latency, unmeasured ones
    /// after them in list order, and failing ones last. Under [`Order::Bep12`] it is tier by tier; for a private
    /// torrent with the one in use before all.
    pub fn failover_order(&self) -> Vec<&TrackerUrl> {
        self.order_entries_by(Entry::rank, true).into_iter().map(|entry| &entry.tracker).collect()
    }

    /// The order of failover where this is known of the trackers: least first under [`Order::Nearest`], but the one
    /// in use before all where it `stays`. Under [`Order::Bep12`] the tiers stand as they are.
    pub(crate) fn order_by<R: Ord>(&self, rank: impl Fn(&TrackerUrl) -> R, stays: bool) -> Vec<&TrackerUrl> {
        let order = self.order_entries_by(|entry| rank(&entry.tracker), stays);
        order.into_iter().map(|entry| &entry.tracker).collect()
    }

    fn order_entries_by<R: Ord>(&self, rank: impl Fn(&Entry) -> R, stays: bool) -> Vec<&Entry> {
        let mut order: Vec<&Entry> = match self.order() {
            Order::Nearest => self.supported().collect(),
            Order::Bep12 => self.bep12_order().collect(),
        };
        if self.order() == Order::Nearest {
            order.sort_by_cached_key(|entry| rank(entry));
        }
        let front = self.front(stays);
        if let Some(place) =
            front.and_then(|front| order.iter().position(|entry| std::ptr::eq(*entry, front)))
        {
            order[..=place].rotate_right(1);
        }
        order
    }

    /// The first tracker of [`order_by`](Self::order_by) that `may` be taken, for much less than the whole order
    /// costs: of it, a regular announce needs the first, which is the one in use.
    pub(crate) fn first_by<R: Ord>(
        &self,
        rank: impl Fn(&TrackerUrl) -> R,
        stays: bool,
        may: impl Fn(&TrackerUrl) -> bool,
    ) -> Option<&TrackerUrl> {
        let front = self.front(stays).map(|entry| &entry.tracker);
        front.filter(|front| self.is_supported(front) && may(front)).or_else(|| match self.order() {
            Order::Nearest => {
                self.supported_trackers().filter(|tracker| may(tracker)).min_by_key(|tracker| rank(tracker))
            }
            Order::Bep12 => self.bep12_order().map(|entry| &entry.tracker).find(|tracker| may(tracker)),
        })
    }

    /// The tracker that stands before all others: the one in use, unless every round starts at the first tier.
    fn front(&self, stays: bool) -> Option<&Entry> {
        let sticky = (self.order() == Order::Nearest && stays) || self.private;
        self.in_use().filter(|_| sticky).and_then(|in_use| self.entry(in_use))
    }

    fn bep12_order(&self) -> impl Iterator<Item = &Entry> {
        self.entries.chunk_by(Entry::is_beside).flat_map(|tier| self.tier_order(tier))
    }

    /// Notes how long a tracker took to answer; it counts as alive.
    pub fn record_latency(&mut self, tracker: &TrackerUrl, latency: Duration) {
        if let Some(entry) = self.entry_mut(tracker) {
            entry.latency = Some(latency.min(MAX_LATENCY));
            entry.failing = false;
        }
    }

    /// Notes that a tracker failed: it goes behind those that don't, under [`Order::Nearest`]. The cursor stays
    /// on it until [`advance`](Self::advance) or [`begin_round`](Self::begin_round).
    pub fn record_failure(&mut self, tracker: &TrackerUrl) {
        if self.current() == Some(tracker) {
            self.cursor = Some(tracker.clone());
        }
        if let Some(entry) = self.entry_mut(tracker) {
            entry.failing = true;
        }
    }

    /// Notes a good answer to an announce: this tracker is the one in use now, and under [`Order::Bep12`] it
    /// moves to the front of its tier.
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

    /// Puts the cursor where a round begins: at the tracker in use, or at the first tier where BEP 12 says so.
    pub fn begin_round(&mut self) {
        self.visited.clear();
        self.cursor = None;
    }

    /// Makes a tracker the one in use again, before it has answered.
    pub(crate) fn return_to(&mut self, tracker: &TrackerUrl) {
        self.in_use = Some(tracker.clone());
    }

    /// Puts the cursor on a tracker of the set.
    pub(crate) fn point_at(&mut self, tracker: &TrackerUrl) {
        if self.entry(tracker).is_some() {
            self.cursor = Some(tracker.clone());
        }
    }

    /// Adds a tracker to a tier, or as a new last tier where there is none of that number. False where it is
    /// there already, or where the torrent is private and its trackers are those of its file (BEP 27); that
    /// changes nothing. For a private tracker that has moved there is [`replace`](Self::replace).
    pub fn add(&mut self, tier: usize, tracker: TrackerUrl) -> bool {
        if self.private || self.entry(&tracker).is_some() {
            return false;
        }
        let tier = u32::try_from(tier).unwrap_or(u32::MAX).min(self.next_tier());
        let place = self.entries.partition_point(|entry| entry.tier <= tier);
        self.entries.insert(place, Entry::new(tracker, tier));
        true
    }

    /// Removes a tracker. False where it isn't there. A cursor on it goes back to the start.
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

    /// Replaces all trackers. Those that stay keep what is known of them, and the cursor stays where it is as
    /// long as its tracker does.
    pub fn replace<Tier: IntoIterator<Item = TrackerUrl>>(&mut self, tiers: impl IntoIterator<Item = Tier>) {
        let mut replaced = Self::new(tiers);
        let known: BTreeMap<&TrackerUrl, &Entry> =
            self.entries.iter().map(|entry| (&entry.tracker, entry)).collect();
        for entry in &mut replaced.entries {
            if let Some(known) = known.get(&entry.tracker).copied() {
                *entry = Entry { tier: entry.tier, ..known.clone() };
            }
        }
        self.entries = replaced.entries;
        self.forget_missing();
    }

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

    /// The number of a tier behind the last.
    fn next_tier(&self) -> u32 {
        self.entries.last().map_or(0, |last| last.tier + 1)
    }

    fn supported(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| self.schemes.contains(entry.tracker.scheme()))
    }

    fn entry(&self, tracker: &TrackerUrl) -> Option<&Entry> {
        self.entries.get(self.place(tracker)?)
    }

    fn entry_mut(&mut self, tracker: &TrackerUrl) -> Option<&mut Entry> {
        let place = self.place(tracker)?;
        self.entries.get_mut(place)
    }

    /// Whoever asks has nearly always a clone of the address that stands here. To look for that first costs a
    /// thousand trackers half a microsecond, where comparing their texts costs ten.
    fn place(&self, tracker: &TrackerUrl) -> Option<usize> {
        let clone = self.entries.iter().position(|entry| entry.tracker.is_clone_of(tracker));
        clone.or_else(|| self.entries.iter().position(|entry| entry.tracker == *tracker))
    }

    /// A tier front to back; the front is BEP 12's and stays, the measured ones behind it may change places
    /// among themselves where one is clearly faster, so that a second try is a quick one.
    fn tier_order<'a>(&self, tier: &'a [Entry]) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let mut entries: Vec<&Entry> =
            tier.iter().filter(|entry| self.schemes.contains(entry.tracker.scheme())).collect();
        if self.latency_in_tiers && !self.private {
            let measured: Vec<usize> =
                (1..entries.len()).filter(|place| entries[*place].latency.is_some()).collect();
            for (index, place) in measured.iter().enumerate() {
                for later in &measured[index + 1..] {
                    if entries[*later].clearly_faster_than(entries[*place]) {
                        entries.swap(*place, *later);
                    }
                }
            }
        }
        entries.into_iter()
    }
}

impl Entry {
    fn new(tracker: TrackerUrl, tier: u32) -> Self {
        Self { tracker, latency: None, tier, failing: false }
    }

    /// Whether both stand in one tier.
    fn is_beside(&self, other: &Self) -> bool {
        self.tier == other.tier
    }

    fn rank(&self) -> (bool, bool, Option<Duration>) {
        (self.failing, self.latency.is_none(), self.latency)
    }

    /// Half the latency, and at least 100 ms less: anything smaller is noise and would make the order flap.
    fn clearly_faster_than(&self, other: &Self) -> bool {
        match (self.latency, other.latency) {
            (Some(own), Some(others)) => own * 2 <= others && own + Duration::from_millis(100) <= others,
            _ => false,
        }
    }
}

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
            let mut set = set(row.tiers).with_order(Order::Bep12).with_private(row.private);
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
        let mut set = set(&[&["a"]]).with_private(true);
        assert!(!set.add(0, url("b")) && !set.add(1, url("c")));
        assert_eq!(layout(&set), "a");
        set.replace([[url("moved")]]);
        assert_eq!((layout(&set).as_str(), set.is_private()), ("moved", true));
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

    #[test]
    fn a_clearly_faster_spare_goes_second_and_the_front_stays() {
        let mut set = set(&[&["front", "slow", "unmeasured", "fast"]]).with_order(Order::Bep12);
        set.record_latency(&url("front"), Duration::from_secs(3));
        set.record_latency(&url("slow"), Duration::from_millis(350));
        set.record_latency(&url("fast"), Duration::from_millis(300));
        assert_eq!(names(set.failover_order()), "front slow unmeasured fast", "too small a gain");
        set.record_latency(&url("fast"), Duration::from_millis(20));
        assert_eq!(names(set.failover_order()), "front fast unmeasured slow");
        assert_eq!(names(set.clone().with_private(true).failover_order()), "front slow unmeasured fast");
        set.latency_in_tiers = false;
        assert_eq!(names(set.failover_order()), "front slow unmeasured fast");
    }
}
