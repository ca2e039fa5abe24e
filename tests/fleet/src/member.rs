//! One process of the fleet: an announcer that adds the torrents it reads line by line, and reports by lines what it tries; and
//! the handle of the process that started it.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracker_failover::net::redis::RedisStore;
use tracker_failover::{
    Alert, AnnounceRequest, AnnounceTo, Announcer, Config, InfoHash, Order, PeerId, Probing, Torrent,
    TrackerSet, TrackerUrl,
};

use crate::{Outcome, now};

/// How long an announce may take, failover included.
const ANNOUNCE_LIMIT: Duration = Duration::from_secs(30);

/// A process of the fleet.
pub(crate) struct Member {
    child: Child,
    commands: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Member {
    pub(crate) fn start(store: &str, trackers: &[String]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(store).args(trackers).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let commands = child.stdin.take().ok_or("no input")?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        Ok(Self { child, commands, lines })
    }

    /// Has a torrent added, and gives the trackers that it tried until it was announced.
    pub(crate) async fn add(&mut self) -> Outcome<Vec<String>> {
        self.commands.write_all(b"add\n").await?;
        let mut tried = Vec::new();
        loop {
            let line = timeout(ANNOUNCE_LIMIT, self.lines.next_line()).await??.ok_or("the process ended")?;
            match line.split_once(' ') {
                Some(("tried", tracker)) => tried.push(tracker.to_owned()),
                Some(("announced", _)) => return Ok(tried),
                Some(("failed", text)) => return Err(text.to_owned().into()),
                _ => {}
            }
        }
    }

    /// Waits until it holds a host to be dead, and gives when.
    pub(crate) async fn until_dead(&mut self, host: &str, limit: Duration) -> Outcome<Instant> {
        let asked = format!("dead {host}");
        self.commands.write_all(format!("{asked}\n").as_bytes()).await?;
        loop {
            let line =
                timeout(limit, self.lines.next_line()).await.map_err(|_| format!("not known: {asked}"))?;
            if line?.ok_or("the process ended")? == asked {
                return Ok(now());
            }
        }
    }

    /// Kills it (SIGKILL).
    pub(crate) async fn kill(mut self) -> Outcome {
        Ok(self.child.kill().await?)
    }

    /// Ends it, which it has to do by itself.
    pub(crate) async fn end(self) -> Outcome {
        let Self { mut child, commands, lines } = self;
        drop((commands, lines));
        let status = timeout(ANNOUNCE_LIMIT, child.wait()).await??;
        if status.success() { Ok(()) } else { Err(format!("a process ended with {status}").into()) }
    }
}

/// What a process of the fleet does until its input ends.
pub(crate) async fn run(store: &str, trackers: &[String]) -> Outcome {
    let trackers: Vec<TrackerUrl> = trackers.iter().map(|url| url.parse()).collect::<Result<_, _>>()?;
    // In the order of the list, and one at a time: which are tried shows what is known.
    let config = Config::default().order(Order::Bep12).without_shuffle().announce_to(AnnounceTo::One);
    let announcer =
        Announcer::builder().config(config.probing(Probing::Off)).host_store(RedisStore::new(store)?).spawn();
    // Two dead hosts of two that are known would pass for a dead network of our own.
    for tracker in &trackers[2..] {
        let request = AnnounceRequest::new(InfoHash::new([255; 20]), PeerId::random(*b"-XX0001-"), 6881);
        let _ = announcer.announce(&mut TrackerSet::new([[tracker.clone()]]), request).await;
    }
    let mut alerts = announcer.alerts();
    let mut handles = Vec::new();
    let mut awaited = None;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut looks = interval(Duration::from_millis(10));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                None => break,
                Some(line) if line == "add" => {
                    let number = u8::try_from(handles.len())?;
                    let mut torrent =
                        Torrent::new(InfoHash::new([number; 20]), PeerId::random(*b"-XX0001-"), 6881);
                    torrent.transfer.left = Some(1000);
                    let tiers = TrackerSet::new(trackers.iter().map(|tracker| [tracker.clone()]));
                    handles.push((InfoHash::new([number; 20]), announcer.add(tiers, torrent)));
                }
                Some(line) => awaited = line.strip_prefix("dead ").map(str::to_owned),
            },
            Some((info_hash, alert)) = alerts.next() => {
                // What the torrent does that was added last.
                if handles.last().is_some_and(|(last, _)| *last == info_hash) {
                    report(&alert);
                }
                if let Alert::CacheFailed { reason } = &alert {
                    eprintln!("  (a process reports: {reason})");
                }
            }
            _ = looks.tick() => {
                let is_dead = |host: &str| {
                    let mut hosts = announcer.hosts().into_iter();
                    hosts.any(|known| format!("{}:{}", known.host.host(), known.host.port()) == host
                        && known.backing_off.is_some())
                };
                if let Some(host) = awaited.take_if(|host| is_dead(host)) {
                    println!("dead {host}");
                }
            }
        }
    }
    let report = announcer.shutdown(Duration::from_secs(10)).await;
    if report.complete { Ok(()) } else { Err("the shutdown was not complete".into()) }
}

fn report(alert: &Alert) {
    match alert {
        Alert::AttemptStarted { tracker, .. } => println!("tried {}:{}", tracker.host(), tracker.port()),
        Alert::Announced(announced) => println!("announced {}", announced.tracker.host()),
        Alert::RoundFailed { .. } => println!("failed {alert}"),
        _ => {}
    }
}
