//! Obeys what operators say in DNS about their trackers (BEP 34): other ports, another protocol, or none at all.

use std::future::ready;
use std::sync::Arc;

use async_trait::async_trait;

use super::happy_eyeballs;
use super::resolver::Resolver;
use super::scheme_router::SchemeRouter;
use crate::error::AnnounceError;
use crate::policy::Schemes;
use crate::prober::{Measurement, Prober};
use crate::tracker::{Scheme, TrackerUrl};
use crate::transport::{Channel, Transport};

/// Transports that go to where the record of a tracker's host leads, if it has one.
///
/// To the policy the tracker stays the one of the torrent, at its own address: what is known of it, and what it asked for, is
/// kept under that.
#[derive(Clone)]
pub(super) struct RecordObeyingTransport {
    transports: SchemeRouter,
    resolver: Arc<dyn Resolver>,
    /// The schemes that the client allows. A record leads to no other.
    schemes: Schemes,
}

impl RecordObeyingTransport {
    pub(super) fn new(transports: SchemeRouter, resolver: Arc<dyn Resolver>, schemes: Schemes) -> Self {
        Self { transports, resolver, schemes }
    }

    /// Where a tracker is to be announced to, the place that its operator prefers first. Never empty.
    ///
    /// # Errors
    /// [`AnnounceError::Denied`] where no tracker runs on its host, [`AnnounceError::Unsupported`] where those that do speak
    /// no protocol of ours.
    async fn urls(&self, tracker: &TrackerUrl) -> Result<Vec<TrackerUrl>, AnnounceError> {
        if !self.supports(tracker.scheme()) {
            return Err(AnnounceError::Unsupported);
        }
        let record =
            if tracker.is_named() { self.resolver.tracker_record(tracker.host()).await } else { None };
        let Some(record) = record else { return Ok(vec![tracker.clone()]) };
        let mut urls = record.urls(tracker);
        if urls.is_empty() {
            return Err(AnnounceError::Denied);
        }
        urls.retain(|url| self.schemes.contains(url.scheme()) && self.supports(url.scheme()));
        if urls.is_empty() { Err(AnnounceError::Unsupported) } else { Ok(urls) }
    }
}

#[async_trait]
impl Transport for RecordObeyingTransport {
    /// All places of a record are one attempt, as all addresses of a name are.
    async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
        let urls = self.urls(tracker).await?;
        let open = |url: TrackerUrl| async move { self.transports.open(&url).await };
        happy_eyeballs::in_turn(urls, ready(Vec::new()), open).await.map(|(_, channel)| channel)
    }

    fn supports(&self, scheme: Scheme) -> bool {
        self.transports.supports(scheme)
    }
}

#[async_trait]
impl Prober for RecordObeyingTransport {
    async fn probe(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
        let urls = match self.urls(tracker).await {
            Err(AnnounceError::Unsupported) => return Err(AnnounceError::NotMeasured),
            urls => urls?,
        };
        let probe = |url: TrackerUrl| async move { self.transports.probe(&url).await };
        happy_eyeballs::in_turn(urls, ready(Vec::new()), probe).await.map(|(_, measured)| measured)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::announce::AnnounceResponse;
    use crate::error::Cause;
    use crate::transport::from_fn;
    use crate::wire::tracker_record::TrackerRecord;

    /// Knows records and no addresses.
    struct Records(BTreeMap<&'static str, &'static str>);

    #[async_trait]
    impl Resolver for Records {
        async fn resolve(&self, _: &str, _: u16) -> Result<Vec<SocketAddr>, AnnounceError> {
            Ok(Vec::new())
        }

        async fn tracker_record(&self, host: &str) -> Option<TrackerRecord> {
            self.0.get(host).and_then(|record| TrackerRecord::parse(record.as_bytes()))
        }
    }

    /// Notes where it was opened; dead at some places, silent at others.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    impl Seen {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }

        async fn reach(&self, tracker: &TrackerUrl) -> Result<(), AnnounceError> {
            self.0.lock().unwrap().push(tracker.as_str().to_owned());
            match tracker.port() {
                1 => Err(AnnounceError::Connect(Cause::new("refused"))),
                2 => std::future::pending().await,
                _ => Ok(()),
            }
        }
    }

    #[async_trait]
    impl Transport for Seen {
        async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
            self.reach(tracker).await?;
            from_fn(|_, _| async { Ok(AnnounceResponse::default()) }).open(tracker).await
        }

        fn supports(&self, scheme: Scheme) -> bool {
            scheme != Scheme::Other
        }
    }

    #[async_trait]
    impl Prober for Seen {
        async fn probe(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
            self.reach(tracker).await?;
            Ok(Measurement { connect: Duration::ZERO, first_byte: Duration::ZERO })
        }
    }

    fn transport(
        records: impl IntoIterator<Item = (&'static str, &'static str)>,
        schemes: Schemes,
    ) -> (RecordObeyingTransport, Seen) {
        let seen = Seen::default();
        let transports = SchemeRouter::new().with_prober(seen.clone(), seen.clone());
        let resolver = Arc::new(Records(records.into_iter().collect()));
        (RecordObeyingTransport::new(transports, resolver, schemes), seen)
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_leads_to_its_ports_in_its_order() {
        for (record, expected) in [
            ("BITTORRENT UDP:9 TCP:8", vec!["udp://t.test:9/k/announce"]),
            ("BITTORRENT UDP:1 TCP:8", vec!["udp://t.test:1/k/announce", "http://t.test:8/k/announce"]),
            ("BITTORRENT TCP:2 UDP:9", vec!["http://t.test:2/k/announce", "udp://t.test:9/k/announce"]),
        ] {
            let (transport, seen) = transport([("t.test", record)], Schemes::all());
            let tracker = "http://t.test/k/announce".parse().unwrap();
            assert!(transport.open(&tracker).await.is_ok(), "{record}");
            assert_eq!(seen.take(), expected, "{record}");
            assert!(transport.probe(&tracker).await.is_ok(), "{record}");
            assert_eq!(seen.take(), expected, "{record}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_denies_gets_nothing() {
        for record in ["BITTORRENT", "BITTORRENT DENY ALL"] {
            let (transport, seen) = transport([("t.test", record)], Schemes::all());
            for url in ["http://t.test/a", "https://t.test/a", "udp://t.test:6969"] {
                let tracker = url.parse().unwrap();
                assert!(matches!(transport.open(&tracker).await, Err(AnnounceError::Denied)), "{url}");
                assert!(matches!(transport.probe(&tracker).await, Err(AnnounceError::Denied)), "{url}");
            }
            assert!(seen.take().is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_without_a_record_is_announced_to_as_ever() {
        let (transport, seen) =
            transport([("192.0.2.1", "BITTORRENT"), ("u.test", "BITTORRENT")], Schemes::all());
        for url in ["http://t.test/a", "http://192.0.2.1/a", "http://[2001:db8::1]/a"] {
            assert!(transport.open(&url.parse().unwrap()).await.is_ok(), "{url}");
            assert_eq!(seen.take(), [url]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_leads_to_no_scheme_that_the_client_does_not_use() {
        let schemes = Schemes::none().with(Scheme::Http);
        let records = [("t.test", "BITTORRENT UDP:9 TCP:8"), ("u.test", "BITTORRENT UDP:9")];
        let (transport, seen) = transport(records, schemes);
        assert!(transport.open(&"http://t.test/a".parse().unwrap()).await.is_ok());
        assert_eq!(seen.take(), ["http://t.test:8/a"]);
        let tracker = "http://u.test/a".parse().unwrap();
        assert!(matches!(transport.open(&tracker).await, Err(AnnounceError::Unsupported)));
        assert!(matches!(transport.probe(&tracker).await, Err(AnnounceError::NotMeasured)));
        assert!(seen.take().is_empty());
    }

    /// The error of the place that says most about the tracker.
    #[tokio::test(start_paused = true)]
    async fn where_all_places_fail_one_of_their_errors_is_given() {
        let (transport, _) = transport([("t.test", "BITTORRENT UDP:1 TCP:1")], Schemes::all());
        let error = transport.open(&"http://t.test/a".parse().unwrap()).await.err().unwrap();
        assert!(matches!(error, AnnounceError::Connect(_)), "{error}");
    }
}
