//! The download becomes complete: counted once, wherever it has to be said.

use tracker_failover::Event;

use super::{Lab, OUR_PORT, Outcome, TORRENT, announce, announcer, answered, place_of, stop, tiers_of};
use crate::observer::Counts;
use crate::session::Session;
use crate::tracker::Kind;

/// The tracker in use is alive and hears `completed`.
pub(super) async fn in_place(lab: &mut Lab<'_>) -> Outcome {
    let trackers = [lab.tracker(Kind::Opentracker).await?, lab.tracker(Kind::Opentracker).await?];
    let mut session = Session::start(&announcer(), tiers_of(&trackers)?, TORRENT, OUR_PORT);
    let used = place_of(&trackers, &answered(&mut session).await?.tracker)?;
    let report = &mut *lab.report;
    report.same(trackers[used].counts().await?, Counts::new(1, 1, 0), "a leech beside the seed");
    session.handle.complete();
    let announced = answered(&mut session).await?;
    report.same(place_of(&trackers, &announced.tracker)?, used, "completed goes to the tracker in use");
    report.same(announced.event, Some(Event::Completed), "as completed");
    let completed = Counts::new(2, 0, 1);
    report.same(trackers[used].counts().await?, completed, "two seeds, and one download counted");
    session.handle.complete();
    let announced = announce(&mut session).await?;
    report.same(announced.event, None, "a second call says nothing");
    report.same(trackers[used].counts().await?, completed, "and the download is counted once");
    report.same(stop(session).await, (1, 0), "stopped goes to the one with a registration");
    report.same(trackers[used].counts().await?, Counts::new(1, 0, 1), "which counts the seed alone");
    report.same(trackers[1 - used].announces().await?, 0, "the other one has heard nothing");
    Ok(())
}

/// The tracker in use is dead: another one, which never heard of us, gets to know a new seed.
pub(super) async fn elsewhere(lab: &mut Lab<'_>) -> Outcome {
    let mut trackers = [lab.tracker(Kind::Opentracker).await?, lab.tracker(Kind::Opentracker).await?];
    let mut session = Session::start(&announcer(), tiers_of(&trackers)?, TORRENT, OUR_PORT);
    let used = place_of(&trackers, &answered(&mut session).await?.tracker)?;
    trackers[used].kill()?;
    session.handle.complete();
    let announced = answered(&mut session).await?;
    let other = place_of(&trackers, &announced.tracker)?;
    let report = &mut *lab.report;
    report.same(other, 1 - used, "the announce moves on");
    report.same(announced.event, Some(Event::Started), "and says started, with nothing left");
    report.same(trackers[other].counts().await?, Counts::new(2, 0, 0), "two seeds, no download counted");
    let announced = announce(&mut session).await?;
    report.same(announced.event, None, "the debt is paid: the next announce has no event");
    report.same(trackers[other].counts().await?, Counts::new(2, 0, 0), "still none counted");
    report.same(stop(session).await, (1, 1), "stopped reaches the living one");
    report.same(trackers[other].counts().await?, Counts::new(1, 0, 0), "which counts the seed alone");
    Ok(())
}
