//! `--list`: the files, and the trackers with the size of their swarms.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use tracker_failover::{InfoHash, Metainfo, TrackerUrl};

use crate::files::names::shown;
use crate::scrape::{Swarm, ask_all};
use crate::torrent::Torrent;
use crate::ui::cli::Download;
use crate::ui::json::Object;
use crate::ui::objects::{added, files, skipped};
use crate::ui::units;
use crate::way_out;

/// Shows a torrent on standard output. Trackers are asked unless the command line forbids it.
/// Of several torrents each line for a program has the info-hash.
pub(crate) async fn list(options: &Download, torrent: &Torrent, metainfo: &Metainfo, is_only: bool) {
    let several = (!is_only).then_some(torrent.info_hash);
    let tiers = (1..).zip(metainfo.announce_tiers());
    let trackers: Vec<(u64, TrackerUrl)> =
        tiers.flat_map(|(tier, trackers)| trackers.iter().map(move |url| (tier, url.clone()))).collect();
    let mut answers: Vec<Option<Result<Swarm, String>>> = vec![None; trackers.len()];
    if !options.no_trackers {
        let urls: Vec<TrackerUrl> = trackers.iter().map(|(_, url)| url.clone()).collect();
        let asked = ask_all(&way_out::transports(), &urls, torrent.info_hash).await;
        answers = asked.into_iter().map(Some).collect();
    }
    let mut text = if options.json { added(torrent).line() } else { head(torrent) };
    for (index, file) in (1..).zip(torrent.files.iter().filter(|file| !file.pad)) {
        let (path, length) = (shown(&file.path), file.length);
        if options.json {
            let line = Object::event("file").number("index", index).number("length", length);
            text += &line.text("path", &path).of(several).line();
        } else {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{index:>5}  {:>10}  {path}", units::bytes(length));
        }
    }
    for ((tier, tracker), answer) in trackers.iter().zip(answers) {
        text += &line(*tier, &tracker.to_string(), answer, options.json, several);
    }
    for tracker in metainfo.skipped_trackers() {
        if options.json {
            text += &skipped(tracker).of(several).line();
        } else {
            let _ = writeln!(text, "left out  {}: {}", tracker.shown, tracker.reason);
        }
    }
    // The reader of our output may have seen enough.
    let _ = io::stdout().write_all(text.as_bytes());
}

/// What there is to know of the torrent as a whole.
fn head(torrent: &Torrent) -> String {
    format!(
        "{}\ninfo-hash {}\n{} in {}, {} of {}{}\n",
        torrent.name,
        torrent.info_hash,
        units::bytes(torrent.total),
        units::count(files(torrent), "file"),
        units::count(torrent.pieces().into(), "piece"),
        units::bytes(torrent.piece_length.into()),
        if torrent.private { ", private" } else { "" }
    )
}

/// One tracker.
fn line(
    tier: u64,
    tracker: &str,
    answer: Option<Result<Swarm, String>>,
    json: bool,
    several: Option<InfoHash>,
) -> String {
    if json {
        let (swarm, error) = match answer {
            Some(Ok(swarm)) => (Some(swarm), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        return Object::event("tracker")
            .number("tier", tier)
            .text("tracker", tracker)
            .maybe_number("seeders", swarm.and_then(|swarm| swarm.seeders))
            .maybe_number("leechers", swarm.and_then(|swarm| swarm.leechers))
            .maybe("error", error.as_deref())
            .of(several)
            .line();
    }
    match answer {
        Some(Ok(swarm)) => format!("tier {tier}  {tracker}  {swarm}\n"),
        Some(Err(error)) => format!("tier {tier}  {tracker}  {error}\n"),
        None => format!("tier {tier}  {tracker}\n"),
    }
}
