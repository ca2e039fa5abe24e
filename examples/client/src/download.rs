//! One download: reads the torrent, checks existing files, runs the swarm, and reports the result.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracker_failover::{AnnounceTo, Metainfo, Order, PeerId, TrackerSet};

use crate::discovery::Discovery;
use crate::discovery::overlay::{self, Overlay};
use crate::discovery::rule::Joins;
use crate::discovery::trackers::{HAS_CACHE, Options, Trackers};
use crate::exit;
use crate::files::disk::{Disk, Done};
use crate::files::names::NameRules;
use crate::files::space::free_space;
use crate::list::list;
use crate::net::clock::Clock;
use crate::net::listen::Listeners;
use crate::net::run::{Outcome, Until, run};
use crate::net::shell::Shell;
use crate::signals::Signals;
use crate::source::{Source, SourceError};
use crate::swarm::bitfield::Bitfield;
use crate::swarm::session::{Session, Start};
use crate::torrent::{Refused, Torrent};
use crate::ui::cli::{DiscoveryMode, Download, TrackerCount, TrackerOrder};
use crate::ui::event::Event;
use crate::ui::report::{Report, Summary};
use crate::ui::units;

/// Downloads with the options of the command line, and returns the exit code.
pub(crate) fn main(options: &Download) -> u8 {
    let report = Rc::new(RefCell::new(Report::new(options.json, options.quiet, options.verbose)));
    let source = match options.source() {
        Ok(Source::Magnet(_)) => {
            report.borrow_mut().error("magnet links are not supported: expected a .torrent");
            return exit::USAGE;
        }
        Ok(source) => source,
        Err(error) => {
            report.borrow_mut().error(&error.to_string());
            return exit::USAGE;
        }
    };
    if options.latency_cache.is_some() && !HAS_CACHE {
        report.borrow_mut().error("--latency-cache: this program was built without the feature cache");
        return exit::USAGE;
    }
    let read = match source.read() {
        Ok(bytes) => Torrent::parse(&bytes, NameRules::of(&options.archives)),
        Err(SourceError::Content(what)) => Err(Refused::malformed(what)),
        Err(error) => {
            report.borrow_mut().failed(&error.to_string());
            return exit::OTHER;
        }
    };
    let (mut torrent, metainfo) = match read {
        Ok(read) => read,
        Err(refused) => return refuse(&mut report.borrow_mut(), &refused),
    };
    if let Some(Err(reason)) = options.select.as_ref().map(|selection| selection.apply(&mut torrent)) {
        report.borrow_mut().error(&format!("--select: {reason}"));
        return exit::USAGE;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report.borrow_mut().error(&error.to_string());
            return exit::OTHER;
        }
    };
    if options.list {
        runtime.block_on(list(options, &torrent, &metainfo));
        return exit::COMPLETE;
    }
    let swarm = tokio::task::LocalSet::new();
    swarm.block_on(&runtime, download(options, torrent, &metainfo, &report))
}

async fn download(
    options: &Download,
    torrent: Torrent,
    metainfo: &Metainfo,
    report: &Rc<RefCell<Report>>,
) -> u8 {
    let clock = Clock::start();
    let torrent = Arc::new(torrent);
    introduce(&mut report.borrow_mut(), &torrent, metainfo);
    report.borrow_mut().set_seeds(!options.exit_when_done);
    let [down_limit, up_limit] = [options.down, options.up].map(|limit| limit.filter(|&limit| limit > 0));
    report.borrow_mut().limits(down_limit, up_limit);
    let mut prepared = match prepare(options, &torrent, report).await {
        Ok(prepared) => prepared,
        Err(failed) => return give_up(&mut report.borrow_mut(), &failed),
    };
    let port = prepared.listeners.port;
    report.borrow_mut().listening(port);
    let mut random = rand::rng();
    let own_id = PeerId::with_prefix(*b"-TF0100-", random.random());
    let start = Start { have: prepared.have, own_id, port, seed: random.random(), down_limit, up_limit };
    let session = Session::new(&torrent, start);
    warn_of_space(&mut report.borrow_mut(), &options.archives, session.stats().left);
    if session.is_complete() {
        report.borrow_mut().event(&Event::Complete);
    }
    let shell = Shell::new(session, prepared.disk, Rc::clone(report), torrent.info_hash, own_id, clock);
    for &peer in &options.peers {
        if shell.update(|session, now| session.add_peers([peer], now)) == 0 {
            report.borrow_mut().error(&format!("{peer} can't be a peer's address"));
        }
    }
    let mut trackers = None;
    if !options.no_trackers && options.discovery_mode != DiscoveryMode::Overlay {
        let mut announced = tracker_failover::Torrent::new(torrent.info_hash, own_id, port);
        announced.transfer = shell.session.borrow().transfer();
        trackers = Trackers::start(TrackerSet::from(metainfo), announced, &asked(options, report).await);
    }
    let until = Until { done: options.exit_when_done, deadline: options.deadline_s.map(Duration::from_secs) };
    let (done, signals) = (&mut prepared.done, &mut prepared.signals);
    let overlay =
        overlay(options, &torrent, port, report).map(|settings| Overlay::new(settings, shell.now()));
    let mut discovery = Discovery::new(trackers, overlay);
    let outcome = run(&shell, prepared.listeners, done, &mut discovery, signals, until).await;
    let transfer = shell.session.borrow().transfer();
    let trackers = discovery.answered();
    discovery.stop(transfer, |tag, text| report.borrow_mut().tracker(tag, text)).await;
    shell.finish().await;
    while let Ok(job) = prepared.done.try_recv() {
        shell.disk_done(job);
    }
    let (complete, transfer) = {
        let session = shell.session.borrow();
        (session.is_complete(), session.transfer())
    };
    let (downloaded, uploaded, time) = (transfer.downloaded, transfer.uploaded, shell.now());
    report.borrow_mut().summary(Summary { downloaded, uploaded, time, trackers });
    conclude(&mut report.borrow_mut(), &outcome, complete)
}

/// Warns if the disk has less room than what is missing takes. Other programs may make some, and what is sparse may be
/// counted twice, so it is tried all the same.
fn warn_of_space(report: &mut Report, folder: &Path, missing: u64) {
    if let Some(free) = free_space(folder).filter(|&free| free < missing) {
        let (missing, free) = (units::bytes(missing), units::bytes(free));
        report.info(&format!("warning: {missing} are missing, and the disk has room for {free}"));
    }
}

/// What a download needs before its first connection.
struct Prepared {
    signals: Signals,
    disk: Disk,
    done: UnboundedReceiver<Done>,
    have: Bitfield,
    listeners: Listeners,
}

/// Why it didn't come to a first connection.
enum NotPrepared {
    Interrupted,
    Disk(io::Error),
    Other(io::Error),
}

async fn prepare(
    options: &Download,
    torrent: &Arc<Torrent>,
    report: &Rc<RefCell<Report>>,
) -> Result<Prepared, NotPrepared> {
    let mut signals = Signals::listen().map_err(NotPrepared::Other)?;
    let (sender, mut done) = unbounded_channel();
    let disk = Disk::start(Arc::clone(torrent), &options.archives, options.overwrite, sender)
        .map_err(NotPrepared::Disk)?;
    let have = tokio::select! {
        have = look(&mut done, torrent, report) => have.map_err(NotPrepared::Disk)?,
        () = signals.recv() => return Err(NotPrepared::Interrupted),
    };
    let listeners = Listeners::bind(options.port).map_err(NotPrepared::Other)?;
    Ok(Prepared { signals, disk, done, have, listeners })
}

/// How the DHT is used: not at all unless the command line wants it, and never for a private torrent (BEP 27).
fn overlay(
    options: &Download,
    torrent: &Torrent,
    port: u16,
    report: &Rc<RefCell<Report>>,
) -> Option<overlay::Settings> {
    let joins = match options.discovery_mode {
        DiscoveryMode::Tracker => return None,
        DiscoveryMode::Overlay => Joins::AtOnce,
        DiscoveryMode::Both => Joins::AsNeeded,
    };
    if torrent.private {
        report.borrow_mut().tracker("OVERLAY", "private torrent: the DHT stays off");
        return None;
    }
    let (info_hash, allow_loopback) = (torrent.info_hash, options.allow_loopback);
    let bootstrap = options.dht_bootstrap.iter().map(|node| node.0.clone()).collect();
    Some(overlay::Settings { joins, info_hash, port, bootstrap, allow_loopback })
}

/// How the command line wants trackers to be asked.
async fn asked(options: &Download, report: &Rc<RefCell<Report>>) -> Options {
    let mut ip = None;
    if let Some(name) = &options.hostname {
        ip = tokio::net::lookup_host((name.as_str(), 0)).await.ok().and_then(|mut found| found.next());
        if ip.is_none() {
            report
                .borrow_mut()
                .error(&format!("--hostname: {name} has no address, trackers use what they see"));
        }
    }
    let order = match options.order {
        TrackerOrder::Nearest => Order::Nearest,
        TrackerOrder::Bep12 => Order::Bep12,
    };
    let announce_to = match options.announce_to {
        TrackerCount::One => AnnounceTo::One,
        TrackerCount::Needed => AnnounceTo::AsNeeded,
        TrackerCount::Tier => AnnounceTo::EachTier,
        TrackerCount::All => AnnounceTo::All,
    };
    let interval = options.announce_interval.map(|seconds| Duration::from_secs(seconds.into()));
    let ip = ip.map(|address| address.ip());
    let (allow_loopback, latency_cache) = (options.allow_loopback, options.latency_cache.clone());
    Options { order, announce_to, interval, ip, allow_loopback, latency_cache }
}

/// Waits until the disk has looked at what is here.
async fn look(
    done: &mut UnboundedReceiver<Done>,
    torrent: &Torrent,
    report: &Rc<RefCell<Report>>,
) -> io::Result<Bitfield> {
    while let Some(job) = done.recv().await {
        match job {
            Done::Looked(piece) => report.borrow_mut().looked(piece, torrent.pieces()),
            Done::Ready(have) => {
                let have = have?;
                if have.len() > 0 {
                    let text = format!("{} of {} pieces are here already", have.len(), have.pieces());
                    report.borrow_mut().info(&text);
                }
                return Ok(have);
            }
            Done::Stored { .. } | Done::Loaded { .. } => {}
        }
    }
    Err(io::Error::other("the disk's thread has ended"))
}

/// Says how it ended; gives the exit code.
fn conclude(report: &mut Report, outcome: &Outcome, complete: bool) -> u8 {
    if complete && !matches!(outcome, Outcome::Failed(_)) {
        report.last("complete");
        return exit::COMPLETE;
    }
    let (reason, code) = match outcome {
        Outcome::Done => ("complete".into(), exit::COMPLETE),
        Outcome::Deadline => ("not complete at the deadline".into(), exit::INCOMPLETE),
        Outcome::OutOfPeers => ("nothing that names peers and no peer left".into(), exit::INCOMPLETE),
        Outcome::Interrupted => ("interrupted; what is here is kept".into(), exit::INTERRUPTED),
        Outcome::Failed(error) => (format!("{}; what is here is kept", disk_fault(error)), exit::DISK),
    };
    report.event(&Event::Incomplete { reason: reason.clone() });
    if code == exit::DISK {
        report.failed(&reason);
    } else {
        report.last(&reason);
    }
    code
}

fn give_up(report: &mut Report, failed: &NotPrepared) -> u8 {
    let (reason, code) = match failed {
        NotPrepared::Interrupted => ("interrupted while looking at what is here".into(), exit::INTERRUPTED),
        NotPrepared::Disk(error) => (disk_fault(error), exit::DISK),
        NotPrepared::Other(error) => (error.to_string(), exit::OTHER),
    };
    report.event(&Event::Incomplete { reason: reason.clone() });
    if code == exit::INTERRUPTED {
        report.last(&reason);
    } else {
        report.failed(&reason);
    }
    code
}

fn refuse(report: &mut Report, refused: &Refused) -> u8 {
    report.event(&Event::Refused { kind: refused.kind, reason: refused.reason.clone() });
    report.failed(&format!("torrent refused: {refused}"));
    exit::REFUSED
}

fn introduce(report: &mut Report, torrent: &Torrent, metainfo: &Metainfo) {
    report.added(torrent);
    if torrent.is_partial() {
        report.selected(torrent);
    }
    for skipped in metainfo.skipped_trackers() {
        report.skipped(skipped);
    }
}

/// A fault of the disk, and what can be done about it where that is known.
fn disk_fault(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space, and start it again to go on"
        }
        io::ErrorKind::PermissionDenied => "; --out takes a folder that you may write to",
        io::ErrorKind::ReadOnlyFilesystem => "; --out takes a folder that can be written to",
        _ => "",
    };
    format!("{error}{advice}")
}
