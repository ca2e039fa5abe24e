//! Finding out about trackers: looks them up, tries them over each address family apart, and registers no peer. The shell.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracker_failover::net::http::{HttpConfig, HttpProber, HttpTransport};
use tracker_failover::net::resolver::{Resolver, StaticResolver, allowed_addresses};
use tracker_failover::net::udp::{UdpConfig, UdpProber, UdpTransport};
use tracker_failover::{AddressPolicy, AnnounceError, Measurement, Prober, Scheme, TrackerUrl, Transport};

use crate::announcing;
#[cfg(feature = "tls")]
use crate::certificates::Certificates;
use crate::finding::{Announced, Finding, Reach, by_family};

/// How many trackers are tried at once. Each has at most two families times three tries open, so that all of them stay
/// below the 1024 descriptors that processes usually may have.
const MAX_AT_ONCE: usize = 100;

/// How long after the one before each try begins, whether that was answered or not: what loses one packet loses the next
/// one too if it follows at once.
const SPACING: Duration = Duration::from_secs(1);

/// How long a name may take to be looked up.
const LOOK_UP_PATIENCE: Duration = Duration::from_secs(3);

/// What a check needs.
#[derive(Clone)]
pub(crate) struct Checker {
    pub(crate) resolver: Arc<dyn Resolver>,
    #[cfg(feature = "tls")]
    pub(crate) certificates: Option<Certificates>,
    /// Whether a random torrent is announced to each tracker that answers.
    pub(crate) announces: bool,
}

/// The ways to a tracker over one address family.
struct Path {
    transport: Arc<dyn Transport>,
    prober: Arc<dyn Prober>,
}

impl Checker {
    /// Checks all trackers, at most [`MAX_AT_ONCE`] of them at once. The findings have no order.
    ///
    /// # Cancel safety
    /// Dropping the future gives the check up.
    pub(crate) async fn check(&self, trackers: &[TrackerUrl]) -> Vec<Finding> {
        let places = Arc::new(Semaphore::new(MAX_AT_ONCE));
        let mut checks = JoinSet::new();
        for tracker in trackers {
            let (checker, tracker, places) = (self.clone(), tracker.clone(), Arc::clone(&places));
            checks.spawn(async move {
                let _place = places.acquire_owned().await;
                checker.check_one(tracker).await
            });
        }
        let mut findings = Vec::with_capacity(trackers.len());
        while let Some(finding) = checks.join_next().await {
            findings.extend(finding);
        }
        findings
    }

    async fn check_one(&self, tracker: TrackerUrl) -> Finding {
        let mut finding = Finding::new(tracker.to_string(), tracker.scheme());
        if !matches!(tracker.scheme(), Scheme::Http | Scheme::Https | Scheme::Udp) {
            finding.problem = Some(AnnounceError::Unsupported.to_string());
            return finding;
        }
        let Some(tracker) = self.obey_record(tracker, &mut finding).await else {
            finding.problem = Some(AnnounceError::Denied.to_string());
            return finding;
        };
        let policy = AddressPolicy::ALLOW_ALL;
        let look_up = allowed_addresses(&*self.resolver, &policy, tracker.host(), tracker.port());
        match timeout(LOOK_UP_PATIENCE, look_up).await {
            Ok(Ok(addresses)) => finding.addresses = addresses.into_iter().collect(),
            Ok(Err(error)) => finding.problem = Some(error.to_string()),
            Err(_) => finding.problem = Some("its name wasn't resolved in time".into()),
        }
        let (v4, v6) = by_family(&finding.addresses);
        let ((v4, v4_path, v4_end), (v6, v6_path, v6_end)) =
            tokio::join!(self.reach(&tracker, v4), self.reach(&tracker, v6));
        (finding.v4, finding.v6) = (v4, v6);
        finding.certificate_end = v4_end.into_iter().chain(v6_end).min();
        if self.announces && finding.is_alive() {
            let prefers_v4 = finding.v4.latency().is_some();
            let path = if prefers_v4 { v4_path } else { v6_path };
            finding.announced = match path {
                Some(path) => Some(announcing::announce(&*path.transport, &tracker).await),
                None => Some(Announced::Failed(AnnounceError::Unsupported.to_string())),
            };
        }
        finding
    }

    /// Follows the record that the tracker's host has in DNS (BEP 34), where look-ups find any: the tracker as it is to be
    /// announced to, and `None` where no tracker runs.
    async fn obey_record(&self, tracker: TrackerUrl, finding: &mut Finding) -> Option<TrackerUrl> {
        if !tracker.is_named() {
            return Some(tracker);
        }
        let Some(record) = self.resolver.tracker_record(tracker.host()).await else { return Some(tracker) };
        let urls = record.urls(&tracker);
        finding.record = Some(urls.iter().map(ToString::to_string).collect());
        let first = urls.into_iter().next()?;
        finding.scheme = first.scheme();
        Some(first)
    }

    /// Tries a tracker at these addresses, which are of one family. Also gives the way there, and the end of its certificate.
    async fn reach(&self, tracker: &TrackerUrl, ips: Vec<IpAddr>) -> (Reach, Option<Path>, Option<i64>) {
        if ips.is_empty() {
            return (Reach::NoAddress, None, None);
        }
        let resolver = Arc::new(StaticResolver::new().with(tracker.host(), ips));
        if tracker.scheme() == Scheme::Udp {
            let transport = UdpTransport::new(UdpConfig::new(), resolver);
            let prober = UdpProber::new(&transport);
            let path = Path { transport: Arc::new(transport), prober: Arc::new(prober) };
            return (path.reach(tracker).await, Some(path), None);
        }
        // No connection is kept: there may be hundreds.
        let config = HttpConfig::new().keep_idle(Duration::ZERO);
        #[cfg(feature = "tls")]
        let (config, end) = match self.certificates.as_ref().map(Certificates::watch) {
            Some(Ok((tls, end))) => (config.tls(tls), Some(end)),
            Some(Err(error)) => {
                return (Reach::Tried { latencies: Vec::new(), tried: 0, error: Some(error) }, None, None);
            }
            None => (config, None),
        };
        let transport = HttpTransport::new(config, resolver);
        let prober = HttpProber::new(&transport);
        let path = Path { transport: Arc::new(transport), prober: Arc::new(prober) };
        let reach = path.reach(tracker).await;
        #[cfg(feature = "tls")]
        return (reach, Some(path), end.and_then(|end| end.get()));
        #[cfg(not(feature = "tls"))]
        return (reach, Some(path), None);
    }
}

impl Path {
    async fn reach(&self, tracker: &TrackerUrl) -> Reach {
        let attempt = |number: u32| async move {
            sleep(SPACING.saturating_mul(number)).await;
            self.prober.probe(tracker).await
        };
        // Three of them: one lost packet is no dead tracker.
        let results: [_; 3] = tokio::join!(attempt(0), attempt(1), attempt(2)).into();
        if results.iter().all(|result| matches!(result, Err(AnnounceError::Local(_)))) {
            return Reach::NoRoute;
        }
        let error = results.iter().rev().find_map(|result| result.as_ref().err()).map(ToString::to_string);
        let tried = u32::try_from(results.len()).unwrap_or(u32::MAX);
        let latencies = results.into_iter().flatten().map(Measurement::latency).collect();
        Reach::Tried { latencies, tried, error }
    }
}
