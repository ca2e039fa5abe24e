//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::json;

/// Checks BitTorrent trackers, and ranks those that answer.
///
/// Each tracker is tried three times over IPv4 and three times over IPv6, without registering a peer: by HEAD or GET over HTTP, and by
/// the connect request over UDP. Names of one tracker are joined. Paths and queries of addresses, which hold passkeys,
/// are never shown.
#[derive(Debug, Parser)]
#[command(name = "check", version, after_help = EXIT_CODES, after_long_help = long_help())]
pub(crate) struct Args {
    /// Tracker lists, .torrent files, magnet links in quotes, announce addresses; - for a list on standard input
    #[arg(required = true, value_name = "LIST|TORRENT|MAGNET|URL")]
    pub(crate) sources: Vec<String>,
    /// Also announces a random torrent to each tracker that answers, and takes it back at once
    ///
    /// It shows that it is a tracker, and at which interval it wants to be announced to. The port of the announce is 9, that of
    /// the discard service, where no BitTorrent client listens.
    #[arg(long)]
    pub(crate) deep: bool,
    /// One JSON object a tracker on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Writes a page with a picture to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Repeats the check, so many seconds after the one before has ended, until Ctrl+C [default: 300]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "300",
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) watch: Option<u64>,
    /// Keeps what was found in this file, and shows the share of checks that were answered
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
    /// Also trusts the certificates of this file, in PEM form
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

const EXIT_CODES: &str = "\
Exit codes: 0 if a tracker answers, 1 if none does, 2 if the arguments can't be used or a file can't be read or written.";

const RANKING: &str = "\
Trackers are ranked by the time that an announce is expected to take, over the better address family:
  score = median of the latencies + 1 s × lost / (tried + 10)
A latency is that of a new connection and one answer: over UDP two round trips, over HTTP the connection, TLS and the
first byte. What doesn't answer comes last. The history changes no rank.";

fn long_help() -> String {
    format!("{RANKING}\n\n{}\n\n{EXIT_CODES}", json::FIELDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_as_help_lists_them() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
        let help = Args::command().render_long_help().to_string();
        for part in ["score = median", "latency_ms", "Exit codes: 0"] {
            assert!(help.contains(part), "{part}");
        }
    }

    #[test]
    fn watch_takes_seconds_or_none() {
        let watch = |arguments: &[&str]| {
            Args::try_parse_from([&["check"], arguments].concat()).map(|args| args.watch)
        };
        assert_eq!(watch(&["x"]).unwrap(), None);
        assert_eq!(watch(&["--watch", "x"]).unwrap(), Some(300));
        assert_eq!(watch(&["--watch=60", "x"]).unwrap(), Some(60));
        for wrong in [&["--watch=0", "x"][..], &["--watch=a", "x"], &[], &["--unknown", "x"]] {
            assert_eq!(watch(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }
}
