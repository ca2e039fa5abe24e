//! The client that a transport, its channels and its probers share: the endpoints, by address.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{self, Handle};
use tokio::task::AbortHandle;

use super::config::UdpConfig;
use super::endpoint::SharedEndpoint;
use super::socket::DatagramConnector;
use crate::error::{AnnounceError, Cause, TimeoutPhase};
use crate::net::families::{self, Families};
use crate::net::happy_eyeballs;
use crate::net::resolver::{FoundAddresses, Resolver, find_allowed};
use crate::tracker::TrackerUrl;
use crate::wire::udp::{Answer, Family, Question};

/// How many sockets exist at once, at most. Beyond that, the one that has been idle longest is closed.
const MAX_ENDPOINTS: usize = 512;

/// The endpoints of a transport, and what they are made with.
pub(super) struct UdpClient {
    pub(super) config: UdpConfig,
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) connector: Arc<dyn DatagramConnector>,
    pub(super) endpoints: Mutex<HashMap<EndpointKey, RunningEndpoint>>,
    pub(super) families: Families,
}

/// Where an endpoint sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Destination {
    Address(SocketAddr),
    /// To a name, which a proxy looks up.
    Name(Box<str>, u16),
}

/// The destination of an endpoint, and the runtime that drives it. Another runtime can't use it, because this one may end or
/// stand still (R105).
type EndpointKey = (Destination, runtime::Id);

/// An endpoint and its task. Dropping it ends the task.
pub(super) struct RunningEndpoint {
    endpoint: Arc<SharedEndpoint>,
    task: AbortHandle,
}

impl UdpClient {
    /// The name of a tracker, where the connector resolves it.
    pub(super) fn name(&self, tracker: &TrackerUrl) -> Result<Option<Destination>, AnnounceError> {
        if !self.connector.resolves_names() || !tracker.is_named() {
            return Ok(None);
        }
        families::restrict_name(tracker)?;
        Ok(Some(Destination::Name(tracker.host().into(), tracker.port())))
    }

    /// The addresses of a tracker, the preferred one first.
    pub(super) async fn addresses(&self, tracker: &TrackerUrl) -> Result<FoundAddresses, AnnounceError> {
        let (host, port) = (tracker.host(), tracker.port());
        let found = find_allowed(&*self.resolver, &self.config.addresses, host, port).await?;
        let url = tracker.clone();
        let usable = found.choose(move |found| {
            let mut addresses: Vec<SocketAddr> = Vec::with_capacity(found.len());
            for address in found {
                // An IPv4-mapped address belongs to an IPv4 host, and is reached over IPv4.
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            families::restrict(&url, &mut addresses)?;
            Ok(addresses)
        });
        let usable = usable.await?;
        Ok(usable.sort(|addresses| self.families.prefer(&tracker.tracker_host(), addresses)))
    }

    /// Asks at all addresses, 250 ms apart, until one answers. It is one attempt, whatever the number of addresses (R8, R75).
    pub(super) async fn ask_first(
        &self,
        addresses: FoundAddresses,
        question: &Question,
    ) -> Result<(SocketAddr, Answer), AnnounceError> {
        let ask = |address| async move {
            self.ask(&Destination::Address(address), question, TimeoutPhase::Open).await
        };
        happy_eyeballs::first_found(addresses, ask).await
    }

    /// Asks at one address or name.
    pub(super) async fn ask(
        &self,
        destination: &Destination,
        question: &Question,
        phase: TimeoutPhase,
    ) -> Result<Answer, AnnounceError> {
        loop {
            let endpoint = self.endpoint(destination)?;
            let _permit = match question {
                // All connects to one address share their packets, so they count as one.
                Question::Connect | Question::Probe => None,
                // The semaphore is never closed, so this ends with a permit.
                Question::Announce(..) | Question::Scrape(_) => endpoint.outstanding.acquire().await.ok(),
            };
            if let Some(asking) = endpoint.ask(question.clone(), phase) {
                return asking.answer().await;
            }
        }
    }

    /// The first of these addresses with a connection id that is still valid.
    pub(super) fn connected(&self, addresses: &[SocketAddr]) -> Option<SocketAddr> {
        let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let here = Handle::current().id();
        let connected = |address: &SocketAddr| {
            let key = (Destination::Address(*address), here);
            endpoints.get(&key).is_some_and(|entry| entry.endpoint.is_connected())
        };
        addresses.iter().copied().find(connected)
    }

    fn endpoint(&self, destination: &Destination) -> Result<Arc<SharedEndpoint>, AnnounceError> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.retain(|_, entry| !entry.endpoint.is_closed());
        let key = (destination.clone(), Handle::current().id());
        if let Some(entry) = endpoints.get(&key) {
            return Ok(Arc::clone(&entry.endpoint));
        }
        if endpoints.len() >= MAX_ENDPOINTS {
            let longest_idle = endpoints
                .iter()
                .filter_map(|(key, entry)| entry.endpoint.idle_since().map(|since| (since, key)))
                .min_by_key(|(since, (destination, _))| (*since, destination));
            let idle = |key: &&EndpointKey| endpoints.get(*key).is_some_and(|e| e.endpoint.close_if_idle());
            let evicted =
                longest_idle.map(|(_, key)| key).filter(idle).cloned().ok_or_else(|| {
                    AnnounceError::Local(Cause::new("too many UDP trackers are asked at once"))
                })?;
            endpoints.remove(&evicted);
        }
        let (socket, family) = match destination {
            Destination::Address(address) => {
                let socket = self.connector.connect(*address).map_err(AnnounceError::connecting)?;
                (socket, Family::of(*address))
            }
            // The family is known when the tracker has answered.
            Destination::Name(host, port) => (self.connector.connect_by_name(host, *port)?, Family::V4),
        };
        let endpoint = Arc::new(SharedEndpoint::new(family, self.config.times.clone()));
        // A socket stays as long as a connection id: some trackers tie it to the port from which it was requested.
        let idle = self.config.times.connection_lifetime;
        let task = tokio::spawn(Arc::clone(&endpoint).run(socket, idle)).abort_handle();
        endpoints.insert(key, RunningEndpoint { endpoint: Arc::clone(&endpoint), task });
        Ok(endpoint)
    }
}

impl Drop for RunningEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}
