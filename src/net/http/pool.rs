//! The pool of idle connections: kept for the next request, in a bounded number and for a limited time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::connection::HttpConnection;
use crate::net::clock;
use crate::tracker::TrackerHost;

/// How many idle connections a host may have: one for an announce and one for a request beside it, such as a scrape (S-28).
const MAX_PER_HOST: usize = 2;

/// How many idle connections there are in all. Each takes a file descriptor.
const MAX_CONNECTIONS: usize = 128;

/// Idle connections, the oldest first. Dropping it closes them.
#[derive(Default)]
pub(super) struct Pool(Arc<Mutex<Idle>>);

#[derive(Default)]
struct Idle {
    connections: VecDeque<IdleConnection>,
    /// The task that drops expired connections, and its runtime. It only runs while there are idle connections.
    sweeper: Option<(JoinHandle<()>, runtime::Id)>,
}

struct IdleConnection {
    host: TrackerHost,
    connection: HttpConnection,
    /// The runtime that drives it. Another runtime can't use it, because this one may end or stand still (R105).
    runtime: runtime::Id,
    expires: Instant,
}

impl Pool {
    /// Takes the connection to this host that was used last on the present runtime, if one is still open.
    pub(super) fn take(&self, host: &TrackerHost) -> Option<HttpConnection> {
        let mut idle = lock(&self.0);
        idle.drop_dead();
        let here = Handle::current().id();
        let index =
            idle.connections.iter().rposition(|entry| entry.host == *host && entry.runtime == here)?;
        Some(idle.connections.remove(index)?.connection)
    }

    /// Keeps a connection that has finished its request. Where there are too many, the oldest is closed.
    pub(super) fn put(&self, host: TrackerHost, mut connection: HttpConnection, keep: Duration) {
        if keep.is_zero() || connection.is_closed() {
            return;
        }
        (connection.reused, connection.lookup_time) = (true, Duration::ZERO);
        let mut idle = lock(&self.0);
        idle.drop_dead();
        let of_host = idle.connections.iter().filter(|entry| entry.host == host).count();
        let oldest = if of_host >= MAX_PER_HOST {
            idle.connections.iter().position(|entry| entry.host == host)
        } else {
            (idle.connections.len() >= MAX_CONNECTIONS).then_some(0)
        };
        oldest.and_then(|index| idle.connections.remove(index));
        let runtime = Handle::current().id();
        idle.connections.push_back(IdleConnection { host, connection, runtime, expires: clock::after(keep) });
        let sweeps_here = |(task, at): &(JoinHandle<()>, _)| *at == runtime && !task.is_finished();
        if !idle.sweeper.as_ref().is_some_and(sweeps_here) {
            let sweeper = (tokio::spawn(sweep(Arc::downgrade(&self.0))), runtime);
            if let Some((elsewhere, _)) = idle.sweeper.replace(sweeper) {
                elsewhere.abort();
            }
        }
    }
}

impl Idle {
    fn drop_dead(&mut self) {
        let now = clock::now();
        self.connections.retain(|entry| entry.expires > now && !entry.connection.is_closed());
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        if let Some((sweeper, _)) = &self.sweeper {
            sweeper.abort();
        }
    }
}

/// Drops connections as they expire, until none is left.
async fn sweep(pool: Weak<Mutex<Idle>>) {
    loop {
        let next = {
            let Some(pool) = pool.upgrade() else { return };
            let mut idle = lock(&pool);
            idle.drop_dead();
            let Some(next) = idle.connections.iter().map(|entry| entry.expires).min() else {
                idle.sweeper = None;
                return;
            };
            next
        };
        tokio::time::sleep_until(next).await;
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
