//! From a torrent file to the trackers of its torrent: the one place where `wire` and `policy` meet.

use crate::policy::TrackerSet;
use crate::wire::metainfo::Metainfo;

/// The trackers of a torrent file, private where the torrent is.
///
/// Worth a conversion because the flag is easily forgotten, and a private torrent's trackers are asked in another
/// way (BEP 27).
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
        Self::new(metainfo.announce_tiers().to_vec()).with_private(metainfo.is_private())
    }
}
