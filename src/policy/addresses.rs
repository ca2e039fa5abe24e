//! One copy of each announce address, however many torrents list it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::tracker::TrackerUrl;

/// The addresses of an engine's torrents as they are written, to be shared by those who list the same: ten
/// thousand torrents mostly come from a few trackers, and an address with its passkey takes 220 bytes.
///
/// Bounded by what is in use: addresses that nobody lists any more are dropped when as many have come as stayed
/// the last time.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    known: BTreeSet<Written>,
    sweep_at: usize,
}

/// Fewer than this aren't looked through.
const FEW: usize = 64;

/// An address by the letter: what is equal may be written differently, and is sent as it is written.
#[derive(Debug)]
struct Written(TrackerUrl);

impl Addresses {
    /// The copy that all share.
    pub(crate) fn shared(&mut self, tracker: &TrackerUrl) -> TrackerUrl {
        if let Some(Written(known)) = self.known.get(tracker.as_str()) {
            return known.clone();
        }
        if self.known.len() >= self.sweep_at.max(FEW) {
            self.known.retain(|Written(known)| known.is_shared());
            self.sweep_at = self.known.len() * 2;
        }
        self.known.insert(Written(tracker.clone()));
        tracker.clone()
    }
}

impl Borrow<str> for Written {
    fn borrow(&self) -> &str {
        self.0.as_str()
    }
}

impl Ord for Written {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

impl PartialOrd for Written {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Written {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Written {}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> TrackerUrl {
        text.parse().unwrap()
    }

    #[test]
    fn the_same_text_is_kept_once_and_another_for_the_same_tracker_stays_as_it_is() {
        let mut addresses = Addresses::default();
        let first = addresses.shared(&url("http://t.test/a"));
        assert!(addresses.shared(&url("http://t.test/a")).is_clone_of(&first));
        let other = addresses.shared(&url("HTTP://t.test:80/a"));
        assert_eq!((other.as_str(), &other), ("HTTP://t.test:80/a", &first));
    }

    #[test]
    fn what_nobody_lists_any_more_is_dropped() {
        let mut addresses = Addresses::default();
        let kept: Vec<_> =
            (0..100).map(|n| addresses.shared(&url(&format!("http://kept{n}.test/")))).collect();
        for number in 0..10_000 {
            addresses.shared(&url(&format!("http://gone{number}.test/")));
            assert!(addresses.known.len() <= 2 * kept.len() + FEW);
        }
        assert!(addresses.shared(&url("http://kept0.test/")).is_clone_of(&kept[0]));
    }
}
