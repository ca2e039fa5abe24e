//! The torrents that a client is given: as many as are wanted, each of one piece that no peer has.

use std::fs;
use std::path::Path;

use tracker_failover::Metainfo;

/// Writes torrent files into a folder, with each of these trackers as a tier of its own, and gives their info-hashes.
pub(crate) fn write(folder: &Path, count: usize, trackers: &[String]) -> Result<Vec<[u8; 20]>, String> {
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let one = |number| {
        let file = torrent(number, trackers);
        let path = folder.join(format!("{number:06}.torrent"));
        fs::write(path, &file).map_err(|error| error.to_string())?;
        let metainfo = Metainfo::parse(&file).map_err(|error| error.to_string())?;
        Ok(*metainfo.info_hash().as_bytes())
    };
    (0..count).map(one).collect()
}

/// 16 KiB in one piece, whose hash and name hold the number.
fn torrent(number: usize, trackers: &[String]) -> Vec<u8> {
    let string = |text: &str| format!("{}:{text}", text.len());
    let tiers = trackers.iter().map(|url| format!("l{}e", string(url))).collect::<Vec<_>>().concat();
    let announce = trackers.first().map(|url| string(url)).unwrap_or_default();
    format!(
        "d8:announce{announce}13:announce-listl{tiers}e4:infod6:lengthi16384e4:name{}\
         12:piece lengthi16384e6:pieces{}ee",
        string(&format!("file-{number:06}")),
        string(&format!("piece-{number:014}"))
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torrents_have_three_tiers_and_info_hashes_of_their_own() {
        let urls = ["udp://127.77.1.1:7969/announce", "udp://127.77.1.2:7969/announce"].map(str::to_owned);
        let read = |number| Metainfo::parse(&torrent(number, &urls)).unwrap();
        assert_ne!(read(1).info_hash(), read(2).info_hash());
        assert_eq!(read(1).total_length(), 16_384);
        let tiers = tracker_failover::TrackerSet::from(&read(1));
        assert_eq!(tiers.tiers().map(Iterator::count).collect::<Vec<_>>(), [1, 1]);
    }
}
