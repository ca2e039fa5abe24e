//! Output for the user: a progress bar below lines on a terminal, plain lines elsewhere, JSON for programs.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use indicatif::ProgressBar;
use tracker_failover::{InfoHash, SkippedTracker};

use super::event::Event;
use super::json::Object;
use super::screen::Screen;
use super::status::Status;
use super::summary::{Summary, speed};
use super::{objects, units};
use crate::scrape::Swarm;
use crate::swarm::Stats;
use crate::torrent::Torrent;

/// The output about one torrent, or about the process as a whole.
#[derive(Debug)]
pub(crate) struct Report {
    screen: Rc<RefCell<Screen>>,
    verbose: bool,
    /// Which of several torrents it is, if there are several.
    of_several: Option<OfSeveral>,
    /// Whether some files aren't wanted.
    partial: bool,
    /// Whether it goes on when everything is here.
    seeds: bool,
    bar: Option<ProgressBar>,
    /// When progress was reported last, and how many tenths of the download were here then.
    reported: Option<(Duration, u64)>,
    /// When bytes were missing last.
    incomplete: Duration,
    /// The peers that were connected, for the summary.
    peers: BTreeSet<SocketAddr>,
    name: String,
}

/// One of several torrents.
#[derive(Debug, Clone, Copy)]
struct OfSeveral {
    number: u32,
    /// As soon as it is known.
    info_hash: Option<InfoHash>,
}

impl Report {
    /// Output about the only torrent.
    pub(crate) fn new(screen: &Rc<RefCell<Screen>>, verbose: bool) -> Self {
        let bar = screen.borrow().bar();
        Self::with(screen, verbose, None, bar)
    }

    /// Output about a process of several torrents.
    pub(crate) fn of_all(screen: &Rc<RefCell<Screen>>, verbose: bool) -> Self {
        Self::with(screen, verbose, None, None)
    }

    /// Output about one of several torrents, which is known by this name until its own is.
    pub(crate) fn of_one(screen: &Rc<RefCell<Screen>>, verbose: bool, number: u32, name: String) -> Self {
        let bar = screen.borrow().short_bar();
        let of_several = Some(OfSeveral { number, info_hash: None });
        Self { name, ..Self::with(screen, verbose, of_several, bar) }
    }

    fn with(
        screen: &Rc<RefCell<Screen>>,
        verbose: bool,
        of_several: Option<OfSeveral>,
        bar: Option<ProgressBar>,
    ) -> Self {
        Self {
            screen: Rc::clone(screen),
            verbose,
            of_several,
            partial: false,
            seeds: false,
            bar,
            reported: None,
            incomplete: Duration::ZERO,
            peers: BTreeSet::new(),
            name: String::new(),
        }
    }

    /// The info-hash of the torrent is known.
    pub(crate) fn set_info_hash(&mut self, info_hash: InfoHash) {
        if let Some(of_several) = &mut self.of_several {
            of_several.info_hash = Some(info_hash);
        }
    }

    /// A setting, or a fact found at the start.
    pub(crate) fn config(&mut self, text: &str) {
        self.say("[CONFIG]", text);
    }

    /// The torrent, at the start.
    pub(crate) fn added(&mut self, torrent: &Torrent) {
        self.name.clone_from(&torrent.name);
        self.set_info_hash(torrent.info_hash);
        if self.is_json() {
            self.object(objects::added(torrent));
        }
        self.config(&format!(
            "{}: {} in {}, {} of {}{}",
            torrent.name,
            units::bytes(torrent.total),
            units::count(objects::files(torrent), "file"),
            units::count(torrent.pieces().into(), "piece"),
            units::bytes(torrent.piece_length.into()),
            if torrent.private { ", private: DHT and PEX stay off" } else { "" }
        ));
    }

    /// A tracker of the torrent that isn't used.
    pub(crate) fn skipped(&mut self, tracker: &SkippedTracker) {
        if self.is_json() {
            self.object(objects::skipped(tracker));
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
        if self.is_json() {
            let line = Object::event("selected")
                .number("files", count as u64)
                .number("of", files().count() as u64)
                .number("length", length);
            self.object(line);
        }
        self.config(&format!("{count} of {} files selected, {}", files().count(), units::bytes(length)));
    }

    /// The limits of speed, if there are any.
    pub(crate) fn limits(&mut self, down: Option<u64>, up: Option<u64>) {
        if down.is_none() && up.is_none() {
            return;
        }
        if self.is_json() {
            let line = Object::event("limits").maybe_number("down", down).maybe_number("up", up);
            self.object(line);
        }
        let shown = |limit: Option<u64>| {
            limit.map_or_else(|| "unlimited".into(), |limit| format!("at most {}/s", units::bytes(limit)))
        };
        self.config(&format!("download {}, upload {}", shown(down), shown(up)));
    }

    /// The port on which peers can connect.
    pub(crate) fn listening(&mut self, port: u16) {
        if self.is_json() {
            self.object(Object::event("listening").number("port", port.into()));
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
        if self.is_json() {
            self.object(Object::event("alert").text("tag", tag).text("text", text));
            // So that programs that read it get it at once.
            self.flush();
        } else {
            self.say(&format!("[{tag}]"), text);
        }
    }

    /// A line about trackers that only those want to read who look for a fault; programs are given it too.
    pub(crate) fn detail(&mut self, tag: &str, text: &str) {
        if self.is_json() || self.verbose {
            self.tracker(tag, text);
        }
    }

    /// The size of the swarm at a tracker.
    pub(crate) fn swarm(&mut self, tracker: &str, swarm: Swarm) {
        if self.is_json() {
            let line = Object::event("swarm")
                .text("tracker", tracker)
                .maybe_number("seeders", swarm.seeders)
                .maybe_number("leechers", swarm.leechers);
            self.object(line);
        } else {
            self.say("[TRACKER]", &format!("{tracker}: {swarm}"));
        }
    }

    /// Something that went wrong.
    pub(crate) fn error(&mut self, text: &str) {
        if self.is_json() {
            self.object(Object::event("error").text("text", text));
        }
        self.fault(text);
    }

    /// What was transferred.
    pub(crate) fn summary(&mut self, summary: Summary) {
        // The time in which there was something to download, which is known to a quarter of a second.
        let busy = if self.incomplete.is_zero() { summary.time } else { self.incomplete.min(summary.time) };
        let (speed, ratio) = (speed(summary.downloaded, busy), summary.ratio());
        let (peers, trackers) = (self.peers.len() as u64, summary.trackers as u64);
        if self.is_json() {
            let line = Object::event("summary")
                .number("downloaded", summary.downloaded)
                .number("uploaded", summary.uploaded)
                .maybe_thousandths("ratio", ratio)
                .maybe_thousandths("seconds", u64::try_from(summary.time.as_millis()).ok())
                .number("down", speed)
                .number("peers", peers)
                .number("trackers", trackers);
            self.object(line);
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

    /// How a process of several torrents ends, as the last line.
    pub(crate) fn all_ended(&mut self, torrents: usize, complete: usize, code: u8) {
        if self.is_json() {
            let line = Object::event("all_ended")
                .number("torrents", torrents as u64)
                .number("complete", complete as u64)
                .number("exit_code", code.into());
            self.object(line);
        }
        self.last(&format!("{complete} of {torrents} torrents complete"));
    }

    /// A fault that ended it, as the last line.
    pub(crate) fn failed(&mut self, text: &str) {
        self.ended();
        self.error(text);
        self.flush();
    }

    /// The reason of the end, as the last line.
    pub(crate) fn last(&mut self, text: &str) {
        self.ended();
        let text = self.about(text);
        let mut screen = self.screen.borrow_mut();
        if screen.is_json() {
            screen.aside(&format!("{text}\n"));
        } else {
            screen.write(&format!("[INFO] {text}\n"));
        }
        screen.flush();
    }

    /// One thing that happened.
    pub(crate) fn event(&mut self, event: &Event) {
        if self.is_json() {
            self.object(objects::event(event));
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
            Event::Checked { have, pieces, .. } if *have > 0 => {
                self.say("[INFO]", &format!("{have} of {pieces} pieces are here already"));
            }
            Event::Checked { .. }
            | Event::PieceOk { .. }
            | Event::Incomplete { .. }
            | Event::Refused { .. } => {}
        }
    }

    /// So many pieces of what was there have been looked at.
    pub(crate) fn looked(&mut self, piece: u32, pieces: u32) {
        if let Some(bar) = &self.bar {
            let percent = u64::from(piece) * 100 / u64::from(pieces.max(1));
            bar.set_message(format!("{percent}% checking what is here"));
        }
        if self.is_json() {
            let line =
                Object::event("checking").number("piece", piece.into()).number("pieces", pieces.into());
            self.object(line);
        }
    }

    /// The metadata of a magnet link isn't here yet.
    pub(crate) fn fetching_metadata(&mut self, connected: usize, tracker: &str) {
        let text = format!("fetching metadata, {}", units::count(connected as u64, "peer"));
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            bar.set_prefix(if tracker.is_empty() { String::new() } else { format!("tracker {tracker}") });
        } else if !self.is_json() && self.reported.is_none() {
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
        let (tenth, is_json) = (shown.percent() / 10, self.is_json());
        let is_due = self.reported.is_none_or(|(reported, last)| {
            if self.is_json() { now.saturating_sub(reported) >= JSON_EVERY } else { tenth > last }
        });
        if let Some(bar) = &self.bar {
            let columns = console::Term::stderr().size_checked().map_or(COLUMNS, |(_, columns)| columns);
            if self.of_several.is_some() {
                bar.set_message(shown.line(columns.into()));
            } else {
                let [first, second] = shown.lines(columns.into());
                bar.set_message(first);
                bar.set_prefix(second);
            }
        } else if is_due {
            self.reported = Some((now, tenth));
            if is_json {
                let line = shown.json();
                self.object(line);
            } else {
                let text = shown.plain();
                self.say("[INFO]", &text);
            }
        }
        if let Some(of_several) = self.of_several {
            self.screen.borrow_mut().stands(of_several.number, stats);
        }
        self.flush();
    }

    /// Writes out what has gathered.
    pub(crate) fn flush(&mut self) {
        self.screen.borrow_mut().flush();
    }

    fn is_json(&self) -> bool {
        self.screen.borrow().is_json()
    }

    /// A text about the torrent; of several its name is before it.
    fn about(&self, text: &str) -> String {
        if self.of_several.is_some() { format!("{}: {text}", self.name) } else { text.to_owned() }
    }

    fn say(&mut self, tag: &str, text: &str) {
        self.screen.borrow_mut().say(tag, &self.about(text));
    }

    fn object(&mut self, object: Object) {
        let info_hash = self.of_several.and_then(|of_several| of_several.info_hash);
        self.screen.borrow_mut().write(&object.of(info_hash).line());
    }

    fn fault(&mut self, text: &str) {
        self.screen.borrow_mut().fault(&self.about(text));
    }

    /// The torrent has ended.
    fn ended(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        match self.of_several {
            Some(of_several) => self.screen.borrow_mut().ended(of_several.number),
            None => self.screen.borrow_mut().clear(),
        }
    }
}

/// Peers counted for the summary.
const MAX_COUNTED: usize = 100_000;
/// The width of a terminal that doesn't say how wide it is.
const COLUMNS: u16 = 80;
/// Programs are given the progress this often; people at each tenth of the download.
const JSON_EVERY: Duration = Duration::from_secs(1);
