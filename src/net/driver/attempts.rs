//! Attempts in flight: a task for each probe, opening and announce, and the channels that are open between the latter two.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::address::{AddressPolicy, usable_peers};
use crate::announce::{AnnounceRequest, AnnounceResponse};
use crate::error::{AnnounceError, Cause};
use crate::net::guarded::{self, Guarded};
use crate::policy::{AttemptId, Input};
use crate::prober::{Measurement, Prober};
use crate::tracker::{AddressFamily, TrackerUrl};
use crate::transport::{Channel, Transport};
use crate::wire::compact::MAX_PEERS;

/// The attempts of an announcer, and what carries them out.
pub(super) struct AttemptTasks {
    transport: Arc<dyn Transport>,
    prober: Option<Arc<dyn Prober>>,
    /// Which peers are handed out; `None`: those on the internet, and those at their tracker's kind of address.
    peers: Arc<Option<AddressPolicy>>,
    tasks: JoinSet<TaskOutput>,
    /// The task of each attempt whose result is still wanted.
    running: BTreeMap<AttemptId, AbortHandle>,
    /// The attempt of each task, also where it is no longer wanted. A task that panicked only leaves its id.
    by_task: HashMap<Id, (AttemptId, Kind)>,
    channels: BTreeMap<AttemptId, OpenChannel>,
}

/// A task that has ended.
pub(super) struct TaskEnd(Result<(Id, TaskOutput), JoinError>);

/// What came of an attempt.
pub(super) struct Finished {
    pub(super) attempt: AttemptId,
    pub(super) input: Input,
    /// What is known of the opened channel, if the attempt opened one.
    pub(super) opened: Option<ChannelFacts>,
}

/// What a channel reports of its opening.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChannelFacts {
    /// How long the opening took before the tracker was dialled.
    pub(super) lookup_time: Duration,
    /// The tracker's address, if the channel leads there directly.
    pub(super) address: Option<SocketAddr>,
    /// The other address family over which the tracker can be reached.
    pub(super) other_family: Option<AddressFamily>,
}

enum TaskOutput {
    Probed(Result<Measurement, AnnounceError>),
    Opened(Result<OpenChannel, AnnounceError>),
    Announced(Result<AnnounceResponse, AnnounceError>),
}

#[derive(Clone, Copy)]
enum Kind {
    Probe,
    Announce,
}

/// A channel, and the tracker to which it leads.
struct OpenChannel {
    tracker: TrackerUrl,
    channel: Guarded<Box<dyn Channel>>,
    facts: ChannelFacts,
}

impl AttemptTasks {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        prober: Option<Arc<dyn Prober>>,
        peers: Option<AddressPolicy>,
    ) -> Self {
        Self {
            transport,
            prober,
            peers: Arc::new(peers),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            by_task: HashMap::new(),
            channels: BTreeMap::new(),
        }
    }

    /// Whether the result of any attempt is awaited.
    pub(super) fn are_awaited(&self) -> bool {
        !self.running.is_empty()
    }

    /// Whether any task is there, awaited or not.
    pub(super) fn have_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }

    pub(super) fn probe(&mut self, attempt: AttemptId, tracker: TrackerUrl) {
        let prober = self.prober.clone();
        self.spawn(attempt, Kind::Probe, async move {
            TaskOutput::Probed(match prober {
                Some(prober) => prober.probe(&tracker).await,
                None => Err(AnnounceError::NotMeasured),
            })
        });
    }

    pub(super) fn open(&mut self, attempt: AttemptId, tracker: TrackerUrl) {
        let transport = Arc::clone(&self.transport);
        self.spawn(attempt, Kind::Announce, async move {
            let opened = transport.open(&tracker).await;
            TaskOutput::Opened(opened.map(|channel| OpenChannel {
                facts: ChannelFacts {
                    lookup_time: channel.lookup_time(),
                    address: channel.address(),
                    other_family: channel.other_family(),
                },
                channel: Guarded::new(channel),
                tracker,
            }))
        });
    }

    pub(super) fn announce(&mut self, attempt: AttemptId, request: Box<AnnounceRequest>) {
        if let Some(channel) = self.channels.remove(&attempt) {
            let announce = channel.announce(request, Arc::clone(&self.peers));
            self.spawn(attempt, Kind::Announce, async move { TaskOutput::Announced(announce.await) });
        }
    }

    /// Gives an attempt up, and closes its channel.
    pub(super) fn close(&mut self, attempt: AttemptId) {
        self.channels.remove(&attempt);
        if let Some(task) = self.running.remove(&attempt) {
            task.abort();
        }
    }

    /// The next task that ends; `None` where there is none.
    ///
    /// # Cancel safety
    /// No result is lost.
    pub(super) async fn next(&mut self) -> Option<TaskEnd> {
        self.tasks.join_next_with_id().await.map(TaskEnd)
    }

    /// What the engine is to learn of a task's end; `None` where the attempt was given up meanwhile.
    pub(super) fn finished(&mut self, end: TaskEnd) -> Option<Finished> {
        let id = match &end.0 {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let (attempt, kind) = self.by_task.remove(&id)?;
        if self.running.get(&attempt)?.id() != id {
            return None;
        }
        self.running.remove(&attempt);
        let mut opened = None;
        let input = match end.0 {
            Ok((_, TaskOutput::Probed(result))) => Input::Probed(attempt, result),
            Ok((_, TaskOutput::Opened(Ok(channel)))) => {
                opened = Some(channel.facts);
                self.channels.insert(attempt, channel);
                Input::Opened(attempt)
            }
            Ok((_, TaskOutput::Announced(Ok(response)))) => Input::Replied(attempt, Box::new(response)),
            Ok((_, TaskOutput::Opened(Err(error)) | TaskOutput::Announced(Err(error)))) => {
                Input::Failed(attempt, error)
            }
            Err(ended) => {
                // A panic in a transport of the client's is an error of that attempt only (R93).
                if let Ok(panic) = ended.try_into_panic() {
                    guarded::discard(panic);
                }
                let error = AnnounceError::Broken(Cause::new("the transport panicked"));
                match kind {
                    Kind::Probe => Input::Probed(attempt, Err(error)),
                    Kind::Announce => Input::Failed(attempt, error),
                }
            }
        };
        Some(Finished { attempt, input, opened })
    }

    fn spawn(
        &mut self,
        attempt: AttemptId,
        kind: Kind,
        task: impl Future<Output = TaskOutput> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(task);
        self.by_task.insert(handle.id(), (attempt, kind));
        self.running.insert(attempt, handle);
    }
}

impl TaskEnd {
    /// Whether it brings a measurement, an open channel or a reply.
    pub(super) fn is_success(&self) -> bool {
        matches!(
            self.0,
            Ok((_, TaskOutput::Probed(Ok(_)) | TaskOutput::Opened(Ok(_)) | TaskOutput::Announced(Ok(_))))
        )
    }
}

impl OpenChannel {
    /// Announces, and keeps of the peers those that may be handed out. Here and nowhere else are they judged, so that no
    /// transport can forget it.
    async fn announce(
        mut self,
        request: Box<AnnounceRequest>,
        peers: Arc<Option<AddressPolicy>>,
    ) -> Result<AnnounceResponse, AnnounceError> {
        let Some(channel) = self.channel.get_mut() else { return Err(AnnounceError::Cancelled) };
        let mut response = channel.announce(&request).await?;
        let own = request.ip.or(response.external_ip).map(|ip| SocketAddr::new(ip, request.port));
        usable_peers(&mut response, (*peers).as_ref(), &self.tracker, own);
        let surplus = response.peers.len().saturating_sub(MAX_PEERS);
        response.peers.truncate(MAX_PEERS);
        response.peers.shrink_to_fit();
        response.dropped_peers = response.dropped_peers.saturating_add(surplus);
        Ok(response)
    }
}
