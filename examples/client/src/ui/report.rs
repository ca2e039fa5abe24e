//! Output for the user: a progress bar below lines on a terminal, plain lines elsewhere, JSON for programs.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::event::Event;
use super::json::Object;
use super::units;
use crate::scrape::Swarm;
use crate::swarm::session::Stats;
use crate::torrent::Torrent;

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
    bar: Option<ProgressBar>,
    /// When progress was reported last, and how many tenths of the download were here then.
    reported: Option<(Duration, u64)>,
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
        let out = io::BufWriter::new(io::stdout());
        Self { out, json, quiet, verbose, partial: false, bar, reported: None, name: String::new() }
    }

    /// A setting, or a fact found at the start.
    pub(crate) fn config(&mut self, text: &str) {
        self.say("[CONFIG]", text);
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
        self.aside(&format!("[ERROR] {text}\n"));
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
        match event {
            Event::PeerConnected { .. } | Event::PeerClosed { .. } if !self.verbose => {}
            Event::PeerConnected { peer } => self.say("[INFO]", &format!("peer {peer} connected")),
            Event::PeerClosed { peer, why } => {
                self.say("[INFO]", &format!("peer {peer} closed: {}", why.word()));
            }
            Event::PeerBanned { peer } => self.say("[INFO]", &format!("peer {peer} sent bad data, banned")),
            Event::PieceBad { piece, .. } => {
                self.say("[INFO]", &format!("piece {piece} failed its hash, fetching it again"));
            }
            Event::PiecesLost { count, reason } => {
                let pieces = units::count(*count as u64, "piece");
                self.aside(&format!("[ERROR] {pieces} can't be read any more: {reason}\n"));
            }
            Event::Complete if self.partial => self.say("[INFO]", "the selected files are complete"),
            Event::Complete => self.say("[INFO]", "download complete"),
            Event::Metadata { size, .. } => {
                self.say("[INFO]", &format!("metadata received, {}", units::bytes(*size as u64)));
            }
            Event::PieceOk { .. } | Event::Incomplete { .. } | Event::Refused { .. } => {}
        }
    }

    /// So many pieces of what was there have been looked at.
    pub(crate) fn looked(&mut self, piece: u32, pieces: u32) {
        if let Some(bar) = &self.bar {
            bar.set_length(pieces.into());
            bar.set_position(piece.into());
            bar.set_message("checking what is here");
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
    pub(crate) fn fetching_metadata(&mut self, connected: usize, tracker: &str, now: Duration) {
        let text = format!("{} fetching metadata, {}", self.name, units::count(connected as u64, "peer"));
        if let Some(bar) = &self.bar {
            bar.set_length(1);
            bar.set_message(text);
            bar.set_prefix(if tracker.is_empty() { String::new() } else { format!("tracker {tracker}") });
        } else if !self.json
            && self.reported.is_none_or(|(reported, _)| now.saturating_sub(reported) >= PLAIN_EVERY)
        {
            self.reported = Some((now, 0));
            self.say("[INFO]", text.trim_start());
        }
        self.flush();
    }

    /// What is shown before the bar.
    pub(crate) fn set_name(&mut self, name: &str) {
        self.name = name.chars().take(MAX_NAME).collect();
    }

    /// How things stand, a few times a second.
    pub(crate) fn progress(&mut self, stats: &Stats, tracker: &str, now: Duration) {
        let every = if self.json { JSON_EVERY } else { PLAIN_EVERY };
        let line = Line { name: &self.name, stats };
        let tenth = line.percent() / 10;
        let due = self
            .reported
            .is_none_or(|(reported, at)| now.saturating_sub(reported) >= every || (tenth > at && !self.json));
        if let Some(bar) = &self.bar {
            bar.set_length(stats.total);
            bar.set_position(stats.total - stats.left);
            bar.set_message(line.to_string());
            bar.set_prefix(if tracker.is_empty() { String::new() } else { format!("tracker {tracker}") });
        } else if due {
            self.reported = Some((now, tenth));
            if self.json {
                let line = line.in_json(tracker);
                self.write(&line);
            } else {
                let tracker =
                    if tracker.is_empty() { String::new() } else { format!(" · tracker {tracker}") };
                let text = format!("{line}{tracker}");
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
            self.write(&format!("{tag} {text}\n"));
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

    fn aside(&mut self, line: &str) {
        self.flush();
        let write = || drop(io::stderr().write_all(line.as_bytes()));
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

struct Line<'a> {
    name: &'a str,
    stats: &'a Stats,
}

impl Line<'_> {
    fn percent(&self) -> u64 {
        if self.stats.left == 0 {
            return 100;
        }
        let done = u128::from(self.stats.total - self.stats.left);
        u64::try_from(done * 100 / u128::from(self.stats.total.max(1))).unwrap_or(100)
    }

    fn in_json(&self, tracker: &str) -> String {
        Object::event("progress")
            .number("percent", self.percent())
            .number("left", self.stats.left)
            .number("total", self.stats.total)
            .number("down", self.stats.down_speed)
            .number("up", self.stats.up_speed)
            .number("peers", self.stats.connected as u64)
            .number("known_peers", self.stats.known as u64)
            .maybe("tracker", Some(tracker).filter(|tracker| !tracker.is_empty()))
            .line()
    }
}

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stats = self.stats;
        write!(
            f,
            "{} {}% {}/{} ↓{}/s ↑{}/s",
            self.name,
            self.percent(),
            units::bytes(stats.total - stats.left),
            units::bytes(stats.total),
            units::bytes(stats.down_speed),
            units::bytes(stats.up_speed)
        )?;
        if let Some(seconds) = stats.left.checked_div(stats.down_speed).filter(|_| stats.left > 0) {
            write!(f, " eta {}", units::time(Duration::from_secs(seconds)))?;
        }
        write!(f, " peers {}/{}", stats.connected, stats.known)
    }
}

fn in_json(event: &Event) -> String {
    match event {
        Event::Refused { kind, reason } => Object::event("refused").text("kind", kind).text("reason", reason),
        Event::Metadata { size, info_hash } => {
            Object::event("metadata").number("size", *size as u64).text("info_hash", &info_hash.to_string())
        }
        Event::PeerConnected { peer } => Object::event("peer_connected").text("peer", &peer.to_string()),
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

/// The name and the numbers, and below them the tracker, which is what this program is about.
const TEMPLATE: &str = "▕{bar:20}▏ {wide_msg}\n  {prefix}";
/// Characters of the torrent's name that are shown with the progress.
const MAX_NAME: usize = 30;
const JSON_EVERY: Duration = Duration::from_secs(1);
const PLAIN_EVERY: Duration = Duration::from_secs(10);
