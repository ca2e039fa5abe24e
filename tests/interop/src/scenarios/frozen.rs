//! Trackers that accept and do not answer, and go on later: what they heard meanwhile counts.

use tracker_failover::{Alert, Event};

use super::{
    Lab, OUR_PORT, Outcome, SEEDS_PORT, TORRENT, announce, announcer, answered, found_the_seed, place_of,
    ports, stop, tiers_of,
};
use crate::observer::Counts;
use crate::session::Session;
use crate::tracker::Kind;

/// Trackers that know nothing of each other: the entry at the old one stays until `stopped` takes it away.
pub(super) async fn known(lab: &mut Lab<'_>) -> Outcome {
    run(lab, Kind::Opentracker).await
}

/// The same over UDP, where silence is all there is.
pub(super) async fn known_over_udp(lab: &mut Lab<'_>) -> Outcome {
    run(lab, Kind::OpentrackerUdp).await
}

async fn run(lab: &mut Lab<'_>, kind: Kind) -> Outcome {
    let trackers = [lab.tracker(kind).await?, lab.tracker(kind).await?];
    let mut session = Session::start(&announcer(), tiers_of(&trackers)?, TORRENT, OUR_PORT);
    let first = place_of(&trackers, &answered(&mut session).await?.tracker)?;
    let other = 1 - first;
    trackers[first].freeze()?;
    let started = crate::clock();
    let announced = announce(&mut session).await?;
    let report = &mut *lab.report;
    report.note(format_args!("the silent one was left after {} ms", started.elapsed().as_millis()));
    report.same(place_of(&trackers, &announced.tracker)?, other, "the next announce moves on");
    report.same(announced.event, Some(Event::Started), "with started");
    report.check(found_the_seed(&announced), "the seed is found", ports(&announced));
    trackers[first].thaw()?;
    let with_us = Counts::new(1, 1, 0);
    report.same(trackers[first].counts().await?, with_us, "the old one still counts us");
    report.same(trackers[other].counts().await?, with_us, "and so does the new one");
    let announced = announce(&mut session).await?;
    report.same(place_of(&trackers, &announced.tracker)?, other, "we stay after the thaw");
    report.same(stop(session).await, (2, 0), "stopped goes to both");
    for tracker in &trackers {
        report.same(tracker.counts().await?, Counts::new(1, 0, 0), "which then count the seed alone");
        report.same(tracker.ports().await?, vec![SEEDS_PORT], "and hand out no other peer");
    }
    Ok(())
}

/// A tracker that lost its memory and froze hears our announce only after we have given it up. It knows us from
/// then on, though it never answered: it has to hear `stopped` all the same.
pub(super) async fn late(lab: &mut Lab<'_>) -> Outcome {
    let mut trackers = [lab.tracker(Kind::Opentracker).await?, lab.tracker(Kind::Opentracker).await?];
    let mut session = Session::start(&announcer(), tiers_of(&trackers)?, TORRENT, OUR_PORT);
    let first = place_of(&trackers, &answered(&mut session).await?.tracker)?;
    let other = 1 - first;
    trackers[first].kill()?;
    trackers[first].revive().await?;
    trackers[first].add_seed(SEEDS_PORT).await?;
    let seed = Counts::new(1, 0, 0);
    let report = &mut *lab.report;
    report.same(trackers[first].counts().await?, seed, "the one in use has forgotten us");
    trackers[first].freeze()?;
    let announced = announce(&mut session).await?;
    report.same(place_of(&trackers, &announced.tracker)?, other, "it is silent, and we move on");

    trackers[first].thaw()?;
    let late = |alert: &Alert| match alert {
        Alert::LateResponse { tracker, .. } => Some(tracker.clone()),
        _ => None,
    };
    let answered_late = session.wait_for("a late answer", late).await?;
    report.same(place_of(&trackers, &answered_late)?, first, "its late answer is heard");
    report.same(trackers[first].counts().await?, Counts::new(1, 1, 0), "it counts us now");

    report.same(stop(session).await, (2, 0), "stopped goes to both");
    for tracker in &trackers {
        report.same(tracker.counts().await?, seed, "which then count the seed alone");
    }
    Ok(())
}

/// As before, but the late answer isn't waited for any more: the announce was given up, and its connection closed,
/// before the tracker read it. It may know us, and that is enough.
pub(super) async fn given_up(lab: &mut Lab<'_>) -> Outcome {
    let mut trackers = [lab.tracker(Kind::Opentracker).await?, lab.tracker(Kind::Opentracker).await?];
    let mut session = Session::start(&announcer(), tiers_of(&trackers)?, TORRENT, OUR_PORT);
    let first = place_of(&trackers, &answered(&mut session).await?.tracker)?;
    let other = 1 - first;
    trackers[first].kill()?;
    trackers[first].revive().await?;
    trackers[first].add_seed(SEEDS_PORT).await?;
    trackers[first].freeze()?;
    let report = &mut *lab.report;
    for what in ["it is silent, and we move on", "another round gives its announce up"] {
        let announced = announce(&mut session).await?;
        report.same(place_of(&trackers, &announced.tracker)?, other, what);
    }
    trackers[first].thaw()?;
    let known = Counts::new(1, 1, 0);
    report.same(trackers[first].counts_in_time(known).await?, known, "it hears the announce all the same");
    report.same(stop(session).await, (2, 0), "stopped goes to both");
    for tracker in &trackers {
        report.same(tracker.counts().await?, Counts::new(1, 0, 0), "which then count the seed alone");
        report.same(tracker.ports().await?, vec![SEEDS_PORT], "and hand out no other peer");
    }
    Ok(())
}
