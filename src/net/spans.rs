//! Spans and events for `tracing`: a span for each torrent, one in it for each round, and an event for each alert.

use std::collections::BTreeMap;

use tracing::{Level, Span, event, info_span};

use crate::alert::{Alert, AlertLevel};
use crate::announce::{Event, InfoHash};
use crate::error::AnnounceError;
use crate::policy::TorrentId;

/// The spans of all torrents. They hold info-hashes and no address.
#[derive(Default)]
pub(super) struct Spans(BTreeMap<TorrentId, TorrentSpans>);

struct TorrentSpans {
    torrent: Span,
    /// Of the round under way.
    round: Option<Span>,
}

impl Spans {
    /// Emits an alert of a torrent. The first one begins its span, and one that a round begins the span of that.
    pub(super) fn alert(&mut self, torrent: TorrentId, info_hash: InfoHash, alert: &Alert) {
        let begin = || TorrentSpans { torrent: info_span!(parent: None, "torrent", %info_hash), round: None };
        let spans = self.0.entry(torrent).or_insert_with(begin);
        if let Alert::Announcing { event, left } = alert {
            let event = event.map_or("none", Event::name);
            spans.round = Some(info_span!(parent: &spans.torrent, "round", event, left));
        }
        emit(spans.round.as_ref().unwrap_or(&spans.torrent), alert);
    }

    /// Ends the span of a round.
    pub(super) fn round_ended(&mut self, torrent: TorrentId) {
        if let Some(spans) = self.0.get_mut(&torrent) {
            spans.round = None;
        }
    }

    /// Ends the span of a torrent.
    pub(super) fn ended(&mut self, torrent: TorrentId) {
        self.0.remove(&torrent);
    }
}

/// Emits an alert that is about all torrents, once.
pub(super) fn alert_of_all(alert: &Alert) {
    emit(&Span::none(), alert);
}

fn emit(span: &Span, alert: &Alert) {
    let (tag, kind) = (alert.tag(), error_of(alert).map(AnnounceError::kind));
    // The level of an event is a constant.
    match alert.level() {
        AlertLevel::Error => event!(parent: span, Level::ERROR, tag, kind, "{alert}"),
        AlertLevel::Warn => event!(parent: span, Level::WARN, tag, kind, "{alert}"),
        AlertLevel::Info => event!(parent: span, Level::INFO, tag, kind, "{alert}"),
        AlertLevel::Debug => event!(parent: span, Level::DEBUG, tag, kind, "{alert}"),
    }
}

/// The error of one attempt or probe in an alert.
fn error_of(alert: &Alert) -> Option<&AnnounceError> {
    match alert {
        Alert::ProbeFailed { error, .. }
        | Alert::Failed { error, .. }
        | Alert::Stopped { result: Err(error), .. } => Some(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
