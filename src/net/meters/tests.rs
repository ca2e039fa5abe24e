//! What a recorder counts in the life of a torrent with a failover.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use crate::net::testing::{SECRET, live_through_a_failover};

/// Each name with its labels, and its counts or times in milliseconds.
type Recorded = Arc<Mutex<BTreeMap<String, Vec<u64>>>>;

struct Recording {
    recorded: Recorded,
    panics: bool,
}

/// One metric.
struct Metric(String, Recorded);

impl Metric {
    fn note(&self, value: u64) {
        self.1.lock().unwrap().entry(self.0.clone()).or_default().push(value);
    }
}

impl CounterFn for Metric {
    fn increment(&self, value: u64) {
        self.note(value);
    }

    fn absolute(&self, _: u64) {
        unreachable!();
    }
}

impl HistogramFn for Metric {
    fn record(&self, value: f64) {
        self.note(u64::try_from(Duration::from_secs_f64(value).as_millis()).unwrap());
    }
}

impl Recording {
    fn metric(&self, key: &Key) -> Arc<Metric> {
        assert!(!self.panics, "on purpose");
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = key.name().strip_prefix("tracker_failover_").expect("all have one prefix");
        let name = format!("{name} {}", labels.join(" ")).trim().to_owned();
        Arc::new(Metric(name, Arc::clone(&self.recorded)))
    }
}

impl Recorder for Recording {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.metric(key))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        unreachable!()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.metric(key))
    }
}

#[tokio::test(start_paused = true)]
async fn a_failover_is_counted() {
    let recorded = Recorded::default();
    let recording = Recording { recorded: Arc::clone(&recorded), panics: false };
    let guard = metrics::set_default_local_recorder(&recording);
    live_through_a_failover().await;
    drop(guard);
    let recorded = recorded.lock().unwrap().clone();
    let expected: &[(&str, &[u64])] = &[
        ("announces_total event=none outcome=failed", &[1]),
        ("announces_total event=started outcome=answered", &[1, 1]),
        ("announces_total event=stopped outcome=answered", &[1]),
        ("announces_total event=stopped outcome=failed", &[1]),
        ("failures_total of=announce kind=connect", &[1, 1]),
        ("reply_seconds event=started", &[50, 50]),
        ("reply_seconds event=stopped", &[50]),
        ("switches_total", &[1]),
        ("wait_seconds", &[50, 100]),
    ];
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, values)| ((*name).to_owned(), values.to_vec())).collect();
    assert_eq!(recorded, expected);
    assert!(!format!("{recorded:?}").contains(SECRET) && !format!("{recorded:?}").contains(".test"));
}

/// R93: a recorder is foreign code.
#[tokio::test(start_paused = true)]
async fn a_recorder_that_panics_ends_nothing() {
    let recording = Recording { recorded: Recorded::default(), panics: true };
    let _guard = metrics::set_default_local_recorder(&recording);
    live_through_a_failover().await;
}

/// Each name stands in the manual, and each of the manual is one.
#[test]
fn the_manual_lists_all_metrics() {
    let names = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| c != '_' && !c.is_ascii_lowercase());
        words.filter(|word| word.starts_with("tracker_failover_")).map(str::to_owned).collect()
    };
    let used = names(include_str!("../meters.rs"));
    assert!(used.len() > 5);
    assert_eq!(names(include_str!("../../manual/usage.md")), used);
}
