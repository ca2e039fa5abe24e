//! Makes an announcer: of the transports of this build with a client's own settings, or of the client's own parts.

use std::fmt;
#[cfg(any(feature = "http", feature = "udp"))]
use std::net::IpAddr;
use std::sync::Arc;

use super::announcer::Announcer;
use super::cache::Cache;
use super::clock::Clock;
use super::driver::AnnouncerParts;
#[cfg(feature = "http")]
use super::http::{HttpConfig, HttpConfigError};
#[cfg(any(feature = "http", feature = "udp"))]
use super::resolver::Resolver;
#[cfg(any(feature = "http", feature = "udp"))]
use super::scheme_router::Settings;
#[cfg(feature = "udp")]
use super::udp::UdpConfig;
use crate::address::AddressPolicy;
use crate::policy::{Config, Probing, Schemes};
use crate::prober::Prober;
use crate::tracker::Scheme;
use crate::transport::Transport;

/// Makes an [`Announcer`].
///
/// [`Announcer::builder`] begins with all transports of this build. What they have in common is set here
/// ([`tracker_addresses`](Self::tracker_addresses),
/// [`local_address`](Self::local_address), [`resolver`](Self::resolver)), so is where redirects may lead
/// (`guard_redirects`) and how HTTP trackers see the client (`user_agent`, `header`), and everything else by `http` and
/// `udp`. Of two calls that set the same the later one counts.
///
/// [`new`](Self::new) and [`transport`](Self::transport) take a transport of the client's own *in place of* all these
/// parts: none of their settings applies to it, and it isn't measured unless a [`prober`](Self::prober) is given.
/// [`SchemeRouter`](super::scheme_router::SchemeRouter) joins it with others.
///
#[cfg_attr(feature = "tls", doc = "```no_run")]
#[cfg_attr(not(feature = "tls"), doc = "```ignore")]
/// use tracker_failover::net::http::{HttpConfig, TlsConfig};
/// use tracker_failover::{AddressPolicy, Announcer};
///
/// # fn make(pem: &[u8]) -> Result<Announcer, Box<dyn std::error::Error>> {
/// let mut http = HttpConfig::new();
/// http.tls = TlsConfig::with_roots(pem)?; // a tracker with a certificate of its own
/// let announcer = Announcer::builder()
///     .http(http)
///     .user_agent("example-client/1.0")?
///     .tracker_addresses(AddressPolicy::PUBLIC_ONLY) // no tracker in our own network
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
    prober: Measuring,
    #[cfg(any(feature = "http", feature = "udp"))]
    settings: Settings,
    cache: Option<Cache>,
    peers: Option<AddressPolicy>,
}

/// What measures trackers.
enum Measuring {
    /// The probers of this build, where its transports are used.
    Default,
    Own(Arc<dyn Prober>),
    Nothing,
}

#[cfg(any(feature = "http", feature = "udp"))]
impl Announcer {
    /// An announcer with the default configuration and transports. Has to be called inside a tokio runtime,
    /// and belongs to it.
    ///
    /// # Panics
    /// Outside a tokio runtime.
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
    fn default() -> Self {
        Self::new()
    }
}

impl AnnouncerBuilder {
    /// An announcer over this transport alone, with the default configuration and without probing.
    pub fn new(transport: impl Transport + 'static) -> Self {
        Self::of(Some(Arc::new(transport)))
    }

    fn of(transport: Option<Arc<dyn Transport>>) -> Self {
        Self {
            config: Config::default(),
            seed: None,
            transport,
            prober: Measuring::Default,
            #[cfg(any(feature = "http", feature = "udp"))]
            settings: Settings::default(),
            cache: None,
            peers: None,
        }
    }

    /// Sets the configuration of the policy.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Announces over this transport, and over none of this build's: the settings of those do nothing then, and the
    /// schemes that it doesn't speak aren't spoken. Their probers go as well, since they would reach trackers on
    /// another way than announces do, round a proxy for instance. To add a transport to the others, join them with
    /// [`SchemeRouter`](super::scheme_router::SchemeRouter).
    #[must_use]
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Measures trackers with this prober.
    #[must_use]
    pub fn prober(mut self, prober: impl Prober + 'static) -> Self {
        self.prober = Measuring::Own(Arc::new(prober));
        self
    }

    /// Measures nothing, whatever the configuration says.
    #[must_use]
    pub fn without_prober(mut self) -> Self {
        self.prober = Measuring::Nothing;
        self
    }

    /// Which peers are handed out, whatever transport brings them, and wherever their tracker is. By default those on the
    /// internet, and those at addresses of the tracker's own kind: a tracker on this machine may name peers on it, one in
    /// our network peers in such networks, see [`usable_peers`](crate::usable_peers) (POL-13).
    #[must_use]
    pub fn peer_addresses(mut self, policy: AddressPolicy) -> Self {
        self.peers = Some(policy);
        self
    }

    /// Fixes the seed of every shuffle and jitter: for tests. It is random otherwise.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Keeps what is known of tracker hosts in this file, from one run to the next: a host that answered within
    /// [`Config::measurement_lifetime`] isn't probed again, so the next start goes straight to the nearest.
    ///
    /// It holds scheme, host and port of each tracker with its times and counts: no paths, no queries and
    /// nothing of the torrents. It is written a minute after something was learned, and when the announcer ends:
    /// await [`Announcer::shutdown`] before the process does. Its folder has to be there. Several processes may share
    /// one file. A file that can't be used never fails an announce, see
    /// [`Alert::CacheFailed`](crate::Alert::CacheFailed); one that is damaged, or not of ours, is renamed
    /// to `….bad` first.
    #[cfg(feature = "cache")]
    #[must_use]
    pub fn latency_cache(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.cache = Some(Cache::new(path.into()));
        self
    }

    /// Starts the announcer's task on the present tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(mut self) -> Announcer {
        let seed = self.seed.unwrap_or_else(rand::random);
        let (transport, prober) = self.parts();
        let mut config = self.config;
        let speaks = |scheme| config.schemes.contains(scheme) && transport.supports(scheme);
        config.schemes =
            Schemes { http: speaks(Scheme::Http), https: speaks(Scheme::Https), udp: speaks(Scheme::Udp) };
        if prober.is_none() {
            config.probing = Probing::Off;
        }
        Announcer::start(AnnouncerParts {
            clock: Clock::start(),
            config,
            seed,
            transport,
            prober,
            cache: self.cache,
            peers: self.peers,
        })
    }

    /// What announces, and what measures.
    fn parts(&mut self) -> (Arc<dyn Transport>, Option<Arc<dyn Prober>>) {
        let own = |prober| match prober {
            Measuring::Own(prober) => Some(prober),
            Measuring::Default | Measuring::Nothing => None,
        };
        let prober = std::mem::replace(&mut self.prober, Measuring::Nothing);
        #[cfg(any(feature = "http", feature = "udp"))]
        if self.transport.is_none() {
            let parts = Arc::new(std::mem::take(&mut self.settings).transports());
            let prober: Option<Arc<dyn Prober>> = match prober {
                Measuring::Default => Some(Arc::clone(&parts) as _),
                prober => own(prober),
            };
            return (parts, prober);
        }
        // Without a transport in the build, none but `new` makes a builder.
        let transport =
            self.transport.take().unwrap_or_else(|| Arc::new(super::scheme_router::SchemeRouter::new()));
        (transport, own(prober))
    }
}

/// # Settings of the transports of this build
#[cfg(any(feature = "http", feature = "udp"))]
impl AnnouncerBuilder {
    /// Where trackers may be, judged on each address that is dialled. [`AddressPolicy::ALLOW_ALL`] by default: announce
    /// addresses are the user's, and local clusters live at private addresses. Whoever takes torrents from strangers on
    /// a machine with something to protect sets [`AddressPolicy::PUBLIC_ONLY`] (POL-18).
    ///
    /// Redirects keep to it too, and have a guard beside it (`guard_redirects`).
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

    /// Whether redirects are kept from leading out of the internet to this machine or into our network, whatever
    /// [`tracker_addresses`](Self::tracker_addresses) allows. On by default: where a redirect leads is the tracker's choice
    /// and not the user's (POL-17). Off, redirects may go wherever trackers may be.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn guard_redirects(mut self, on: bool) -> Self {
        self.settings.http.guard_redirects = on;
        self
    }

    /// The address of this machine to connect and send from, such as that of a tunnel; trackers of the other family
    /// can't be reached then. The system chooses by default.
    #[must_use]
    pub fn local_address(mut self, local: IpAddr) -> Self {
        #[cfg(feature = "http")]
        {
            self.settings.http.local_address = Some(local);
        }
        #[cfg(feature = "udp")]
        {
            self.settings.udp.local_address = Some(local);
        }
        self
    }

    /// Looks names up with this one. The system's by default.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolver + 'static) -> Self {
        self.settings.resolver = Arc::new(resolver);
        self
    }

    /// Calls the client by this name, as [`HttpConfig::user_agent`] does: private trackers keep lists of those they
    /// know.
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
    /// When the name isn't one, the value isn't printable ASCII, or the transport writes that header itself.
    #[cfg(feature = "http")]
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, HttpConfigError> {
        self.settings.http = self.settings.http.header(name, value)?;
        Ok(self)
    }

    /// Everything about HTTP at once: limits, certificates, redirects. Replaces what was set of it before, so it comes
    /// first.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn http(mut self, config: HttpConfig) -> Self {
        self.settings.http = config;
        self
    }

    /// Everything about UDP at once: the times of its packets, limits. Replaces what was set of it before, so it comes
    /// first.
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
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::announce::AnnounceResponse;
    use crate::transport::from_fn;

    /// POL-18.
    #[test]
    fn a_common_setting_reaches_each_transport() {
        let local: IpAddr = "192.0.2.7".parse().unwrap();
        let builder = Announcer::builder().tracker_addresses(AddressPolicy::PUBLIC_ONLY).local_address(local);
        let Settings { http, udp, .. } = &builder.settings;
        assert_eq!([&http.addresses, &udp.addresses], [&AddressPolicy::PUBLIC_ONLY; 2]);
        assert_eq!([http.local_address, udp.local_address], [Some(local); 2]);
        assert!(!Announcer::builder().guard_redirects(false).settings.http.guard_redirects);
        let defaults = Announcer::builder().settings;
        assert!(defaults.http.addresses.allows(SocketAddr::from(([127, 0, 0, 1], 80))), "the user's choice");
        assert!(defaults.http.guard_redirects);
    }

    /// S-08.
    #[test]
    fn nothing_is_smuggled_in_by_a_builder() {
        assert!(Announcer::builder().user_agent("a\r\nb: c").is_err());
        assert!(Announcer::builder().header("Host", "o.test").is_err());
    }

    /// Probes that go another way than announces would tell where we are.
    /// (S-09)
    #[test]
    fn another_transport_is_not_measured_by_our_probers() {
        let own = || from_fn(|_, _| async { Ok(AnnounceResponse::default()) });
        for mut builder in [Announcer::builder().transport(own()), AnnouncerBuilder::new(own())] {
            let (transport, prober) = builder.parts();
            assert!(
                prober.is_none() && transport.supports(Scheme::Https) && !transport.supports(Scheme::Udp)
            );
        }
        let all = super::super::scheme_router::SchemeRouter::all();
        let (_, prober) = Announcer::builder().prober(all).transport(own()).parts();
        assert!(prober.is_some(), "unless one is given, whichever comes first");
        let (transport, prober) = Announcer::builder().parts();
        assert!(prober.is_some() && transport.supports(Scheme::Udp));
        assert!(Announcer::builder().without_prober().parts().1.is_none());
    }
}
