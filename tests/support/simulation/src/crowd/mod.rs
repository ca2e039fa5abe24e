//! Many torrents that share sick hosts, in random lives: what must not be sent, and what must happen.
//!
//! An engine that sends nothing breaks no rule about what may be sent. So the auditor of these lives knows what the
//! world does to each torrent at each moment, and by when the torrent has an answer: see [`liveness`]. One [`Life`] is
//! an engine, a [`World`](world::World) of hosts that are sick in twelve ways, and a user who adds, changes and ends
//! torrents; [`live`] draws all three from a seed. Directed scenes make their world by hand.

mod commands;
mod draw;
mod facts;
mod life;
pub mod liveness;
mod network;
mod rules;
mod tally;
mod trace;
mod watching;
pub mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use commands::{Listing, Newcomer};
pub use draw::Size;
pub use life::Life;
pub use tally::Tally;
pub use trace::Trace;

use crate::lives::Violation;
use draw::Drawn;

/// What came of a life in which no rule was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lived {
    /// How many steps it took.
    pub steps: u64,
    /// Its counts.
    pub tally: Tally,
}

/// So many lines of what happened before a violation are kept for a replay.
const KEPT: usize = 200_000;

/// Lives the life of this seed, up to so many steps.
///
/// # Errors
/// When a rule was broken.
pub fn live(seed: u64, size: Size, steps: u64) -> Result<Lived, Violation> {
    play(seed, size, steps, 0).map_err(|(violation, _)| violation)
}

/// Lives a life again and keeps what happens; gives the last lines about the torrent whose rule was broken and about its
/// trackers' hosts.
///
/// # Errors
/// When a rule was broken.
pub fn replay(seed: u64, size: Size, steps: u64, lines: usize) -> Result<Lived, (Violation, Vec<String>)> {
    play(seed, size, steps, KEPT).map_err(|(violation, life)| {
        let accused = life.trace.accused;
        let trackers = accused.map(|torrent| life.siblings(torrent)).unwrap_or_default();
        (violation, life.trace.tail(accused, &trackers, lines))
    })
}

fn play(seed: u64, size: Size, steps: u64, kept: usize) -> Result<Lived, (Violation, Box<Life>)> {
    let Drawn { mut life, mut user, until } = Drawn::new(seed, size);
    life.trace.keep(kept);
    life.limit_steps(steps);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        while life.now() < until && !life.is_over() {
            let next = user.next(life.now()).min(until);
            life.run_until(next);
            if !life.is_over() {
                user.act(&mut life);
            }
        }
        for torrent in life.running() {
            life.stop(torrent);
        }
        life.limit_steps(u64::MAX);
        let end = life.now() + std::time::Duration::from_secs(10);
        life.run_until(end);
        assert!(life.is_empty(), "not all torrents have ended");
    }));
    match outcome {
        Ok(()) => Ok(Lived { steps: life.steps(), tally: life.tally().clone() }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let step = usize::try_from(life.steps()).unwrap_or(usize::MAX);
            Err((Violation { seed, step, rule: text.unwrap_or_default() }, Box::new(life)))
        }
    }
}
