//! Name look-ups by a resolver of our own, the kept crate `hickory-resolver`: the address families apart, each answer for
//! its time to live, over sockets that the client chose, with the records of trackers (BEP 34).

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_resolver::net::runtime::{
    DnsUdpSocket, RuntimeProvider, TokioHandle, TokioRuntimeProvider, TokioTime,
};
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver as Hickory, ResolverBuilder};
use tokio::net::{TcpStream, UdpSocket};

use super::clock;
use super::found_addresses::FoundAddresses;
use super::resolver::{Resolver, is_of_another_network};
use super::sockets::Sockets;
use crate::error::AnnounceError;
use crate::wire::tracker_record::TrackerRecord;

/// How long the answer for IPv6 is waited for when that for IPv4 came first (RFC 8305, section 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// How long a tracker's record is waited for. Most hosts have none, and some name servers answer nothing when they are asked
/// for a type that they don't know. An answer that comes later is in the cache for the next announce.
const RECORD_PATIENCE: Duration = Duration::from_secs(1);

/// How long a name server may take, before it or another one is asked again. The five seconds that resolvers are usually set
/// to are longer than an attempt at a tracker may take.
const MAX_QUERY_TIME: Duration = Duration::from_secs(1);

/// How long it is remembered that a name doesn't exist: zones ask for hours, and trackers come back.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(60);

/// How long an answer is kept, whatever its time to live.
const MAX_TTL: Duration = Duration::from_secs(86_400);

/// How many answers are kept. A host has three: two address families and the record.
const CACHE_SIZE: u64 = 4096;

/// A resolver that asks name servers itself, in place of the system's `getaddrinfo`.
///
/// - Connecting begins when one of the address families is answered: at once after IPv6, and 50 ms after IPv4 (RFC 8305). The
///   other one joins when it comes. `getaddrinfo` waits for both, so that one slow answer delays everything.
/// - Each answer is kept for its time to live, at most a day; that a name doesn't exist for a minute at most.
/// - Look-ups can be given up, so they hold no threads, and as many as are needed run at once.
/// - They are sent over the [`Sockets`] that are given: by the interface of a VPN, for example.
/// - What operators say about their trackers in DNS is obeyed (BEP 34): see [`TrackerRecord`]. A host whose record denies that
///   there are trackers is sent nothing.
///
/// The hosts file of the system is read once, when it is made. Names of Tor and I2P (`.onion`, `.i2p`) are not looked up.
/// Cloning is cheap, and the clones share their cache.
///
/// ```no_run
/// use tracker_failover::Announcer;
/// use tracker_failover::net::resolver::HickoryResolver;
/// use tracker_failover::net::sockets::Sockets;
///
/// # fn make() -> Result<Announcer, Box<dyn std::error::Error>> {
/// let resolver = HickoryResolver::from_system(Sockets::new())?;
/// let announcer = Announcer::builder().resolver(resolver).spawn();
/// # Ok(announcer)
/// # }
/// ```
#[derive(Clone)]
pub struct HickoryResolver {
    hickory: Hickory<Runtime>,
    obeys_records: bool,
}

/// The sockets and tasks of look-ups.
#[derive(Clone)]
struct Runtime {
    sockets: Sockets,
    tasks: TokioHandle,
}

/// A UDP socket that is connected to a name server.
struct NameServerSocket {
    socket: UdpSocket,
    server: SocketAddr,
}

/// A look-up of one address family.
type FamilyLookUp = Pin<Box<dyn Future<Output = Result<Vec<SocketAddr>, NetError>> + Send>>;

impl HickoryResolver {
    /// Asks the name servers that this system is configured with (`/etc/resolv.conf` on Unix), over these sockets.
    ///
    /// # Errors
    /// When the configuration can't be read, or names no server.
    pub fn from_system(sockets: Sockets) -> io::Result<Self> {
        Self::build(Hickory::builder(Runtime::new(sockets)).map_err(|error| to_io(&error))?)
    }

    /// Asks these name servers, over these sockets. A client that binds its sockets to a VPN's interface names the VPN's
    /// servers here, because those of the system may not be reached by it.
    ///
    /// # Errors
    /// When there are none.
    pub fn from_name_servers(
        servers: impl IntoIterator<Item = SocketAddr>,
        sockets: Sockets,
    ) -> io::Result<Self> {
        let at = |port: u16, mut connection: ConnectionConfig| {
            connection.port = port;
            connection
        };
        let server = |server: SocketAddr| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            NameServerConfig::new(
                server.ip(),
                true,
                connections.map(|connection| at(server.port(), connection)).into(),
            )
        };
        let servers: Vec<_> = servers.into_iter().map(server).collect();
        if servers.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected at least one name server"));
        }
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        Self::build(Hickory::builder_with_config(config, Runtime::new(sockets)))
    }

    fn build(mut builder: ResolverBuilder<Runtime>) -> io::Result<Self> {
        let options = builder.options_mut();
        options.timeout = options.timeout.min(MAX_QUERY_TIME);
        options.cache_size = CACHE_SIZE;
        options.positive_max_ttl = Some(MAX_TTL);
        options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
        // Ours are, by the kernel, which chooses them at random too.
        options.os_port_selection = true;
        let hickory = builder.build().map_err(|error| to_io(&error))?;
        Ok(Self { hickory, obeys_records: true })
    }

    /// Asks for no records of trackers (BEP 34): announce addresses are used as they stand in torrents.
    #[must_use]
    pub fn without_tracker_records(mut self) -> Self {
        self.obeys_records = false;
        self
    }

    fn look_up(&self, host: &str, port: u16, family: RecordType) -> FamilyLookUp {
        let (hickory, host) = (self.hickory.clone(), host.to_owned());
        Box::pin(async move {
            let found = hickory.lookup(host, family).await?;
            let addresses = found.answers().iter().filter_map(|record| match &record.data {
                RData::A(v4) => Some(IpAddr::V4(v4.0)),
                RData::AAAA(v6) => Some(IpAddr::V6(v6.0)),
                _ => None,
            });
            Ok(addresses.map(|ip| SocketAddr::new(ip, port)).collect())
        })
    }
}

#[async_trait]
impl Resolver for HickoryResolver {
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, AnnounceError> {
        Ok(self.find(host, port).await?.all().await)
    }

    async fn find(&self, host: &str, port: u16) -> Result<FoundAddresses, AnnounceError> {
        if is_of_another_network(host) {
            return Ok(Vec::new().into());
        }
        let mut v6 = self.look_up(host, port, RecordType::AAAA);
        let mut v4 = self.look_up(host, port, RecordType::A);
        // On a tie, IPv6 is preferred (RFC 6724).
        let (first, mut other, delay) = tokio::select! {
            biased;
            first = &mut v6 => (first, v4, Duration::ZERO),
            first = &mut v4 => (first, v6, RESOLUTION_DELAY),
        };
        let known = match first {
            Ok(known) if !known.is_empty() => known,
            none => {
                return match (other.await, none) {
                    (Ok(found), _) => Ok(found.into()),
                    // That one family has no addresses is normal. What went wrong with the other one is the reason.
                    (Err(no), Err(error)) if no.is_no_records_found() => Err(resolving(&error)),
                    (Err(error), _) => Err(resolving(&error)),
                };
            }
        };
        match clock::timeout(delay, &mut other).await {
            Ok(Ok(mut more)) if delay > Duration::ZERO => {
                more.extend(known);
                Ok(more.into())
            }
            Ok(more) => Ok([known, more.unwrap_or_default()].concat().into()),
            Err(_) => {
                let later = async move { other.await.unwrap_or_default() };
                Ok(FoundAddresses::from(known).and_later(later))
            }
        }
    }

    async fn tracker_record(&self, host: &str) -> Option<TrackerRecord> {
        if !self.obeys_records || is_of_another_network(host) {
            return None;
        }
        let found =
            clock::timeout(RECORD_PATIENCE, self.hickory.lookup(host, RecordType::TXT)).await.ok()?.ok()?;
        found.answers().iter().find_map(|record| match &record.data {
            RData::TXT(text) => TrackerRecord::parse(&text.txt_data.concat()),
            _ => None,
        })
    }
}

/// The error of a look-up, of this machine's or of the name's.
fn resolving(error: &NetError) -> AnnounceError {
    AnnounceError::resolving(to_io(error))
}

fn to_io(error: &NetError) -> io::Error {
    match error {
        NetError::Io(error) => io::Error::new(error.kind(), error.to_string()),
        // No socket could be opened, or every name server refused. What it was in particular isn't handed out.
        NetError::NoConnections => {
            io::Error::new(io::ErrorKind::NetworkDown, "no name server can be reached")
        }
        NetError::Timeout => io::Error::new(io::ErrorKind::TimedOut, "the name servers don't answer"),
        error if error.is_no_records_found() => {
            io::Error::new(io::ErrorKind::NotFound, "no address is known")
        }
        error => io::Error::other(error.to_string()),
    }
}

impl Runtime {
    fn new(sockets: Sockets) -> Self {
        Self { sockets, tasks: TokioRuntimeProvider::new().create_handle() }
    }
}

impl RuntimeProvider for Runtime {
    type Handle = TokioHandle;
    type Timer = TokioTime;
    type Udp = NameServerSocket;
    type Tcp = AsyncIoTokioAsStd<TcpStream>;

    fn create_handle(&self) -> Self::Handle {
        self.tasks.clone()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        _bind: Option<SocketAddr>,
        patience: Option<Duration>,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Tcp>>>> {
        let sockets = self.sockets.clone();
        Box::pin(async move {
            let connecting = clock::timeout(patience.unwrap_or(MAX_QUERY_TIME), sockets.connect_tcp(server));
            let connected = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
            connected.map(AsyncIoTokioAsStd)
        })
    }

    fn bind_udp(
        &self,
        _bind: SocketAddr,
        server: SocketAddr,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Udp>>>> {
        let sockets = self.sockets.clone();
        Box::pin(async move { Ok(NameServerSocket { socket: sockets.connect_udp(server)?, server }) })
    }
}

impl DnsUdpSocket for NameServerSocket {
    type Time = TokioTime;

    fn poll_recv_from(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = tokio::io::ReadBuf::new(buffer);
        ready!(self.socket.poll_recv(context, &mut buffer))?;
        Poll::Ready(Ok((buffer.filled().len(), self.server)))
    }

    fn poll_send_to(
        &self,
        context: &mut Context<'_>,
        datagram: &[u8],
        _server: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_send(context, datagram)
    }
}

impl fmt::Debug for HickoryResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HickoryResolver").field("obeys_records", &self.obeys_records).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
