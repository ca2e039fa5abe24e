//! What a transport, its channels and its probers share: the endpoints, found by address.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::config::UdpConfig;
use super::endpoint::SharedEndpoint;
use super::socket::DatagramConnector;
use crate::error::{AnnounceError, Cause, Phase};
use crate::net::families::Families;
use crate::net::resolver::{Resolver, allowed_addresses};
use crate::tracker::TrackerUrl;
use crate::wire::udp::{Answer, Question};

/// How many sockets exist at once. Those that nobody uses make room first.
const MOST_ENDPOINTS: usize = 512;

/// How long an address has before the next one is tried beside it (RFC 8305).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

pub(super) struct Shared {
    pub(super) config: UdpConfig,
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) connector: Arc<dyn DatagramConnector>,
    pub(super) endpoints: Mutex<BTreeMap<SocketAddr, Entry>>,
    pub(super) families: Families,
}

/// An endpoint and its task, which ends with it.
pub(super) struct Entry {
    endpoint: Arc<SharedEndpoint>,
    task: AbortHandle,
}

impl Shared {
    /// Where a tracker may be talked to, in the order in which it is tried: the families take turns.
    pub(super) async fn addresses(&self, tracker: &TrackerUrl) -> Result<Vec<SocketAddr>, AnnounceError> {
        let (host, port) = (tracker.host(), tracker.port());
        let found = allowed_addresses(&*self.resolver, &self.config.addresses, host, port).await?;
        let mut addresses: Vec<SocketAddr> = Vec::with_capacity(found.len());
        for address in found {
            // A mapped address is that of an IPv4 host, and is spoken with over IPv4.
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        self.families.prefer(&tracker.tracker_host(), &mut addresses);
        Ok(interleaved(&addresses))
    }

    /// Asks at all addresses, one after the other and then beside each other: the first answer counts. It is
    /// one attempt, whatever the number of addresses (R8, R75).
    pub(super) async fn ask_first(
        self: &Arc<Self>,
        addresses: &[SocketAddr],
        question: &Question,
    ) -> Result<(SocketAddr, Answer), AnnounceError> {
        if let [address] = *addresses {
            return Ok((address, self.ask(address, question, Phase::Open).await?));
        }
        let mut asking = JoinSet::new();
        let mut worst = None;
        let mut left = addresses.iter().copied();
        loop {
            let more = left.next().map(|address| {
                let (shared, question) = (Arc::clone(self), question.clone());
                asking.spawn(async move { (address, shared.ask(address, &question, Phase::Open).await) });
            });
            let patience = async {
                match more {
                    Some(()) if left.len() > 0 => sleep(NEXT_ADDRESS_AFTER).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::pin!(patience);
            tokio::select! {
                biased;
                done = asking.join_next() => match done {
                    Some(Ok((address, Ok(answer)))) => return Ok((address, answer)),
                    Some(Ok((_, Err(error)))) => worst = Some(worse(worst, error)),
                    Some(Err(_)) => {}
                    None => return Err(worst.unwrap_or(AnnounceError::Cancelled)),
                },
                () = &mut patience => {}
            }
        }
    }

    /// Asks at one address.
    pub(super) async fn ask(
        &self,
        address: SocketAddr,
        question: &Question,
        phase: Phase,
    ) -> Result<Answer, AnnounceError> {
        loop {
            let endpoint = self.endpoint(address)?;
            let _place = match question {
                // They share their packets, so any number of them is one.
                Question::Connect | Question::Probe => None,
                // Never closed, so there is always a place sooner or later.
                Question::Announce(..) | Question::Scrape(_) => endpoint.outstanding.acquire().await.ok(),
            };
            if let Some(asking) = endpoint.ask(question.clone(), phase) {
                return asking.answer().await;
            }
        }
    }

    /// The first of these addresses at which an announce needs no connecting.
    pub(super) fn connected(&self, addresses: &[SocketAddr]) -> Option<SocketAddr> {
        let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let connected =
            |address: &SocketAddr| endpoints.get(address).is_some_and(|entry| entry.endpoint.is_connected());
        addresses.iter().copied().find(connected)
    }

    fn endpoint(&self, address: SocketAddr) -> Result<Arc<SharedEndpoint>, AnnounceError> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.retain(|_, entry| !entry.endpoint.is_closed());
        if let Some(entry) = endpoints.get(&address) {
            return Ok(Arc::clone(&entry.endpoint));
        }
        if endpoints.len() >= MOST_ENDPOINTS {
            let longest_idle = endpoints
                .iter()
                .filter_map(|(address, entry)| entry.endpoint.idle_since().map(|since| (since, *address)))
                .min();
            let idle =
                |address: &SocketAddr| endpoints.get(address).is_some_and(|e| e.endpoint.close_if_idle());
            let evicted = longest_idle.map(|(_, address)| address).filter(idle).ok_or_else(|| {
                AnnounceError::Connect(Cause::new("too many UDP trackers are asked at once"))
            })?;
            endpoints.remove(&evicted);
        }
        let socket =
            self.connector.connect(address).map_err(|error| AnnounceError::Connect(Cause::new(error)))?;
        let endpoint = Arc::new(SharedEndpoint::new(address, self.config.times.clone()));
        // A socket lives as long as a connection id: some trackers bind it to the port it was asked from.
        let idle = self.config.times.connection_lifetime;
        let task = tokio::spawn(Arc::clone(&endpoint).run(socket, idle)).abort_handle();
        endpoints.insert(address, Entry { endpoint: Arc::clone(&endpoint), task });
        Ok(endpoint)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The same addresses, the families in turns, beginning with that of the first (RFC 8305, 4).
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let family = |first: bool| addresses.iter().filter(move |a| (a.is_ipv4() == first_is_v4) == first);
    let (mut one, mut other) = (family(true), family(false));
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(one.next().into_iter().chain(other.next()).copied());
    }
    order
}

/// The error that says more of the tracker. What it said itself is more than its silence, and that is more than
/// what the network says of one family.
fn worse(one: Option<AnnounceError>, other: AnnounceError) -> AnnounceError {
    let weight = |error: &AnnounceError| match error {
        AnnounceError::Rejected(_) => 2,
        AnnounceError::TimedOut(_) => 1,
        _ => 0,
    };
    match one {
        Some(one) if weight(&one) >= weight(&other) => one,
        _ => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let given = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"]);
        let expected = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"]);
        assert_eq!(interleaved(&given), expected);
        assert_eq!(interleaved(&given[..2]), given[..2]);
        assert_eq!(interleaved(&[]), []);
    }
}
