//! Both families of addresses: a tracker that has one of each, and two trackers of which each has another.

use std::net::{IpAddr, Ipv6Addr};

use tracker_failover::net::resolver::StaticResolver;
use tracker_failover::{Announcer, TrackerSet};

use super::{
    Lab, OUR_PORT, Outcome, TORRENT, announce, announcer, answered, found_the_seed, place_of, ports,
    short_waits, stop, tiers_of,
};
use crate::observer::Counts;
use crate::session::Session;
use crate::tracker::{Family, Kind};

/// The one in use dies, its spare is in the other family; and back.
pub(super) async fn from_one_to_the_other(lab: &mut Lab<'_>) -> Outcome {
    for kind in [Kind::Npm, Kind::NpmUdp] {
        let mut trackers = [lab.tracker_at(kind, Family::V6).await?, lab.tracker_at(kind, Family::V4).await?];
        let mut session = Session::start(&announcer(), tiers_of(&trackers)?, TORRENT, OUR_PORT);
        let first = place_of(&trackers, &answered(&mut session).await?.tracker)?;
        for (dies, next) in [(first, 1 - first), (1 - first, first)] {
            trackers[dies].kill()?;
            let announced = announce(&mut session).await?;
            let report = &mut *lab.report;
            let place = place_of(&trackers, &announced.tracker)?;
            report.same(place, next, format_args!("{kind:?}: from {dies} to {next}"));
            report.same(announced.attempts, 2, "at the second attempt");
            report.same(trackers[next].counts().await?.incomplete, 1, "which counts us");
            trackers[dies].revive().await?;
        }
        lab.report.same(stop(session).await, (2, 0), "stopped goes to both");
    }
    Ok(())
}

/// A name with addresses of both families, of which one has a tracker.
pub(super) async fn one_name(lab: &mut Lab<'_>) -> Outcome {
    for (kind, family) in [
        (Kind::Opentracker, Family::V4),
        (Kind::OpentrackerUdp, Family::V4),
        (Kind::Npm, Family::V6),
        (Kind::NpmUdp, Family::V6),
    ] {
        let tracker = lab.tracker_at(kind, family).await?;
        let (own, other): (IpAddr, IpAddr) = match family {
            Family::V4 => (tracker.address().ip(), Ipv6Addr::LOCALHOST.into()),
            Family::V6 => (tracker.address().ip(), [127, 0, 0, 250].into()),
        };
        let url = tracker.announce_url().replacen(&tracker.address().to_string(), "both.test:PORT", 1);
        let url = url.replace("PORT", &tracker.address().port().to_string());
        let resolver = StaticResolver::new().with("both.test", [other, own]);
        let parts = Announcer::builder().resolver(resolver).config(short_waits()).spawn();
        let mut session = Session::start(&parts, TrackerSet::new([[url.parse()?]]), TORRENT, OUR_PORT);
        let announced = answered(&mut session).await?;
        let report = &mut *lab.report;
        let what = format!("{kind:?} at {family:?} alone of a name with both");
        report.same(announced.response.tracker_address.map(|address| address.ip()), Some(own), what);
        report.same(announced.attempts, 1, "both are one attempt");
        if (kind, family) != (Kind::NpmUdp, Family::V6) {
            report.check(found_the_seed(&announced), "the seed is found", ports(&announced));
        }
        report.same(stop(session).await, (1, 0), "stopped is taken");
        let Counts { complete, incomplete, .. } = tracker.counts().await?;
        report.same((complete, incomplete), (1, 0), "and the seed alone is left");
    }
    Ok(())
}
