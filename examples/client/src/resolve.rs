//! From a magnet link to a torrent: asks trackers for peers and peers for the metadata, and keeps the connections.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use rand::RngExt;
use tokio::time::timeout;
use tracker_failover::{Metainfo, PeerAddress, TrackerSet, Transfer};

use crate::discover::{discover, keep_nodes};
use crate::discovery::Discovery;
use crate::files::names::NameRules;
use crate::magnet::Magnet;
use crate::net::adopted::Adopted;
use crate::net::metadata::{self, Begin};
use crate::net::run::Outcome;
use crate::process::Process;
use crate::swarm::dial::DialBook;
use crate::torrent::{Refused, Torrent};
use crate::ui::cli::Download;
use crate::ui::event::Event;
use crate::ui::report::Report;
use crate::way_out;

/// What a download has already when its torrent came by a magnet link.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) discovery: Discovery,
    pub(crate) connections: Vec<Adopted>,
    pub(crate) book: DialBook,
}

/// Why there is no torrent.
#[derive(Debug)]
pub(crate) enum NotResolved {
    /// It came to an end before the metadata.
    Ended(Outcome),
    /// The metadata is none of a torrent that can be downloaded.
    Refused(Refused),
    /// The machine gives no port or no signals.
    Io(io::Error),
}

/// Fetches the metadata.
///
/// # Errors
/// When there is none, or not before the end.
pub(crate) async fn resolve(
    (process, options): (&Process, &Download),
    magnet: &Magnet,
    report: &Rc<RefCell<Report>>,
) -> Result<(Torrent, Metainfo, Begun), NotResolved> {
    let (clock, own_id, mut signals) = (process.clock, process.own_id, process.signals());
    let name = magnet.name().map_or_else(|| magnet.info_hash().to_string(), ToOwned::to_owned);
    report.borrow_mut().set_info_hash(magnet.info_hash());
    report.borrow_mut().config(&format!("magnet link of {name}"));
    let port = process.listen(options).map_err(NotResolved::Io)?;
    let mut announced = tracker_failover::Torrent::new(magnet.info_hash(), own_id, port);
    announced.transfer = Transfer::default();
    let set = TrackerSet::new(magnet.tiers());
    let mut discovery = discover((process, options), set, announced, false, report).await;
    let peers = options.peers.iter().copied().chain(addresses(magnet.peers()).await).collect();
    let begin = Begin {
        info_hash: magnet.info_hash(),
        own_id,
        port,
        seed: rand::rng().random(),
        peers,
        encryption: options.encryption.policy(),
        deadline: options.deadline_s.map(Duration::from_secs),
        clock,
    };
    let found = metadata::fetch(begin, &process.registry, &mut discovery, &mut signals, report).await;
    let mut found = match found {
        Ok(found) => found,
        Err(outcome) => return Err(end(options, discovery, NotResolved::Ended(outcome), report).await),
    };
    let (size, info_hash) = (found.metadata.len(), magnet.info_hash());
    report.borrow_mut().event(&Event::Metadata { size, info_hash });
    let file = magnet.torrent_file(&found.metadata);
    let (torrent, metainfo) = match Torrent::parse(&file, NameRules::of(&options.archives)) {
        Ok(parsed) => parsed,
        Err(refused) => return Err(end(options, discovery, NotResolved::Refused(refused), report).await),
    };
    if torrent.private {
        discovery.set_private().await;
        let may_stay = |peer: &Adopted| !peer.dialled || found.named_by_trackers.contains(&peer.address);
        found.connections.retain(may_stay);
        found.book.retain(|address| found.named_by_trackers.contains(&address));
    }
    if options.save_torrent {
        save(options, &torrent, &file, &mut report.borrow_mut());
    }
    let (connections, book) = (found.connections, found.book);
    Ok((torrent, metainfo, Begun { discovery, connections, book }))
}

/// Tells the trackers that it is over.
async fn end(
    options: &Download,
    discovery: Discovery,
    reason: NotResolved,
    report: &Rc<RefCell<Report>>,
) -> NotResolved {
    keep_nodes(options, &discovery, vec![], report);
    let transfer = Transfer::default();
    discovery.stop(transfer, |tag, text| report.borrow_mut().tracker(tag, text)).await;
    reason
}

/// The addresses of the link's peers. Names are looked up once, all at the same time.
async fn addresses(peers: &[PeerAddress]) -> Vec<std::net::SocketAddr> {
    let mut addresses = Vec::new();
    let mut lookups = tokio::task::JoinSet::new();
    for peer in peers {
        match peer {
            PeerAddress::Ip(address) => addresses.push(*address),
            PeerAddress::Name(name, port) if way_out::looks_up() => {
                let lookup = tokio::net::lookup_host((name.clone(), *port));
                lookups.spawn(timeout(LOOKUP_LIMIT, lookup));
            }
            _ => {}
        }
    }
    while let Some(found) = lookups.join_next().await {
        if let Ok(Ok(Ok(found))) = found {
            addresses.extend(found.take(MAX_ADDRESSES));
        }
    }
    addresses
}

/// Keeps the torrent beside the data.
fn save(options: &Download, torrent: &Torrent, file: &[u8], report: &mut Report) {
    let path = options.archives.join(file_name(torrent));
    let mut open = OpenOptions::new();
    open.write(true);
    if options.overwrite {
        open.create(true).truncate(true);
    } else {
        open.create_new(true);
    }
    let saved = std::fs::create_dir_all(&options.archives)
        .and_then(|()| open.open(&path))
        .and_then(|mut opened| opened.write_all(file));
    match saved {
        Ok(()) => report.info(&format!("torrent saved as {}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            report.error(&format!("{} exists, see --overwrite; the torrent isn't saved", path.display()));
        }
        Err(error) => report.error(&format!("{}: {error}; the torrent isn't saved", path.display())),
    }
}

/// The name of the file or folder that the torrent makes, which is a safe one, with `.torrent` behind it.
fn file_name(torrent: &Torrent) -> PathBuf {
    let first = torrent.files.iter().find(|file| !file.pad).and_then(|file| file.path.iter().next());
    let mut name = first.map_or_else(|| torrent.info_hash.to_string().into(), ToOwned::to_owned);
    if name.len() > MAX_NAME {
        name = torrent.info_hash.to_string().into();
    }
    name.push(".torrent");
    name.into()
}

const LOOKUP_LIMIT: Duration = Duration::from_secs(5);
/// Addresses taken of each name.
const MAX_ADDRESSES: usize = 4;
/// Bytes of a name that can have `.torrent` behind it (255 bytes on most file systems).
const MAX_NAME: usize = 247;
