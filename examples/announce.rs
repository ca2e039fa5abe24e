//! Announces a torrent to its trackers and prints what happens, until Ctrl+C.
//!
//! ```text
//! cargo run --example announce -- some.torrent [--interval SECS] [--order nearest|bep12] [--once]
//! cargo run --example announce --features cache -- some.torrent --latency-cache FILE
//! ```

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use tracker_failover::{
    Alert, AnnounceHandle, Announcer, Config, Metainfo, Order, PeerId, Torrent, TrackerSet,
};

const USAGE: &str =
    "usage: announce FILE.torrent [--interval SECS] [--order nearest|bep12] [--once] [--latency-cache FILE]";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("announce: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether the last announce was answered.
async fn run() -> Result<bool, Box<dyn Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let file = std::fs::read(&arguments.file).map_err(|error| format!("{}: {error}", arguments.file))?;
    let metainfo = Metainfo::parse(&file).map_err(|error| format!("{}: {error}", arguments.file))?;
    for skipped in metainfo.skipped_trackers() {
        println!("[CONFIG] skipped {skipped}");
    }
    let peer_id = PeerId::with_prefix(*b"-TF0001-", rand::random());
    let mut torrent = Torrent::new(metainfo.info_hash(), peer_id, 6881);
    torrent.transfer.left = Some(metainfo.total_length());

    let announcer = Announcer::builder().config(arguments.config);
    #[cfg(feature = "cache")]
    let announcer = match arguments.latency_cache {
        Some(path) => announcer.latency_cache(path),
        None => announcer,
    };
    let announcer = announcer.spawn();
    let mut session = announcer.add(TrackerSet::from(&metainfo), torrent);
    let mut answered = false;
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            Some(alert) = session.next_alert() => {
                let round = match &alert {
                    Alert::Announced(_) => Some(true),
                    Alert::RoundFailed { .. } => Some(false),
                    _ => None,
                };
                answered = round.unwrap_or(answered);
                if !show(&alert) || (arguments.once && round.is_some()) {
                    break;
                }
            }
            _ = &mut interrupted => break,
        }
    }
    stop(session).await;
    // What was learned of the trackers is written before the program ends.
    announcer.shutdown(Duration::from_secs(3)).await;
    Ok(answered)
}

/// Tells the trackers that we leave, which takes at most [`Config::stop_limit`], and prints who knows.
async fn stop(session: AnnounceHandle) {
    let mut alerts = session.alerts();
    let print = async {
        while let Some(alert) = alerts.next().await {
            show(&alert);
        }
    };
    tokio::join!(session.stop(), print);
}

/// Prints an alert; false where nobody reads any more, which is no reason to leave without a word.
fn show(alert: &Alert) -> bool {
    writeln!(std::io::stdout(), "[{}] {alert}", alert.tag()).is_ok()
}

struct Arguments {
    file: String,
    config: Config,
    once: bool,
    #[cfg(feature = "cache")]
    latency_cache: Option<String>,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut file, mut config, mut once) = (None, Config::default(), false);
        #[cfg(feature = "cache")]
        let mut latency_cache = None;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--once" => once = true,
                "--interval" => {
                    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok());
                    let seconds = seconds.ok_or("--interval: expected a number of seconds")?;
                    config.interval_override = Some(Duration::from_secs(seconds));
                }
                "--order" => {
                    config.order = match arguments.next().as_deref() {
                        Some("nearest") => Order::Nearest,
                        Some("bep12") => Order::Bep12,
                        _ => return Err("--order: expected nearest or bep12".into()),
                    }
                }
                #[cfg(feature = "cache")]
                "--latency-cache" => {
                    latency_cache = Some(arguments.next().ok_or("--latency-cache: expected a file")?);
                }
                #[cfg(not(feature = "cache"))]
                "--latency-cache" => return Err("--latency-cache: built without the feature cache".into()),
                _ if file.is_none() && !argument.starts_with('-') => file = Some(argument),
                _ => return Err(format!("unexpected {argument:?}\n{USAGE}")),
            }
        }
        Ok(Self {
            file: file.ok_or(USAGE)?,
            config,
            once,
            #[cfg(feature = "cache")]
            latency_cache,
        })
    }
}
