//! UDP trackers (BEP 15): [`UdpTransport`] announces and scrapes, [`UdpProber`] measures.
//!
//! [`wire::udp::Endpoint`](crate::wire::udp::Endpoint) decides which packet is sent when. This module has one socket
//! for each tracker address, shared by all torrents, and a task that runs the state machine on it. A socket is closed when
//! it wasn't used for a minute, or when it brought nothing but silence or refusals. The peers of an answer are those
//! that the tracker named: the `Announcer` filters them, and so does [`usable_peers`](crate::usable_peers) for other
//! callers.

mod client;
mod config;
mod endpoint;
mod prober;
mod socket;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

pub use self::config::UdpConfig;
pub use self::prober::UdpProber;
pub use self::socket::{DatagramConnector, DatagramSocket, UdpConnector};

use self::client::{Destination, UdpClient};
use super::clock;
use super::families::{self, Families};
use super::happy_eyeballs::NEXT_ADDRESS_AFTER;
use super::resolver::Resolver;
use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash};
use crate::error::{AnnounceError, ReplyError, TimeoutPhase};
use crate::scrape::ScrapeResponse;
use crate::tracker::{AddressFamily, Scheme, TrackerUrl};
use crate::transport::{Channel, Transport};
use crate::wire::udp::{Answer, MAX_SCRAPED, Question};

/// Speaks BEP 15 with trackers.
///
/// Opening a channel means requesting a connection id; where there is one less than a minute old, it takes no time. All
/// torrents share the id and the socket. At most 16 announces to one tracker address are unanswered at once, further ones
/// wait. Where a host has several addresses they are tried 250 ms apart, and the announce goes to the first that answers.
/// A closed port fails at once if the network reports it. Packets from other addresses, or with other transaction ids, are
/// ignored.
///
/// Cloning is cheap, and the clones share their sockets. Dropping them all, with their probers and channels,
/// closes everything.
///
/// ```no_run
/// use std::sync::Arc;
/// use tracker_failover::net::resolver::SystemResolver;
/// use tracker_failover::net::udp::{UdpConfig, UdpTransport};
/// use tracker_failover::{AnnounceRequest, InfoHash, PeerId, Transport};
///
/// # async fn announce() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = UdpTransport::new(UdpConfig::new(), Arc::new(SystemResolver::new()));
/// let mut channel = transport.open(&"udp://tracker.example:6969/announce".parse()?).await?;
/// let torrent = InfoHash::new(*b"twenty bytes of hash");
/// let request = AnnounceRequest::new(torrent, PeerId::with_prefix(*b"-XX0001-", [7; 12]), 6881);
/// println!("{:?}", channel.announce(&request).await?.peers);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct UdpTransport(Arc<UdpClient>);

struct UdpChannel {
    client: Arc<UdpClient>,
    tracker: TrackerUrl,
    destination: Destination,
    lookup_time: Duration,
    /// The other address family over which the tracker can be reached.
    other_family: Option<AddressFamily>,
    /// The tracker's other addresses, where the connection id is from earlier: this address may have died since.
    others: Vec<SocketAddr>,
}

impl UdpTransport {
    /// A transport over sockets of the system.
    pub fn new(config: UdpConfig, resolver: Arc<dyn Resolver>) -> Self {
        let connector = UdpConnector::over(config.sockets.clone());
        Self::with_connector(config, resolver, Arc::new(connector))
    }

    /// A transport over the sockets of `connector`.
    pub fn with_connector(
        config: UdpConfig,
        resolver: Arc<dyn Resolver>,
        connector: Arc<dyn DatagramConnector>,
    ) -> Self {
        Self(Arc::new(UdpClient {
            config,
            resolver,
            connector,
            endpoints: Mutex::default(),
            families: Families::default(),
        }))
    }
}

#[async_trait]
impl Transport for UdpTransport {
    async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
        if !self.supports(tracker.scheme()) {
            return Err(AnnounceError::Unsupported);
        }
        if let Some(destination) = self.0.name(tracker)? {
            self.0.ask(&destination, &Question::Connect, TimeoutPhase::Open).await?;
            return Ok(Box::new(UdpChannel {
                client: Arc::clone(&self.0),
                tracker: tracker.clone(),
                destination,
                lookup_time: Duration::ZERO,
                other_family: None,
                others: Vec::new(),
            }));
        }
        let begun = clock::now();
        let found = self.0.addresses(tracker).await?;
        let lookup_time = clock::now() - begun;
        let all = found.addresses().to_vec();
        let mut others = all.clone();
        let address = if let Some(address) = self.0.connected(&others) {
            others.retain(|other| *other != address);
            address
        } else {
            let (address, _) = self.0.ask_first(found, &Question::Connect).await?;
            self.0.families.worked(tracker.tracker_host(), address);
            others.clear();
            address
        };
        let (client, tracker) = (Arc::clone(&self.0), tracker.clone());
        let is_direct = client.connector.is_direct();
        let other_family =
            is_direct.then(|| families::other_family(address, &all, &client.config.sockets)).flatten();
        let destination = Destination::Address(address);
        Ok(Box::new(UdpChannel { client, tracker, destination, lookup_time, other_family, others }))
    }

    fn supports(&self, scheme: Scheme) -> bool {
        scheme == Scheme::Udp
    }
}

impl UdpChannel {
    /// The tracker's address, if it is known on this side.
    fn at(&self) -> Option<SocketAddr> {
        match &self.destination {
            Destination::Address(address) => Some(*address),
            Destination::Name(..) => None,
        }
    }

    /// Asks at its address, or at another one if that has died since it gave its connection id (R111).
    async fn ask(&mut self, question: &Question) -> Result<Answer, AnnounceError> {
        let (client, own) = (Arc::clone(&self.client), self.destination.clone());
        let mut asking = pin!(client.ask(&own, question, TimeoutPhase::Reply));
        let own = match own {
            Destination::Address(own) if !self.others.is_empty() => own,
            _ => return asking.await,
        };
        let all: Vec<_> = std::iter::once(own).chain(std::mem::take(&mut self.others)).collect();
        // A connect request holds nothing of the torrent, so it may go to all addresses, beginning with this one.
        let mut sign_of_life = pin!(async {
            sleep(NEXT_ADDRESS_AFTER).await;
            client.ask_first(all.into(), &Question::Probe).await
        });
        let mut failed = None;
        let elsewhere = loop {
            tokio::select! {
                biased;
                answer = &mut asking, if failed.is_none() => match answer {
                    Ok(_) | Err(AnnounceError::Rejected(_)) => return answer,
                    Err(error) => failed = Some(error),
                },
                alive = &mut sign_of_life => break alive.ok().map(|(address, _)| address).filter(|at| *at != own),
            }
        };
        let Some(elsewhere) = elsewhere else {
            return match failed {
                Some(error) => Err(error),
                None => asking.await,
            };
        };
        let destination = Destination::Address(elsewhere);
        let mut again = pin!(client.ask(&destination, question, TimeoutPhase::Reply));
        loop {
            tokio::select! {
                biased;
                answer = &mut asking, if failed.is_none() => match answer {
                    Ok(_) => return answer,
                    Err(error) => failed = Some(error),
                },
                answer = &mut again => {
                    if answer.is_err() && failed.is_none() {
                        return asking.await;
                    }
                    self.destination = destination.clone();
                    client.families.worked(self.tracker.tracker_host(), elsewhere);
                    return answer;
                }
            }
        }
    }
}

#[async_trait]
impl Channel for UdpChannel {
    async fn announce(&mut self, request: &AnnounceRequest) -> Result<AnnounceResponse, AnnounceError> {
        let question = Question::Announce(self.tracker.clone(), Box::new(request.clone()));
        let Answer::Announced(response) = self.ask(&question).await? else {
            return Err(other_answer());
        };
        let mut response = *response;
        response.tracker_address = self.at();
        let config = &self.client.config;
        let surplus = response.peers.len().saturating_sub(config.max_peers);
        response.peers.truncate(config.max_peers);
        response.dropped_peers = response.dropped_peers.saturating_add(surplus);
        Ok(response)
    }

    fn lookup_time(&self) -> Duration {
        self.lookup_time
    }

    fn address(&self) -> Option<SocketAddr> {
        self.at().filter(|_| self.client.connector.is_direct())
    }

    fn other_family(&self) -> Option<AddressFamily> {
        self.other_family
    }

    /// Scrapes 74 torrents at a time: more don't fit into a packet (BEP 15).
    async fn scrape(&mut self, torrents: &[InfoHash]) -> Result<ScrapeResponse, AnnounceError> {
        let mut all = ScrapeResponse::default();
        for batch in torrents.chunks(MAX_SCRAPED) {
            let question = Question::Scrape(batch.to_vec());
            match self.ask(&question).await? {
                Answer::Scraped(response) => all.merge(response),
                _ => return Err(other_answer()),
            }
        }
        Ok(all)
    }
}

/// The error of an answer to another question. The state machine lets none through, so this is only in place of a panic.
fn other_answer() -> AnnounceError {
    AnnounceError::NotAReply(ReplyError::new("expected the action that was asked for", 0))
}

impl fmt::Debug for UdpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpTransport").field("config", &self.0.config).finish_non_exhaustive()
    }
}
