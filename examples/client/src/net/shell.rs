//! Performs the actions of the swarm: connections, the disk, output for the user.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tracker_failover::{InfoHash, PeerId};

use super::clock::Clock;
use super::link::{Link, Links};
use crate::files::disk::{Disk, Done, Job, Unreadable};
use crate::swarm::PeerKey;
use crate::swarm::Swarm;
use crate::swarm::actions::Action;
use crate::ui::report::Report;
use crate::wire::mse::Policy;
use crate::wire::{Why, handshake};

/// Everything on the network thread. Nothing is borrowed across an await.
pub(crate) struct Shell {
    pub(crate) swarm: RefCell<Swarm>,
    pub(crate) report: Rc<RefCell<Report>>,
    pub(crate) info_hash: InfoHash,
    pub(crate) own_id: PeerId,
    /// Whether connections are encrypted.
    pub(super) encryption: Policy,
    clock: Clock,
    disk: RefCell<Option<Disk>>,
    links: Links,
    /// Peers that are to be dialled, no more than the swarm has being dialled at a time.
    due: RefCell<VecDeque<SocketAddr>>,
    is_due: Notify,
    /// What every connection reads into; each keeps only its unfinished frame.
    pub(super) scratch: RefCell<Vec<u8>>,
    failure: RefCell<Option<io::Error>>,
}

impl Shell {
    /// A shell around a swarm.
    pub(crate) fn new(
        swarm: Swarm,
        disk: Disk,
        report: Rc<RefCell<Report>>,
        info_hash: InfoHash,
        own_id: PeerId,
        encryption: Policy,
        clock: Clock,
    ) -> Rc<Self> {
        let scratch = vec![0; swarm.limits().longest() + READ];
        Rc::new(Self {
            swarm: RefCell::new(swarm),
            report,
            info_hash,
            own_id,
            encryption,
            clock,
            disk: RefCell::new(Some(disk)),
            links: Links::default(),
            due: RefCell::default(),
            is_due: Notify::new(),
            scratch: RefCell::new(scratch),
            failure: RefCell::default(),
        })
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Our side of a handshake that begins now.
    pub(super) fn own_handshake(&self) -> [u8; handshake::LENGTH] {
        handshake::write(self.info_hash, self.own_id, self.swarm.borrow().has_node())
    }

    /// Tells the swarm something, and does what follows from it.
    pub(crate) fn update<T>(&self, what: impl FnOnce(&mut Swarm, Duration) -> T) -> T {
        let answer = what(&mut self.swarm.borrow_mut(), self.now());
        self.act();
        answer
    }

    /// What went wrong with the disk, if something did.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Takes what the disk has done.
    pub(crate) fn disk_done(&self, done: Done) {
        match done {
            Done::Looked(_) | Done::Ready(_) => {}
            Done::NotResumable(error) => {
                self.report.borrow_mut().detail("RESUME", &format!("the next start hashes again: {error}"));
            }
            Done::Stored { piece, data, verdict: Ok(verdict) } => {
                self.update(|swarm, now| swarm.stored(piece, data, verdict, now));
            }
            Done::Stored { verdict: Err(error), .. } => self.fail(error),
            Done::Loaded { peer, messages: Ok(messages), payload } => {
                self.update(|swarm, _| swarm.loaded(peer, Some(messages), payload));
            }
            Done::Loaded { peer, messages: Err(Unreadable { pieces, error }), .. } => {
                self.update(|swarm, now| {
                    swarm.lost(&pieces, error.to_string(), now);
                    swarm.loaded(peer, None, 0);
                });
            }
        }
    }

    /// Has the resume file written, if something has changed.
    pub(super) fn save_resume(&self) {
        self.send(Job::SaveResume);
    }

    /// Lets the disk finish what it has been asked for, but not for ever.
    pub(crate) async fn finish(&self) {
        let disk = self.disk.borrow_mut().take();
        if let Some(disk) = disk {
            let finished = tokio::task::spawn_blocking(|| disk.finish());
            let _ = tokio::time::timeout(FINISH_LIMIT, finished).await;
        }
    }

    /// Closes all connections: other torrents may go on.
    pub(crate) fn close(&self) {
        self.links.close_all(Why::Redundant);
    }

    /// Waits for the next peer that is to be dialled.
    pub(super) async fn next_due(&self) -> SocketAddr {
        loop {
            if let Some(address) = self.due.borrow_mut().pop_front() {
                return address;
            }
            self.is_due.notified().await;
        }
    }

    /// Registers a connection under its key.
    pub(super) fn link(&self, key: PeerKey) -> Rc<Link> {
        self.links.add(key)
    }

    /// A connection has ended.
    pub(super) fn unlink(&self, key: PeerKey, why: Why) {
        self.links.remove(key);
        self.update(|swarm, now| swarm.disconnected(key, why, now));
    }

    /// Does what the swarm wants done.
    pub(super) fn act(&self) {
        let (actions, wakes) = {
            let mut swarm = self.swarm.borrow_mut();
            (swarm.take_actions(), swarm.take_wakes())
        };
        for action in actions {
            match action {
                Action::Dial(address) => {
                    self.due.borrow_mut().push_back(address);
                    self.is_due.notify_one();
                }
                Action::Close(key, why) => self.links.close(key, why),
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
        self.links.wake(&wakes);
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
}

/// Bytes taken from a socket at a time; few large reads cost less than many small ones.
const READ: usize = 256 << 10;
/// Writes go to memory and take no time, but for the resume file they have to be on the disk.
const FINISH_LIMIT: Duration = Duration::from_secs(10);
