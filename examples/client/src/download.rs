//! One download: reads the torrent, checks existing files, runs the swarm, and reports the result.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracker_failover::{Metainfo, PeerId, TrackerSet, Transfer};

use crate::discover::discover;
use crate::discovery::trackers::HAS_CACHE;
use crate::exit;
use crate::files::disk::{Disk, Done};
use crate::files::names::NameRules;
use crate::files::space::free_space;
use crate::list::list;
use crate::magnet::{Magnet, MagnetError};
use crate::net::clock::Clock;
use crate::net::listen::Listeners;
use crate::net::run::{Outcome, Until, run};
use crate::net::shell::Shell;
use crate::resolve::{Begun, NotResolved, resolve};
use crate::signals::Signals;
use crate::swarm::bitfield::Bitfield;
use crate::swarm::session::{Session, Start};
use crate::torrent::{Refused, Torrent};
use crate::ui::cli::Download;
use crate::ui::event::Event;
use crate::ui::report::Report;
use crate::ui::units;

/// Downloads with the options of the command line, and returns the exit code.
pub(crate) fn main(options: &Download) -> u8 {
    let report = Rc::new(RefCell::new(Report::new(options.json, options.quiet, options.verbose)));
    let Some(path) = options.torrent() else {
        report.borrow_mut().error("expected a .torrent, see --help");
        return exit::USAGE;
    };
    if options.latency_cache.is_some() && !HAS_CACHE {
        report.borrow_mut().error("--latency-cache: this program was built without the feature cache");
        return exit::USAGE;
    }
    let source = match Source::open(path, options) {
        Ok(source) => source,
        Err(NotOpened::Io(error)) => {
            report.borrow_mut().error(&format!("{}: {error}", path.display()));
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
    swarm.block_on(&runtime, start(options, source, &report))
}

/// Gets the torrent, and lists or downloads it.
async fn start(options: &Download, source: Source, report: &Rc<RefCell<Report>>) -> u8 {
    let (mut torrent, metainfo, selection, begun) = match source {
        Source::Torrent(torrent, metainfo) => (*torrent, metainfo, options.select.clone(), None),
        Source::Magnet(magnet) => match resolve(options, &magnet, report).await {
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
    let [down_limit, up_limit] = [options.down, options.up].map(|limit| limit.filter(|&limit| limit > 0));
    report.borrow_mut().limits(down_limit, up_limit);
    let mut prepared = match prepare(options, &torrent, early.take(), report).await {
        Ok(prepared) => prepared,
        Err(failed) => return give_up(&mut report.borrow_mut(), &failed),
    };
    let port = prepared.listeners.port;
    if is_new {
        report.borrow_mut().listening(port);
    }
    let seed = random.random();
    let (have, metadata) = (prepared.have, Arc::from(metainfo.info_bytes()));
    let start = Start { have, own_id, port, seed, book, metadata, down_limit, up_limit };
    let session = Session::new(&torrent, start);
    warn_of_space(&mut report.borrow_mut(), &options.archives, session.stats().left);
    if session.is_complete() {
        report.borrow_mut().event(&Event::Complete);
    }
    let shell = Shell::new(session, prepared.disk, Rc::clone(report), torrent.info_hash, own_id, clock);
    for &peer in options.peers.iter().filter(|_| is_new) {
        if shell.update(|session, now| session.add_peers([peer], now)) == 0 {
            report.borrow_mut().error(&format!("{peer} can't be a peer's address"));
        }
    }
    let until = Until { done: options.exit_when_done, deadline: options.deadline_s.map(Duration::from_secs) };
    let (done, signals) = (&mut prepared.done, &mut prepared.signals);
    let mut discovery = if let Some(discovery) = discovery {
        discovery
    } else {
        let mut announced = tracker_failover::Torrent::new(torrent.info_hash, own_id, port);
        announced.transfer = shell.session.borrow().transfer();
        discover(options, TrackerSet::from(metainfo), announced, torrent.private, shell.now(), report).await
    };
    shell.adopt(connections);
    let outcome = run(&shell, prepared.listeners, done, &mut discovery, signals, until).await;
    let transfer = shell.session.borrow().transfer();
    discovery.stop(transfer, |tag, text| report.borrow_mut().tracker(tag, text)).await;
    shell.finish().await;
    while let Ok(job) = prepared.done.try_recv() {
        shell.disk_done(job);
    }
    let complete = shell.session.borrow().is_complete();
    conclude(&mut report.borrow_mut(), &outcome, complete)
}

/// What the command line names.
enum Source {
    Torrent(Box<Torrent>, Box<Metainfo>),
    Magnet(Magnet),
}

/// Why it is none.
enum NotOpened {
    Io(io::Error),
    Magnet(MagnetError),
    Refused(Refused),
}

impl Source {
    fn open(path: &Path, options: &Download) -> Result<Self, NotOpened> {
        if let Some(link) = path.to_str().filter(|text| Magnet::is_magnet(text)) {
            return link.parse().map(Self::Magnet).map_err(NotOpened::Magnet);
        }
        let bytes = read(path).map_err(NotOpened::Io)?;
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
    let disk = Disk::start(Arc::clone(torrent), &options.archives, options.overwrite, sender)
        .map_err(NotPrepared::Disk)?;
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
        Outcome::Failed(error) => (format!("{error}; what is here is kept"), exit::DISK),
    };
    report.event(&Event::Incomplete { reason: reason.clone() });
    report.last(&reason);
    code
}

fn give_up(report: &mut Report, failed: &NotPrepared) -> u8 {
    let (reason, code) = match failed {
        NotPrepared::Interrupted => ("interrupted while looking at what is here".into(), exit::INTERRUPTED),
        NotPrepared::Disk(error) => (error.to_string(), exit::DISK),
        NotPrepared::Other(error) => (error.to_string(), exit::OTHER),
    };
    report.event(&Event::Incomplete { reason: reason.clone() });
    if code == exit::INTERRUPTED {
        report.last(&reason);
    } else {
        report.error(&reason);
        report.flush();
    }
    code
}

fn refuse(report: &mut Report, refused: &Refused) -> u8 {
    report.event(&Event::Refused { kind: refused.kind, reason: refused.reason.clone() });
    report.error(&format!("torrent refused: {refused}"));
    report.flush();
    exit::REFUSED
}

fn introduce(report: &mut Report, torrent: &Torrent, metainfo: &Metainfo) {
    report.set_name(&torrent.name);
    report.config(&format!(
        "{}: {} in {}, {} of {}{}",
        torrent.name,
        units::bytes(torrent.total),
        units::count(torrent.files.iter().filter(|file| !file.pad).count() as u64, "file"),
        units::count(torrent.pieces().into(), "piece"),
        units::bytes(torrent.piece_length.into()),
        if torrent.private { ", private: DHT and PEX stay off" } else { "" }
    ));
    if torrent.is_partial() {
        report.selected(torrent);
    }
    for skipped in metainfo.skipped_trackers() {
        report.config(&format!("tracker {} left out: {}", skipped.shown, skipped.reason));
    }
}

/// Reads a .torrent, up to a little more than one may have.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("expected a file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_TORRENT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The library refuses what is larger.
const MAX_TORRENT: u64 = 32 << 20;
