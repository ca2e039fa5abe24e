//! One download: gets the torrent, checks existing files, runs the swarm, and reports the result.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use rand::RngExt;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracker_failover::{InfoHash, Metainfo, TrackerSet, Transfer};

use crate::discover::{discover, keep_nodes};
use crate::discovery::Discovery;
use crate::exit;
use crate::fetch;
use crate::files::check::{Checked, How};
use crate::files::disk::{Disk, Done};
use crate::files::names::NameRules;
use crate::files::space::free_space;
use crate::list::list;
use crate::magnet::{Magnet, MagnetError};
use crate::net::connection;
use crate::net::run::{Outcome, Running, run};
use crate::net::shell::Shell;
use crate::process::Process;
use crate::resolve::{Begun, NotResolved, resolve};
use crate::source::{Source, SourceError, checked, host_of};
use crate::swarm::bitfield::Bitfield;
use crate::swarm::{Start, Swarm};
use crate::torrent::{Refused, Torrent};
use crate::ui::cli::Download;
use crate::ui::event::Event;
use crate::ui::report::Report;
use crate::ui::summary::Summary;
use crate::ui::units;

/// Gets the torrent, and lists or downloads it.
pub(crate) async fn start(
    process: &Process,
    options: &Download,
    opened: Opened,
    report: &Rc<RefCell<Report>>,
) -> u8 {
    let (mut torrent, metainfo, selection, begun) = match opened {
        Opened::Torrent(torrent, metainfo) => (*torrent, metainfo, options.select.clone(), None),
        Opened::Url(url) => match fetch(process, options, &url).await {
            Ok((torrent, metainfo)) => (torrent, Box::new(metainfo), options.select.clone(), None),
            Err(None) => return give_up(&mut report.borrow_mut(), &NotPrepared::Interrupted),
            Err(Some(failed)) => return failed.end(&mut report.borrow_mut()),
        },
        Opened::Magnet(magnet) if !process.claim(magnet.info_hash()) => {
            return twice(&mut report.borrow_mut(), magnet.info_hash());
        }
        Opened::Magnet(magnet) => match resolve((process, options), &magnet, report).await {
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
    if begun.is_none() && !process.claim(torrent.info_hash) {
        return twice(&mut report.borrow_mut(), torrent.info_hash);
    }
    let unselectable = selection.and_then(|selection| selection.apply(&mut torrent).err());
    let code = match unselectable {
        Some(reason) => {
            report.borrow_mut().error(&format!("--select: {reason}"));
            exit::USAGE
        }
        None if options.check => verify(process, options, torrent, report).await,
        None if options.list => {
            list(options, &torrent, &metainfo, process.is_of_one()).await;
            exit::COMPLETE
        }
        None => match process.claim_files(&torrent) {
            Ok(()) => return download((process, options), torrent, &metainfo, begun, report).await,
            Err(reason) => {
                report.borrow_mut().failed(&reason);
                exit::OTHER
            }
        },
    };
    if let Some(begun) = begun {
        begun.discovery.stop(Transfer::default(), |tag, text| report.borrow_mut().tracker(tag, text)).await;
    }
    code
}

async fn download(
    (process, options): (&Process, &Download),
    torrent: Torrent,
    metainfo: &Metainfo,
    begun: Option<Begun>,
    report: &Rc<RefCell<Report>>,
) -> u8 {
    let (own_id, clock) = (process.own_id, process.clock);
    let (discovery, book, connections) = match begun {
        Some(begun) => (Some(begun.discovery), Some(begun.book), begun.connections),
        None => (None, None, Vec::new()),
    };
    let is_new = discovery.is_none();
    let torrent = Arc::new(torrent);
    introduce(&mut report.borrow_mut(), &torrent, metainfo);
    report.borrow_mut().set_seeds(!options.exit_when_done);
    if process.is_of_one() {
        report.borrow_mut().limits(options.down_limit(), options.up_limit());
    }
    let mut prepared = match prepare(process, options, &torrent, report).await {
        Ok(prepared) => prepared,
        Err(failed) => return give_up(&mut report.borrow_mut(), &failed),
    };
    let port = prepared.port;
    let seed = rand::rng().random();
    let (have, metadata) = (prepared.have, Arc::from(metainfo.info_bytes()));
    let [down_limit, up_limit] = process.limits();
    let start = Start { have, own_id, port, seed, book, metadata, down_limit, up_limit };
    let swarm = Swarm::new(&torrent, start);
    warn_of_space(&mut report.borrow_mut(), &options.archives, swarm.stats().left);
    if swarm.is_complete() {
        report.borrow_mut().event(&Event::Complete);
    }
    let (info_hash, encryption) = (torrent.info_hash, options.encryption.policy());
    let shell = Shell::new(swarm, prepared.disk, Rc::clone(report), info_hash, own_id, encryption, clock);
    let dialling = tokio::task::spawn_local(connection::dial(Rc::clone(&shell)));
    for &peer in options.peers.iter().filter(|_| is_new) {
        if shell.update(|swarm, now| swarm.add_peers([peer], now)) == 0 {
            report.borrow_mut().error(&format!("{peer} can't be a peer's address"));
        }
    }
    let mut discovery = if let Some(discovery) = discovery {
        discovery
    } else {
        let mut announced = tracker_failover::Torrent::new(torrent.info_hash, own_id, process.port.get());
        announced.transfer = shell.swarm.borrow().transfer();
        discover((process, options), TrackerSet::from(metainfo), announced, torrent.private, report).await
    };
    connection::adopt(&shell, connections);
    let running = Running {
        registry: &process.registry,
        port: &process.port,
        done: &mut prepared.done,
        discovery: &mut discovery,
        signals: &mut process.signals(),
        until: options.until(),
    };
    let outcome = run(&shell, running).await;
    dialling.abort();
    end((process, options), &shell, discovery, prepared.done, report).await;
    let complete = shell.swarm.borrow().is_complete();
    conclude(&mut report.borrow_mut(), &outcome, complete)
}

/// Ends a download in order, and says what came of it.
async fn end(
    (process, options): (&Process, &Download),
    shell: &Rc<Shell>,
    discovery: Discovery,
    mut done: UnboundedReceiver<Done>,
    report: &Rc<RefCell<Report>>,
) {
    let transfer = shell.swarm.borrow().transfer();
    let trackers = discovery.answered();
    keep_nodes(options, &discovery, shell.swarm.borrow().learnt_nodes(), report);
    // Of several torrents it is said once for all that they stop.
    let is_said = |tag: &str| process.is_of_one() || tag != "INFO";
    discovery
        .stop(transfer, |tag, text| {
            if is_said(tag) {
                report.borrow_mut().tracker(tag, text);
            }
        })
        .await;
    shell.finish().await;
    while let Ok(job) = done.try_recv() {
        shell.disk_done(job);
    }
    shell.close();
    let Transfer { downloaded, uploaded, .. } = shell.swarm.borrow().transfer();
    report.borrow_mut().summary(Summary { downloaded, uploaded, time: shell.now(), trackers });
}

/// A torrent that is given twice is downloaded once.
fn twice(report: &mut Report, info_hash: InfoHash) -> u8 {
    report.last(&format!("the same torrent as another ({info_hash}), left out"));
    exit::COMPLETE
}

/// What the argument holds.
pub(crate) enum Opened {
    Torrent(Box<Torrent>, Box<Metainfo>),
    Magnet(Magnet),
    /// The URL of a torrent, which is fetched when everything runs.
    Url(String),
}

/// Why it can't be used.
pub(crate) enum NotOpened {
    Source(SourceError),
    Magnet(MagnetError),
    Refused(Refused),
}

impl NotOpened {
    /// Says so; gives the exit code.
    pub(crate) fn end(&self, report: &mut Report) -> u8 {
        match self {
            Self::Source(error) => {
                report.failed(&error.to_string());
                exit::OTHER
            }
            Self::Magnet(error) => {
                report.error(&error.to_string());
                exit::USAGE
            }
            Self::Refused(refused) => refuse(report, refused),
        }
    }
}

impl Opened {
    pub(crate) fn of(source: &Source, options: &Download) -> Result<Self, NotOpened> {
        if let Source::Magnet(link) = source {
            return link.parse().map(Self::Magnet).map_err(NotOpened::Magnet);
        }
        if let Source::Url(url) = source {
            return Ok(Self::Url(url.clone()));
        }
        let (torrent, metainfo) = parse(source.read(), options)?;
        Ok(Self::Torrent(Box::new(torrent), Box::new(metainfo)))
    }
}

/// Reads the bytes of a torrent.
fn parse(bytes: Result<Vec<u8>, SourceError>, options: &Download) -> Result<(Torrent, Metainfo), NotOpened> {
    let bytes = bytes.map_err(|error| match error {
        SourceError::Content(what) => NotOpened::Refused(Refused::malformed(what)),
        error => NotOpened::Source(error),
    })?;
    Torrent::parse(&bytes, NameRules::of(&options.archives)).map_err(NotOpened::Refused)
}

/// Fetches the torrent of a URL. The error is `None` when the user wants to stop.
async fn fetch(
    process: &Process,
    options: &Download,
    url: &str,
) -> Result<(Torrent, Metainfo), Option<NotOpened>> {
    let mut signals = process.signals();
    let fetched = tokio::select! {
        fetched = fetch::torrent(url) => fetched,
        () = signals.recv() => return Err(None),
    };
    let bytes = fetched.map_err(|error| SourceError::NotFetched(host_of(url), error));
    parse(bytes.and_then(checked), options).map_err(Some)
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
    disk: Disk,
    done: UnboundedReceiver<Done>,
    have: Bitfield,
    port: u16,
}

/// Why it didn't come to a first connection.
pub(crate) enum NotPrepared {
    Interrupted,
    Disk(io::Error),
    Other(io::Error),
}

async fn prepare(
    process: &Process,
    options: &Download,
    torrent: &Arc<Torrent>,
    report: &Rc<RefCell<Report>>,
) -> Result<Prepared, NotPrepared> {
    let how = How::Begin { overwrite: options.overwrite, ends_complete: options.exit_when_done };
    let (disk, done, have) = look(process, options, torrent, how, report).await?;
    let port = process.listen(options).map_err(NotPrepared::Other)?;
    Ok(Prepared { disk, done, have, port })
}

/// `--check`: hashes all of what is here.
async fn verify(process: &Process, options: &Download, torrent: Torrent, report: &Rc<RefCell<Report>>) -> u8 {
    let torrent = Arc::new(torrent);
    report.borrow_mut().added(&torrent);
    let have = match look(process, options, &torrent, How::Verify, report).await {
        Ok((disk, _done, have)) => {
            // The resume file is written.
            let _ = tokio::task::spawn_blocking(|| disk.finish()).await;
            have
        }
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

/// Has the disk look at what is here.
async fn look(
    process: &Process,
    options: &Download,
    torrent: &Arc<Torrent>,
    how: How,
    report: &Rc<RefCell<Report>>,
) -> Result<(Disk, UnboundedReceiver<Done>, Bitfield), NotPrepared> {
    let mut signals = process.signals();
    let looking = async {
        // One torrent at a time; never closed.
        let _turn = process.looking.acquire().await;
        let (sender, mut done) = unbounded_channel();
        let disk = Disk::start(Arc::clone(torrent), &options.archives, how, process.open_files(), sender)?;
        let have = wait_for(&mut done, torrent, report).await?;
        Ok((disk, done, have))
    };
    tokio::select! {
        looked = looking => looked.map_err(NotPrepared::Disk),
        () = signals.recv() => Err(NotPrepared::Interrupted),
    }
}

/// Waits until the disk has looked at what is here.
async fn wait_for(
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

pub(crate) fn give_up(report: &mut Report, failed: &NotPrepared) -> u8 {
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
