//! A torrent file whose tiers mix both kinds of tracker.

use tracker_failover::{Announcer, Config, Event, Metainfo, Order, TrackerSet};

use super::{
    Lab, OUR_PORT, Outcome, SEEDS_PORT, TORRENT, announce, announcer, answered, found_the_seed, place_of,
    ports, stop,
};
use crate::session::Session;
use crate::tracker::{Kind, Tracker};

/// A torrent file with these tiers. Its content has another hash than [`TORRENT`], which is announced.
fn torrent_file(tiers: &[&[&Tracker]]) -> Vec<u8> {
    let string = |text: &str| format!("{}:{text}", text.len());
    let tier = |tier: &&[&Tracker]| {
        let urls: String = tier.iter().map(|tracker| string(&tracker.announce_url())).collect();
        format!("l{urls}e")
    };
    let tiers: String = tiers.iter().map(tier).collect();
    let announce = string("http://127.0.0.1:1/never-asked-where-there-is-a-list");
    format!(
        "d8:announce{announce}13:announce-listl{tiers}e4:infod6:lengthi5e4:name1:x12:piece lengthi16384e\
         6:pieces20:aaaaaaaaaaaaaaaaaaaaee"
    )
    .into_bytes()
}

/// The nearest first: each tracker in turn, whatever its kind and tier.
pub(super) async fn nearest(lab: &mut Lab<'_>) -> Outcome {
    let mut trackers = [
        lab.tracker(Kind::Opentracker).await?,
        lab.tracker(Kind::Npm).await?,
        lab.tracker(Kind::OpentrackerUdp).await?,
    ];
    let file = torrent_file(&[&[&trackers[0], &trackers[1]], &[&trackers[2]]]);
    let metainfo = Metainfo::parse(&file)?;
    let tiers: Vec<usize> = metainfo.announce_tiers().iter().map(Vec::len).collect();
    lab.report.same(tiers, vec![2, 1], "two tiers are read");
    let set = TrackerSet::new(metainfo.announce_tiers().to_vec());
    let mut session = Session::start(&announcer(), set, TORRENT, OUR_PORT);
    let report = &mut *lab.report;
    let mut used = vec![place_of(&trackers, &answered(&mut session).await?.tracker)?];
    while used.len() < trackers.len() {
        let dead = used[used.len() - 1];
        trackers[dead].kill()?;
        let announced = announce(&mut session).await?;
        let next = place_of(&trackers, &announced.tracker)?;
        report.check(!used.contains(&next), "the one in use dies, and a further one is used", next);
        report.same(announced.event, Some(Event::Started), "which hears started");
        report.check(found_the_seed(&announced), "the seed is found", ports(&announced));
        used.push(next);
    }
    session.forget().await;
    session.handle.complete();
    let announced = answered(&mut session).await?;
    report.same(announced.event, Some(Event::Completed), "completed goes to the last one");
    let last = &trackers[used[2]];
    report.same(last.counts().await?.complete, 2, "which counts two seeds");
    report.same(stop(session).await, (1, 2), "stopped reaches the one that is up");
    report.same(last.ports().await?, vec![SEEDS_PORT], "which hands out the seed alone");
    Ok(())
}

/// BEP 12: the first tier while it works, and again when it works again.
pub(super) async fn bep12(lab: &mut Lab<'_>) -> Outcome {
    let mut trackers = [lab.tracker(Kind::Npm).await?, lab.tracker(Kind::Opentracker).await?];
    let file = torrent_file(&[&[&trackers[0]], &[&trackers[1]]]);
    let metainfo = Metainfo::parse(&file)?;
    let set = TrackerSet::new(metainfo.announce_tiers().to_vec()).with_order(Order::Bep12);
    let strict = Announcer::builder().config(Config::strict_bep12()).spawn();
    let mut session = Session::start(&strict, set, TORRENT, OUR_PORT);
    let report = &mut *lab.report;
    let announced = answered(&mut session).await?;
    report.same(place_of(&trackers, &announced.tracker)?, 0, "the first tier is asked first");
    report.same(trackers[1].announces().await?, 0, "and the second not at all");
    trackers[0].kill()?;
    let announced = announce(&mut session).await?;
    report.same(place_of(&trackers, &announced.tracker)?, 1, "the second where the first is dead");
    report.check(found_the_seed(&announced), "the seed is found", ports(&announced));
    trackers[0].revive().await?;
    trackers[0].add_seed(SEEDS_PORT).await?;
    let announced = announce(&mut session).await?;
    report.same(place_of(&trackers, &announced.tracker)?, 0, "and the first again when it returns");
    report.same(stop(session).await, (2, 0), "stopped goes to both");
    for tracker in &trackers {
        report.same(tracker.ports().await?, vec![SEEDS_PORT], "which hand out the seed alone");
    }
    Ok(())
}
