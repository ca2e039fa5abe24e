//! The settings of the transports of this build, and the way out that they share: directly, by sockets of the client's, by
//! connectors of the client's, or through a proxy. What contradicts itself is refused, and nothing falls back to another way.

use std::sync::Arc;

#[cfg(feature = "http")]
use super::http::{Connector, HttpConfig, HttpProber, HttpTransport};
#[cfg(feature = "http")]
#[cfg(feature = "proxy")]
use super::proxy::{Proxy, ProxyConnector, ProxyDatagrams, Way};
use super::resolver::{Resolver, SystemResolver};
use super::scheme_router::SchemeRouter;
use super::sockets::Sockets;
use super::tracker_records::RecordObeyingTransport;
#[cfg(feature = "udp")]
use super::udp::{DatagramConnector, UdpConfig, UdpProber, UdpTransport};
use crate::policy::Schemes;

/// The settings of the transports of this build.
#[derive(Default)]
pub(super) struct Settings {
    #[cfg(feature = "http")]
    pub(super) http: HttpConfig,
    #[cfg(feature = "udp")]
    pub(super) udp: UdpConfig,
    /// The resolver of the client; else the system's, where that doesn't lead past the way out.
    pub(super) resolver: Option<Arc<dyn Resolver>>,
    pub(super) sockets: Sockets,
    #[cfg(feature = "proxy")]
    pub(super) proxy: Option<Proxy>,
    #[cfg(feature = "http")]
    pub(super) connector: Option<Arc<dyn Connector>>,
    #[cfg(feature = "udp")]
    pub(super) datagrams: Option<Arc<dyn DatagramConnector>>,
}

/// Why settings of an announcer can't hold together. With any other choice, something would leave by another way than the one
/// that was set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An interface, a closure or connectors are set, and no resolver: the system's would send its questions elsewhere. A
    /// [`Resolver`] has to be given. Where all trackers are IP addresses,
    /// [`StaticResolver::new()`](super::resolver::StaticResolver::new) is one. With feature `hickory`, an interface and a
    /// closure need none: the system's name servers are asked over the same sockets.
    #[error(
        "names need a resolver of the client's: the system's would ask past the interface, sockets or connectors"
    )]
    NoResolver,
    /// The name servers of the system, to be asked over the client's sockets, couldn't be read (feature `hickory`).
    #[error("the system names no name servers that could be asked by the interface or sockets")]
    NoNameServers,
    /// The proxy is given by name, and no resolver is. The system's would tell others which proxy is used.
    #[error("the name of the proxy needs a resolver of the client's, or the proxy's IP address in its place")]
    NoResolverForProxy,
    /// A proxy and connectors of the client's are set. Only one of them can lead to a tracker.
    #[error("a proxy and a connector of the client's exclude each other")]
    ProxyAndConnector,
    /// An interface, a local address or a closure is set, and connectors of the client's, which open sockets themselves.
    #[error("an interface, address or closure for sockets has no effect on a connector of the client's")]
    SocketsAndConnector,
    /// A proxy, an interface or the like is set, and a transport of the client's, to which no such setting applies.
    #[error("a proxy, interface or connector has no effect on a transport of the client's")]
    TransportIsOwn,
}

impl Settings {
    /// Whether a way out is set at all.
    pub(super) fn have_way_out(&self) -> bool {
        #[cfg(feature = "proxy")]
        if self.proxy.is_some() {
            return true;
        }
        self.have_connector() || !self.all_sockets().are_default()
    }

    /// The common settings of sockets, and what is set for one transport alone.
    fn all_sockets(&self) -> Sockets {
        let sockets = self.sockets.clone();
        #[cfg(feature = "http")]
        let sockets = sockets.or(&self.http.sockets);
        #[cfg(feature = "udp")]
        let sockets = sockets.or(&self.udp.sockets);
        sockets
    }

    fn have_connector(&self) -> bool {
        #[cfg(feature = "http")]
        if self.connector.is_some() {
            return true;
        }
        #[cfg(feature = "udp")]
        if self.datagrams.is_some() {
            return true;
        }
        false
    }

    /// Whether a connector of the client's has names looked up on this side.
    fn connectors_need_names(&self) -> bool {
        #[cfg(feature = "http")]
        if self.connector.as_ref().is_some_and(|connector| !connector.resolves_names()) {
            return true;
        }
        #[cfg(feature = "udp")]
        if self.datagrams.as_ref().is_some_and(|datagrams| !datagrams.resolves_names()) {
            return true;
        }
        false
    }

    /// The transports, each with its prober. Records of DNS (BEP 34) lead to no other scheme than these; through a proxy no
    /// name is looked up, and so no record.
    pub(super) fn transports(mut self, schemes: Schemes) -> Result<SchemeRouter, BuildError> {
        if self.have_connector() {
            return self.over_connectors(schemes);
        }
        #[cfg(feature = "proxy")]
        if let Some(proxy) = self.proxy.take() {
            return self.through(proxy);
        }
        let resolver = match self.resolver.take() {
            Some(resolver) => resolver,
            None => default_resolver(&self.all_sockets())?,
        };
        Ok(self.direct(&resolver, schemes))
    }

    /// Over the sockets of the system.
    fn direct(self, resolver: &Arc<dyn Resolver>, schemes: Schemes) -> SchemeRouter {
        let parts = SchemeRouter::new();
        #[cfg(feature = "http")]
        let parts = {
            let mut config = self.http;
            config.sockets = config.sockets.or(&self.sockets);
            let http = HttpTransport::new(config, Arc::clone(resolver));
            let prober = HttpProber::new(&http);
            parts.with_prober(http, prober)
        };
        #[cfg(feature = "udp")]
        let parts = {
            let mut config = self.udp;
            config.sockets = config.sockets.or(&self.sockets);
            let udp = UdpTransport::new(config, Arc::clone(resolver));
            let prober = UdpProber::new(&udp);
            parts.with_prober(udp, prober)
        };
        obeying_records(parts, Arc::clone(resolver), schemes)
    }

    /// Through a proxy. UDP is left out where it carries none.
    #[cfg(feature = "proxy")]
    fn through(self, proxy: Proxy) -> Result<SchemeRouter, BuildError> {
        if proxy.needs_resolver() && self.resolver.is_none() {
            return Err(BuildError::NoResolverForProxy);
        }
        let (carries_udp, sockets) = (proxy.carries_udp(), self.all_sockets());
        let way = Arc::new(Way::new(proxy, sockets, self.resolver));
        let connector = Arc::new(ProxyConnector::new(Arc::clone(&way)));
        let parts = http_over(SchemeRouter::new(), self.http, connector, unused_resolver());
        if !carries_udp {
            return Ok(parts);
        }
        Ok(udp_over(parts, self.udp, Arc::new(ProxyDatagrams::new(way)), unused_resolver()))
    }

    /// Over connectors of the client's. Trackers for which there is none are unsupported.
    fn over_connectors(self, schemes: Schemes) -> Result<SchemeRouter, BuildError> {
        #[cfg(feature = "proxy")]
        if self.proxy.is_some() {
            return Err(BuildError::ProxyAndConnector);
        }
        if !self.all_sockets().are_default() {
            return Err(BuildError::SocketsAndConnector);
        }
        let looks_up = self.connectors_need_names();
        let resolver = match self.resolver {
            Some(resolver) => resolver,
            None if looks_up => return Err(BuildError::NoResolver),
            None => unused_resolver(),
        };
        let parts = SchemeRouter::new();
        #[cfg(feature = "http")]
        let parts = match self.connector {
            Some(connector) => http_over(parts, self.http, connector, Arc::clone(&resolver)),
            None => parts,
        };
        #[cfg(feature = "udp")]
        let parts = match self.datagrams {
            Some(datagrams) => udp_over(parts, self.udp, datagrams, Arc::clone(&resolver)),
            None => parts,
        };
        Ok(if looks_up { obeying_records(parts, resolver, schemes) } else { parts })
    }
}

/// Transports that obey the records of trackers (BEP 34).
fn obeying_records(parts: SchemeRouter, resolver: Arc<dyn Resolver>, schemes: Schemes) -> SchemeRouter {
    let obeying = RecordObeyingTransport::new(parts, resolver, schemes);
    SchemeRouter::new().with_prober(obeying.clone(), obeying)
}

/// The resolver where the client gave none: the system's, or one over the client's sockets.
fn default_resolver(sockets: &Sockets) -> Result<Arc<dyn Resolver>, BuildError> {
    if !sockets.are_own() {
        return Ok(system());
    }
    #[cfg(feature = "hickory")]
    return match super::resolver::HickoryResolver::from_system(sockets.clone()) {
        Ok(resolver) => Ok(Arc::new(resolver)),
        Err(_) => Err(BuildError::NoNameServers),
    };
    #[cfg(not(feature = "hickory"))]
    Err(BuildError::NoResolver)
}

fn system() -> Arc<dyn Resolver> {
    Arc::new(SystemResolver::new())
}

/// A resolver that knows no name, where none is to be looked up.
fn unused_resolver() -> Arc<dyn Resolver> {
    Arc::new(super::resolver::StaticResolver::new())
}

#[cfg(feature = "http")]
fn http_over(
    parts: SchemeRouter,
    config: HttpConfig,
    connector: Arc<dyn Connector>,
    resolver: Arc<dyn Resolver>,
) -> SchemeRouter {
    let http = HttpTransport::with_connector(config, resolver, connector);
    let prober = HttpProber::new(&http);
    parts.with_prober(http, prober)
}

#[cfg(feature = "udp")]
fn udp_over(
    parts: SchemeRouter,
    config: UdpConfig,
    datagrams: Arc<dyn DatagramConnector>,
    resolver: Arc<dyn Resolver>,
) -> SchemeRouter {
    let udp = UdpTransport::with_connector(config, resolver, datagrams);
    let prober = UdpProber::new(&udp);
    parts.with_prober(udp, prober)
}

impl SchemeRouter {
    /// All transports of this build, with their defaults and the system's resolver. They can be put behind a custom
    /// transport, and get the trackers whose schemes that one doesn't speak. With other settings:
    /// [`AnnouncerBuilder::transports`](crate::AnnouncerBuilder::transports).
    ///
    /// ```no_run
    /// use tracker_failover::AnnouncerBuilder;
    /// use tracker_failover::net::scheme_router::SchemeRouter;
    /// # fn make(custom: impl tracker_failover::Transport + 'static) {
    /// let all = SchemeRouter::all();
    /// let joined = SchemeRouter::new().with(custom).with_prober(all.clone(), all);
    /// let announcer = AnnouncerBuilder::new(joined.clone()).prober(joined).spawn();
    /// # }
    /// ```
    pub fn all() -> Self {
        Settings::default().direct(&system(), Schemes::all())
    }
}
