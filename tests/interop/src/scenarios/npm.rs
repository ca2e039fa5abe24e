//! Two bittorrent-trackers, which report what they receive, event by event.

use super::single::of_us;
use super::{
    Lab, OUR_PORT, Outcome, SEEDS_PORT, TORRENT, announce, announcer, answered, found_the_seed, place_of,
    ports, stop, tiers_of,
};
use crate::session::Session;
use crate::tracker::Kind;

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
