//! bittorrent-tracker, which tells what it is asked, event by event.

use std::time::Duration;

use super::{
    Lab, OUR_PORT, Outcome, SEEDS_PORT, TORRENT, announce, announcer, answered, found_the_seed, place_of,
    ports, stop, tiers_of,
};
use crate::observer::Counts;
use crate::session::Session;
use crate::tracker::{Kind, Tracker};

/// What a tracker has said of our session's peer, and of requests that announce nothing.
fn of_us(tracker: &Tracker) -> Vec<String> {
    let peer = format!("127.0.0.1:{OUR_PORT}");
    let of_us =
        |line: &&String| line.contains(&peer) || line.starts_with("HEAD") || line.starts_with("warning");
    let line = |line: &String| line.replace(&format!(" {peer}"), "");
    tracker.said().iter().filter(of_us).map(line).collect()
}

/// One tracker: nothing is probed, and each event comes once.
pub(super) async fn single(lab: &mut Lab<'_>) -> Outcome {
    alone(lab, Kind::Npm).await
}

/// The same over UDP.
pub(super) async fn single_over_udp(lab: &mut Lab<'_>) -> Outcome {
    alone(lab, Kind::NpmUdp).await
}

async fn alone(lab: &mut Lab<'_>, kind: Kind) -> Outcome {
    let trackers = [lab.tracker(kind).await?];
    let tracker = &trackers[0];
    let mut session = Session::start(&announcer(), tiers_of(&trackers)?, TORRENT, OUR_PORT);
    let announced = answered(&mut session).await?;
    let report = &mut *lab.report;
    report.check(found_the_seed(&announced), "the seed is found", ports(&announced));
    report.same(tracker.counts().await?, Counts::new(1, 1, 1), "a leech beside the seed");
    report.same(tracker.ports().await?, vec![OUR_PORT, SEEDS_PORT], "both are handed out");

    session.handle.override_interval(Some(Duration::from_secs(1)));
    let periodic = answered(&mut session).await?;
    session.handle.override_interval(None);
    report.same(periodic.event, None, "a periodic announce has no event");
    let scrape = session.handle.scrape().await?;
    let counts = scrape.files.values().next().map(|counts| (counts.complete, counts.incomplete));
    report.same(counts, Some((Some(1), Some(1))), "our own scrape counts the same");

    session.handle.complete();
    answered(&mut session).await?;
    // This tracker gives the seeds it has as the number of downloads.
    report.same(tracker.counts().await?, Counts::new(2, 0, 2), "two seeds after completed");
    report.same(stop(session).await, (1, 0), "stopped is taken");
    report.same(tracker.counts().await?, Counts::new(1, 0, 1), "the seed alone is left");
    report.same(tracker.ports().await?, vec![SEEDS_PORT], "and alone handed out");
    tracker.wait_to_say(&format!("stop 127.0.0.1:{OUR_PORT}")).await?;
    let expected = ["start left=1000", "update left=1000", "complete left=0", "stop left=0"];
    report.same(of_us(tracker), expected.map(String::from).to_vec(), "it heard these four, and no probe");
    Ok(())
}

/// Two trackers, one dies and returns.
pub(super) async fn two(lab: &mut Lab<'_>) -> Outcome {
    let mut trackers = [lab.tracker(Kind::Npm).await?, lab.tracker(Kind::Npm).await?];
    let mut session = Session::start(&announcer(), tiers_of(&trackers)?, TORRENT, OUR_PORT);
    let first = place_of(&trackers, &answered(&mut session).await?.tracker)?;
    let other = 1 - first;
    trackers[first].wait_to_say(&format!("start 127.0.0.1:{OUR_PORT}")).await?;
    trackers[first].kill()?;
    let announced = announce(&mut session).await?;
    let report = &mut *lab.report;
    report.same(place_of(&trackers, &announced.tracker)?, other, "the next announce moves on");
    report.check(found_the_seed(&announced), "the seed is found", ports(&announced));
    trackers[first].revive().await?;
    trackers[first].add_seed(SEEDS_PORT).await?;
    let announced = announce(&mut session).await?;
    report.same(place_of(&trackers, &announced.tracker)?, other, "the first returns, and we stay");
    report.same(trackers[first].counts().await?.incomplete, 0, "it knows nothing of us");
    report.same(stop(session).await, (2, 0), "stopped goes to both, as the first may remember");
    for tracker in &trackers {
        tracker.wait_to_say(&format!("stop 127.0.0.1:{OUR_PORT}")).await?;
        report.same(tracker.ports().await?, vec![SEEDS_PORT], "the seed alone is handed out");
    }
    let of_us = |place: usize| -> Vec<String> {
        let probes = |line: &String| !line.starts_with("HEAD") && !line.starts_with("warning");
        of_us(&trackers[place]).into_iter().filter(probes).collect()
    };
    let stop = "stop left=1000".to_owned();
    report.same(of_us(first), vec!["start left=1000".into(), stop.clone()], "the first heard these");
    report.same(
        of_us(other),
        vec!["start left=1000".into(), "update left=1000".into(), stop],
        "the other these",
    );
    Ok(())
}
