//! A download from its first connection to its end.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval};

use super::registry::{Host, Registry};
use super::shell::Shell;
use crate::discovery::news::News;
use crate::discovery::{Discovery, SwarmState};
use crate::files::disk::Done;
use crate::signals::Signals;
use crate::swarm::{Stats, Swarm};

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
    /// When everything has been here for so long.
    pub(crate) seeded_for: Option<Duration>,
    /// When everything is here, and this many thousandths of it were uploaded.
    pub(crate) ratio: Option<u64>,
    /// When so much time has passed since the start.
    pub(crate) deadline: Option<Duration>,
}

impl Until {
    /// Whether a torrent has seeded enough that has been complete for so long.
    fn is_enough(self, swarm: &Swarm, complete_for: Duration) -> bool {
        let uploaded = u128::from(swarm.transfer().uploaded) * 1000;
        let is_given = |ratio: u64| uploaded >= u128::from(ratio) * u128::from(swarm.stats().total);
        self.done
            || self.seeded_for.is_some_and(|time| complete_for >= time)
            || self.ratio.is_some_and(is_given)
    }
}

/// What a download runs with.
pub(crate) struct Running<'a> {
    /// Where connections come from.
    pub(crate) registry: &'a Rc<Registry>,
    /// The port that is announced, which may change.
    pub(crate) port: &'a Cell<u16>,
    /// What the disk has done.
    pub(crate) done: &'a mut UnboundedReceiver<Done>,
    pub(crate) discovery: &'a mut Discovery,
    pub(crate) signals: &'a mut Signals,
    pub(crate) until: Until,
}

/// Runs until there is a reason to end.
pub(crate) async fn run(shell: &Rc<Shell>, running: Running<'_>) -> Outcome {
    let Running { registry, port, done, discovery, signals, until } = running;
    let host: Rc<dyn Host> = shell.clone();
    let _registered = registry.enter(shell.info_hash, host);
    let mut announced = port.get();
    let mut complete_since = None;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alone = discovery.is_empty();
    let mut paces = interval(PACE);
    paces.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let limited = shell.swarm.borrow().is_limited();
    let mut saved = shell.now();
    let mut whole = shell.swarm.borrow().is_whole();
    loop {
        shell.swarm.borrow_mut().set_own_node(discovery.node_port());
        tokio::select! {
            job = done.recv() => {
                let mut next = job;
                while let Some(job) = next {
                    shell.disk_done(job);
                    next = done.try_recv().ok();
                }
            }
            _ = ticks.tick() => {
                shell.update(Swarm::tick);
                let (stats, swarm_state) = state_of(&shell.swarm.borrow());
                let most = registry.most(stats.connected);
                shell.swarm.borrow_mut().set_most_peers(most);
                if announced != port.get() {
                    announced = port.get();
                    discovery.set_port(announced);
                }
                let tracker = discovery.tick(swarm_state, shell.now());
                if shell.now().saturating_sub(saved) >= SAVE_EVERY {
                    saved = shell.now();
                    shell.save_resume();
                }
                shell.report.borrow_mut().progress(&stats, tracker, shell.now());
            }
            _ = paces.tick(), if limited => shell.update(Swarm::pace),
            news = discovery.next() => {
                alone |= matches!(news, News::NoneLeft);
                take(shell, news);
            }
            () = signals.recv() => return Outcome::Interrupted,
        }
        if let Some(error) = shell.take_failure() {
            return Outcome::Failed(error);
        }
        let swarm = shell.swarm.borrow();
        if !whole && swarm.is_whole() {
            whole = true;
            discovery.complete(swarm.transfer());
        }
        if swarm.is_complete() {
            let since = *complete_since.get_or_insert(shell.now());
            if until.is_enough(&swarm, shell.now().saturating_sub(since)) {
                return Outcome::Done;
            }
        } else if alone && swarm.is_out_of_peers() {
            return Outcome::OutOfPeers;
        }
        if until.deadline.is_some_and(|deadline| shell.now() >= deadline) {
            return Outcome::Deadline;
        }
    }
}

/// Takes what discovery has to say.
fn take(shell: &Shell, news: News) {
    match news {
        News::Peers(peers) => {
            shell.update(|swarm, now| swarm.add_peers(peers, now));
        }
        News::Line(tag, text) => shell.report.borrow_mut().tracker(tag, &text),
        News::Detail(tag, text) => shell.report.borrow_mut().detail(tag, &text),
        News::Swarm(tracker, swarm) => shell.report.borrow_mut().swarm(&tracker.to_string(), swarm),
        News::Moved => shell.update(|swarm, _| swarm.forget_peers()),
        News::NoneLeft => {}
    }
}

/// What the report has to know about the swarm, and discovery.
fn state_of(swarm: &Swarm) -> (Stats, SwarmState) {
    let stats = swarm.stats();
    let swarm_state = SwarmState {
        transfer: swarm.transfer(),
        peers: swarm.peer_counts(),
        has_peers: swarm.has_peers(),
        is_complete: swarm.is_complete(),
        wants_peers: stats.wants_peers,
    };
    (stats, swarm_state)
}

/// How often time passes for the swarm.
const TICK: Duration = Duration::from_millis(250);
/// How often the resume file is written, beside when everything is here and at the end.
const SAVE_EVERY: Duration = Duration::from_secs(300);
/// How often what limits allow is shared out: often enough that a quick peer never waits for it.
const PACE: Duration = Duration::from_millis(50);
