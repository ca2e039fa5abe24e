//! Several transports as one, each for the schemes that it speaks.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::AnnounceError;
use crate::prober::{Measurement, Prober};
use crate::tracker::{Scheme, TrackerUrl};
use crate::transport::{Channel, Transport};

/// Transports and probers by scheme: each tracker goes to the first transport that speaks its scheme.
///
/// It is both a [`Transport`] and a [`Prober`], and cheap to clone, so that a client passes the same value as both.
///
/// ```
/// use tracker_failover::net::scheme_router::SchemeRouter;
/// use tracker_failover::{AnnounceResponse, Scheme, Transport, transport};
///
/// let custom = transport::from_fn(|_tracker, _request| async { Ok(AnnounceResponse::default()) });
/// let transports = SchemeRouter::new().with(custom);
/// assert!(transports.supports(Scheme::Https) && !transports.supports(Scheme::Udp));
/// ```
#[derive(Clone, Default)]
pub struct SchemeRouter(Vec<Part>);

#[derive(Clone)]
struct Part {
    transport: Arc<dyn Transport>,
    prober: Option<Arc<dyn Prober>>,
}

impl SchemeRouter {
    /// A router without transports, which speaks no scheme.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a transport for the schemes that no transport before it speaks. Its trackers are not measured: they are announced
    /// to by their place in the list, after those that answered a probe.
    #[must_use]
    pub fn with(mut self, transport: impl Transport + 'static) -> Self {
        self.0.push(Part { transport: Arc::new(transport), prober: None });
        self
    }

    /// Adds a transport as [`with`](Self::with) does, and a prober that measures its trackers.
    #[must_use]
    pub fn with_prober(mut self, transport: impl Transport + 'static, prober: impl Prober + 'static) -> Self {
        self.0.push(Part { transport: Arc::new(transport), prober: Some(Arc::new(prober)) });
        self
    }

    fn part(&self, scheme: Scheme) -> Result<&Part, AnnounceError> {
        self.0.iter().find(|part| part.transport.supports(scheme)).ok_or(AnnounceError::Unsupported)
    }
}

#[async_trait]
impl Transport for SchemeRouter {
    async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
        self.part(tracker.scheme())?.transport.open(tracker).await
    }

    fn supports(&self, scheme: Scheme) -> bool {
        self.part(scheme).is_ok()
    }
}

#[async_trait]
impl Prober for SchemeRouter {
    async fn probe(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
        let part = self.part(tracker.scheme()).ok();
        let prober = part.and_then(|part| part.prober.as_ref()).ok_or(AnnounceError::NotMeasured)?;
        prober.probe(tracker).await
    }
}

impl fmt::Debug for SchemeRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SCHEMES: [Scheme; 3] = [Scheme::Http, Scheme::Https, Scheme::Udp];
        let spoken = SCHEMES.into_iter().filter(|scheme| self.supports(*scheme));
        f.debug_tuple("SchemeRouter").field(&spoken.collect::<Vec<_>>()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::alert::Alert;
    use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash, PeerId, Torrent};
    use crate::net::builder::AnnouncerBuilder;
    use crate::policy::TrackerSet;
    use crate::policy::torrent::TrackerState;
    use crate::transport::from_fn;

    /// A transport for one scheme whose answers show a number of seconds.
    #[derive(Clone)]
    struct Only(Scheme, u64);

    #[async_trait]
    impl Transport for Only {
        async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
            let interval = Some(Duration::from_secs(self.1));
            let answer = move |_, _| async move { Ok(AnnounceResponse { interval, ..Default::default() }) };
            from_fn(answer).open(tracker).await
        }

        fn supports(&self, scheme: Scheme) -> bool {
            scheme == self.0
        }
    }

    #[async_trait]
    impl Prober for Only {
        async fn probe(&self, _: &TrackerUrl) -> Result<Measurement, AnnounceError> {
            Ok(Measurement { connect: Duration::from_secs(self.1), first_byte: Duration::ZERO })
        }
    }

    #[tokio::test]
    async fn each_tracker_goes_to_the_transport_that_speaks_its_scheme() {
        let (http, udp) = (Only(Scheme::Http, 1), Only(Scheme::Udp, 2));
        let parts = SchemeRouter::new().with_prober(http.clone(), http).with(udp).with(Only(Scheme::Udp, 3));
        let request = AnnounceRequest::new(InfoHash::new([1; 20]), PeerId::new([1; 20]), 1);
        for (url, interval) in [("http://t.test/a", 1), ("udp://t.test:1", 2)] {
            let mut channel = parts.open(&url.parse().unwrap()).await.unwrap();
            let response = channel.announce(&request).await.unwrap();
            assert_eq!(response.interval, Some(Duration::from_secs(interval)), "{url}");
        }
        assert!(parts.probe(&"http://t.test/a".parse().unwrap()).await.is_ok());
        for url in ["udp://t.test:1", "https://t.test/a", "wss://t.test/a"] {
            let error = parts.probe(&url.parse().unwrap()).await.unwrap_err();
            assert!(matches!(error, AnnounceError::NotMeasured), "{url}");
        }
        assert!(!parts.supports(Scheme::Https) && !parts.supports(Scheme::Other));
        assert!(matches!(
            parts.open(&"https://t.test/a".parse().unwrap()).await,
            Err(AnnounceError::Unsupported)
        ));
        assert_eq!(format!("{parts:?}"), "SchemeRouter([Http, Udp])");
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_measured_is_no_failure() {
        let udp = Only(Scheme::Udp, 2);
        let parts = SchemeRouter::new().with(Only(Scheme::Http, 1)).with_prober(udp.clone(), udp);
        let urls = ["http://one.test/a", "http://two.test/a", "udp://far.test:1"];
        let trackers = TrackerSet::new([urls.map(|url| url.parse().unwrap())]);
        let announcer = AnnouncerBuilder::new(parts.clone()).prober(parts).spawn();
        let torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new([1; 20]), 1);
        let (handle, mut alerts) = announcer.add(trackers, torrent);
        let mut heard = Vec::new();
        while !matches!(heard.last(), Some(Alert::Announced(_))) {
            heard.push(alerts.next().await.unwrap());
        }
        let failures = heard.iter().filter(|alert| matches!(alert, Alert::ProbeFailed { .. }));
        assert_eq!(failures.count(), 0, "{heard:?}");
        let measured = heard.iter().filter(|alert| matches!(alert, Alert::Probed { .. }));
        assert_eq!(measured.count(), 1, "{heard:?}");
        let status = handle.status().unwrap();
        for tracker in status.tiers.iter().flatten() {
            assert!(!matches!(tracker.state, TrackerState::Failing(_)), "{tracker:?}");
        }
    }
}
