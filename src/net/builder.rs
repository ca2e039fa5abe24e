//! The builder of an announcer: the transports of this build with the client's settings, or a transport of the client's.

use std::fmt;
#[cfg(any(feature = "http", feature = "udp"))]
use std::net::IpAddr;
use std::sync::Arc;

use super::announcer::Announcer;
use super::clock::Clock;
use super::driver::AnnouncerParts;
#[cfg(feature = "http")]
use super::http::{HttpConfig, HttpConfigError};
#[cfg(any(feature = "http", feature = "udp"))]
use super::resolver::Resolver;
use super::scheme_router::SchemeRouter;
#[cfg(any(feature = "http", feature = "udp"))]
use super::settings::{BuildError, Settings};
#[cfg(feature = "cache")]
use super::store::FileStore;
use super::store::StoreTasks;
#[cfg(feature = "udp")]
use super::udp::UdpConfig;
use crate::address::AddressPolicy;
use crate::host_store::HostStore;
use crate::policy::{Config, Probing, Schemes};
use crate::prober::Prober;
use crate::tracker::Scheme;
use crate::transport::Transport;

#[cfg(any(feature = "http", feature = "udp"))]
mod way_out;

/// Builds an [`Announcer`].
///
/// [`Announcer::builder`] begins with all transports of this build. What they have in common is set here:
/// [`tracker_addresses`](Self::tracker_addresses), [`local_address`](Self::local_address), [`resolver`](Self::resolver).
/// So is what most clients set of HTTP (`user_agent`, `header`, `without_redirect_guard`). `http` and `udp` set everything
/// else. Of two calls that set the same, the later one counts.
///
/// [`new`](Self::new) and [`transport`](Self::transport) put a transport of the client's *in the place of* all these:
/// none of their settings applies to it, and its trackers aren't measured unless a [`prober`](Self::prober) is given.
/// [`SchemeRouter`](super::scheme_router::SchemeRouter) joins it with others.
///
#[cfg_attr(feature = "tls", doc = "```no_run")]
#[cfg_attr(not(feature = "tls"), doc = "```ignore")]
/// use tracker_failover::net::http::{HttpConfig, TlsConfig};
/// use tracker_failover::{AddressPolicy, Announcer};
///
/// # fn make(pem: &[u8]) -> Result<Announcer, Box<dyn std::error::Error>> {
/// let http = HttpConfig::new().tls(TlsConfig::with_roots(pem)?); // for a tracker with a self-signed certificate
/// let announcer = Announcer::builder()
///     .http(http)
///     .user_agent("example-client/1.0")?
///     .tracker_addresses(AddressPolicy::PUBLIC_ONLY) // no tracker in a private network
///     .peer_addresses(AddressPolicy::ALLOW_ALL) // but peers there
///     .local_address("192.0.2.7".parse()?)
///     .spawn();
/// # Ok(announcer)
/// # }
/// ```
pub struct AnnouncerBuilder {
    config: Config,
    seed: Option<u64>,
    transport: Option<Arc<dyn Transport>>,
    prober: ProberChoice,
    #[cfg(any(feature = "http", feature = "udp"))]
    settings: Settings,
    store: Option<StoreTasks>,
    peers: Option<AddressPolicy>,
}

/// The transport and the prober of an announcer.
type Parts = (Arc<dyn Transport>, Option<Arc<dyn Prober>>);

/// The prober that an announcer gets.
enum ProberChoice {
    /// Those of this build, where its transports are used; else none.
    Default,
    Custom(Arc<dyn Prober>),
    None,
}

#[cfg(any(feature = "http", feature = "udp"))]
impl Announcer {
    /// An announcer with the default configuration and transports. Its task runs on the present tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[track_caller]
    pub fn new() -> Self {
        Self::builder().spawn()
    }

    /// A builder with the default configuration and transports.
    pub fn builder() -> AnnouncerBuilder {
        AnnouncerBuilder::of(None)
    }
}

#[cfg(any(feature = "http", feature = "udp"))]
impl Default for Announcer {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl AnnouncerBuilder {
    /// A builder with this transport alone, the default configuration, and no prober.
    pub fn new(transport: impl Transport + 'static) -> Self {
        Self::of(Some(Arc::new(transport)))
    }

    fn of(transport: Option<Arc<dyn Transport>>) -> Self {
        Self {
            config: Config::default(),
            seed: None,
            transport,
            prober: ProberChoice::Default,
            #[cfg(any(feature = "http", feature = "udp"))]
            settings: Settings::default(),
            store: None,
            peers: None,
        }
    }

    /// Sets the configuration of the policy.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Announces over this transport in place of this build's, whose settings have no effect then. Trackers of schemes that
    /// it doesn't support are left out. This build's probers aren't used either: they would reach trackers by another way
    /// than announces do, past a proxy for instance. To add a transport to the others, join them with
    /// [`SchemeRouter`](super::scheme_router::SchemeRouter).
    #[must_use]
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Measures trackers with this prober, over whatever transport announces go.
    #[must_use]
    pub fn prober(mut self, prober: impl Prober + 'static) -> Self {
        self.prober = ProberChoice::Custom(Arc::new(prober));
        self
    }

    /// Measures no trackers, whatever [`Config::probing`] is.
    #[must_use]
    pub fn without_prober(mut self) -> Self {
        self.prober = ProberChoice::None;
        self
    }

    /// Sets which peers are handed out, over every transport and from every tracker. By default those on the internet, and
    /// those at addresses of their tracker's kind: a tracker on this machine may name peers on this machine, one in a
    /// private network peers in private networks. See [`usable_peers`](crate::usable_peers) (POL-13).
    #[must_use]
    pub fn peer_addresses(mut self, policy: AddressPolicy) -> Self {
        self.peers = Some(policy);
        self
    }

    /// Sets the seed of every shuffle and jitter, for tests. Random by default.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Keeps what is known of tracker hosts in this file, from one run to the next. A host that answered within
    /// 6 h isn't probed again, so the first announce of the next run goes straight to the
    /// nearest tracker.
    ///
    /// The file holds scheme, host and port of each tracker with its times and counts: no path, no query, and
    /// nothing of the torrents. It is written a minute after something was learned, and when the announcer ends; for the
    /// latter, await [`Announcer::shutdown`] before the process exits. The file's folder has to exist. Several processes may
    /// share one file. A file that can't be read or written fails no announce, see
    /// [`Alert::CacheFailed`](crate::Alert::CacheFailed). One that is damaged, or isn't a latency cache, is renamed
    /// to `….bad` first.
    #[cfg(feature = "cache")]
    #[must_use]
    pub fn latency_cache(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.store = Some(StoreTasks::of_earlier_runs(FileStore::new(path.into())));
        self
    }

    /// Keeps what is known of tracker hosts in this store, and shares it with all processes that use the same: one finds a
    /// host dead, and the others skip it within a second. It takes the place of a
    /// [latency cache](crate::manual::usage). A store that is gone, slow or full of nonsense fails and delays no announce,
    /// see [`Alert::CacheFailed`](crate::Alert::CacheFailed). Its own connections don't follow the announcer's settings.
    #[must_use]
    pub fn host_store(mut self, store: impl HostStore + 'static) -> Self {
        self.store = Some(StoreTasks::shared(store));
        self
    }

    /// Starts the announcer: a task on the present tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime, and where the way out that was set can't hold: a proxy, an interface, sockets or connectors.
    /// A program that sets one of them calls [`try_spawn`](Self::try_spawn).
    #[track_caller]
    pub fn spawn(self) -> Announcer {
        // The panic of this names the line of the caller. What comes below would name lines of ours.
        let _runtime = tokio::runtime::Handle::current();
        #[cfg(any(feature = "http", feature = "udp"))]
        match self.try_spawn() {
            Ok(announcer) => announcer,
            Err(error) => panic!("{error}"),
        }
        #[cfg(not(any(feature = "http", feature = "udp")))]
        {
            let mut this = self;
            let (transport, prober) = this.own_parts();
            this.start(transport, prober)
        }
    }

    fn start(self, transport: Arc<dyn Transport>, prober: Option<Arc<dyn Prober>>) -> Announcer {
        let seed = self.seed.unwrap_or_else(rand::random);
        let mut config = self.config;
        let schemes = [Scheme::Http, Scheme::Https, Scheme::Udp].into_iter();
        let supported =
            schemes.filter(|scheme| config.schemes.contains(*scheme) && transport.supports(*scheme));
        config.schemes = supported.fold(Schemes::none(), Schemes::with);
        if prober.is_none() {
            config = config.probing(Probing::Off);
        }
        Announcer::start(AnnouncerParts {
            clock: Clock::start(),
            config,
            seed,
            transport,
            prober,
            store: self.store,
            peers: self.peers,
        })
    }

    /// The transport of the client, and the prober beside it.
    fn own_parts(&mut self) -> Parts {
        // Without a transport in the build, every builder is made by `new`, with a transport.
        let transport = self.transport.take().unwrap_or_else(|| Arc::new(SchemeRouter::new()));
        let prober = match std::mem::replace(&mut self.prober, ProberChoice::None) {
            ProberChoice::Custom(prober) => Some(prober),
            ProberChoice::Default | ProberChoice::None => None,
        };
        (transport, prober)
    }
}

/// # Settings of the transports of this build
#[cfg(any(feature = "http", feature = "udp"))]
impl AnnouncerBuilder {
    /// Starts the announcer as [`spawn`](Self::spawn) does.
    ///
    /// # Errors
    /// When the way out that was set can't hold: something would leave by another one, or a setting would have no effect.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[track_caller]
    pub fn try_spawn(mut self) -> Result<Announcer, BuildError> {
        // The panic of this names the line of the caller.
        let _runtime = tokio::runtime::Handle::current();
        let (transport, prober) = self.parts()?;
        Ok(self.start(transport, prober))
    }

    /// The transports of this build with the settings of this builder, each with its prober: to be joined with others, or for
    /// announces and scrapes without an announcer.
    ///
    /// # Errors
    /// When the way out that was set can't hold, as in [`try_spawn`](Self::try_spawn).
    pub fn transports(self) -> Result<SchemeRouter, BuildError> {
        if self.transport.is_some() && self.settings.have_way_out() {
            return Err(BuildError::TransportIsOwn);
        }
        self.settings.transports(self.config.schemes)
    }

    /// The transport and the prober.
    fn parts(&mut self) -> Result<Parts, BuildError> {
        if self.transport.is_some() {
            let has_way_out = self.settings.have_way_out();
            return if has_way_out { Err(BuildError::TransportIsOwn) } else { Ok(self.own_parts()) };
        }
        let parts = Arc::new(std::mem::take(&mut self.settings).transports(self.config.schemes)?);
        let prober: Option<Arc<dyn Prober>> = match std::mem::replace(&mut self.prober, ProberChoice::None) {
            ProberChoice::Default => Some(Arc::clone(&parts) as _),
            ProberChoice::Custom(prober) => Some(prober),
            ProberChoice::None => None,
        };
        Ok((parts, prober))
    }

    /// Sets at which addresses trackers may be, checked for each address that is dialled. [`AddressPolicy::ALLOW_ALL`] by
    /// default: announce addresses are the user's, and local clusters have private addresses. A service that takes torrents
    /// from strangers sets [`AddressPolicy::PUBLIC_ONLY`], so that no torrent makes it connect into its own network (POL-18).
    ///
    /// Redirects are held to it too, and to a guard of their own (`without_redirect_guard`).
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a setter takes what it keeps, once for each transport"
    )]
    pub fn tracker_addresses(mut self, policy: AddressPolicy) -> Self {
        #[cfg(feature = "http")]
        self.settings.http.addresses.clone_from(&policy);
        #[cfg(feature = "udp")]
        self.settings.udp.addresses.clone_from(&policy);
        self
    }

    /// Lets redirects lead from the internet to this machine or into its network, as
    /// [`HttpConfig::without_redirect_guard`] does.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn without_redirect_guard(mut self) -> Self {
        self.settings.http.guard_redirects = false;
        self
    }

    /// Sets the address of this machine to connect and send from, such as that of a tunnel. Trackers of the other address
    /// family can't be reached then. The system chooses by default.
    #[must_use]
    pub fn local_address(mut self, local: IpAddr) -> Self {
        #[cfg(feature = "http")]
        {
            self.settings.http.sockets = self.settings.http.sockets.without_local_address();
        }
        #[cfg(feature = "udp")]
        {
            self.settings.udp.sockets = self.settings.udp.sockets.without_local_address();
        }
        self.settings.sockets = self.settings.sockets.local_address(local);
        self
    }

    /// Looks names up with this resolver. The system's by default, except with an interface, sockets or connectors of the
    /// client's, which would be passed by; through a proxy only its own name is looked up.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolver + 'static) -> Self {
        self.settings.resolver = Some(Arc::new(resolver));
        self
    }

    /// Sets the `User-Agent` header, as [`HttpConfig::user_agent`] does.
    ///
    /// # Errors
    /// When it isn't 1 to 64 printable ASCII characters.
    #[cfg(feature = "http")]
    pub fn user_agent(mut self, name: &str) -> Result<Self, HttpConfigError> {
        self.settings.http = self.settings.http.user_agent(name)?;
        Ok(self)
    }

    /// Adds a header to every HTTP request, as [`HttpConfig::header`] does.
    ///
    /// # Errors
    /// When the name isn't a header's, the value isn't printable ASCII, or the transport writes that header itself.
    #[cfg(feature = "http")]
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, HttpConfigError> {
        self.settings.http = self.settings.http.header(name, value)?;
        Ok(self)
    }

    /// Sets everything about HTTP at once: limits, certificates, redirects. It replaces all settings of HTTP before it, so
    /// call it first.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn http(mut self, config: HttpConfig) -> Self {
        self.settings.http = config;
        self
    }

    /// Sets everything about UDP at once: the times of its packets, limits. It replaces all settings of UDP before it, so
    /// call it first.
    #[cfg(feature = "udp")]
    #[must_use]
    pub fn udp(mut self, config: UdpConfig) -> Self {
        self.settings.udp = config;
        self
    }
}

impl fmt::Debug for AnnouncerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnnouncerBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "http", feature = "udp"))]
mod tests;
