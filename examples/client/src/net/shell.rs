//! Performs the actions of the swarm: connections, the disk, output for the user.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tracker_failover::{InfoHash, PeerId};

use super::adopted::Adopted;
use super::clock::Clock;
use super::connection;
use super::greetings::Greetings;
use crate::files::disk::{Disk, Done, Job, Unreadable};
use crate::swarm::PeerKey;
use crate::swarm::session::{Action, Session};
use crate::ui::report::Report;
use crate::wire::Why;
use crate::wire::handshake;

/// Everything on the network thread. Nothing is borrowed across an await.
pub(crate) struct Shell {
    pub(crate) session: RefCell<Session>,
    pub(crate) report: Rc<RefCell<Report>>,
    pub(crate) info_hash: InfoHash,
    pub(crate) own_id: PeerId,
    clock: Clock,
    disk: RefCell<Option<Disk>>,
    links: RefCell<BTreeMap<PeerKey, Rc<Link>>>,
    /// What every connection reads into; each keeps only its unfinished frame.
    pub(super) scratch: RefCell<Vec<u8>>,
    /// Connections that came in and whose handshake isn't done.
    pub(super) greetings: RefCell<Greetings>,
    failure: RefCell<Option<io::Error>>,
}

/// The way to a connection's task.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) wake: Notify,
    pub(super) closing: Cell<Option<Why>>,
}

impl Shell {
    /// A shell around a session.
    pub(crate) fn new(
        session: Session,
        disk: Disk,
        report: Rc<RefCell<Report>>,
        info_hash: InfoHash,
        own_id: PeerId,
        clock: Clock,
    ) -> Rc<Self> {
        let scratch = vec![0; session.limits().longest() + READ];
        Rc::new(Self {
            session: RefCell::new(session),
            report,
            info_hash,
            own_id,
            clock,
            disk: RefCell::new(Some(disk)),
            links: RefCell::default(),
            scratch: RefCell::new(scratch),
            greetings: RefCell::default(),
            failure: RefCell::default(),
        })
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Our side of a handshake that begins now.
    pub(super) fn handshake(&self) -> [u8; handshake::LENGTH] {
        handshake::write(self.info_hash, self.own_id, self.session.borrow().has_node())
    }

    /// Tells the session something, and does what follows from it.
    pub(crate) fn update<T>(self: &Rc<Self>, what: impl FnOnce(&mut Session, Duration) -> T) -> T {
        let answer = what(&mut self.session.borrow_mut(), self.now());
        self.act();
        answer
    }

    /// What went wrong with the disk, if something did.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Takes what the disk has done.
    pub(crate) fn disk_done(self: &Rc<Self>, done: Done) {
        match done {
            Done::Looked(_) | Done::Ready(_) => {}
            Done::Stored { piece, data, verdict: Ok(verdict) } => {
                self.update(|session, now| session.stored(piece, data, verdict, now));
            }
            Done::Stored { verdict: Err(error), .. } => self.fail(error),
            Done::Loaded { peer, messages: Ok(messages), payload } => {
                self.update(|session, _| session.loaded(peer, Some(messages), payload));
            }
            Done::Loaded { peer, messages: Err(Unreadable { pieces, error }), .. } => {
                self.update(|session, now| {
                    session.lost(&pieces, error.to_string(), now);
                    session.loaded(peer, None, 0);
                });
            }
        }
    }

    /// Lets the disk finish what it has been asked for, but not for ever.
    pub(crate) async fn finish(&self) {
        let disk = self.disk.borrow_mut().take();
        if let Some(disk) = disk {
            let finished = tokio::task::spawn_blocking(|| disk.finish());
            let _ = tokio::time::timeout(FINISH_LIMIT, finished).await;
        }
    }

    /// Goes on with connections on which the metadata was fetched.
    pub(crate) fn adopt(self: &Rc<Self>, connections: Vec<Adopted>) {
        for connection in connections {
            tokio::task::spawn_local(connection::adopted(Rc::clone(self), connection));
        }
    }

    /// Takes connections from a listening socket for ever.
    pub(crate) async fn listen(self: Rc<Self>, socket: TcpListener) {
        loop {
            match socket.accept().await {
                Ok((stream, address)) => {
                    if self.session.borrow().admits(address) {
                        let place = self.greetings.borrow_mut().enter(address.ip());
                        tokio::task::spawn_local(connection::incoming(
                            Rc::clone(&self),
                            stream,
                            address,
                            place,
                        ));
                    }
                }
                // Out of descriptors, or a connection that broke while it waited.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    /// Registers a connection under its key.
    pub(super) fn link(&self, key: PeerKey) -> Rc<Link> {
        let link = Rc::new(Link::default());
        self.links.borrow_mut().insert(key, Rc::clone(&link));
        link
    }

    /// A connection has ended.
    pub(super) fn unlink(self: &Rc<Self>, key: PeerKey, why: Why) {
        self.links.borrow_mut().remove(&key);
        self.update(|session, now| session.disconnected(key, why, now));
    }

    /// Does what the session wants done.
    pub(super) fn act(self: &Rc<Self>) {
        let (actions, wakes) = {
            let mut session = self.session.borrow_mut();
            (session.take_actions(), session.take_wakes())
        };
        for action in actions {
            match action {
                Action::Dial(address) => {
                    tokio::task::spawn_local(connection::outgoing(Rc::clone(self), address));
                }
                Action::Close(key, why) => {
                    if let Some(link) = self.links.borrow().get(&key) {
                        link.closing.set(link.closing.get().or(Some(why)));
                        link.wake.notify_one();
                    }
                }
                Action::Store { piece, begin, data, earlier } => {
                    self.send(Job::Store { piece, begin, data, earlier });
                }
                Action::Forget(piece) => self.send(Job::Forget(piece)),
                Action::Load { peer, connected, blocks, buffer } => {
                    self.send(Job::Load { peer, connected, blocks, buffer });
                }
                Action::Tell(event) => self.report.borrow_mut().event(&event),
            }
        }
        let links = self.links.borrow();
        for link in wakes.iter().filter_map(|key| links.get(key)) {
            link.wake.notify_one();
        }
    }

    fn send(&self, job: Job) {
        let sent = self.disk.borrow().as_ref().map_or(Ok(()), |disk| disk.send(job));
        if let Err(error) = sent {
            self.fail(error);
        }
    }

    fn fail(&self, error: io::Error) {
        self.failure.borrow_mut().get_or_insert(error);
    }

    /// Connects to a peer, for [`connection`].
    pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, Why> {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(_)) => Err(Why::Io),
            Err(_) => Err(Why::Timeout),
        }
    }
}

/// Bytes taken from a socket at a time; few large reads cost less than many small ones.
const READ: usize = 256 << 10;
const FINISH_LIMIT: Duration = Duration::from_secs(3);
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
