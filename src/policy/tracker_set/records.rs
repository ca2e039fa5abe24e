//! One record of what is known of each tracker, and a second one where it is announced to over both address families.

use super::TrackerSet;
use super::list::Entry;
use super::record::{Listed, SecondFamily, TrackerFailure, TrackerRecord};
use crate::policy::config::AnnounceTo;
use crate::tracker::TrackerUrl;

impl TrackerSet {
    /// What this session knows of a tracker; `None` if nothing.
    pub(crate) fn record(&self, tracker: &TrackerUrl) -> Option<&TrackerRecord> {
        if tracker.family().is_some() {
            return self.with_second(tracker)?.second().map(|second| &second.record);
        }
        self.list.get(tracker)?.record()
    }

    /// The record of a tracker, made if there is none; `None` if the tracker isn't in the list.
    pub(crate) fn record_mut(&mut self, tracker: &TrackerUrl) -> Option<&mut TrackerRecord> {
        if tracker.family().is_some() {
            let seconds = self.list.iter_mut().filter_map(|entry| entry.known.as_mut()?.second.as_mut());
            let mut seconds = seconds.filter(|second| second.tracker == *tracker);
            return seconds.next().map(|second| &mut second.record);
        }
        Some(&mut self.list.get_mut(tracker)?.known.get_or_insert_default().record)
    }

    /// All trackers of which this session knows something, second address families included.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&TrackerUrl, &TrackerRecord)> {
        self.list.iter().filter_map(|entry| Some((entry.tracker(), entry.known.as_deref()?))).flat_map(
            |(tracker, known)| {
                let second = known.second.as_deref().map(|second| (&second.tracker, &second.record));
                std::iter::once((tracker, &known.record)).chain(second)
            },
        )
    }

    /// The same records, to change them.
    pub(crate) fn records_mut(&mut self) -> impl Iterator<Item = (&TrackerUrl, &mut TrackerRecord)> {
        self.list
            .iter_mut()
            .map(Entry::split_mut)
            .filter_map(|(tracker, known)| Some((tracker, known?)))
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
        if let Some(entry) = self.list.get_mut(tracker) {
            let known = entry.known.get_or_insert_default();
            let record = known.second.take().map(|known| known.record).unwrap_or_default();
            known.second = Some(Box::new(SecondFamily { tracker: second, record }));
        }
    }

    /// The same tracker over its other address family, if it is announced to over both.
    pub(crate) fn second_family_of(&self, tracker: &TrackerUrl) -> Option<&TrackerUrl> {
        let second = self.list.get(tracker).filter(|_| self.asks_second_families())?.second()?;
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
        self.supported().map(|entry| (entry.tracker(), entry.record()))
    }

    /// The last failure of a tracker, if it hasn't answered since.
    pub(crate) fn failure(&self, tracker: &TrackerUrl) -> Option<&TrackerFailure> {
        self.record(tracker)?.failure.as_deref()
    }

    /// The tracker of the list that has this one as its second address family.
    pub(super) fn with_second(&self, tracker: &TrackerUrl) -> Option<&Entry> {
        tracker.family()?;
        let is_second = |entry: &Entry| entry.second().is_some_and(|second| second.tracker == *tracker);
        self.list.iter().find(|entry| is_second(entry))
    }
}
