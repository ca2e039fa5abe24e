//! A complete downloader: the library of `examples/client`, as an example of this crate.
//!
//! ```text
//! cargo run --release --example client -- some.torrent
//! ```

#[path = "client/src/lib.rs"]
pub mod client;

#[expect(clippy::wildcard_imports, reason = "the paths in it begin with `crate`")]
use client::*;

fn main() -> std::process::ExitCode {
    run(std::env::args_os())
}
