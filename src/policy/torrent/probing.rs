//! Probes of a torrent's trackers: all unknown ones at its start, and the tracker that was left before it goes back
//! there.

use std::time::Duration;

use super::book::TorrentBook;
use super::candidates::Candidates;
use super::failback::{Failback, RECENT};
use super::round_kind::RoundKind;
use super::shared::Shared;
use crate::alert::Alert;
use crate::error::AnnounceError;
use crate::policy::tracker_set::TrackerFailure;
use crate::policy::verdict::{HostNews, TrackerNews, Verdict};
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// A host that answered within this isn't measured for another torrent, or in the next run: distance changes with the
/// network and not with the hour, and every announce measures it again.
const MEASUREMENT_LIFETIME: Duration = Duration::from_secs(6 * 3600);

/// Asks for a probe of each tracker whose latency decides and isn't known yet. A torrent with one tracker has no
/// choice to make, so nothing is measured for it.
pub(super) fn probe_unknown(book: &mut TorrentBook, shared: &mut Shared<'_>) {
    let has_choice = book.trackers.supported_trackers().nth(1).is_some();
    if !has_choice || !book.measures_hosts() {
        return;
    }
    let (health, lifetime, now) = (shared.hosts.health(), MEASUREMENT_LIFETIME, shared.now);
    let unknown =
        book.trackers.recall_latencies(|tracker| health.fresh_latency(tracker.host_key(), lifetime, now));
    for tracker in unknown {
        book.trackers.set_probing(&tracker, true);
        shared.probes.ask(shared.torrent, &tracker);
    }
}

/// Takes in the result of a probe. Gives whether the first announce, which waits for an answer, may go out: one was
/// answered, or all have ended.
pub(super) fn probed(
    tracker: &TrackerUrl,
    result: &Result<Measurement, AnnounceError>,
    book: &mut TorrentBook,
    shared: &mut Shared<'_>,
) -> bool {
    probed_for_failback(tracker, result, book, shared);
    if !book.trackers.set_probing(tracker, false) {
        return false;
    }
    match result {
        Ok(measurement) => {
            book.trackers.record_latency(tracker, measurement.latency());
            shared.alert(Alert::Probed { tracker: tracker.clone(), measurement: *measurement });
        }
        Err(error) => {
            if is_unreachable(error) {
                book.trackers.record_failure(tracker);
                // If every tracker fails so, these errors are what the failed round reports.
                if let Some(record) = book.trackers.record_mut(tracker) {
                    let (news, at) = (TrackerNews::OfTheHost, shared.now);
                    let failure = TrackerFailure { error: error.clone(), news, at };
                    record.failure = Some(Box::new(failure));
                }
            }
            if is_measurable(error) {
                shared.alert(Alert::ProbeFailed { tracker: tracker.clone(), error: error.clone() });
            }
        }
    }
    let is_last = !book.trackers.is_any_probing();
    if is_last {
        report_order(book, shared);
    }
    result.is_ok() || is_last
}

/// Reports the order of failover to the user.
pub(super) fn report_order(book: &TorrentBook, shared: &mut Shared<'_>) {
    let order = Candidates::new(book, &RoundKind::Scheduled, shared.hosts, shared.now).failover_order();
    let with_latency = |tracker: &TrackerUrl| (tracker.clone(), book.trackers.latency(tracker));
    let trackers = order.into_iter().map(with_latency).collect();
    shared.alert(Alert::FailoverOrder { trackers });
}

/// Asks for a probe of the tracker that was left, if it is time for that, or gives when it will be.
pub(super) fn probe_for_failback(book: &mut TorrentBook, shared: &mut Shared<'_>) -> Option<Timestamp> {
    // While every tracker fails the next round tries all of them anyway.
    if !book.measures_hosts() || !book.is_automatic() || book.schedule.is_failing() {
        return None;
    }
    let due = book.schedule.due()?;
    let probe_at = book.failback.as_ref()?.probe_at(due)?;
    if probe_at > shared.now {
        return Some(probe_at);
    }
    let failback = book.failback.as_mut()?;
    failback.probing();
    // What another torrent has just found out needs no probe.
    let recently = shared.now.before(RECENT);
    match shared.hosts.health().heard_since(failback.tracker().host_key(), recently) {
        Some(is_alive) => {
            let random = shared.random();
            failback.probed(is_alive, random, shared.now);
        }
        None => shared.probes.ask(shared.torrent, failback.tracker()),
    }
    None
}

/// Takes in the result of a probe of the tracker that was left.
fn probed_for_failback(
    tracker: &TrackerUrl,
    result: &Result<Measurement, AnnounceError>,
    book: &mut TorrentBook,
    shared: &mut Shared<'_>,
) {
    let is_awaited = |failback: &Failback| failback.is_probing() && failback.tracker() == tracker;
    let Some(failback) = book.failback.as_mut().filter(|failback| is_awaited(failback)) else { return };
    failback.probed(result.is_ok(), shared.random(), shared.now);
    match result {
        Ok(measurement) => book.trackers.record_latency(tracker, measurement.latency()),
        Err(error) if is_unreachable(error) => book.trackers.record_failure(tracker),
        Err(_) => {}
    }
}

/// Whether a failed probe says anything. A transport without a prober beside one that has it is as if nothing was measured:
/// no failure to report.
fn is_measurable(error: &AnnounceError) -> bool {
    !matches!(error, AnnounceError::NotMeasured | AnnounceError::Unsupported)
}

/// Whether a failed probe shows that the host can't be reached. A host that doesn't answer `HEAD` may well answer
/// announces, and one that couldn't be probed isn't failing.
fn is_unreachable(error: &AnnounceError) -> bool {
    matches!(Verdict::of(error).host, HostNews::Unreachable { .. } | HostNews::Silent | HostNews::Local)
}
