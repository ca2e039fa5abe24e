//! A complete BitTorrent downloader on top of the library, small enough to be read.
//!
//! `main` is wiring. The messages between peers are in `wire` and all decisions in `swarm`, both without input or output;
//! sockets are in `net`, files in `files`, the terminal in `ui`. Only `trackers` uses the library's announcer.

mod create;
mod download;
mod exit;
mod files;
#[path = "../lines/mod.rs"]
mod lines;
mod list;
mod net;
mod scrape;
mod select;
mod signals;
mod swarm;
#[cfg(test)]
mod tests;
mod torrent;
mod trackers;
mod ui;
mod wire;

use std::process::ExitCode;

use clap::Parser;

use ui::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match &cli.command {
        Some(Command::Create(options)) => create::main(options),
        None => download::main(&cli.download),
    };
    ExitCode::from(code)
}
