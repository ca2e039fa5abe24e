//! The settings of the way out: a proxy, an interface, sockets or connectors of the client's.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::AnnouncerBuilder;
#[cfg(feature = "http")]
use crate::net::http::Connector;
#[cfg(feature = "proxy")]
use crate::net::proxy::ProxyError;
use crate::net::sockets::{BorrowedSocket, InterfaceError};
#[cfg(feature = "udp")]
use crate::net::udp::DatagramConnector;

/// # The way out
impl AnnouncerBuilder {
    /// Reaches all trackers through a proxy: announces, probes and scrapes, with every redirect. Nothing leaves beside it.
    ///
    /// - `socks5://host:port` or `socks5h://host:port`, with `user:password@` before the host if it asks for them: HTTP,
    ///   HTTPS and UDP trackers. The port is 1080 by default. Where the proxy refuses UDP (`UDP ASSOCIATE`), UDP trackers fail
    ///   with [`AnnounceError::ProxyWithoutUdp`](crate::AnnounceError::ProxyWithoutUdp). Datagrams go to the address of the
    ///   proxy, whatever address it names for them.
    /// - `http://host:port`, with `user:password@` if it asks for them: HTTP and HTTPS trackers by `CONNECT`. The port is 80 by
    ///   default. UDP trackers are unsupported.
    ///
    /// Names are resolved by the proxy, those of UDP trackers too. So [`tracker_addresses`](Self::tracker_addresses) judges the
    /// literal addresses of URLs alone, and the proxy the rest. Its own name is `localhost`, an IP address, or looked
    /// up by the [`resolver`](Self::resolver) of the client.
    ///
    /// Errors of the proxy itself are [`AnnounceError::Local`](crate::AnnounceError::Local), and count against no tracker; what
    /// it reports of a tracker's host does. User name and password are in no log and no error.
    ///
    /// A [`prober`](Self::prober) of the client's goes its own way. The system's proxy settings and the environment aren't
    /// read.
    ///
    /// ```no_run
    /// use tracker_failover::Announcer;
    ///
    /// # fn make() -> Result<Announcer, Box<dyn std::error::Error>> {
    /// let announcer = Announcer::builder().proxy("socks5h://127.0.0.1:9050")?.try_spawn()?;
    /// # Ok(announcer)
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the text isn't the URL of such a proxy.
    #[cfg(feature = "proxy")]
    pub fn proxy(mut self, url: &str) -> Result<Self, ProxyError> {
        self.settings.proxy = Some(url.parse()?);
        Ok(self)
    }

    /// Sends everything by one interface, such as that of a VPN: announces, probes, scrapes, and the connection to a
    /// proxy. Where it is missing or down, nothing is sent. Names are looked up by the
    /// system's name servers over the same interface with feature `hickory`, else by a [`resolver`](Self::resolver) of the
    /// client's, which has to use it too: the system's own is never asked.
    ///
    /// ```no_run
    /// use tracker_failover::Announcer;
    /// use tracker_failover::net::resolver::Resolver;
    ///
    /// # fn make(resolver: impl Resolver + 'static) -> Result<Announcer, Box<dyn std::error::Error>> {
    /// let announcer = Announcer::builder().interface("tun0")?.resolver(resolver).try_spawn()?;
    /// # Ok(announcer)
    /// # }
    /// ```
    ///
    /// # Errors
    /// When no interface can have this name, or the system can't bind sockets to one (all but Linux, Android and Apple's).
    pub fn interface(mut self, name: &str) -> Result<Self, InterfaceError> {
        self.settings.sockets = self.settings.sockets.interface(name)?;
        Ok(self)
    }

    /// Calls this with each new socket and the address that it is for, before it is bound and connected, as
    /// [`Sockets::prepare`](crate::net::sockets::Sockets::prepare) does: for `SO_MARK` and the like. Names need a
    /// [`resolver`](Self::resolver) with sockets of the same kind: the system's is never asked.
    #[must_use]
    pub fn sockets(
        mut self,
        prepare: impl Fn(BorrowedSocket<'_>, SocketAddr) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.settings.sockets = self.settings.sockets.prepare(prepare);
        self
    }

    /// Opens the streams to HTTP and HTTPS trackers by this connector, for announces, probes and scrapes. UDP trackers are
    /// unsupported then, unless [`datagrams`](Self::datagrams) is set as well. A connector that doesn't
    /// [resolve names](Connector::resolves_names) itself needs a [`resolver`](Self::resolver).
    #[cfg(feature = "http")]
    #[must_use]
    pub fn connector(mut self, connector: impl Connector + 'static) -> Self {
        self.settings.connector = Some(Arc::new(connector));
        self
    }

    /// Opens the sockets to UDP trackers by this connector, for announces, probes and scrapes. HTTP trackers are unsupported
    /// then, unless `connector` is set as well. A connector that doesn't
    /// [resolve names](DatagramConnector::resolves_names) itself needs a [`resolver`](Self::resolver).
    #[cfg(feature = "udp")]
    #[must_use]
    pub fn datagrams(mut self, datagrams: impl DatagramConnector + 'static) -> Self {
        self.settings.datagrams = Some(Arc::new(datagrams));
        self
    }
}
