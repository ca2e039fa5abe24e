//! Output for the user: a progress bar below lines on a terminal, plain lines elsewhere, JSON for programs.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::event::Event;
use super::json::Object;
use super::status::Status;
use super::units;
use crate::scrape::Swarm;
use crate::swarm::Stats;
use crate::torrent::Torrent;
use crate::wire::mse::Method;
use tracker_failover::SkippedTracker;

/// The output of the program.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "three of them are switches of the command line")]
pub(crate) struct Report {
    out: io::BufWriter<io::Stdout>,
    json: bool,
    quiet: bool,
    verbose: bool,
    /// Whether some files aren't wanted.
    partial: bool,
    /// Whether it goes on when everything is here.
    seeds: bool,
    /// Whether standard output and standard error may be coloured.
    colour: [bool; 2],
    bar: Option<ProgressBar>,
    /// When progress was reported last, and how many tenths of the download were here then.
    reported: Option<(Duration, u64)>,
    /// When bytes were missing last.
    incomplete: Duration,
    /// The peers that were connected, for the summary.
    peers: BTreeSet<SocketAddr>,
    name: String,
}

impl Report {
    /// Output in the form that the user wants.
    pub(crate) fn new(json: bool, quiet: bool, verbose: bool) -> Self {
        let terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
        let bar = (terminal && !json && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            // The template is a constant that is right; without it the bar has its default form.
            bar.with_style(
                ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        });
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        let colour = [io::stdout().is_terminal(), io::stderr().is_terminal()].map(|is| is && wanted);
        Self {
            out: io::BufWriter::new(io::stdout()),
            json,
            quiet,
            verbose,
            partial: false,
            seeds: false,
            colour,
            bar,
            reported: None,
            incomplete: Duration::ZERO,
            peers: BTreeSet::new(),
            name: String::new(),
        }
    }

    /// A setting, or a fact found at the start.
    pub(crate) fn config(&mut self, text: &str) {
        self.say("[CONFIG]", text);
    }

    /// The torrent, at the start.
    pub(crate) fn added(&mut self, torrent: &Torrent) {
        self.name.clone_from(&torrent.name);
        if self.json {
            self.write(&added(torrent));
        }
        self.config(&format!(
            "{}: {} in {}, {} of {}{}",
            torrent.name,
            units::bytes(torrent.total),
            units::count(files(torrent), "file"),
            units::count(torrent.pieces().into(), "piece"),
            units::bytes(torrent.piece_length.into()),
            if torrent.private { ", private: DHT and PEX stay off" } else { "" }
        ));
    }

    /// A tracker of the torrent that isn't used.
    pub(crate) fn skipped(&mut self, tracker: &SkippedTracker) {
        if self.json {
            self.write(&skipped(tracker));
        }
        self.config(&format!("tracker {} left out: {}", tracker.shown, tracker.reason));
    }

    /// Whether it goes on when everything is here, which is said then.
    pub(crate) fn set_seeds(&mut self, seeds: bool) {
        self.seeds = seeds;
    }

    /// Only some files are wanted.
    pub(crate) fn selected(&mut self, torrent: &Torrent) {
        self.partial = true;
        let files = || torrent.files.iter().filter(|file| !file.pad);
        let wanted = files().filter(|file| file.wanted);
        let (count, length) = (wanted.clone().count(), wanted.map(|file| file.length).sum());
        if self.json {
            let line = Object::event("selected")
                .number("files", count as u64)
                .number("of", files().count() as u64)
                .number("length", length);
            self.write(&line.line());
        }
        self.config(&format!("{count} of {} files selected, {}", files().count(), units::bytes(length)));
    }

    /// The limits of speed, if there are any.
    pub(crate) fn limits(&mut self, down: Option<u64>, up: Option<u64>) {
        if down.is_none() && up.is_none() {
            return;
        }
        if self.json {
            let line = Object::event("limits").maybe_number("down", down).maybe_number("up", up);
            self.write(&line.line());
        }
        let shown = |limit: Option<u64>| {
            limit.map_or_else(|| "unlimited".into(), |limit| format!("at most {}/s", units::bytes(limit)))
        };
        self.config(&format!("download {}, upload {}", shown(down), shown(up)));
    }

    /// The port on which peers can connect.
    pub(crate) fn listening(&mut self, port: u16) {
        if self.json {
            self.write(&Object::event("listening").number("port", port.into()).line());
            self.flush();
        }
        self.config(&format!("listening for peers on port {port}"));
    }

    /// Something that happened.
    pub(crate) fn info(&mut self, text: &str) {
        self.say("[INFO]", text);
    }

    /// A line about trackers, with its own tag.
    pub(crate) fn tracker(&mut self, tag: &str, text: &str) {
        if self.json {
            self.write(&Object::event("alert").text("tag", tag).text("text", text).line());
            // So that programs that read it get it at once.
            self.flush();
        } else {
            self.say(&format!("[{tag}]"), text);
        }
    }

    /// A line about trackers that only those want to read who look for a fault; programs are given it too.
    pub(crate) fn detail(&mut self, tag: &str, text: &str) {
        if self.json || self.verbose {
            self.tracker(tag, text);
        }
    }

    /// The size of the swarm at a tracker.
    pub(crate) fn swarm(&mut self, tracker: &str, swarm: Swarm) {
        if self.json {
            let line = Object::event("swarm")
                .text("tracker", tracker)
                .maybe_number("seeders", swarm.seeders)
                .maybe_number("leechers", swarm.leechers);
            self.write(&line.line());
        } else {
            self.say("[TRACKER]", &format!("{tracker}: {swarm}"));
        }
    }

    /// Something that went wrong.
    pub(crate) fn error(&mut self, text: &str) {
        if self.json {
            self.write(&Object::event("error").text("text", text).line());
        }
        self.fault(text);
    }

    /// What was transferred.
    pub(crate) fn summary(&mut self, summary: Summary) {
        // The time in which there was something to download, which is known to a quarter of a second.
        let busy = if self.incomplete.is_zero() { summary.time } else { self.incomplete.min(summary.time) };
        let (speed, ratio) = (speed(summary.downloaded, busy), ratio(summary));
        let (peers, trackers) = (self.peers.len() as u64, summary.trackers as u64);
        if self.json {
            let line = Object::event("summary")
                .number("downloaded", summary.downloaded)
                .number("uploaded", summary.uploaded)
                .maybe_thousandths("ratio", ratio)
                .maybe_thousandths("seconds", u64::try_from(summary.time.as_millis()).ok())
                .number("down", speed)
                .number("peers", peers)
                .number("trackers", trackers);
            self.write(&line.line());
        }
        let shown = ratio.map(|ratio| format!(" (ratio {}.{:02})", ratio / 1000, ratio % 1000 / 10));
        self.info(&format!(
            "downloaded {} at {}/s, uploaded {}{} in {}, {}, {}",
            units::bytes(summary.downloaded),
            units::bytes(speed),
            units::bytes(summary.uploaded),
            shown.unwrap_or_default(),
            units::time(summary.time),
            units::count(peers, "peer"),
            units::count(trackers, "tracker")
        ));
    }

    /// A fault that ended it, as the last line.
    pub(crate) fn failed(&mut self, text: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.error(text);
        self.flush();
    }

    /// The reason of the end, as the last line.
    pub(crate) fn last(&mut self, text: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.json {
            self.aside(&format!("{text}\n"));
        } else {
            self.write(&format!("[INFO] {text}\n"));
        }
        self.flush();
    }

    /// One thing that happened.
    pub(crate) fn event(&mut self, event: &Event) {
        if self.json {
            let line = in_json(event);
            self.write(&line);
        }
        if let Event::PeerConnected { peer, .. } = event
            && self.peers.len() < MAX_COUNTED
        {
            self.peers.insert(*peer);
        }
        match event {
            Event::PeerConnected { .. } | Event::PeerClosed { .. } if !self.verbose => {}
            Event::PeerConnected { peer, encryption, .. } => {
                let how = if encryption.is_some() { ", encrypted" } else { "" };
                self.say("[INFO]", &format!("peer {peer} connected{how}"));
            }
            Event::PeerClosed { peer, why } => {
                self.say("[INFO]", &format!("peer {peer} closed: {}", why.word()));
            }
            Event::PeerBanned { peer } => self.say("[INFO]", &format!("peer {peer} sent bad data, banned")),
            Event::PieceBad { piece, .. } => {
                self.say("[INFO]", &format!("piece {piece} failed its hash, fetching it again"));
            }
            Event::PiecesLost { count, reason } => {
                let pieces = units::count(*count as u64, "piece");
                self.fault(&format!("{pieces} can't be read any more: {reason}"));
            }
            Event::Complete => {
                let what = if self.partial { "the selected files are complete" } else { "download complete" };
                self.say("[INFO]", what);
                if self.seeds {
                    self.say("[INFO]", "seeding, Ctrl+C ends it");
                }
            }
            Event::Metadata { size, .. } => {
                self.say("[INFO]", &format!("metadata received, {}", units::bytes(*size as u64)));
            }
            Event::Checked { have: 0, .. } => {}
            Event::Checked { have, pieces, .. } => {
                self.say("[INFO]", &format!("{have} of {pieces} pieces are here already"));
            }
            Event::PieceOk { .. } | Event::Incomplete { .. } | Event::Refused { .. } => {}
        }
    }

    /// So many pieces of what was there have been looked at.
    pub(crate) fn looked(&mut self, piece: u32, pieces: u32) {
        if let Some(bar) = &self.bar {
            let percent = u64::from(piece) * 100 / u64::from(pieces.max(1));
            bar.set_message(format!("{percent}% checking what is here"));
        }
        if self.json {
            let line = Object::event("checking")
                .number("piece", piece.into())
                .number("pieces", pieces.into())
                .line();
            self.write(&line);
        }
    }

    /// The metadata of a magnet link isn't here yet.
    pub(crate) fn fetching_metadata(&mut self, connected: usize, tracker: &str) {
        let text = format!("fetching metadata, {}", units::count(connected as u64, "peer"));
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            bar.set_prefix(if tracker.is_empty() { String::new() } else { format!("tracker {tracker}") });
        } else if !self.json && self.reported.is_none() {
            self.reported = Some((Duration::ZERO, 0));
            self.say("[INFO]", &text);
        }
        self.flush();
    }

    /// How things stand, a few times a second.
    pub(crate) fn progress(&mut self, stats: &Stats, tracker: &str, now: Duration) {
        let shown = Status { name: &self.name, stats, tracker };
        if stats.left > 0 {
            self.incomplete = now;
        }
        let tenth = shown.percent() / 10;
        let is_due = self.reported.is_none_or(|(reported, last)| {
            if self.json { now.saturating_sub(reported) >= JSON_EVERY } else { tenth > last }
        });
        if let Some(bar) = &self.bar {
            let columns = console::Term::stderr().size_checked().map_or(COLUMNS, |(_, columns)| columns);
            let [first, second] = shown.lines(columns.into());
            bar.set_message(first);
            bar.set_prefix(second);
        } else if is_due {
            let text = if self.json { shown.json() } else { shown.plain() };
            self.reported = Some((now, tenth));
            if self.json {
                self.write(&text);
            } else {
                self.say("[INFO]", &text);
            }
        }
        self.flush();
    }

    /// Writes out what has gathered.
    pub(crate) fn flush(&mut self) {
        // Whoever reads us may have gone, which is no reason to stop downloading.
        let _ = self.out.flush();
    }

    fn say(&mut self, tag: &str, text: &str) {
        if !self.json && !self.quiet {
            if self.colour[0] {
                self.write(&format!("\x1b[36m{tag}\x1b[0m {text}\n"));
            } else {
                self.write(&format!("{tag} {text}\n"));
            }
        }
    }

    fn write(&mut self, line: &str) {
        let out = &mut self.out;
        match &self.bar {
            Some(bar) => bar.suspend(|| {
                let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
            }),
            None => drop(out.write_all(line.as_bytes())),
        }
    }

    fn fault(&mut self, text: &str) {
        let tag = if self.colour[1] { "\x1b[31m[ERROR]\x1b[0m" } else { "[ERROR]" };
        self.aside(&format!("{tag} {text}\n"));
    }

    fn aside(&mut self, line: &str) {
        self.flush();
        let write = || drop(io::stderr().write_all(line.as_bytes()));
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// The `added` event.
pub(crate) fn added(torrent: &Torrent) -> String {
    Object::event("added")
        .text("info_hash", &torrent.info_hash.to_string())
        .text("name", &torrent.name)
        .number("length", torrent.total)
        .number("files", files(torrent))
        .number("pieces", torrent.pieces().into())
        .flag("private", torrent.private)
        .line()
}

/// The `skipped_tracker` event.
pub(crate) fn skipped(tracker: &SkippedTracker) -> String {
    Object::event("skipped_tracker")
        .text("tracker", &tracker.shown)
        .text("reason", &tracker.reason.to_string())
        .line()
}

/// How many files there are, without padding.
pub(crate) fn files(torrent: &Torrent) -> u64 {
    torrent.files.iter().filter(|file| !file.pad).count() as u64
}

fn in_json(event: &Event) -> String {
    match event {
        Event::Refused { kind, reason } => Object::event("refused").text("kind", kind).text("reason", reason),
        Event::Metadata { size, info_hash } => {
            Object::event("metadata").number("size", *size as u64).text("info_hash", &info_hash.to_string())
        }
        Event::PeerConnected { peer, encryption, fast } => {
            let object = Object::event("peer_connected").text("peer", &peer.to_string());
            object.text("encryption", Method::word(*encryption)).flag("fast", *fast)
        }
        Event::Checked { have, hashed, pieces } => Object::event("checked")
            .number("have", (*have).into())
            .number("hashed", (*hashed).into())
            .number("pieces", (*pieces).into()),
        Event::PeerClosed { peer, why } => {
            Object::event("peer_closed").text("peer", &peer.to_string()).text("why", why.word())
        }
        Event::PeerBanned { peer } => Object::event("peer_banned").text("peer", &peer.to_string()),
        Event::PieceOk { piece } => Object::event("piece_ok").number("piece", (*piece).into()),
        Event::PieceBad { piece, peer } => {
            let peer = peer.map(|peer| peer.to_string());
            Object::event("piece_bad").number("piece", (*piece).into()).maybe("peer", peer.as_deref())
        }
        Event::PiecesLost { count, reason } => {
            Object::event("pieces_lost").number("pieces", *count as u64).text("reason", reason)
        }
        Event::Complete => Object::event("complete"),
        Event::Incomplete { reason } => Object::event("incomplete").text("reason", reason),
    }
    .line()
}

/// What was transferred, at the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    /// Bytes received and sent.
    pub(crate) downloaded: u64,
    pub(crate) uploaded: u64,
    /// How long the program ran.
    pub(crate) time: Duration,
    /// Trackers that have answered.
    pub(crate) trackers: usize,
}

/// Uploaded for each byte that was downloaded, in thousandths.
fn ratio(summary: Summary) -> Option<u64> {
    u128::from(summary.uploaded)
        .saturating_mul(1000)
        .checked_div(u128::from(summary.downloaded))
        .map(|ratio| u64::try_from(ratio).unwrap_or(u64::MAX))
}

/// Bytes a second over this time.
fn speed(bytes: u64, time: Duration) -> u64 {
    let millis = time.as_millis().max(1);
    u64::try_from(u128::from(bytes).saturating_mul(1000) / millis).unwrap_or(u64::MAX)
}

/// The two lines of the status; the figures in the terminal's own colour, the tracker less bright.
const TEMPLATE: &str = "{msg}\n{prefix:.dim}";
/// Peers counted for the summary.
const MAX_COUNTED: usize = 100_000;
/// The width of a terminal that doesn't say how wide it is.
const COLUMNS: u16 = 80;
/// Programs are given the progress this often; people at each tenth of the download.
const JSON_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// R162
    #[test]
    fn the_ratio_and_the_speed_are_of_what_was_transferred() {
        let summary =
            |downloaded, uploaded| Summary { downloaded, uploaded, time: Duration::ZERO, trackers: 0 };
        assert_eq!(ratio(summary(2000, 1000)), Some(500));
        assert_eq!(ratio(summary(0, 1000)), None);
        assert_eq!(ratio(summary(1, u64::MAX)), Some(u64::MAX));
        assert_eq!(speed(1000, Duration::from_millis(500)), 2000);
        assert_eq!(speed(0, Duration::ZERO), 0);
    }
}
