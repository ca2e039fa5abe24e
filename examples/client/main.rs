//! A complete BitTorrent downloader on top of the library, small enough to be read.
//!
//! `main` is wiring. What is said between peers is in `wire`, what is decided in `swarm`, both without any
//! input or output; sockets are in `net`, files in `files`, the terminal in `ui`. Only `trackers` talks to the
//! library's announcer.

mod create;
mod download;
mod exit;
mod files;
mod net;
mod signals;
mod swarm;
#[cfg(test)]
mod tests;
mod torrent;
mod trackers;
mod ui;
mod wire;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use ui::cli::{Cli, Command, Create};
use ui::report::Report;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match &cli.command {
        Some(Command::Create(options)) => make_torrent(options),
        None => download::main(&cli.download),
    };
    ExitCode::from(code)
}

/// `client create`.
fn make_torrent(options: &Create) -> u8 {
    let mut report = Report::new(false, false, false);
    let piece_length = options.piece_size.map(|size| size.saturating_mul(1024));
    let made = create::hash(&options.path, piece_length, |piece, of| {
        report.looked(u32::try_from(piece).unwrap_or(u32::MAX), u32::try_from(of).unwrap_or(u32::MAX));
    });
    let written = made.and_then(|mut torrent| {
        torrent.tiers = create::tiers(&options.trackers);
        torrent.private = options.private;
        let path =
            options.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.torrent", torrent.name)));
        let bytes = create::encode(&torrent).map_err(|error| std::io::Error::other(error.to_string()))?;
        fs::write(&path, bytes)?;
        Ok((path, torrent.pieces.len() / 20))
    });
    match written {
        Ok((path, pieces)) => {
            report.last(&format!("wrote {} with {pieces} pieces", path.display()));
            exit::COMPLETE
        }
        Err(error) => {
            report.error(&error.to_string());
            exit::OTHER
        }
    }
}
