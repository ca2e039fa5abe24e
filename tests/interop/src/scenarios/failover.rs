//! The four situations the library is for, in one session with three trackers that know nothing of each other.

use std::time::Duration;

use tracker_failover::{Alert, Event, TrackerUrl};

use super::{
    Lab, OUR_PORT, Outcome, SEEDS_PORT, TORRENT, announce, announcer, answered, found_the_seed, place_of,
    ports, stop, tiers_of,
};
use crate::observer::Counts;
use crate::session::Session;
use crate::tracker::{Kind, Tracker};

/// The seed alone.
const SEED: Counts = Counts { complete: 1, incomplete: 0, downloaded: 0 };

/// The seed and our session.
const SEED_AND_WE: Counts = Counts { complete: 1, incomplete: 1, downloaded: 0 };

pub(super) async fn http(lab: &mut Lab<'_>) -> Outcome {
    run(lab, Kind::Opentracker).await
}

pub(super) async fn udp(lab: &mut Lab<'_>) -> Outcome {
    run(lab, Kind::OpentrackerUdp).await
}

async fn run(lab: &mut Lab<'_>, kind: Kind) -> Outcome {
    let mut trackers = Vec::new();
    for _ in 0..3 {
        trackers.push(lab.tracker(kind).await?);
    }
    let mut session = Session::start(&announcer(), tiers_of(&trackers)?, TORRENT, OUR_PORT);
    let first = three_up(lab, &trackers, &mut session).await?;
    let second = the_one_in_use_dies(lab, &mut trackers, &mut session, first).await?;
    let third = 3 - first - second;
    all_die(lab, &mut trackers, &mut session, third).await?;
    the_first_returns(lab, &mut trackers, &mut session, first, third).await?;

    let stopped = stop(session).await;
    lab.report.same(stopped, (2, 1), "stopped reaches the two that are up; the dead one is tried too");
    for place in [first, third] {
        let tracker = &trackers[place];
        let what = format!("{} knows the seed alone after that", tracker.address());
        lab.report.same(tracker.counts().await?, SEED, &what);
        lab.report.same(tracker.ports().await?, vec![SEEDS_PORT], "and hands out no other peer");
    }
    Ok(())
}

/// (a) All three are up: one of them is chosen, and hears of us alone.
async fn three_up(
    lab: &mut Lab<'_>,
    trackers: &[Tracker],
    session: &mut Session,
) -> Result<usize, Box<dyn std::error::Error>> {
    let report = &mut *lab.report;
    let order = |alert: &Alert| match alert {
        Alert::FailoverOrder { trackers } => Some(trackers.clone()),
        _ => None,
    };
    let announced = answered(session).await?;
    let used = place_of(trackers, &announced.tracker)?;
    let mut heard = session.heard().to_vec();
    let order = match heard.iter().find_map(order) {
        Some(order) => order,
        None => session.wait_for("the failover order", order).await?,
    };
    heard = session.heard().to_vec();

    let found = heard.iter().find_map(|alert| match alert {
        Alert::TrackersFound { trackers, .. } => Some(trackers.len()),
        _ => None,
    });
    report.same(found, Some(3), "(a) three trackers are found");
    let first_measured = heard.iter().find_map(|alert| match alert {
        Alert::Probed { tracker, .. } => Some(tracker.clone()),
        _ => None,
    });
    let selected = heard.iter().find_map(|alert| match alert {
        Alert::Selected { tracker, .. } => Some(tracker.clone()),
        _ => None,
    });
    report.same(&selected, &first_measured, "(a) the first to answer its probe is selected");
    report.same(Some(&announced.tracker), selected.as_ref(), "(a) and the announce goes there");
    let spares: Vec<_> = order.iter().filter(|(tracker, _)| *tracker != announced.tracker).collect();
    let measured = order.iter().all(|(_, latency)| latency.is_some());
    report.check(
        order.len() == 3 && measured && spares.is_sorted_by_key(|(_, latency)| *latency),
        "(a) all three are measured, and the spares are ordered by latency",
        &order,
    );
    report.same(announced.event, Some(Event::Started), "(a) it hears started");
    report.same(announced.attempts, 1, "(a) at the first attempt");
    report.check(found_the_seed(&announced), "(a) the seed is found", ports(&announced));
    for (place, tracker) in trackers.iter().enumerate() {
        let (ours, counts) = if place == used { (1, SEED_AND_WE) } else { (0, SEED) };
        let what = format!("(a) {} heard {ours} announces of ours", tracker.address());
        report.same(tracker.announces().await?, ours, what);
        report.same(tracker.counts().await?, counts, "(a) and counts accordingly");
    }
    report.same(trackers[used].ports().await?, vec![OUR_PORT, SEEDS_PORT], "(a) it hands us out");

    let scrape = session.handle.scrape().await?;
    let counts = scrape.files.values().next().map(|counts| (counts.complete, counts.incomplete));
    report.same(counts, Some((Some(1), Some(1))), "(a) our own scrape says the same");

    session.forget().await;
    let before = trackers[used].announces().await?;
    session.handle.override_interval(Some(Duration::from_secs(1)));
    for _ in 0..2 {
        let periodic = answered(session).await?;
        report.same(&periodic.tracker, &announced.tracker, "(a) a periodic announce goes to the same one");
        report.same(periodic.event, None, "(a) without an event");
    }
    session.handle.override_interval(None);
    report.same(trackers[used].announces().await? - before, 2, "(a) which heard just these");
    report.same(trackers[used].counts().await?, SEED_AND_WE, "(a) and counts us once");
    Ok(used)
}

/// (b) The one in use dies: the next announce moves on.
async fn the_one_in_use_dies(
    lab: &mut Lab<'_>,
    trackers: &mut [Tracker],
    session: &mut Session,
    first: usize,
) -> Result<usize, Box<dyn std::error::Error>> {
    let report = &mut *lab.report;
    trackers[first].kill()?;
    let announced = announce(session).await?;
    let second = place_of(trackers, &announced.tracker)?;
    report.check(second != first, "(b) the next announce moves on", &announced.tracker);
    report.same(announced.attempts, 2, "(b) at the second attempt");
    let dead: Vec<TrackerUrl> = announced.failed.iter().map(|failed| failed.tracker.clone()).collect();
    report.same(dead, vec![trackers[first].announce_url().parse()?], "(b) after the dead one failed");
    let moved_from = announced.moved_from.as_ref().map(|tracker| place_of(trackers, tracker)).transpose()?;
    report.same(moved_from, Some(first), "(b) the answer says where it moved from");
    report.same(announced.event, Some(Event::Started), "(b) the new one hears started");
    report.check(found_the_seed(&announced), "(b) the seed is found", ports(&announced));
    let said = |wanted: fn(&Alert) -> bool| session.heard().iter().position(wanted);
    let failed = said(|alert| matches!(alert, Alert::Failed { .. }));
    let switching = said(|alert| matches!(alert, Alert::Switching { .. }));
    report.check(
        failed.is_some() && failed < switching,
        "(b) the user hears of the failure, then of the switch",
        session.lines(),
    );
    for line in session.lines() {
        report.note(line.trim_start());
    }
    report.same(trackers[second].counts().await?, SEED_AND_WE, "(b) the new one counts us");
    let third = 3 - first - second;
    report.same(trackers[third].counts().await?, SEED, "(b) the third still knows nothing of us");
    report.same(trackers[third].announces().await?, 0, "(b) and has heard nothing");
    Ok(second)
}

/// (c) All are dead: one error names them all. One returns: the next round finds it.
async fn all_die(
    lab: &mut Lab<'_>,
    trackers: &mut [Tracker],
    session: &mut Session,
    third: usize,
) -> Outcome {
    let report = &mut *lab.report;
    for tracker in trackers.iter_mut() {
        tracker.kill()?;
    }
    session.forget().await;
    let error =
        session.handle.announce_now().await.err().ok_or("an announce with all trackers dead went well")?;
    let mut named: Vec<usize> = Vec::new();
    for attempt in error.attempts() {
        named.push(place_of(trackers, &attempt.tracker)?);
    }
    named.sort_unstable();
    report.same(named, vec![0, 1, 2], "(c) one error names all three, each once");
    let text = error.to_string();
    let all = trackers.iter().all(|tracker| text.contains(&tracker.address().to_string()));
    report.check(all && text.starts_with("all 3 trackers failed"), "(c) its text too", &text);
    report.note(&text);

    trackers[third].revive().await?;
    let announced = answered(session).await?;
    report.same(
        place_of(trackers, &announced.tracker)?,
        third,
        "(c) a later round finds the one that returns",
    );
    report.same(announced.event, Some(Event::Started), "(c) with started, since it never heard of us");
    trackers[third].add_seed(SEEDS_PORT).await?;
    let announced = announce(session).await?;
    report.check(found_the_seed(&announced), "(c) the seed is found", ports(&announced));
    report.same(announced.attempts, 1, "(c) at the first attempt");
    report.same(trackers[third].counts().await?, SEED_AND_WE, "(c) it counts us once");
    Ok(())
}

/// (d) The first returns: we stay where we are.
async fn the_first_returns(
    lab: &mut Lab<'_>,
    trackers: &mut [Tracker],
    session: &mut Session,
    first: usize,
    third: usize,
) -> Outcome {
    let report = &mut *lab.report;
    trackers[first].revive().await?;
    trackers[first].add_seed(SEEDS_PORT).await?;
    for _ in 0..3 {
        let announced = announce(session).await?;
        report.same(place_of(trackers, &announced.tracker)?, third, "(d) the first returns, and we stay");
        report.same(announced.moved_from.as_ref(), None, "(d) without a move");
    }
    report.same(trackers[first].announces().await?, 0, "(d) the first hears nothing of us");
    report.same(trackers[first].counts().await?, SEED, "(d) and knows the seed alone");
    Ok(())
}
