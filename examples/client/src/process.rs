//! What all torrents of the process share: our id, the clock, the signals, the port, the announcer and the limits.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use rand::RngExt;
use tokio::sync::Semaphore;
use tracker_failover::{InfoHash, PeerId};

use crate::discovery::trackers::SharedAnnouncer;
use crate::files::names::shown;
use crate::net::clock::Clock;
use crate::net::listen::Listeners;
use crate::net::port_mapping::PortMapping;
use crate::net::registry::Registry;
use crate::signals::Signals;
use crate::swarm::shared_limit::SharedLimit;
use crate::torrent::Torrent;
use crate::ui::cli::Download;
use crate::ui::report::Report;
use crate::way_out;

/// The process.
pub(crate) struct Process {
    pub(crate) own_id: PeerId,
    pub(crate) clock: Clock,
    pub(crate) announcer: SharedAnnouncer,
    /// The torrents for which connections come in.
    pub(crate) registry: Rc<Registry>,
    /// The port that is announced; 0 before there is one.
    pub(crate) port: Rc<Cell<u16>>,
    /// A torrent has this while it looks at what is here: several at once would only have the disk seek.
    pub(crate) looking: Semaphore,
    /// How many torrents there are.
    torrents: usize,
    signals: Signals,
    report: Rc<RefCell<Report>>,
    down_limit: Option<SharedLimit>,
    up_limit: Option<SharedLimit>,
    claimed: RefCell<Claimed>,
    mapping: RefCell<Option<PortMapping>>,
}

/// What torrents have taken for themselves.
#[derive(Debug, Default)]
struct Claimed {
    torrents: BTreeSet<InfoHash>,
    /// The files in lower case, since some file systems don't tell them apart.
    files: BTreeMap<String, InfoHash>,
}

impl Process {
    /// A process for so many torrents, in which only `report` speaks for all of them; to be called within the runtime.
    ///
    /// # Errors
    /// When the system gives no signals.
    pub(crate) fn new(options: &Download, torrents: usize, report: &Rc<RefCell<Report>>) -> io::Result<Self> {
        Ok(Self {
            own_id: PeerId::with_prefix(*b"-TF0100-", rand::rng().random()),
            clock: Clock::start(),
            announcer: SharedAnnouncer::default(),
            registry: Rc::new(Registry::new(options.encryption.policy())),
            port: Rc::default(),
            looking: Semaphore::new(1),
            torrents,
            signals: Signals::listen()?,
            report: Rc::clone(report),
            down_limit: options.down_limit().map(SharedLimit::new),
            up_limit: options.up_limit().map(SharedLimit::new),
            claimed: RefCell::default(),
            mapping: RefCell::default(),
        })
    }

    /// Whether there is one torrent only.
    pub(crate) fn is_of_one(&self) -> bool {
        self.torrents == 1
    }

    /// The signals, for one more that waits for them.
    pub(crate) fn signals(&self) -> Signals {
        self.signals.clone()
    }

    /// The limits of both directions, for one more torrent.
    pub(crate) fn limits(&self) -> [Option<SharedLimit>; 2] {
        [&self.down_limit, &self.up_limit].map(|limit| limit.as_ref().map(SharedLimit::another))
    }

    /// How many files each torrent may keep open.
    pub(crate) fn open_files(&self) -> usize {
        (MAX_OPEN / self.torrents.max(1)).clamp(1, MAX_OPEN_OF_ONE)
    }

    /// The port on which we take connections. They are taken from the first call on.
    ///
    /// # Errors
    /// When the port is taken, or nothing can be listened on.
    pub(crate) fn listen(&self, options: &Download) -> io::Result<u16> {
        if self.port.get() == 0 {
            let listeners = Listeners::bind(options.port)?;
            self.port.set(listeners.port);
            if way_out::listens() {
                self.report.borrow_mut().listening(listeners.port);
            }
            listeners.serve(&self.registry);
            if options.port_mapping {
                let (announced, report) = (Rc::clone(&self.port), Rc::clone(&self.report));
                let mapping = PortMapping::start(self.port.get(), options.gateway, announced, report);
                *self.mapping.borrow_mut() = Some(mapping);
            }
        }
        Ok(self.port.get())
    }

    /// All torrents have ended: gives the gateway's port back, which is bounded.
    pub(crate) async fn end(&self) {
        let mapping = self.mapping.take();
        if let Some(mapping) = mapping {
            mapping.end().await;
        }
    }

    /// Takes a torrent for oneself. `false` if another of the same info-hash has done so.
    pub(crate) fn claim(&self, info_hash: InfoHash) -> bool {
        self.claimed.borrow_mut().torrents.insert(info_hash)
    }

    /// Takes the wanted files of a torrent for oneself.
    ///
    /// # Errors
    /// A text for the user, when another torrent writes one of them.
    pub(crate) fn claim_files(&self, torrent: &Torrent) -> Result<(), String> {
        if self.is_of_one() {
            return Ok(());
        }
        let mut claimed = self.claimed.borrow_mut();
        let key = |path: &PathBuf| path.to_string_lossy().to_lowercase();
        let wanted = || torrent.files.iter().filter(|file| file.wanted).map(|file| &file.path);
        if let Some(path) = wanted().find(|path| claimed.files.contains_key(&key(path))) {
            return Err(format!(
                "{} is a file of another torrent as well, and isn't written twice",
                shown(path)
            ));
        }
        claimed.files.extend(wanted().map(|path| (key(path), torrent.info_hash)));
        Ok(())
    }
}

/// Files kept open by all torrents together; systems allow a process some hundreds.
const MAX_OPEN: usize = 256;
const MAX_OPEN_OF_ONE: usize = 64;
