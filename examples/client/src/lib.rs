//! A complete BitTorrent downloader on top of the library, small enough to be read.
//!
//! The messages between peers are in `wire` and all decisions in `swarm`, both without input or output; sockets are in
//! `net`, files in `files`, the terminal in `ui`. Only `discovery` uses the library's announcer.
//!
//! `examples/client.rs` and `examples/demo.rs` mount this file as a module and import what is in it, so that `crate` means
//! the same there as here. As a dependency of the examples it would switch on the library's features `http` and `udp` for
//! everything that is built beside them, and what works without them couldn't be tested.

pub(crate) mod create;
pub(crate) mod discover;
pub(crate) mod discovery;
pub(crate) mod download;
pub(crate) mod exit;
pub(crate) mod fetch;
pub(crate) mod files;
#[doc(hidden)]
pub mod fuzzing;
#[path = "../../lines/mod.rs"]
pub(crate) mod lines;
pub(crate) mod list;
pub(crate) mod magnet;
pub(crate) mod metadata;
pub(crate) mod net;
pub(crate) mod process;
pub(crate) mod refused;
pub(crate) mod resolve;
pub(crate) mod scrape;
pub(crate) mod select;
pub(crate) mod signals;
pub(crate) mod source;
pub(crate) mod swarm;
#[cfg(test)]
mod tests;
pub(crate) mod torrent;
pub(crate) mod torrents;
pub(crate) mod ui;
pub(crate) mod way_out;
pub(crate) mod wire;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use ui::cli::{Cli, Command};

/// Runs the program with these arguments, the first of which is its name, and gives its exit code.
///
/// With wrong ones, or `--help`, it prints what there is to be said and ends the process, as command lines do.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = Cli::parse_from(arguments);
    let code = match &cli.command {
        Some(Command::Create(options)) => create::main(options),
        None => torrents::main(&cli.download),
    };
    ExitCode::from(code)
}
