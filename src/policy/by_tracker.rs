//! What is known of some of a torrent's trackers.

use crate::tracker::TrackerUrl;

/// Values by tracker, in the order of their addresses.
///
/// A sorted list and no map, because mostly there is one value, for the tracker in use, and a map makes room for
/// eleven: that was half of the memory of an idle torrent.
#[derive(Debug, Clone)]
pub(crate) struct ByTracker<V>(Vec<(TrackerUrl, V)>);

impl<V> Default for ByTracker<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> ByTracker<V> {
    /// So many values take no more room than they need.
    const EXACT: usize = 4;

    pub(crate) fn get(&self, tracker: &TrackerUrl) -> Option<&V> {
        self.0.get(self.place(tracker).ok()?).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, tracker: &TrackerUrl) -> Option<&mut V> {
        let place = self.place(tracker).ok()?;
        self.0.get_mut(place).map(|(_, value)| value)
    }

    pub(crate) fn contains_key(&self, tracker: &TrackerUrl) -> bool {
        self.place(tracker).is_ok()
    }

    /// The value of a tracker, made where there is none.
    pub(crate) fn or_default(&mut self, tracker: &TrackerUrl) -> &mut V
    where
        V: Default,
    {
        let place =
            self.place(tracker).unwrap_or_else(|place| self.make_room(place, tracker.clone(), V::default()));
        &mut self.0[place].1
    }

    pub(crate) fn insert(&mut self, tracker: TrackerUrl, value: V) {
        match self.place(&tracker) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => {
                self.make_room(place, tracker, value);
            }
        }
    }

    pub(crate) fn remove(&mut self, tracker: &TrackerUrl) {
        if let Ok(place) = self.place(tracker) {
            self.0.remove(place);
        }
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&TrackerUrl, &V) -> bool) {
        self.0.retain(|(tracker, value)| keep(tracker, value));
    }

    /// Takes all out.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (TrackerUrl, V)> + use<V> {
        std::mem::take(&mut self.0).into_iter()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TrackerUrl, &V)> {
        self.0.iter().map(|(tracker, value)| (tracker, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    fn make_room(&mut self, place: usize, tracker: TrackerUrl, value: V) -> usize {
        if self.0.len() < Self::EXACT {
            self.0.reserve_exact(1);
        }
        self.0.insert(place, (tracker, value));
        place
    }

    /// Where a tracker stands, or where it would.
    fn place(&self, tracker: &TrackerUrl) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(tracker))
    }
}
