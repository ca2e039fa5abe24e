//! One copy of each announce URL, however many torrents list it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::tracker::TrackerUrl;

/// The announce URLs of an engine's torrents, shared by the torrents that list the same one. Ten thousand torrents
/// mostly use a few trackers, and a URL with its passkey takes 220 bytes.
///
/// Bounded by what is in use: URLs that no torrent lists any more are dropped once the interner has doubled since the
/// last sweep.
#[derive(Debug, Default)]
pub(crate) struct UrlInterner {
    /// One copy of each URL.
    known: BTreeSet<ByText>,
    /// The number of URLs at which those that no torrent lists any more are dropped.
    sweep_at: usize,
}

/// Below this many URLs none is dropped: a sweep isn't worth it.
const FEW: usize = 64;

/// A URL compared by its text and its address family: equal URLs may be written differently, and each is sent as it is
/// written.
#[derive(Debug)]
struct ByText(TrackerUrl);

impl UrlInterner {
    /// The shared copy of a URL.
    pub(crate) fn shared(&mut self, tracker: &TrackerUrl) -> TrackerUrl {
        if let Some(ByText(known)) = self.known.get(&ByText(tracker.clone())) {
            return known.clone();
        }
        // Swept when the number has doubled, so that a sweep costs each URL a constant.
        if self.known.len() >= self.sweep_at.max(FEW) {
            self.known.retain(|ByText(known)| known.is_shared());
            self.sweep_at = self.known.len() * 2;
        }
        self.known.insert(ByText(tracker.clone()));
        tracker.clone()
    }
}

impl Ord for ByText {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.as_str(), self.0.family()).cmp(&(other.0.as_str(), other.0.family()))
    }
}

impl PartialOrd for ByText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByText {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByText {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::AddressFamily;

    fn url(text: &str) -> TrackerUrl {
        text.parse().unwrap()
    }

    #[test]
    fn the_same_text_is_kept_once_and_another_for_the_same_tracker_stays_as_it_is() {
        let mut urls = UrlInterner::default();
        let first = urls.shared(&url("http://t.test/a"));
        assert!(urls.shared(&url("http://t.test/a")).is_clone_of(&first));
        let other = urls.shared(&url("HTTP://t.test:80/a"));
        assert_eq!((other.as_str(), &other), ("HTTP://t.test:80/a", &first));
        let over_ipv6 = first.over(AddressFamily::Ipv6);
        assert!(urls.shared(&over_ipv6).is_clone_of(&over_ipv6), "of one family is another one");
        assert!(urls.shared(&first.over(AddressFamily::Ipv6)).is_clone_of(&over_ipv6));
    }

    #[test]
    fn urls_that_no_torrent_lists_any_more_are_dropped() {
        let mut urls = UrlInterner::default();
        let kept: Vec<_> = (0..100).map(|n| urls.shared(&url(&format!("http://kept{n}.test/")))).collect();
        for number in 0..10_000 {
            urls.shared(&url(&format!("http://gone{number}.test/")));
            assert!(urls.known.len() <= 2 * kept.len() + FEW);
        }
        assert!(urls.shared(&url("http://kept0.test/")).is_clone_of(&kept[0]));
    }
}
