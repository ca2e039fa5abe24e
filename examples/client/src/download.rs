//! One download: reads the torrent, checks existing files, runs the swarm, and reports the result.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracker_failover::{Metainfo, PeerId, TrackerSet, Transfer};

use crate::discover::{discover, keep_nodes};
use crate::discovery::trackers::HAS_CACHE;
use crate::exit;
use crate::files::check::{Checked, How};
use crate::files::disk::{Disk, Done};
use crate::files::names::NameRules;
use crate::files::space::free_space;
use crate::list::list;
use crate::magnet::{Magnet, MagnetError};
use crate::net::clock::Clock;
use crate::net::connection;
use crate::net::listen::Listeners;
use crate::net::run::{Outcome, Until, run};
use crate::net::shell::Shell;
use crate::resolve::{Begun, NotResolved, resolve};
use crate::signals::Signals;
use crate::source::{Source, SourceError};
use crate::swarm::bitfield::Bitfield;
use crate::swarm::{Start, Swarm};
use crate::torrent::{Refused, Torrent};
use crate::ui::cli::{DiscoveryMode, Download};
use crate::ui::event::Event;
use crate::ui::report::{Report, Summary};
use crate::ui::units;
use crate::way_out;

/// Downloads with the options of the command line, and returns the exit code.
pub(crate) fn main(options: &Download) -> u8 {
    let report = Rc::new(RefCell::new(Report::new(options.json, options.quiet, options.verbose)));
    let source = match options.source() {
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
    if (options.proxy.is_some() || options.interface.is_some())
        && options.discovery_mode != DiscoveryMode::Tracker
    {
        let reason =
            "--discovery-mode: the DHT would pass --proxy and --interface by, only tracker goes with them";
        report.borrow_mut().error(reason);
        return exit::USAGE;
    }
    let opened = match Opened::of(&source, options) {
        Ok(opened) => opened,
        Err(NotOpened::Source(error)) => {
            report.borrow_mut().failed(&error.to_string());
            return exit::OTHER;
        }
        Err(NotOpened::Magnet(error)) => {
            report.borrow_mut().error(&error.to_string());
            return exit::USAGE;
        }
        Err(NotOpened::Refused(refused)) => return refuse(&mut report.borrow_mut(), &refused),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report.borrow_mut().error(&error.to_string());
            return exit::OTHER;
        }
    };
    let swarm = tokio::task::LocalSet::new();
    swarm.block_on(&runtime, start(options, opened, &report))
}

/// Gets the torrent, and lists or downloads it.
async fn start(options: &Download, opened: Opened, report: &Rc<RefCell<Report>>) -> u8 {
    if let Err(reason) = way_out::set(options.proxy.as_deref(), options.interface.as_deref()) {
        report.borrow_mut().error(&reason);
        return exit::USAGE;
    }
    let (mut torrent, metainfo, selection, begun) = match opened {
        Opened::Torrent(torrent, metainfo) => (*torrent, metainfo, options.select.clone(), None),
        Opened::Magnet(magnet) => match resolve(options, &magnet, report).await {
            Ok((torrent, metainfo, begun)) => {
                let selection = options.select.as_ref().or(magnet.selection()).cloned();
                (torrent, Box::new(metainfo), selection, Some(begun))
            }
            Err(NotResolved::Ended(outcome)) => {
                return conclude(&mut report.borrow_mut(), &outcome, false);
            }
            Err(NotResolved::Refused(refused)) => return refuse(&mut report.borrow_mut(), &refused),
            Err(NotResolved::Io(error)) => {
                return give_up(&mut report.borrow_mut(), &NotPrepared::Other(error));
            }
        },
    };
    let unselectable = selection.and_then(|selection| selection.apply(&mut torrent).err());
    let code = match unselectable {
        Some(reason) => {
            report.borrow_mut().error(&format!("--select: {reason}"));
            exit::USAGE
        }
        None if options.check => verify(options, torrent, report).await,
        None if options.list => {
            list(options, &torrent, &metainfo).await;
            exit::COMPLETE
        }
        None => return download(options, torrent, &metainfo, begun, report).await,
    };
    if let Some(begun) = begun {
        begun.discovery.stop(Transfer::default(), |tag, text| report.borrow_mut().tracker(tag, text)).await;
    }
    code
}

async fn download(
    options: &Download,
    torrent: Torrent,
    metainfo: &Metainfo,
    begun: Option<Begun>,
    report: &Rc<RefCell<Report>>,
) -> u8 {
    let mut random = rand::rng();
    let mut clock = Clock::start();
    let mut own_id = PeerId::with_prefix(*b"-TF0100-", random.random());
    let (mut early, mut discovery, mut book, mut connections) = (None, None, None, Vec::new());
    if let Some(begun) = begun {
        (clock, own_id, connections) = (begun.clock, begun.own_id, begun.connections);
        (early, book) = (Some((begun.signals, begun.listeners)), Some(begun.book));
        discovery = Some(begun.discovery);
    }
    let is_new = discovery.is_none();
    let torrent = Arc::new(torrent);
    introduce(&mut report.borrow_mut(), &torrent, metainfo);
    report.borrow_mut().set_seeds(!options.exit_when_done);
    let [down_limit, up_limit] = [options.down, options.up].map(|limit| limit.filter(|&limit| limit > 0));
    report.borrow_mut().limits(down_limit, up_limit);
    let mut prepared = match prepare(options, &torrent, early.take(), report).await {
        Ok(prepared) => prepared,
        Err(failed) => return give_up(&mut report.borrow_mut(), &failed),
    };
    let port = prepared.listeners.port;
    if is_new && way_out::listens() {
        report.borrow_mut().listening(port);
    }
    let seed = random.random();
    let (have, metadata) = (prepared.have, Arc::from(metainfo.info_bytes()));
    let start = Start { have, own_id, port, seed, book, metadata, down_limit, up_limit };
    let swarm = Swarm::new(&torrent, start);
    warn_of_space(&mut report.borrow_mut(), &options.archives, swarm.stats().left);
    if swarm.is_complete() {
        report.borrow_mut().event(&Event::Complete);
    }
    let (info_hash, encryption) = (torrent.info_hash, options.encryption.policy());
    let shell = Shell::new(swarm, prepared.disk, Rc::clone(report), info_hash, own_id, encryption, clock);
    tokio::task::spawn_local(connection::dial(Rc::clone(&shell)));
    for &peer in options.peers.iter().filter(|_| is_new) {
        if shell.update(|swarm, now| swarm.add_peers([peer], now)) == 0 {
            report.borrow_mut().error(&format!("{peer} can't be a peer's address"));
        }
    }
    let until = Until { done: options.exit_when_done, deadline: options.deadline_s.map(Duration::from_secs) };
    let (done, signals) = (&mut prepared.done, &mut prepared.signals);
    let mut discovery = if let Some(discovery) = discovery {
        discovery
    } else {
        let mut announced = tracker_failover::Torrent::new(torrent.info_hash, own_id, port);
        announced.transfer = shell.swarm.borrow().transfer();
        discover(options, TrackerSet::from(metainfo), announced, torrent.private, shell.now(), report).await
    };
    connection::adopt(&shell, connections);
    let outcome = run(&shell, prepared.listeners, done, &mut discovery, signals, until).await;
    let transfer = shell.swarm.borrow().transfer();
    let trackers = discovery.answered();
    keep_nodes(options, &discovery, shell.swarm.borrow().learnt_nodes(), report);
    discovery.stop(transfer, |tag, text| report.borrow_mut().tracker(tag, text)).await;
    shell.finish().await;
    while let Ok(job) = prepared.done.try_recv() {
        shell.disk_done(job);
    }
    let (complete, transfer) = {
        let swarm = shell.swarm.borrow();
        (swarm.is_complete(), swarm.transfer())
    };
    let (downloaded, uploaded, time) = (transfer.downloaded, transfer.uploaded, shell.now());
    report.borrow_mut().summary(Summary { downloaded, uploaded, time, trackers });
    conclude(&mut report.borrow_mut(), &outcome, complete)
}

/// What the argument holds.
enum Opened {
    Torrent(Box<Torrent>, Box<Metainfo>),
    Magnet(Magnet),
}

/// Why it can't be used.
enum NotOpened {
    Source(SourceError),
    Magnet(MagnetError),
    Refused(Refused),
}

impl Opened {
    fn of(source: &Source, options: &Download) -> Result<Self, NotOpened> {
        if let Source::Magnet(link) = source {
            return link.parse().map(Self::Magnet).map_err(NotOpened::Magnet);
        }
        let bytes = source.read().map_err(|error| match error {
            SourceError::Content(what) => NotOpened::Refused(Refused::malformed(what)),
            error => NotOpened::Source(error),
        })?;
        let (torrent, metainfo) =
            Torrent::parse(&bytes, NameRules::of(&options.archives)).map_err(NotOpened::Refused)?;
        Ok(Self::Torrent(Box::new(torrent), Box::new(metainfo)))
    }
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
    early: Option<(Signals, Listeners)>,
    report: &Rc<RefCell<Report>>,
) -> Result<Prepared, NotPrepared> {
    let (mut signals, listeners) = match early {
        Some((signals, listeners)) => (signals, Some(listeners)),
        None => (Signals::listen().map_err(NotPrepared::Other)?, None),
    };
    let (sender, mut done) = unbounded_channel();
    let how = How::Begin { overwrite: options.overwrite };
    let disk = Disk::start(Arc::clone(torrent), &options.archives, how, sender).map_err(NotPrepared::Disk)?;
    let have = tokio::select! {
        have = look(&mut done, torrent, report) => have.map_err(NotPrepared::Disk)?,
        () = signals.recv() => return Err(NotPrepared::Interrupted),
    };
    let listeners = match listeners {
        Some(listeners) => listeners,
        None => Listeners::bind(options.port).map_err(NotPrepared::Other)?,
    };
    Ok(Prepared { signals, disk, done, have, listeners })
}

/// `--check`: hashes all of what is here.
async fn verify(options: &Download, torrent: Torrent, report: &Rc<RefCell<Report>>) -> u8 {
    let torrent = Arc::new(torrent);
    report.borrow_mut().added(&torrent);
    let have = async {
        let mut signals = Signals::listen().map_err(NotPrepared::Other)?;
        let (sender, mut done) = unbounded_channel();
        let disk = Disk::start(Arc::clone(&torrent), &options.archives, How::Verify, sender)
            .map_err(NotPrepared::Disk)?;
        let have = tokio::select! {
            have = look(&mut done, &torrent, report) => have.map_err(NotPrepared::Disk)?,
            () = signals.recv() => return Err(NotPrepared::Interrupted),
        };
        // The resume file is written.
        let _ = tokio::task::spawn_blocking(|| disk.finish()).await;
        Ok(have)
    };
    let have = match have.await {
        Ok(have) => have,
        Err(failed) => return give_up(&mut report.borrow_mut(), &failed),
    };
    let mut report = report.borrow_mut();
    let wanted = torrent.wanted();
    let lacking = wanted.count_beyond(&have);
    if lacking == 0 {
        report.event(&Event::Complete);
        report.last("complete");
        return exit::COMPLETE;
    }
    let count = units::count(lacking.into(), "piece");
    let reason = format!("{count} of {} damaged or missing", wanted.len());
    report.event(&Event::Incomplete { reason: reason.clone() });
    report.last(&reason);
    exit::NOT_WHOLE
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
            Done::Ready(checked) => {
                let Checked { have, hashed } = checked?;
                let event = Event::Checked { have: have.len(), hashed, pieces: have.pieces() };
                report.borrow_mut().event(&event);
                return Ok(have);
            }
            Done::Stored { .. } | Done::Loaded { .. } | Done::NotResumable(_) => {}
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
