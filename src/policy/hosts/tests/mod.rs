//! Hosts as torrents use them: what one learns, and which torrent may try next.

mod backing_off;
mod model;
mod outages;
mod ranking;
mod reports;

use super::*;
use crate::error::{AnnounceError, Cause, Rejection, ReplyError, Retry, TimeoutPhase};
use crate::tracker::TrackerUrl;

fn url(name: &str) -> TrackerUrl {
    format!("http://{name}.test/a").parse().unwrap()
}

fn host(name: &str) -> TrackerHost {
    url(name).tracker_host()
}

fn id(number: u64) -> TorrentId {
    TorrentId::new(number)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_secs(secs))
}

fn sample(connect: u64, first_byte: u64) -> Measurement {
    Measurement { connect: millis(connect), first_byte: millis(first_byte) }
}

fn hosts() -> Hosts {
    Hosts::new(Arc::new(Config::default()))
}

fn refused() -> AnnounceError {
    AnnounceError::Connect(Cause::new("connection refused"))
}

fn no_name() -> AnnounceError {
    AnnounceError::Resolve(Cause::new("no such name"))
}

fn silent() -> AnnounceError {
    AnnounceError::TimedOut(TimeoutPhase::Open)
}

fn mute() -> AnnounceError {
    AnnounceError::TimedOut(TimeoutPhase::Reply)
}

fn page() -> AnnounceError {
    AnnounceError::NotAReply(ReplyError::new("a dictionary", 0))
}

fn broken() -> AnnounceError {
    AnnounceError::Status { status: 502, retry: Retry::Unsaid }
}

/// The demand of a torrent that was never answered anywhere.
const NEW: Demand = Demand { needs_peers: true, failed_here: false, answered_at: None };
const SEED: Demand = Demand { needs_peers: false, ..NEW };
const FAILED: Demand = Demand { failed_here: true, ..SEED };

fn answered(secs: u64) -> Demand {
    Demand { answered_at: Some(at(secs)), ..SEED }
}

/// An attempt of a torrent at a host that began at one moment and failed at another, in seconds.
fn fails(
    hosts: &mut Hosts,
    torrent: u64,
    name: &str,
    error: &AnnounceError,
    (began, now): (u64, u64),
) -> Ended {
    let slot = slot(hosts, torrent, name, began);
    fails_with(hosts, slot, name, error, false, now)
}

fn fails_with(
    hosts: &mut Hosts,
    slot: Slot,
    name: &str,
    error: &AnnounceError,
    failed_before: bool,
    now: u64,
) -> Ended {
    let tracker = &url(name);
    let failed = Failed { verdict: Verdict::of(error), tracker, before: failed_before, random: 0.0 };
    hosts.finished(slot, Outcome::Failed(failed), at(now))
}

fn slot(hosts: &mut Hosts, torrent: u64, name: &str, now: u64) -> Slot {
    hosts.admit(&host(name), id(torrent), Priority::Stopped, at(now)).unwrap()
}

fn answers(hosts: &mut Hosts, torrent: u64, name: &str, took: (u64, u64), now: u64) {
    let slot = slot(hosts, torrent, name, now);
    hosts.finished(slot, Outcome::Answered(sample(took.0, took.1)), at(now));
}

/// The trial of a torrent whose turn it is.
fn tries(hosts: &mut Hosts, torrent: u64, name: &str, now: u64) -> Slot {
    let slot = slot(hosts, torrent, name, now);
    hosts.tried(&slot, false, at(now));
    slot
}

fn may(hosts: &Hosts, torrent: u64, name: &str, demand: Demand, now: u64) -> bool {
    hosts.earliest(&host(name), id(torrent), demand, at(now)) <= at(now)
}

/// How many seconds a torrent has to wait.
fn wait(hosts: &Hosts, torrent: u64, name: &str, demand: Demand, now: u64) -> u64 {
    let wait = hosts.earliest(&host(name), id(torrent), demand, at(now)).since(at(now));
    (wait + millis(1)).as_secs()
}

fn cost(hosts: &Hosts, name: &str) -> Duration {
    hosts.rank(&host(name), at(0)).cost
}
