//! `examples/check` and real trackers: over each protocol and family it finds them alive, and registers no peer.

use std::error::Error;
use std::fs;
use std::time::Duration;

use super::{Lab, Outcome, SEEDS_PORT};
use crate::authority::Authority;
use crate::program::Program;
use crate::tracker::{Family, Kind, Tracker};

/// It takes 2 s where all trackers answer.
const LIMIT: Duration = Duration::from_secs(30);

/// The trackers, whether each speaks TLS, and what `--deep` finds: opentracker has a whitelist here, and sends nothing over UDP
/// about a torrent that isn't on it.
const TRACKERS: [(Kind, Family, bool, &str); 8] = [
    (Kind::Opentracker, Family::V4, false, "refused"),
    (Kind::OpentrackerUdp, Family::V4, false, "failed"),
    (Kind::Opentracker, Family::V4, true, "refused"),
    (Kind::Npm, Family::V4, false, "accepted"),
    (Kind::NpmUdp, Family::V4, false, "accepted"),
    (Kind::Npm, Family::V6, false, "accepted"),
    (Kind::NpmUdp, Family::V6, false, "accepted"),
    (Kind::Npm, Family::V6, true, "accepted"),
];

pub(super) async fn all(lab: &mut Lab<'_>) -> Outcome {
    let authority = Authority::new()?;
    let mut trackers = Vec::new();
    for (kind, family, has_tls, _) in TRACKERS {
        let mut tracker = lab.tracker_at(kind, family).await?;
        if has_tls {
            tracker.secure(&authority.certificate(tracker.address().ip())?).await?;
        }
        trackers.push(tracker);
    }
    let trusted = lab.tools.npm_folder.join("run").join("check-authority.pem");
    fs::write(&trusted, authority.pem())?;
    let trusted = trusted.to_string_lossy().into_owned();

    let lines = check(&trackers, &["--ca", &trusted]).await?;
    for (tracker, (kind, family, has_tls, _)) in trackers.iter().zip(TRACKERS) {
        let what = format!("{kind:?} over {family:?}{}", if has_tls { " and TLS" } else { "" });
        let line = line_of(&lines, tracker)?;
        lab.report.check(line.contains("\"alive\":true"), format_args!("{what} answers"), &line);
        let (own, other) = match family {
            Family::V4 => ("\"ipv4\":{\"route\":true", "\"ipv6\":null"),
            Family::V6 => ("\"ipv6\":{\"route\":true", "\"ipv4\":null"),
        };
        lab.report.check(line.contains(own) && line.contains(other), "over its own family", &line);
        let has_end = !line.contains("\"certificate\":null");
        lab.report.same(has_end, has_tls, "the end of its certificate is there where it has one");
        if matches!(kind, Kind::Opentracker | Kind::OpentrackerUdp) {
            lab.report.same(tracker.announces().await?, 0, "no announce was counted");
        }
        lab.report.same(tracker.ports().await?, vec![SEEDS_PORT], "and no peer registered");
    }

    let lines = check(&trackers, &["--deep", "--ca", &trusted]).await?;
    for (tracker, (.., expected)) in trackers.iter().zip(TRACKERS) {
        let line = line_of(&lines, tracker)?;
        let result = format!("\"result\":\"{expected}\"");
        lab.report.check(line.contains(&result), format_args!("a random torrent is {expected}"), &line);
        if expected == "accepted" {
            let is_taken_back = line.contains("\"stopped\":true") && !line.contains("\"interval\":null");
            lab.report.check(is_taken_back, "with an interval, and stopped is acknowledged", &line);
        }
    }
    Ok(())
}

/// The lines that it prints about these trackers.
async fn check(trackers: &[Tracker], options: &[&str]) -> Result<Vec<String>, Box<dyn Error>> {
    // Cargo builds examples into a folder beside this program.
    let program = std::env::current_exe()?.with_file_name("examples").join("check");
    if !program.is_file() {
        return Err("the checker is missing; it is built by: cargo build --example check".into());
    }
    let mut command = std::process::Command::new(program);
    command.arg("--json").args(options).args(trackers.iter().map(Tracker::announce_url));
    let mut running = Program::start("the checker", &mut command)?;
    // The last of its lines may be read after its end.
    let all = |lines: usize| lines >= trackers.len();
    let status = running.end(LIMIT).await?;
    for _ in 0..100 {
        if all(running.said().len()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if !status.success() {
        return Err(format!("the checker ended with {status}; {}", running.last_words()).into());
    }
    Ok(running.said().into_iter().map(|line| line.text).collect())
}

fn line_of(lines: &[String], tracker: &Tracker) -> Result<String, Box<dyn Error>> {
    let url = tracker.announce_url();
    let name = url.strip_suffix("/announce").unwrap_or(&url);
    let line = lines.iter().find(|line| line.contains(&format!("\"tracker\":\"{name}\"")));
    line.cloned().ok_or_else(|| format!("no line about {name} in {lines:?}").into())
}
