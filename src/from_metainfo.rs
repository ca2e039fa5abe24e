//! The conversion of a torrent file into a [`TrackerSet`]: the only place where `wire` and `policy` meet.

use crate::policy::TrackerSet;
use crate::wire::metainfo::Metainfo;

/// The trackers of a torrent file, private if the torrent is.
///
/// The flag is easily forgotten, and the trackers of a private torrent are announced to in another way (BEP 27).
///
/// ```
/// use tracker_failover::{Metainfo, TrackerSet};
///
/// let file = b"d8:announce22:http://t.test/announce4:infod6:lengthi5e4:name1:x12:piece lengthi16384e\
///     6:pieces20:aaaaaaaaaaaaaaaaaaaa7:privatei1eee";
/// let trackers = TrackerSet::from(&Metainfo::parse(file)?);
/// assert!(trackers.len() == 1 && trackers.is_private());
/// # Ok::<(), tracker_failover::MetainfoError>(())
/// ```
impl From<&Metainfo> for TrackerSet {
    fn from(metainfo: &Metainfo) -> Self {
        let set = Self::new(metainfo.announce_tiers().to_vec());
        if metainfo.is_private() { set.private() } else { set }
    }
}
