//! A download from its first connection to its end.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval};

use super::listen::Listeners;
use super::shell::Shell;
use crate::discovery::news::News;
use crate::discovery::{Discovery, SwarmState};
use crate::files::disk::Done;
use crate::signals::Signals;
use crate::swarm::session::{Session, Stats};

/// How a download ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Everything that is wanted is here, and nothing else was wanted.
    Done,
    /// The time is up.
    Deadline,
    /// Nothing that names peers, and no peer left.
    OutOfPeers,
    /// The user wants to stop.
    Interrupted,
    /// The disk is full, or can't be written.
    Failed(io::Error),
}

/// When to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    /// As soon as everything that is wanted is here.
    pub(crate) done: bool,
    /// When so much time has passed since the start.
    pub(crate) deadline: Option<Duration>,
}

/// Runs until there is a reason to end.
pub(crate) async fn run(
    shell: &Rc<Shell>,
    listeners: Listeners,
    done: &mut UnboundedReceiver<Done>,
    discovery: &mut Discovery,
    signals: &mut Signals,
    until: Until,
) -> Outcome {
    for socket in listeners.sockets {
        tokio::task::spawn_local(Rc::clone(shell).listen(socket));
    }
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alone = discovery.is_empty();
    let mut paces = interval(PACE);
    paces.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let limited = shell.session.borrow().is_limited();
    let mut whole = shell.session.borrow().is_whole();
    loop {
        shell.session.borrow_mut().set_own_node(discovery.node_port());
        tokio::select! {
            job = done.recv() => {
                let mut next = job;
                while let Some(job) = next {
                    shell.disk_done(job);
                    next = done.try_recv().ok();
                }
            }
            _ = ticks.tick() => {
                shell.update(Session::tick);
                let (stats, swarm) = state_of(&shell.session.borrow());
                let tracker = discovery.tick(swarm, shell.now());
                shell.report.borrow_mut().progress(&stats, tracker, shell.now());
            }
            _ = paces.tick(), if limited => shell.update(Session::pace),
            news = discovery.next() => match news {
                News::Peers(peers) => {
                    shell.update(|session, now| session.add_peers(peers, now));
                }
                News::Line(tag, text) => shell.report.borrow_mut().tracker(tag, &text),
                News::Detail(tag, text) => shell.report.borrow_mut().detail(tag, &text),
                News::Swarm(tracker, swarm) => shell.report.borrow_mut().swarm(&tracker.to_string(), swarm),
                News::Moved => shell.update(|session, _| session.forget_peers()),
                News::NoneLeft => alone = true,
            },
            () = signals.recv() => return Outcome::Interrupted,
        }
        if let Some(error) = shell.take_failure() {
            return Outcome::Failed(error);
        }
        let session = shell.session.borrow();
        if !whole && session.is_whole() {
            whole = true;
            discovery.complete(session.transfer());
        }
        if session.is_complete() {
            if until.done {
                return Outcome::Done;
            }
        } else if alone && session.is_out_of_peers() {
            return Outcome::OutOfPeers;
        }
        if until.deadline.is_some_and(|deadline| shell.now() >= deadline) {
            return Outcome::Deadline;
        }
    }
}

/// What the report has to know about the swarm, and discovery.
fn state_of(session: &Session) -> (Stats, SwarmState) {
    let stats = session.stats();
    let swarm = SwarmState {
        transfer: session.transfer(),
        peers: session.peer_counts(),
        has_peers: session.has_peers(),
        is_complete: session.is_complete(),
        wants_peers: stats.wants_peers,
    };
    (stats, swarm)
}

/// How often time passes for the swarm.
const TICK: Duration = Duration::from_millis(250);
/// How often what limits allow is shared out: often enough that a quick peer never waits for it.
const PACE: Duration = Duration::from_millis(50);
