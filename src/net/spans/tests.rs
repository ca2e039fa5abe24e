//! What a subscriber sees of the life of a torrent with a failover.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

use crate::net::testing::{SECRET, live_through_a_failover};

/// Spans and events as lines, each with the spans around it.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Collected>>);

#[derive(Default)]
struct Collected {
    /// Of each span, by its id less 1.
    spans: Vec<String>,
    open: usize,
    lines: Vec<String>,
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Collected {
    fn path(&self, id: Option<&Id>) -> String {
        id.map_or(String::new(), |id| self.spans[usize::try_from(id.into_u64()).unwrap() - 1].clone())
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tracker_failover")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut collected = self.0.lock().unwrap();
        let mut fields = Fields(String::new());
        span.record(&mut fields);
        let path = format!("{}/{}{}", collected.path(span.parent()), span.metadata().name(), fields.0);
        collected.open += 1;
        collected.lines.push(path.clone());
        collected.spans.push(path);
        Id::from_u64(collected.spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut collected = self.0.lock().unwrap();
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        let path = collected.path(event.parent());
        collected.lines.push(format!("{path}: {}{}", event.metadata().level(), fields.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn try_close(&self, _: Id) -> bool {
        self.0.lock().unwrap().open -= 1;
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_failover_is_seen_in_its_torrent_and_round() {
    let collector = Collector::default();
    // As long as there is one dispatcher, the thread that comes first decides whether an event is of interest, and other tests
    // without a subscriber run in other threads.
    let second = tracing::Dispatch::new(collector.clone());
    let guard = tracing::subscriber::set_default(collector.clone());
    live_through_a_failover().await;
    // The loop ends in a task of its own.
    tokio::task::yield_now().await;
    drop((guard, second));
    let collected = collector.0.lock().unwrap();
    let torrent = format!("/torrent info_hash={}", "07".repeat(20));
    let first = format!("{torrent}/round event=\"started\" left=1000");
    let second = format!("{torrent}/round event=\"none\" left=1000");
    let expected = [
        torrent.clone(),
        format!("{torrent}: INFO message=2 trackers found tag=\"CONFIG\""),
        first.clone(),
        format!("{first}: INFO message=selected http://a.test tag=\"TRACKER\""),
        second.clone(),
        format!(
            "{second}: WARN message=http://a.test: could not connect: connection refused tag=\"ANNOUNCE\" kind=\"connect\""
        ),
        format!("{second}: INFO message=switching http://a.test -> http://b.test tag=\"TRACKER\""),
        format!("{torrent}: INFO message=http://b.test acknowledged stopped tag=\"ANNOUNCE\""),
    ];
    let mut lines = collected.lines.iter();
    for expected in &expected {
        assert!(lines.any(|line| line == expected), "no {expected}\nin {:#?}", collected.lines);
    }
    let shown = collected.lines.join("\n");
    assert!(!shown.contains(SECRET), "{shown}");
    assert_eq!((collected.spans.len(), collected.open), (3, 0), "{shown}");
}
