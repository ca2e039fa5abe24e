//! The loop of an announcer: one task that carries out what the engine wants done.

mod attempts;
mod command;
mod event;
mod show;
mod shutdown;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use self::attempts::{AttemptTasks, Finished, TaskEnd};
use self::command::EndReason;
pub(super) use self::command::{Command, DriverLink, TorrentKey};
use self::event::DriverEvent;
use self::shutdown::Shutdown;
use super::clock::{self, Clock, Standstill};
use super::guarded;
#[cfg(feature = "metrics")]
use super::meters::Meters;
#[cfg(feature = "tracing")]
use super::spans::{self, Spans};
use super::store::{LAST_PUBLISH_LIMIT, StoreEvent, StoreTasks};
use super::torrents::{SharedTorrents, Torrents};
use crate::address::AddressPolicy;
use crate::alert::{Alert, ShutdownReport};
use crate::error::AnnouncerEnded;
use crate::policy::{Config, Output};
use crate::prober::Prober;
use crate::transport::Transport;

/// How often the loop looks whether the machine slept, while nothing is in flight.
const LOOK_IDLE: Duration = Duration::from_secs(30);

/// The same while something is in flight, whose limits are extended by the time that nothing ran.
const LOOK_BUSY: Duration = Duration::from_secs(1);

/// How long what arrived during a standstill is read, at most, before limits are judged again.
const CATCH_UP: Duration = Duration::from_secs(1);

/// What an announcer is made of.
pub(super) struct AnnouncerParts {
    pub(super) config: Config,
    pub(super) clock: Clock,
    /// Of every shuffle and jitter.
    pub(super) seed: u64,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) prober: Option<Arc<dyn Prober>>,
    /// Where what is known of hosts is kept and shared.
    pub(super) store: Option<StoreTasks>,
    /// Which peers are handed out; `None`: those on the internet, and those at their tracker's kind of address.
    pub(super) peers: Option<AddressPolicy>,
}

/// The loop's own state.
struct Driver {
    torrents: SharedTorrents,
    attempts: AttemptTasks,
    store: Option<StoreTasks>,
    shutdown: Option<Shutdown>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Whether there is a [`DriverLink`] by which commands may still come.
    is_linked: bool,
    end: EndReason,
    /// Whether the loop has ended because its work was done, and not by a panic or with its runtime.
    has_finished: bool,
    #[cfg(feature = "metrics")]
    meters: Meters,
    #[cfg(feature = "tracing")]
    spans: Spans,
}

/// Starts the loop.
///
/// # Panics
/// Outside a tokio runtime.
pub(super) fn start(parts: AnnouncerParts) -> DriverLink {
    let (sender, commands) = mpsc::unbounded_channel();
    let end = EndReason::default();
    let torrents = SharedTorrents::new(parts.config, parts.seed, parts.clock);
    if parts.store.is_none() {
        torrents.lock().open();
    }
    let driver = Driver {
        torrents: torrents.clone(),
        attempts: AttemptTasks::new(parts.transport, parts.prober, parts.peers),
        store: parts.store,
        shutdown: None,
        commands,
        is_linked: true,
        end: end.clone(),
        has_finished: false,
        #[cfg(feature = "metrics")]
        meters: Meters::default(),
        #[cfg(feature = "tracing")]
        spans: Spans::default(),
    };
    tokio::spawn(driver.supervise());
    DriverLink::new(sender, end, torrents)
}

impl Driver {
    /// The torrents, for as long as the guard lives.
    fn torrents(&self) -> MutexGuard<'_, Torrents> {
        self.torrents.lock()
    }

    /// Runs the loop. No input may end it; if one does, the panic becomes the reason that every later call reports (R93).
    async fn supervise(mut self) {
        if let Err(panic) = guarded::caught(self.run()).await {
            self.end.settle(AnnouncerEnded::Panicked(guarded::text(&*panic)));
            guarded::discard(panic);
        }
    }

    async fn run(&mut self) {
        for command in self.load_store().await {
            self.carry_out(command);
        }
        if self.shutdown.is_none() {
            self.torrents().open();
        }
        loop {
            let wake = [self.act(), self.tend_store(), self.tend_shutdown()];
            let wake = wake.into_iter().flatten().min();
            if self.torrents().is_empty() && (!self.is_linked || self.shutdown.is_some()) {
                self.finish().await;
                return;
            }
            // While something is in flight, the loop has to know how long nothing ran; else only whether the machine slept.
            let look = if self.attempts.are_awaited() { LOOK_BUSY } else { LOOK_IDLE };
            let until = wake.map(|wake| wake.min(clock::after(look)));
            let event = self.next(until).await;
            let standstill = self.torrents().clock.woke();
            match standstill {
                None => self.handle(event),
                Some(standstill) => self.catch_up(event, standstill).await,
            }
        }
    }

    /// Waits for the next event, at most until then.
    async fn next(&mut self, until: Option<Instant>) -> DriverEvent {
        self.torrents().clock.waits(until);
        let wake = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        // Biased, so that the same inputs give the same run.
        tokio::select! {
            biased;
            command = self.commands.recv(), if self.is_linked => {
                self.is_linked = command.is_some();
                command.map_or(DriverEvent::Unlinked, DriverEvent::Command)
            }
            Some(end) = self.attempts.next() => DriverEvent::Task(end),
            event = store_event(&mut self.store) => DriverEvent::Store(event),
            () = wake => DriverEvent::Wake,
        }
    }

    fn handle(&mut self, event: DriverEvent) {
        match event {
            DriverEvent::Command(command) => self.carry_out(command),
            DriverEvent::Unlinked => self.torrents().stop_all(None),
            DriverEvent::Task(end) => self.task_ended(end),
            DriverEvent::Store(event) => {
                if let Some(store) = &mut self.store {
                    store.take_in(event, &self.torrents);
                }
            }
            DriverEvent::Wake => {}
        }
    }

    /// Handles what arrived while nothing ran, successes before failures, before any limit is judged (R100): the time in
    /// which this process stood still is no silence of a tracker's.
    async fn catch_up(&mut self, event: DriverEvent, mut standstill: Standstill) {
        let mut events = vec![event];
        loop {
            if standstill.is_long {
                let torrents = &mut *self.torrents();
                torrents.engine.resumed(standstill.gap, torrents.clock.now());
            }
            let end = clock::after(CATCH_UP);
            while self.attempts.have_tasks() && clock::now() < end {
                match self.next(Some(clock::after(clock::QUIET))).await {
                    DriverEvent::Wake => break,
                    event => events.push(event),
                }
            }
            let again = self.torrents().clock.woke();
            match again {
                Some(again) => standstill = again,
                None => break,
            }
        }
        events.sort_by_key(DriverEvent::rank);
        for event in events {
            self.handle(event);
        }
    }

    /// Has the store loaded before anything is announced, unless that takes too long. Gives the commands that came
    /// meanwhile.
    async fn load_store(&mut self) -> Vec<Command> {
        let mut commands = Vec::new();
        let Some(store) = &mut self.store else { return commands };
        let mut limit = pin!(sleep_until(clock::after(store.load())));
        loop {
            tokio::select! {
                biased;
                event = store.next() => {
                    store.take_in(event, &self.torrents);
                    return commands;
                }
                command = self.commands.recv() => match command {
                    Some(command) => commands.push(command),
                    None => return commands,
                },
                () = &mut limit => return commands,
            }
            if let Some(Command::Shutdown { .. }) = commands.last() {
                return commands;
            }
        }
    }

    /// Publishes what the store lacks and sends the report of the shutdown: the last things before the loop ends.
    async fn finish(&mut self) {
        if let Some(store) = &mut self.store {
            let left = self.shutdown.as_ref().map(|shutdown| shutdown.end - clock::now());
            let limit = left.map_or(LAST_PUBLISH_LIMIT, |left| left.min(LAST_PUBLISH_LIMIT));
            store.finish(&self.torrents, limit).await;
        }
        self.has_finished = true;
        if let Some(shutdown) = self.shutdown.take() {
            shutdown.finish();
        }
    }

    /// Ends the torrents that are left when the time for a shutdown has passed. Gives the moment at which that is.
    fn tend_shutdown(&mut self) -> Option<Instant> {
        let end = self.shutdown.as_ref()?.end;
        if end <= clock::now() {
            self.torrents().stop_all(Some(Duration::ZERO));
            return self.act();
        }
        Some(end)
    }

    /// Publishes to the store when it is time, and sends its trouble to one torrent. Gives the moment to look again.
    fn tend_store(&mut self) -> Option<Instant> {
        let store = self.store.as_mut()?;
        let torrents = self.torrents.lock();
        let notice = store.notice().filter(|alert| torrents.alert_one(alert));
        if notice.is_some() {
            store.noticed();
        }
        let wake = store.tend(&torrents.engine, &torrents.clock);
        drop(torrents);
        #[cfg(feature = "tracing")]
        if let Some(alert) = notice {
            guarded::contained(|| spans::alert_of_all(&alert));
        }
        wake
    }

    /// Performs what the engine wants done, until it wants to wait. Gives the end of that wait.
    fn act(&mut self) -> Option<Instant> {
        loop {
            let output = self.torrents().poll();
            match output {
                Output::Wait(wake) => return wake.map(|wake| self.torrents().clock.instant(wake)),
                output => self.perform(output),
            }
        }
    }

    fn perform(&mut self, output: Output) {
        self.show(&output);
        match output {
            Output::Probe { attempt, tracker } => self.attempts.probe(attempt, tracker),
            Output::Open { attempt, tracker } => self.attempts.open(attempt, tracker),
            Output::Announce { attempt, request } => self.attempts.announce(attempt, request),
            Output::Close { attempt } => self.attempts.close(attempt),
            Output::Alert { torrent, alert } => self.torrents().alert(torrent, &alert),
            Output::CountPeers { torrent } => {
                self.torrents.count_peers(torrent);
            }
            Output::CountTransfer { torrent } => self.torrents.count_transfer(torrent),
            Output::RoundEnded { torrent, round, result } => {
                self.torrents().round_ended(torrent, round, &result);
            }
            Output::Ended { torrent, trackers, stopped } => {
                let ended = self.torrents().ended(torrent, *trackers, &stopped);
                if let (Some(shutdown), Some(info_hash)) =
                    (&mut self.shutdown, ended.and_then(|ended| ended.info_hash))
                {
                    shutdown.report.add(info_hash, &stopped);
                }
            }
            Output::Wait(_) => {}
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Add { .. } | Command::AnnounceOnce { .. } if self.shutdown.is_some() => {
                command.refuse(&Alert::AnnouncerEnded { reason: AnnouncerEnded::ShutDown });
            }
            Command::Add { trackers, torrent, alerts, key } => {
                key.set(self.torrents().add(*trackers, *torrent, alerts));
            }
            Command::Act => {}
            Command::AnnounceOnce { trackers, request, result } => {
                self.torrents().announce_once(*trackers, *request, result);
            }
            Command::ForTorrent(key, action) => {
                if let Some(torrent) = key.get() {
                    action(&self.torrents, torrent);
                }
            }
            Command::NetworkChanged => {
                let torrents = &mut *self.torrents();
                torrents.engine.network_changed(torrents.clock.now());
            }
            Command::Shutdown { limit, report } => self.shut_down(limit, report),
        }
    }

    /// Ends all torrents, and the loop when that is done. Of several limits the strictest counts.
    fn shut_down(&mut self, limit: Duration, waiter: oneshot::Sender<ShutdownReport>) {
        self.torrents().close();
        let limit = self.shutdown.get_or_insert_with(Shutdown::new).limit(limit, waiter);
        if let Some(store) = &mut self.store {
            store.hurry(&self.torrents.lock().clock);
        }
        self.torrents().stop_all(Some(limit));
    }

    fn task_ended(&mut self, end: TaskEnd) {
        let Some(Finished { attempt, input, opened }) = self.attempts.finished(end) else { return };
        let now = self.torrents().clock.now();
        #[cfg(feature = "metrics")]
        guarded::contained(|| self.meters.finished(&input, now));
        let mut torrents = self.torrents();
        if let Some(opened) = opened {
            torrents.engine.discount(attempt, opened.lookup_time, now);
            if let Some(address) = opened.address {
                torrents.engine.reached(attempt, address, now);
            }
            if let Some(family) = opened.other_family {
                torrents.engine.reachable_over(attempt, family, now);
            }
        }
        torrents.engine.handle(input, now);
    }
}

/// A runtime that ends drops the loop wherever it stands. However the loop ends, all listeners get a last alert, and no
/// caller waits for ever.
impl Drop for Driver {
    fn drop(&mut self) {
        let reason = if self.has_finished { AnnouncerEnded::ShutDown } else { AnnouncerEnded::RuntimeEnded };
        let last = Alert::AnnouncerEnded { reason: self.end.settle(reason) };
        let mut torrents = self.torrents();
        if !self.has_finished {
            torrents.alert_all(&last);
        }
        let ended = torrents.end();
        drop(torrents);
        drop(ended);
        #[cfg(feature = "tracing")]
        guarded::contained(|| spans::alert_of_all(&last));
        // After this no command comes; those that are in the queue are all there are.
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            command.refuse(&last);
        }
    }
}

/// What comes from the store next.
async fn store_event(store: &mut Option<StoreTasks>) -> StoreEvent {
    match store {
        Some(store) => store.next().await,
        None => std::future::pending().await,
    }
}
