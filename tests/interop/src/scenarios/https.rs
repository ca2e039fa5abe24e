//! Certificates that are not to be trusted: such a tracker is sent nothing, and the next one is asked at once.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tracker_failover::{Alert, AnnounceError, Order};

use super::single::believing;
use super::{Lab, OUR_PORT, Outcome, TORRENT, answered, found_the_seed, place_of, ports, stop, tiers_of};
use crate::authority::{Authority, Certificate};
use crate::clock;
use crate::session::Session;
use crate::tracker::Kind;

/// What a busy machine may take for what takes some milliseconds, and still far below any time limit or patience
/// that a round would have with a tracker that is silent for 1.5 s.
const AT_ONCE: Duration = Duration::from_secs(1);

type Flaw = fn(&Authority, IpAddr) -> Result<Certificate, Box<dyn Error>>;

const FLAWS: [(&str, Flaw); 3] = [
    ("of another authority", |_, host| Authority::new()?.certificate(host)),
    ("of another host", |authority, _| authority.certificate(Ipv4Addr::new(127, 9, 9, 9).into())),
    ("that has expired", |authority, host| {
        authority.changed(host, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1))
    }),
];

pub(super) async fn not_believed(lab: &mut Lab<'_>) -> Outcome {
    for (what, flaw) in FLAWS {
        for order in [Order::Bep12, Order::Nearest] {
            let authority = Authority::new()?;
            let mut trackers = [lab.tracker(Kind::Opentracker).await?, lab.tracker(Kind::Npm).await?];
            let hosts = trackers.each_ref().map(|tracker| tracker.address().ip());
            trackers[0].secure(&flaw(&authority, hosts[0])?).await?;
            trackers[1].secure(&authority.certificate(hosts[1])?).await?;
            let set = tiers_of(&trackers)?.with_order(order);
            let begun = clock();
            let mut session = Session::start(&believing(&authority)?, set, TORRENT, OUR_PORT);
            let announced = answered(&mut session).await?;
            let took = begun.elapsed();
            let report = &mut *lab.report;
            report.note(format_args!("{order:?}, a certificate {what}: {} ms", took.as_millis()));
            report.same(place_of(&trackers, &announced.tracker)?, 1, "the other tracker is announced to");
            report.check(took < AT_ONCE, "at once", took);
            report.check(found_the_seed(&announced), "the seed is found", ports(&announced));
            let error = |alert: &Alert| match alert {
                Alert::Failed { tracker, error } | Alert::ProbeFailed { tracker, error } => {
                    Some((tracker.clone(), error.clone()))
                }
                _ => None,
            };
            let heard = session.heard().iter().find_map(error);
            let (failed, error) = match heard {
                Some(heard) => heard,
                None => session.wait_for("a failure", error).await?,
            };
            report.same(place_of(&trackers, &failed)?, 0, "the user hears of the first one");
            report.check(
                matches!(error, AnnounceError::Tls(_)),
                "that its certificate isn't believed",
                &error,
            );
            report.note(&error);
            let refused = trackers[0].refused().await;
            report.check(refused.is_some(), "it sees a handshake that fails", &refused);
            report.same(stop(session).await, (1, 0), "stopped goes to the other alone");
            report.same(trackers[0].announces().await?, 0, "the first has never been announced to");
        }
    }
    Ok(())
}
