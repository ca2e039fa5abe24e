//! Lists of trackers: whatever is in a file, limits hold, and errors give nothing away.

use std::collections::BTreeSet;

use tracker_failover::{DenyList, TrackerList, TrackerSet, TrackerUrl};

use super::check_text;

/// Reads the input as a list, and as a list of what isn't wanted.
///
/// # Panics
/// Where something does not hold.
pub fn check(input: &[u8]) {
    let list = TrackerList::parse(input);
    let unique: BTreeSet<&TrackerUrl> = list.trackers().collect();
    assert_eq!(unique.len(), list.len(), "each once");
    assert!(list.len() <= 1000 && list.errors().len() <= 100);
    assert!(list.tiers().all(|tier| !tier.is_empty()));
    let lines = input.split(|byte| *byte == b'\n').count();
    for error in list.errors() {
        assert!((1..=lines).contains(&error.line));
        check_text(&error.to_string());
    }
    // What is kept is a list again, and the same.
    let tier = |tier: &[TrackerUrl]| tier.iter().map(TrackerUrl::as_str).collect::<Vec<_>>().join("\n");
    let written = list.tiers().map(tier).collect::<Vec<_>>().join("\n\n");
    let again = TrackerList::parse(&written);
    assert!(again.errors().is_empty());
    assert!(again.tiers().eq(list.tiers()));

    let mut set = TrackerSet::default();
    assert_eq!(set.add_list(&list), list.len());
    assert!(set.clone().private().is_empty(), "a private torrent has none of them");
    let all = DenyList::from(&list);
    assert!(list.trackers().all(|tracker| all.denies(tracker)) && list.clone().without(&all).is_empty());
    let denied = DenyList::parse(input);
    assert_eq!(set.remove_denied(&denied), list.len() - list.clone().without(&denied).len());
    for error in denied.errors() {
        check_text(&error.to_string());
    }
}
