//! One healthy torrent beside dead ones, over sockets: for five minutes none of its announces comes late.
//!
//! `tests/it/liveness.rs` has the same matrix in virtual time, for longer. Here the interval is the shortest that a
//! tracker can name, and isn't overridden, since an override hides what puts a torrent off.

mod dead;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracker_failover::net::resolver::StaticResolver;
use tracker_failover::{Alert, AnnounceTo, Announcer, Config, TrackerSet, TrackerUrl};

use crate::report::Report;
use crate::session::Session;
use dead::{INTERVAL, Tracker, WAYS, WAYS_OF_ONE, Way};

/// The word that runs this, and nothing else.
pub(crate) const WORD: &str = "liveness";

/// For how long the healthy torrent is watched.
const WATCHED: Duration = Duration::from_secs(300);

/// How late its announces may be, `started` among them.
const LATE: Duration = Duration::from_secs(60);

/// How many others there are.
const COUNTS: [usize; 5] = [0, 1, 3, 5, 50];

/// Between two of them.
const PAUSE: Duration = Duration::from_millis(100);

/// How long before a healthy torrent that is added last: longer than a dead tracker is waited for, so that the others
/// have failed.
const SETTLED: Duration = Duration::from_secs(35);

/// The whole run; 340 s and what a busy machine adds.
const LIMIT: Duration = Duration::from_secs(480);

/// Beside which others the healthy torrent is.
#[derive(Debug, Clone, Copy)]
struct Combination {
    way: Way,
    /// They are on the healthy one's own tracker, not each on its own host.
    on_its_host: bool,
    others: usize,
    healthy_first: bool,
}

/// What was observed of one combination.
#[derive(Debug)]
struct Seen {
    combination: Combination,
    /// How many announces of the healthy torrent its tracker heard.
    heard: usize,
    /// How late the worst of them was.
    worst: Duration,
    /// How many of the others failed at least once, and how many were answered.
    failed: usize,
    answered: usize,
    causes: BTreeSet<String>,
}

/// Runs all combinations at once, or those whose names hold one of these words, each with its own announcer, and
/// judges them.
pub(crate) async fn run(words: &[String], report: &mut Report) {
    report.scenario("one healthy torrent beside dead ones, for five minutes");
    raise_file_limit();
    let mut running = JoinSet::new();
    let is_wanted = |name: String| words.is_empty() || words.iter().any(|word| name.contains(word));
    for combination in combinations() {
        if !is_wanted(combination.to_string()) {
            continue;
        }
        running.spawn(async move { watch(combination).await.map_err(|why| format!("{combination}: {why}")) });
    }
    report.note(format_args!("{} combinations, {} s", running.len(), (SETTLED + WATCHED).as_secs()));
    let Ok(all) = timeout(LIMIT, running.join_all()).await else {
        return report.broken(format_args!("it took longer than {} s", LIMIT.as_secs()));
    };
    report.note(format_args!("{:62} announces  late by at most", ""));
    let mut by_way: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    for seen in all {
        match seen {
            Ok(seen) => by_way.entry(seen.combination.kind()).or_default().push(seen),
            Err(why) => report.broken(why),
        }
    }
    for (kind, rows) in &by_way {
        judge(kind, rows, report);
    }
    println!(
        "\n| the others | announces of the healthy one: added first, last | late by at most: added first, last |"
    );
    println!("|---|---|---|");
    for (kind, rows) in &by_way {
        let (first, last) = (Extremes::of(rows, true), Extremes::of(rows, false));
        println!("| {kind} | {}, {} | {}, {} |", first.heard(), last.heard(), first.worst(), last.worst());
    }
}

fn combinations() -> Vec<Combination> {
    let own = WAYS.map(|way| (way, false));
    let shared = WAYS_OF_ONE.map(|way| (way, true));
    let mut combinations = Vec::new();
    for (way, on_its_host) in own.into_iter().chain(shared) {
        for others in COUNTS {
            for healthy_first in [true, false] {
                combinations.push(Combination { way, on_its_host, others, healthy_first });
            }
        }
    }
    combinations
}

/// Adds the torrents, and watches what the healthy one's tracker hears.
async fn watch(combination: Combination) -> Result<Seen, Box<dyn Error + Send + Sync>> {
    let Combination { way, on_its_host, others, healthy_first } = combination;
    let announcer = Announcer::builder()
        .config(Config::default().announce_to(AnnounceTo::One))
        .resolver(StaticResolver::new())
        .spawn();
    let (tracker, torrent) = (Tracker::healthy(way).await, new_torrent());
    let trackers = only(&tracker)?;
    let mut healthy = None;
    if healthy_first {
        healthy = Some((now(), Session::start(&announcer, trackers.clone(), torrent, 50_001)));
    }
    let (mut dead_ones, mut sessions) = (Vec::new(), Vec::new());
    for _ in 0..others {
        let torrent = new_torrent();
        let mut trackers = trackers.clone();
        if on_its_host {
            tracker.fail(torrent, way);
        } else {
            let dead = Tracker::dead(way).await?;
            trackers = only(&dead)?;
            dead_ones.push(dead);
        }
        sessions.push(Session::start(&announcer, trackers, torrent, 50_001));
        sleep(PAUSE).await;
    }
    if !healthy_first {
        sleep(SETTLED).await;
    }
    let (added, _session) =
        healthy.unwrap_or_else(|| (now(), Session::start(&announcer, trackers, torrent, 50_001)));
    let end = added + WATCHED;
    sleep_until(end).await;

    let mut heard = tracker.heard(torrent);
    heard.retain(|at| *at <= end);
    let mut seen = Seen {
        combination,
        heard: heard.len(),
        worst: worst_lateness(added, &heard, end),
        failed: 0,
        answered: 0,
        causes: BTreeSet::new(),
    };
    for session in &mut sessions {
        session.catch_up().await;
        seen.note(session.heard());
    }
    Ok(seen)
}

/// How late the worst announce was: the first is due at once, each other an interval after the one before, and the
/// one that is still missing at the end counts.
fn worst_lateness(added: Instant, heard: &[Instant], end: Instant) -> Duration {
    let (mut due, mut worst) = (added, Duration::ZERO);
    for at in heard.iter().chain([&end]) {
        worst = worst.max(at.saturating_duration_since(due));
        due = *at + INTERVAL;
    }
    worst
}

/// A line for each combination; and whether the others were as dead as they should be.
fn judge(kind: &str, rows: &[Seen], report: &mut Report) {
    for seen in rows {
        let line = format!("{:62} {:9}  {:.2} s", seen.combination, seen.heard, seen.worst.as_secs_f64());
        report.check(seen.worst <= LATE, line, seen);
    }
    let sum = |of: fn(&Seen) -> usize| rows.iter().map(of).sum::<usize>();
    let (others, failed, answered) =
        (sum(|seen| seen.combination.others), sum(|seen| seen.failed), sum(|seen| seen.answered));
    // On one host they wait for one another, so not each has its turn.
    let enough =
        if rows.iter().any(|seen| seen.combination.on_its_host) { failed > 0 } else { failed == others };
    let causes: BTreeSet<_> = rows.iter().flat_map(|seen| &seen.causes).collect();
    let line = format!("{kind}: {failed} of {others} others failed, none was answered");
    if report.check(enough && answered == 0, line, (answered, &causes)) {
        report.note(format_args!("{causes:?}"));
    }
}

impl Seen {
    /// What became of one of the others.
    fn note(&mut self, alerts: &[Alert]) {
        let is_answer = |alert: &Alert| matches!(alert, Alert::Announced(_) | Alert::LateResponse { .. });
        self.answered += usize::from(alerts.iter().any(is_answer));
        let causes = alerts.iter().filter_map(|alert| match alert {
            Alert::Failed { error, .. } => Some(error.to_string()),
            _ => None,
        });
        let causes: BTreeSet<String> = causes.collect();
        self.failed += usize::from(!causes.is_empty());
        self.causes.extend(causes);
    }
}

impl Combination {
    fn kind(self) -> String {
        let place = if self.on_its_host { "on the healthy one's tracker" } else { "each on its own host" };
        format!("{}, {place}", self.way.name())
    }
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.healthy_first { "first" } else { "last" };
        f.pad(&format!("{}, {}, {place}", self.kind(), self.others))
    }
}

/// The extremes of some rows.
struct Extremes {
    heard: Option<(usize, usize)>,
    worst: Duration,
}

impl Extremes {
    fn of(rows: &[Seen], healthy_first: bool) -> Self {
        let rows = || rows.iter().filter(|seen| seen.combination.healthy_first == healthy_first);
        let (least, most) = (rows().map(|seen| seen.heard).min(), rows().map(|seen| seen.heard).max());
        Self { heard: least.zip(most), worst: rows().map(|seen| seen.worst).max().unwrap_or_default() }
    }

    fn heard(&self) -> String {
        match self.heard {
            Some((least, most)) if least == most => least.to_string(),
            Some((least, most)) => format!("{least} … {most}"),
            None => "none".to_owned(),
        }
    }

    fn worst(&self) -> String {
        format!("{:.2} s", self.worst.as_secs_f64())
    }
}

fn only(tracker: &Tracker) -> Result<TrackerSet, Box<dyn Error + Send + Sync>> {
    let url: TrackerUrl = tracker.announce_url()?.parse()?;
    Ok(TrackerSet::new([[url]]))
}

fn new_torrent() -> [u8; 20] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut torrent = [b'.'; 20];
    torrent[12..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    torrent
}

/// Some four thousand sockets are open at once.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it fails, the sockets that can't be opened say so.
    let _ = setrlimit(Resource::Nofile, limit);
}

#[expect(clippy::disallowed_methods, reason = "a program that measures, outside of the library")]
fn now() -> Instant {
    Instant::now()
}
