//! A download that is disturbed: our client is killed again and again, or the tracker in use is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;

use super::{Lab, Outcome};
use crate::clients::{Clients, Other, PATIENCE, free_port};
use crate::observer::Counts;
use crate::program::{Line, Program};
use crate::swarm::{Content, Random, Swarm};
use crate::tracker::{Kind, Tracker};

const CONTENT: Content = Content { name: "long.bin", files: &[("", (16 << 20) + 12_345)], piece_size: "64" };

/// How often our client is killed.
const LIVES: usize = 10;

/// Killed (SIGKILL) ten times, at moments that a seed decides, it goes on each time with what it had.
pub(super) async fn client_killed(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, CONTENT)?;
    let tracker = swarm.tracker(lab.tools, Kind::Opentracker).await?;
    let torrent = swarm.torrent(&clients, "long", &[tracker.announce_url()])?;
    // Slow enough to last for ten lives. (It gives a new peer little before its next half of a second.)
    let mut seeder = seeder(&clients, &swarm, &torrent, "limit 2500000")?;
    until_seeded(&[&tracker]).await?;
    let seed = std::env::var("INTEROP_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| now_in_nanoseconds() % 1_000_000);
    let report = &mut *lab.report;
    report.note(format_args!("INTEROP_SEED={seed}"));
    let mut random = Random(seed);
    let folder = swarm.leech("ours")?;
    let options = ["--exit-when-done", "--announce-interval", "1"];
    // The bytes of whole pieces that a life has spoken of, which the next one has to find.
    let (mut known, mut moments, mut kept) = (0, Vec::new(), Vec::new());
    for life in 1..=LIVES {
        let mut client = clients.ours(&torrent, &folder, &options)?;
        let moment = Duration::from_millis(200 + random.next() % 1300);
        sleep(moment).await;
        client.kill()?;
        let said = client.said();
        moments.push(moment.as_millis());
        if let Some(found) = found_at_start(&said) {
            kept.push(found / 1024);
            if found < known || found == swarm.total() {
                report.check(false, format_args!("life {life}: {found} bytes are kept of {known}"), &said);
            }
            known = found + fetched(&swarm, &said);
        }
        if said.iter().any(|line| line.is("error")) {
            report.check(
                false,
                format_args!("life {life}: it starts without complaint"),
                client.last_words(),
            );
        }
    }
    report.note(format_args!("killed after {moments:?} ms; had at its starts {kept:?} KiB"));
    report.check(kept.len() >= 3, "several lives came as far as the swarm", &kept);
    report.check(known > 0, "and it got further", known);
    seeder.tell("limit 0")?;
    let mut client = clients.ours(&torrent, &folder, &options)?;
    let ended = client.end(PATIENCE).await?;
    report.check(ended.code() == Some(0), "the last life ends well", client.last_words());
    let found = found_at_start(&client.said()).unwrap_or_default();
    report.check(found >= known, "with all that was kept", (found, known));
    report.same(swarm.compare(&folder), Ok(()), "and every byte is right");
    Ok(())
}

/// Of three trackers the one in use is killed half-way: the download goes on, and the second hears the rest.
pub(super) async fn tracker_killed(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, CONTENT)?;
    let mut trackers = Vec::new();
    for _ in 0..3 {
        trackers.push(swarm.tracker(lab.tools, Kind::Opentracker).await?);
    }
    let urls: Vec<String> = trackers.iter().map(Tracker::announce_url).collect();
    let torrent = swarm.torrent(&clients, "long", &urls)?;
    let _seeder = seeder(&clients, &swarm, &torrent, "limit 3000000")?;
    until_seeded(&trackers.iter().collect::<Vec<_>>()).await?;
    let mut before = Vec::new();
    for tracker in &trackers {
        before.push(tracker.announces().await?);
    }
    let folder = swarm.leech("ours")?;
    let mut client =
        clients.ours(&torrent, &folder, &["--announce-interval", "1", "--announce-to", "one"])?;
    let first = client.wait_for("an answer", PATIENCE, |line| line.answered().map(str::to_owned)).await?;
    let first = place(&trackers, &first)?;
    client
        .wait_for("a quarter", PATIENCE, |line| line.number("percent").filter(|&percent| percent >= 25))
        .await?;
    trackers[first].kill()?;
    let killed = crate::clock();
    let (moved, second) = client
        .wait_for("the next answer", PATIENCE, |line| {
            let place = place(&trackers, line.answered()?).ok()?;
            (line.at > killed && place != first).then_some((line.at - killed, place))
        })
        .await?;
    let report = &mut *lab.report;
    report.note(format_args!("the second tracker answered {:.2} s after that", moved.as_secs_f64()));
    let ended = client.wait_for("the end", PATIENCE, |line| line.is("complete").then_some(line.at)).await?;
    report.check(
        ended > killed + moved,
        "the tracker is replaced while the download goes on",
        ended - killed,
    );
    let pause = longest_pause(&client.said(), killed);
    report.note(format_args!("the longest time without a piece was {} ms", pause.as_millis()));
    report.check(pause < Duration::from_secs(3), "which doesn't pause", pause);
    report.same(swarm.compare(&folder), Ok(()), "every byte is right");

    let complete = Counts::new(2, 0, 1);
    report.same(trackers[second].counts_in_time(complete).await?, complete, "the second hears of completion");
    sleep(Duration::from_millis(2500)).await;
    report.same(trackers[second].counts().await?, complete, "once, though further announces follow");
    let status = client.terminate(Duration::from_secs(10)).await?;
    report.check(status.code() == Some(0), "our client ends well", client.last_words());
    let left = Counts::new(1, 0, 1);
    report.same(trackers[second].counts_in_time(left).await?, left, "the second hears that we left");
    let said = client.said();
    let answers = said.iter().filter_map(Line::answered).filter(|url| place(&trackers, url) == Ok(second));
    let (answers, heard) = (answers.count() as u64, trackers[second].announces().await? - before[second]);
    report.same(heard, answers + 1, "which is one announce besides those that were answered before");
    let completed = said.iter().filter_map(Line::alert).filter(|text| text.starts_with("event=completed"));
    report.same(completed.count(), 1, "and one of those was completed");
    let third = 3 - first - second;
    report.same(trackers[third].announces().await? - before[third], 0, "the third has heard nothing");
    Ok(())
}

/// libtorrent, which has everything, and sends as fast as it may.
fn seeder(
    clients: &Clients,
    swarm: &Swarm,
    torrent: &std::path::Path,
    limit: &str,
) -> std::io::Result<Program> {
    let mut seeder = clients.other(Other::Libtorrent, &[torrent], &swarm.seed(), free_port()?)?;
    seeder.tell(limit)?;
    Ok(seeder)
}

async fn until_seeded(trackers: &[&Tracker]) -> Outcome {
    for tracker in trackers {
        let seeded = Counts::new(1, 0, 0);
        let found = tracker.counts_in_time(seeded).await?;
        if found != seeded {
            return Err(format!("{} knows no seeder: {found:?}", tracker.address()).into());
        }
    }
    Ok(())
}

/// How much a life had from the one before; `None` where it was killed before it could say.
fn found_at_start(said: &[Line]) -> Option<u64> {
    let first = said.iter().find(|line| line.is("progress"))?;
    Some(first.number("total")? - first.number("left")?)
}

/// How many bytes of whole pieces a life has fetched.
fn fetched(swarm: &Swarm, said: &[Line]) -> u64 {
    let pieces = said.iter().filter(|line| line.is("piece_ok")).filter_map(|line| line.number("piece"));
    pieces.map(|piece| swarm.piece_length(piece)).sum()
}

/// The longest time between two pieces from then on. They are reported a few times a second.
fn longest_pause(said: &[Line], from: std::time::Instant) -> Duration {
    let mut last = from;
    let mut longest = Duration::ZERO;
    for piece in said.iter().filter(|line| line.is("piece_ok") && line.at > from) {
        longest = longest.max(piece.at - last);
        last = piece.at;
    }
    longest
}

/// Which of these trackers it is.
fn place(trackers: &[Tracker], shown: &str) -> Result<usize, String> {
    let is = |tracker: &Tracker| shown.split("://").nth(1) == Some(tracker.address().to_string().as_str());
    trackers.iter().position(is).ok_or_else(|| format!("{shown} is none of the trackers"))
}

#[expect(clippy::disallowed_methods, reason = "a seed that differs each time")]
fn now_in_nanoseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| u64::from(now.subsec_nanos()))
}
