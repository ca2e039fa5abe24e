//! What all torrents of the process write to: standard output and standard error, with bars below on a terminal.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::rc::Rc;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::units;
use crate::swarm::Stats;

/// The terminal, or what stands for it.
#[derive(Debug)]
pub(crate) struct Screen {
    out: io::BufWriter<io::Stdout>,
    json: bool,
    quiet: bool,
    /// Whether standard output and standard error may be coloured.
    colour: [bool; 2],
    bars: Option<MultiProgress>,
    /// The line below those of several torrents.
    summary: Option<ProgressBar>,
    /// How several torrents stand.
    standing: BTreeMap<u32, Standing>,
}

/// How a torrent stands, for the summary.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    complete: bool,
    down: u64,
    up: u64,
    peers: usize,
}

impl Screen {
    /// Output in the form that the user wants, for this many torrents.
    pub(crate) fn new(json: bool, quiet: bool, torrents: usize) -> Rc<RefCell<Self>> {
        let terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
        let target = || ProgressDrawTarget::stderr_with_hz(10);
        let bars = (terminal && !json && !quiet).then(|| MultiProgress::with_draw_target(target()));
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        let colour = [io::stdout().is_terminal(), io::stderr().is_terminal()].map(|is| is && wanted);
        let summary = bars.as_ref().filter(|_| torrents > 1).map(|bars| bars.add(bar(ONE_LINE)));
        let out = io::BufWriter::new(io::stdout());
        Rc::new(RefCell::new(Self { out, json, quiet, colour, bars, summary, standing: BTreeMap::new() }))
    }

    /// A bar of two lines for the only torrent.
    pub(super) fn bar(&self) -> Option<ProgressBar> {
        self.bars.as_ref().map(|bars| bars.add(bar(TWO_LINES)))
    }

    /// A bar of one line for one of several torrents.
    pub(super) fn short_bar(&self) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        Some(match &self.summary {
            Some(summary) => bars.insert_before(summary, bar(ONE_LINE)),
            None => bars.add(bar(ONE_LINE)),
        })
    }

    /// One of several torrents stands like this.
    pub(super) fn stands(&mut self, number: u32, stats: &Stats) {
        let (complete, peers) = (stats.left == 0, stats.connected);
        let standing = Standing { complete, down: stats.down_speed, up: stats.up_speed, peers };
        self.standing.insert(number, standing);
        if let Some(summary) = &self.summary {
            summary.set_message(self.standing_of_all());
        }
    }

    /// It has ended.
    pub(super) fn ended(&mut self, number: u32) {
        if let Some(standing) = self.standing.get_mut(&number) {
            *standing = Standing { complete: standing.complete, ..Standing::default() };
        }
    }

    fn standing_of_all(&self) -> String {
        let all = self.standing.values();
        let sum = |of: fn(&Standing) -> u64| all.clone().map(of).fold(0, u64::saturating_add);
        format!(
            "{}, {} complete ↓{}/s ↑{}/s {}",
            units::count(self.standing.len() as u64, "torrent"),
            all.clone().filter(|standing| standing.complete).count(),
            units::bytes(sum(|standing| standing.down)),
            units::bytes(sum(|standing| standing.up)),
            units::count(sum(|standing| standing.peers as u64), "peer")
        )
    }

    /// Takes all bars away.
    pub(super) fn clear(&mut self) {
        if let Some(summary) = self.summary.take() {
            summary.finish_and_clear();
        }
    }

    /// Whether programs read it.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// A line for people, unless they want none.
    pub(super) fn say(&mut self, tag: &str, text: &str) {
        if !self.json && !self.quiet {
            if self.colour[0] {
                self.write(&format!("\x1b[36m{tag}\x1b[0m {text}\n"));
            } else {
                self.write(&format!("{tag} {text}\n"));
            }
        }
    }

    /// Something that is written in any case.
    pub(super) fn write(&mut self, line: &str) {
        let out = &mut self.out;
        match &self.bars {
            Some(bars) => bars.suspend(|| {
                let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
            }),
            None => drop(out.write_all(line.as_bytes())),
        }
    }

    /// A fault, on standard error.
    pub(super) fn fault(&mut self, text: &str) {
        let tag = if self.colour[1] { "\x1b[31m[ERROR]\x1b[0m" } else { "[ERROR]" };
        self.aside(&format!("{tag} {text}\n"));
    }

    /// Something on standard error.
    pub(super) fn aside(&mut self, line: &str) {
        self.flush();
        let write = || drop(io::stderr().write_all(line.as_bytes()));
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    /// Writes out what has gathered.
    pub(super) fn flush(&mut self) {
        // The reader of our output may have gone, which is no reason to stop downloading.
        let _ = self.out.flush();
    }
}

fn bar(template: &str) -> ProgressBar {
    // The templates are constants that are right; without them a bar has its default form.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_style(style)
}

/// The two lines of the status; the figures in the terminal's own colour, the tracker less bright.
const TWO_LINES: &str = "{msg}\n{prefix:.dim}";
const ONE_LINE: &str = "{msg}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_adds_up_what_all_torrents_do() {
        let screen = Screen::new(false, true, 2);
        let mut screen = screen.borrow_mut();
        let stats = |left, speed| Stats {
            connected: 3,
            known: 9,
            down_speed: speed,
            up_speed: 1 << 10,
            left,
            total: 1 << 20,
            wants_peers: false,
        };
        screen.stands(1, &stats(0, 0));
        screen.stands(2, &stats(1, 1 << 20));
        assert_eq!(screen.standing_of_all(), "2 torrents, 1 complete ↓1.0 MiB/s ↑2.0 KiB/s 6 peers");
        screen.ended(1);
        assert_eq!(screen.standing_of_all(), "2 torrents, 1 complete ↓1.0 MiB/s ↑1.0 KiB/s 3 peers");
    }
}
