//! Announces a torrent to its trackers and prints what happens, until Ctrl+C.
//!
//! ```text
//! cargo run --example announce -- some.torrent [--interval SECS] [--order nearest|bep12]
//!     [--announce-to one|needed|tier|all] [--once]
//! cargo run --example announce --features cache -- some.torrent --latency-cache FILE
//! ```

#[path = "lines/mod.rs"]
mod lines;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use tracker_failover::{
    Alert, Alerts, AnnounceHandle, AnnounceTo, Announcer, Config, Metainfo, Order, PeerId, Torrent,
    TrackerSet,
};

const USAGE: &str = "usage: announce FILE.torrent [--interval SECS] [--order nearest|bep12] \
    [--announce-to one|needed|tier|all] [--once] [--latency-cache FILE]";

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().skip(1).any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run(std::env::args().skip(1)).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("announce: {error}");
            ExitCode::from(2)
        }
    }
}

/// Gives whether the last announce was answered.
async fn run(arguments: impl Iterator<Item = String>) -> Result<bool, Box<dyn Error>> {
    let arguments = Arguments::parse(arguments)?;
    let file = std::fs::read(&arguments.file).map_err(|error| format!("{}: {error}", arguments.file))?;
    let metainfo = Metainfo::parse(&file).map_err(|error| format!("{}: {error}", arguments.file))?;
    for skipped in metainfo.skipped_trackers() {
        println!("[CONFIG] skipped {skipped}");
    }
    let peer_id = PeerId::random(*b"-TF0001-");
    let mut torrent = Torrent::new(metainfo.info_hash(), peer_id, 6881);
    torrent.transfer.left = Some(metainfo.total_length());

    let announcer = Announcer::builder().config(arguments.config);
    #[cfg(feature = "cache")]
    let announcer = match arguments.latency_cache {
        Some(path) => announcer.latency_cache(path),
        None => announcer,
    };
    let announcer = announcer.spawn();
    let (handle, mut alerts) = announcer.add(TrackerSet::from(&metainfo), torrent);
    let mut answered = false;
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            Some(alert) = alerts.next() => {
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
    stop(handle, alerts).await;
    // What was learned of the trackers is written before the program ends.
    announcer.shutdown(Duration::from_secs(3)).await;
    Ok(answered)
}

/// Announces `stopped` to the trackers, which takes at most [`Config::stop_limit`], and prints the results.
async fn stop(handle: AnnounceHandle, mut alerts: Alerts) {
    let print = async {
        while let Some(alert) = alerts.next().await {
            show(&alert);
        }
    };
    let (_, ()) = tokio::join!(handle.stop(), print);
}

/// Prints an alert. False if the output is closed: the program then ends, and announces `stopped` all the same.
fn show(alert: &Alert) -> bool {
    let print = |(tag, text)| writeln!(io::stdout(), "[{tag}] {text}");
    lines::of(alert).into_iter().try_for_each(print).is_ok()
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
                    config = config.interval_override(Duration::from_secs(seconds));
                }
                "--order" => {
                    config = config.order(match arguments.next().as_deref() {
                        Some("nearest") => Order::Nearest,
                        Some("bep12") => Order::Bep12,
                        _ => return Err("--order: expected nearest or bep12".into()),
                    });
                }
                "--announce-to" => {
                    config = config.announce_to(match arguments.next().as_deref() {
                        Some("one") => AnnounceTo::One,
                        Some("needed") => AnnounceTo::AsNeeded,
                        Some("tier") => AnnounceTo::EachTier,
                        Some("all") => AnnounceTo::All,
                        _ => return Err("--announce-to: expected one, needed, tier or all".into()),
                    });
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

#[cfg(all(test, feature = "cache"))]
mod tests {
    use fake_tracker::bencode::{Dictionary, list, string};
    use fake_tracker::{Asked, Behaviour, FakeTracker};

    use super::*;

    fn torrent(trackers: &[&FakeTracker]) -> Vec<u8> {
        let (mut info, mut torrent) = (Dictionary::new(), Dictionary::new());
        info.string("name", "file");
        info.integer("length", 1000);
        info.integer("piece length", 16384);
        info.string("pieces", [7; 20]);
        let tier = |tracker: &&FakeTracker| list([string(tracker.announce_url())]);
        torrent.value("announce-list", list(trackers.iter().map(tier)));
        torrent.value("info", info.encode());
        torrent.encode()
    }

    /// The requests that a tracker has received since the last call: `HEAD`, or the event of an announce.
    fn received(tracker: &FakeTracker) -> Vec<String> {
        let requests = tracker.heard();
        tracker.forget();
        let name = |request: &fake_tracker::Heard| match request.asked() {
            Asked::Announce => request.event().unwrap_or("none").to_owned(),
            asked => format!("{asked:?}"),
        };
        requests.iter().map(name).collect()
    }

    #[tokio::test]
    async fn the_second_start_goes_to_the_nearest_living_tracker_without_probing() {
        let millis = Duration::from_millis;
        let dead = FakeTracker::start(Behaviour::Refused).await;
        let far = FakeTracker::start(Behaviour::ok_after(millis(50))).await;
        // It answers announces slowly, so that the other one is measured before the program ends.
        let near =
            FakeTracker::start(Behaviour::ok_after(millis(400)).when(Asked::Head, Behaviour::ok())).await;
        let folder = tempfile::TempDir::new().unwrap();
        let [file, cache] =
            ["a.torrent", "hosts"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
        std::fs::write(&file, torrent(&[&dead, &far, &near])).unwrap();
        let start = || {
            run([&file, "--once", "--announce-to", "one", "--latency-cache", &cache]
                .map(str::to_owned)
                .into_iter())
        };

        assert!(start().await.unwrap());
        assert_eq!(
            (received(&near), received(&far)),
            (names(&["Head", "started", "stopped"]), names(&["Head"]))
        );
        near.set_behaviour(Behaviour::ok());
        assert!(start().await.unwrap());
        assert_eq!((received(&near), received(&far)), (names(&["started", "stopped"]), names(&[])));

        // The nearest one dies: the next start uses the other one, which isn't probed again either.
        near.kill().await;
        assert!(start().await.unwrap());
        assert_eq!((received(&near), received(&far)), (names(&[]), names(&["started", "stopped"])));

        // A damaged cache means a cold start, and nothing else.
        std::fs::write(&cache, "nonsense").unwrap();
        assert!(start().await.unwrap());
        assert_eq!(received(&far), names(&["Head", "started", "stopped"]));
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}
