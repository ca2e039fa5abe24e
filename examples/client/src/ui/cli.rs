//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::units;
use crate::discovery::node_file::NodeFile;
use crate::discovery::node_name::NodeName;
use crate::net::run::Until;
use crate::select::Selection;
use crate::source::{Source, SourceError};
use crate::wire::mse::Policy;

/// Downloads a torrent from whatever peers the nearest living tracker knows.
#[derive(Debug, Parser)]
#[command(name = "client", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) download: Download,
}

/// What else can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a .torrent of a file or folder
    Create(Create),
}

/// How to download.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Download {
    /// The .torrent, - for standard input, its http or https URL, or a magnet link in quotes; several are downloaded at once
    #[arg(value_name = "TORRENT", conflicts_with = "torrent")]
    pub(crate) sources: Vec<OsString>,
    /// The same, as an option
    #[arg(long, value_name = "TORRENT")]
    pub(crate) torrent: Vec<OsString>,
    /// Where files are saved to and seeded from
    #[arg(short = 'd', long, visible_alias = "out", value_name = "DIR", default_value = ".")]
    pub(crate) archives: PathBuf,
    /// The name or address to announce instead of the one that trackers see
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// How peers are found; the DHT is IPv4 only, and stays off for private torrents
    #[arg(long, value_enum, value_name = "MODE", default_value_t = DiscoveryMode::Tracker)]
    pub(crate) discovery_mode: DiscoveryMode,
    /// A node of the DHT to begin with, instead of the public ones; may be repeated
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) dht_bootstrap: Vec<NodeName>,
    /// Keeps nodes of the DHT in this file, one HOST:PORT a line, and begins with those as well
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(NodeFile::read))]
    pub(crate) dht_nodes: Option<NodeFile>,
    /// The port for peers, 0 for any [default: 6881, or the next free one]
    #[arg(long, value_name = "N")]
    pub(crate) port: Option<u16>,
    /// Whether connections with peers are encrypted (MSE); it hides them from networks that hinder BitTorrent
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Encryption::Prefer)]
    pub(crate) encryption: Encryption,
    /// Has the gateway lead a port of its own to ours (`UPnP`), so that peers outside can connect to us; not with --proxy or
    /// --interface, which it would pass by
    #[arg(long, conflicts_with_all = ["proxy", "interface"])]
    pub(crate) port_mapping: bool,
    /// Where the gateway is asked, instead of by multicast
    #[arg(long, value_name = "IP:PORT", requires = "port_mapping", hide = true)]
    pub(crate) gateway: Option<SocketAddr>,
    /// Fetches only these files, by the numbers that --list shows, such as 1,3-5
    ///
    /// --exit-when-done then ends when they are here. A piece may reach into files that aren't among them; what it
    /// holds of those is kept beside them in .INFO-HASH.parts, and they aren't created. Announces are about the
    /// whole torrent all the same: left counts every missing byte of it, and completed is announced only when
    /// nothing is missing.
    #[arg(long, value_name = "LIST")]
    pub(crate) select: Option<Selection>,
    /// Keeps the torrent of a magnet link, as NAME.torrent beside the data
    #[arg(long)]
    pub(crate) save_torrent: bool,
    /// Ends when everything is here, instead of seeding until Ctrl+C
    #[arg(long)]
    pub(crate) exit_when_done: bool,
    /// Ends when it has seeded so long: seconds, or with a unit such as 10m, 2h or 1d
    #[arg(long, value_name = "TIME", value_parser = units::duration, conflicts_with = "exit_when_done")]
    pub(crate) seed_time: Option<Duration>,
    /// Ends when it has uploaded so many times the size of what is wanted, such as 1 or 1.5
    #[arg(long, value_name = "RATIO", value_parser = units::thousandths, conflicts_with = "exit_when_done")]
    pub(crate) seed_ratio: Option<u64>,
    /// Downloads no faster than this, over all peers and torrents: KiB/s, or with a unit such as 1.5M [default: 0, no limit]
    #[arg(long, value_name = "RATE", value_parser = units::speed)]
    pub(crate) down: Option<u64>,
    /// Uploads no faster than this, over all peers and torrents [default: 0, no limit]
    #[arg(long, value_name = "RATE", value_parser = units::speed)]
    pub(crate) up: Option<u64>,
    /// Announces at this interval instead of the tracker's
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) announce_interval: Option<u32>,
    /// In which order trackers are tried
    #[arg(long, value_enum, value_name = "ORDER", default_value_t = TrackerOrder::Nearest)]
    pub(crate) order: TrackerOrder,
    /// How many trackers are announced to
    #[arg(long, value_enum, value_name = "HOW MANY", default_value_t = TrackerCount::Needed)]
    pub(crate) announce_to: TrackerCount,
    /// Keeps what was learned about trackers in this file, so that the next start goes straight to the nearest
    #[arg(long, value_name = "FILE")]
    pub(crate) latency_cache: Option<PathBuf>,
    /// Hashes all of what is here and ends: with 0 if everything that is wanted is, and otherwise with 6
    ///
    /// A start hashes only what has changed since .INFO-HASH.resume was written, by the sizes and times of files. This hashes
    /// every byte, changes no file, and writes down what it has found, so that the next start fetches what is damaged.
    #[arg(long, conflicts_with = "list")]
    pub(crate) check: bool,
    /// Shows files and trackers, and ends
    #[arg(short, long)]
    pub(crate) list: bool,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Only errors and the last line
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Also what happens with each peer
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// A peer to begin with; may be repeated
    #[arg(long = "peer", value_name = "IP:PORT")]
    pub(crate) peers: Vec<SocketAddr>,
    /// Reaches trackers and peers through this proxy alone: socks5://HOST:PORT or http://HOST:PORT
    ///
    /// HOST is an IP address or localhost, with USER:PASSWORD@ before it if the proxy asks for them. Names are looked up
    /// by the proxy. Peers can't connect to us; --port is announced all the same. UDP trackers need a SOCKS proxy that
    /// carries UDP. The DHT stays off, and peers that are named by a host name are left out.
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Reaches trackers and peers by this network interface alone, such as that of a VPN
    ///
    /// Names are looked up over it too. Peers connect to us by it. The DHT stays off, and peers that are named by a host
    /// name are left out.
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Option<String>,
    /// Asks no tracker
    #[arg(long)]
    pub(crate) no_trackers: bool,
    /// Lets trackers and the DHT name peers on this machine
    #[arg(long)]
    pub(crate) allow_loopback: bool,
    /// Ends after so many seconds, complete or not
    #[arg(long, value_name = "SECS")]
    pub(crate) deadline_s: Option<u64>,
    /// Replaces files of other content that are in the way
    #[arg(long)]
    pub(crate) overwrite: bool,
}

/// What to make a .torrent of.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The file or folder
    pub(crate) path: PathBuf,
    /// Trackers of one tier, a comma between them; repeated for the next tier
    #[arg(short = 't', long = "tracker", value_name = "URL[,URL]")]
    pub(crate) trackers: Vec<String>,
    /// Where to write it [default: the name with .torrent behind it]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replaces what is there, unless the torrent is made of it
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// The torrent may be announced to these trackers only (BEP 27)
    #[arg(long)]
    pub(crate) private: bool,
    /// Size of a piece in KiB [default: about a thousand pieces]
    #[arg(long, value_name = "KIB", value_parser = clap::value_parser!(u32).range(16..=65_536))]
    pub(crate) piece_size: Option<u32>,
}

/// How peers are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiscoveryMode {
    /// By the torrent's trackers
    Tracker,
    /// By the DHT alone (BEP 5)
    Overlay,
    /// By the trackers, and by the DHT while they don't bring enough peers
    Both,
}

/// Whether connections with peers are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encryption {
    /// With peers that can do it
    Prefer,
    /// Always: plain connections are neither made nor taken
    Require,
    /// Never
    Off,
}

impl Encryption {
    /// The same, for connections.
    pub(crate) fn policy(self) -> Policy {
        match self {
            Self::Prefer => Policy::Prefer,
            Self::Require => Policy::Require,
            Self::Off => Policy::Off,
        }
    }
}

/// In which order trackers are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TrackerOrder {
    /// The nearest first, whatever its tier
    Nearest,
    /// Tier by tier (BEP 12)
    Bep12,
}

/// How many trackers are announced to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TrackerCount {
    /// One, and the next where it fails
    One,
    /// One, and others while peers are short
    Needed,
    /// One of each tier
    Tier,
    /// All of them
    All,
}

impl Download {
    /// What names the torrents, however they were given: one at least.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn sources(&self) -> Result<Vec<Source>, SourceError> {
        let arguments = if self.torrent.is_empty() { &self.sources } else { &self.torrent };
        if arguments.is_empty() {
            return Err(SourceError::Missing);
        }
        Ok(arguments.iter().map(Source::of).collect())
    }

    /// The limit of downloads in bytes a second, if there is one.
    pub(crate) fn down_limit(&self) -> Option<u64> {
        self.down.filter(|&limit| limit > 0)
    }

    /// The limit of uploads.
    pub(crate) fn up_limit(&self) -> Option<u64> {
        self.up.filter(|&limit| limit > 0)
    }

    /// When a download ends.
    pub(crate) fn until(&self) -> Until {
        Until {
            done: self.exit_when_done,
            seeded_for: self.seed_time,
            ratio: self.seed_ratio,
            deadline: self.deadline_s.map(Duration::from_secs),
        }
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0    complete, also when interrupted while seeding
  1    something else went wrong
  2    wrong usage
  3    not complete at --deadline-s, or nothing that names peers and no peer left
  4    the torrent was refused
  5    the disk is full, or files can't be read or written
  6    --check found pieces that are damaged or missing
  130  interrupted before everything was here
Of several torrents the first of 5, 4, 2, 1, 6, 3, 130 that one of them ended with; 0 only if all did.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn both_ways_of_naming_a_torrent_work() {
        for arguments in
            [["client", "x.torrent"].as_slice(), &["client", "--torrent", "x.torrent", "--out", "d"]]
        {
            let cli = Cli::try_parse_from(arguments).unwrap();
            assert_eq!(cli.download.sources().unwrap(), [Source::File("x.torrent".into())]);
        }
        let cli = Cli::try_parse_from(["client", "--torrent", "-"]).unwrap();
        assert_eq!(cli.download.sources().unwrap(), [Source::Stdin]);
        // R160: a second one is not taken for a subcommand.
        let cli = Cli::try_parse_from(["client", "a.torrent", "b.torrent", "--json"]).unwrap();
        assert_eq!(cli.download.sources().unwrap().len(), 2);
        let cli = Cli::try_parse_from(["client", "create", "p", "-t", "a,b", "-t", "c"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Create(create)) if create.trackers == ["a,b", "c"]));
    }

    #[test]
    fn further_trackers_are_asked_as_needed_unless_the_user_wants_otherwise() {
        let announce_to = |options: &[&str]| {
            Cli::try_parse_from([&["client", "x"], options].concat()).unwrap().download.announce_to
        };
        assert_eq!(announce_to(&[]), TrackerCount::Needed);
        for (word, count) in [
            ("one", TrackerCount::One),
            ("needed", TrackerCount::Needed),
            ("tier", TrackerCount::Tier),
            ("all", TrackerCount::All),
        ] {
            assert_eq!(announce_to(&["--announce-to", word]), count);
        }
    }

    #[test]
    fn an_unknown_discovery_mode_says_which_exist() {
        let error = Cli::try_parse_from(["client", "x", "--discovery-mode", "dht"]).unwrap_err().to_string();
        assert!(error.contains("possible values: tracker, overlay, both"), "{error}");
    }

    #[test]
    fn connections_are_encrypted_where_that_can_be_unless_the_user_wants_otherwise() {
        let policy = |options: &[&str]| {
            Cli::try_parse_from([&["client", "x"], options].concat()).unwrap().download.encryption.policy()
        };
        assert_eq!(policy(&[]), Policy::Prefer);
        for (word, expected) in
            [("prefer", Policy::Prefer), ("require", Policy::Require), ("off", Policy::Off)]
        {
            assert_eq!(policy(&["--encryption", word]), expected);
        }
    }

    #[test]
    fn a_file_of_nodes_with_another_line_is_an_error_that_names_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes");
        let parse = || Cli::try_parse_from(["client", "x", "--dht-nodes", path.to_str().unwrap()]);
        assert!(parse().unwrap().download.dht_nodes.is_some(), "it doesn't exist yet");
        std::fs::write(&path, "192.0.2.1:1\nx\n").unwrap();
        let error = parse().unwrap_err().to_string();
        assert!(error.contains("--dht-nodes") && error.contains("line 2: expected a host"), "{error}");
    }

    #[test]
    fn a_bootstrap_node_is_a_host_and_a_port() {
        let parse = |node| Cli::try_parse_from(["client", "x", "--dht-bootstrap", node]);
        for good in ["router.example.org:6881", "192.0.2.1:1"] {
            assert_eq!(parse(good).unwrap().download.dht_bootstrap, [NodeName(good.to_owned())]);
        }
        for bad in ["router.example.org", ":6881", "x:0", "x:65536", "x:", ""] {
            assert!(parse(bad).unwrap_err().to_string().contains("expected a host and a port"), "{bad}");
        }
    }
}
