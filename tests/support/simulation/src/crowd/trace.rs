//! What happened in a life, to find the cause of a broken rule.

use std::collections::VecDeque;

use tracker_failover::policy::Timestamp;

/// The last events of a life. Nothing is kept unless it is wanted.
#[derive(Debug, Default)]
pub struct Trace {
    keeps: usize,
    events: VecDeque<Event>,
    /// The torrent whose rule was broken.
    pub accused: Option<usize>,
}

#[derive(Debug)]
struct Event {
    at: Timestamp,
    torrent: Option<usize>,
    tracker: Option<usize>,
    what: String,
}

impl Trace {
    /// Keeps so many events.
    pub fn keep(&mut self, events: usize) {
        self.keeps = events;
    }

    pub(super) fn note(
        &mut self,
        at: Timestamp,
        torrent: Option<usize>,
        tracker: Option<usize>,
        what: impl FnOnce() -> String,
    ) {
        if self.keeps == 0 {
            return;
        }
        if self.events.len() == self.keeps {
            self.events.pop_front();
        }
        self.events.push_back(Event { at, torrent, tracker, what: what() });
    }

    /// The last events that concern a torrent, or one of these trackers.
    pub fn tail(&self, torrent: Option<usize>, trackers: &[usize], lines: usize) -> Vec<String> {
        let concerns = |event: &&Event| {
            torrent.is_none()
                || event.torrent == torrent
                || event.tracker.is_some_and(|tracker| trackers.contains(&tracker))
                || (event.torrent.is_none() && event.tracker.is_none())
        };
        let mut tail: Vec<String> =
            self.events.iter().rev().filter(concerns).take(lines).map(Event::line).collect();
        tail.reverse();
        tail
    }
}

impl Event {
    fn line(&self) -> String {
        let of = self.torrent.map_or_else(|| "-".to_owned(), |torrent| format!("torrent {torrent}"));
        let at = self.tracker.map_or_else(String::new, |tracker| format!("tracker {tracker}: "));
        let millis = self.at.as_micros() / 1000;
        format!("{:>9}.{:03} {of:<12} {at}{}", millis / 1000, millis % 1000, self.what)
    }
}
