//! The options of `open` as the crate's configuration.
//!
//! Two defaults differ from the crate's own, because the cases were written for them: a missing `policy` is
//! `within_tier` (the crate: [`Order::Nearest`]), and a missing `address_policy` is `public_only` (the crate: all,
//! with redirects guarded). A given `address_policy` is that of peers as well, and final: no tracker widens it.
//!
//! Two options are the project's own. `announce_to` is `one`, which is the default here, `as_needed`, `each_tier` or
//! `all`. Announces on request go to one tracker, so a session with another value is on schedule: it begins with the
//! operation `announce`. With `probing` trackers are measured at the start.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tracker_failover::net::http::{HttpConfig, HttpProber, HttpTransport, TlsConfig};
use tracker_failover::net::resolver::{Resolver, StaticResolver, SystemResolver};
use tracker_failover::net::scheme_router::SchemeRouter;
use tracker_failover::net::udp::{UdpConfig, UdpProber, UdpTransport};
use tracker_failover::wire::udp::Times;
use tracker_failover::{
    AddressPolicy, AnnounceTo, Announcer, AnnouncerBuilder, Config, Order, Probing, Scheduling,
};

use crate::answer::Failure;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Options {
    policy: Option<String>,
    shuffle: Option<bool>,
    seed: Option<u64>,
    dns: Option<BTreeMap<String, Vec<IpAddr>>>,
    address_policy: Option<String>,
    allow_addrs: Vec<SocketAddr>,
    http_timeout_ms: Option<u64>,
    udp_timeout_ms: Option<u64>,
    udp_retries: Option<u32>,
    connection_id_ttl_ms: Option<u64>,
    max_body_bytes: Option<usize>,
    max_redirects: Option<usize>,
    max_peers: Option<usize>,
    interval_floor_s: Option<u64>,
    interval_ceiling_s: Option<u64>,
    interval_default_s: Option<u64>,
    user_agent: Option<String>,
    hedge: Option<bool>,
    cooldown: Option<bool>,
    anonymous: bool,
    bep34: bool,
    partial_seed_event: bool,
    bep41: Option<bool>,
    ip_families: Option<serde_json::Value>,
    extra_roots_pem: Option<String>,
    announce_to: Option<String>,
    probing: Option<bool>,
}

impl Options {
    /// Whether sessions with these options may share an announcer: not where a seed has to give the same run.
    pub(crate) fn may_share(&self) -> bool {
        self.seed.is_none()
    }

    /// How many trackers a session is registered at.
    fn announce_to(&self) -> Result<AnnounceTo, Failure> {
        match self.announce_to.as_deref() {
            None | Some("one") => Ok(AnnounceTo::One),
            Some("as_needed") => Ok(AnnounceTo::AsNeeded),
            Some("each_tier") => Ok(AnnounceTo::EachTier),
            Some("all") => Ok(AnnounceTo::All),
            Some(_) => Err(Failure::Unsupported),
        }
    }

    /// Whether a session announces by itself.
    pub(crate) fn is_on_schedule(&self) -> Result<bool, Failure> {
        Ok(self.announce_to()? != AnnounceTo::One)
    }

    /// The policy of a session. `private` torrents have their own order, whatever is asked for; `udp` says that
    /// there are UDP trackers, whose times are those of their transport.
    pub(crate) fn config(&self, private: bool, udp: bool) -> Result<Config, Failure> {
        let left_out = self.anonymous
            || self.bep34
            || self.partial_seed_event
            || self.bep41 == Some(false)
            || self.ip_families.is_some();
        if left_out {
            return Err(Failure::Unsupported);
        }
        let (order, is_strict) = match self.policy.as_deref() {
            Some("strict") => (Order::Bep12, true),
            None | Some("within_tier") => (Order::Bep12, false),
            Some("cross_tier") => (Order::Nearest, false),
            Some("all_tiers") if private => (Order::Bep12, true),
            Some(_) => return Err(Failure::Unsupported),
        };
        let scheduling = if self.is_on_schedule()? { Scheduling::Automatic } else { Scheduling::Manual };
        let probing = if self.probing == Some(true) { Probing::Parallel } else { Probing::Off };
        let mut config = Config::default().order(order).probing(probing).scheduling(scheduling);
        config = config.announce_to(self.announce_to()?);
        if !self.hedge.unwrap_or(!is_strict) {
            config = config.without_race();
        }
        if !self.cooldown.unwrap_or(!is_strict) {
            config = config.without_back_off();
        }
        if self.shuffle == Some(false) {
            config = config.without_shuffle();
        }
        let exchange = self.http_timeout_ms.map_or(Duration::from_secs(15), Duration::from_millis);
        let at_least = if udp { self.udp_times().limit } else { Duration::ZERO };
        let connect = exchange.min(Duration::from_secs(5)).max(at_least);
        let reply = exchange.max(at_least);
        config =
            config.open_limit(connect).last_open_limit(connect).reply_limit(reply).last_reply_limit(reply);
        if let Some(seconds) = self.interval_floor_s {
            config = config.interval_floor(Duration::from_secs(seconds));
        }
        if let Some(seconds) = self.interval_ceiling_s {
            config = config.interval_ceiling(Duration::from_secs(seconds));
        }
        if let Some(seconds) = self.interval_default_s {
            config = config.interval_default(Duration::from_secs(seconds));
        }
        Ok(config)
    }

    /// An announcer over real sockets.
    pub(crate) fn announcer(&self, config: Config) -> Result<Announcer, Failure> {
        let resolver: Arc<dyn Resolver> = match &self.dns {
            None => Arc::new(SystemResolver::new()),
            Some(names) => {
                let known = StaticResolver::new();
                Arc::new(names.iter().fold(known, |known, (name, ips)| known.with(name, ips.iter().copied())))
            }
        };
        let http = HttpTransport::new(self.http()?, Arc::clone(&resolver));
        let udp = UdpTransport::new(self.udp()?, resolver);
        let (http_prober, udp_prober) = (HttpProber::new(&http), UdpProber::new(&udp));
        let transports = SchemeRouter::new().with_prober(http, http_prober).with_prober(udp, udp_prober);
        let mut builder = AnnouncerBuilder::new(transports.clone()).prober(transports).config(config);
        if self.address_policy.is_some() {
            builder = builder.peer_addresses(self.addresses()?);
        }
        Ok(match self.seed {
            Some(seed) => builder.seed(seed).spawn(),
            None => builder.spawn(),
        })
    }

    fn http(&self) -> Result<HttpConfig, Failure> {
        let addresses = self.addresses()?.except(self.allow_addrs.iter().copied());
        let mut http = HttpConfig::new().addresses(addresses);
        if let Some(name) = &self.user_agent {
            http = http.user_agent(name).map_err(|error| Failure::new("malformed", &error.to_string()))?;
        }
        if let Some(pem) = &self.extra_roots_pem {
            let tls = TlsConfig::with_roots(pem.as_bytes());
            http = http.tls(tls.map_err(|error| Failure::new("malformed", &error.to_string()))?);
        }
        http = self.max_body_bytes.into_iter().fold(http, HttpConfig::max_body);
        http = self.max_redirects.into_iter().fold(http, HttpConfig::max_redirects);
        Ok(self.max_peers.into_iter().fold(http, HttpConfig::max_peers))
    }

    /// The times double, as BEP 15's do; without options they are the crate's own.
    fn udp_times(&self) -> Times {
        let mut times = Times::default();
        if let Some(first) = self.udp_timeout_ms {
            let first = Duration::from_millis(first);
            let waits = self.udp_retries.unwrap_or(2).min(8) + 1;
            times.sends = (0..waits).map(|n| first * ((1 << n) - 1)).collect();
            times.limit = first * ((1 << waits) - 1);
        }
        if let Some(millis) = self.connection_id_ttl_ms {
            times.connection_lifetime = Duration::from_millis(millis);
        }
        times
    }

    fn udp(&self) -> Result<UdpConfig, Failure> {
        let addresses = self.addresses()?.except(self.allow_addrs.iter().copied());
        let udp = UdpConfig::new().times(self.udp_times()).addresses(addresses);
        Ok(self.max_peers.into_iter().fold(udp, UdpConfig::max_peers))
    }

    fn addresses(&self) -> Result<AddressPolicy, Failure> {
        match self.address_policy.as_deref() {
            None | Some("public_only") => Ok(AddressPolicy::PUBLIC_ONLY),
            Some("allow_loopback") => Ok(AddressPolicy::ALLOW_LOOPBACK),
            Some("allow_all") => Ok(AddressPolicy::ALLOW_ALL),
            Some(_) => Err(Failure::Unsupported),
        }
    }
}
