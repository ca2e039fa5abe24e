//! What earlier checks found, tracker by tracker: bounded, and without passkeys. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many trackers are remembered. Those that were checked longest ago are forgotten first.
const MAX_TRACKERS: usize = 10_000;

/// How many of the last checks of a tracker are kept one by one.
const MAX_RECENT: usize = 60;

/// The form of the file.
const VERSION: u32 = 1;

/// What earlier checks found. As a file it is JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct History {
    version: u32,
    /// By `scheme://host:port`.
    trackers: BTreeMap<String, Past>,
}

/// What earlier checks found out about a tracker. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Past {
    since: i64,
    last: i64,
    checks: u64,
    answered: u64,
    /// The latencies of the last checks in milliseconds, the newest at the end; `null` for one that wasn't answered.
    recent: Vec<Option<u64>>,
}

impl History {
    /// Reads a history.
    ///
    /// # Errors
    /// When it is damaged, or of another version.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let history: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if history.version != VERSION {
            return Err(format!("expected version {VERSION}, found {}", history.version));
        }
        Ok(history)
    }

    /// Its form as a file.
    ///
    /// # Errors
    /// None that is known: everything in it has a form.
    pub(crate) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Adds a check of a tracker; without a latency it wasn't answered.
    pub(crate) fn add(&mut self, name: &str, latency_ms: Option<u64>, now: i64) {
        let new = || Past { since: now, last: now, checks: 0, answered: 0, recent: Vec::new() };
        let past = self.trackers.entry(name.to_owned()).or_insert_with(new);
        past.last = now;
        past.checks = past.checks.saturating_add(1);
        past.answered = past.answered.saturating_add(u64::from(latency_ms.is_some()));
        past.recent.push(latency_ms);
        let beyond = past.recent.len().saturating_sub(MAX_RECENT);
        past.recent.drain(..beyond);
    }

    /// Forgets the trackers beyond the bound, those first that were checked longest ago.
    pub(crate) fn shorten(&mut self) {
        let beyond = self.trackers.len().saturating_sub(MAX_TRACKERS);
        if beyond == 0 {
            return;
        }
        let mut by_age: Vec<(i64, String)> =
            self.trackers.iter().map(|(name, past)| (past.last, name.clone())).collect();
        by_age.sort_unstable();
        for (_, name) in by_age.into_iter().take(beyond) {
            self.trackers.remove(&name);
        }
    }

    /// What is known about a tracker.
    pub(crate) fn of(&self, name: &str) -> Option<&Past> {
        self.trackers.get(name)
    }
}

impl Default for History {
    fn default() -> Self {
        Self { version: VERSION, trackers: BTreeMap::new() }
    }
}

impl Past {
    /// Answered checks in percent, rounded down, so that 100 means all of them.
    pub(crate) fn uptime(&self) -> u64 {
        self.answered.saturating_mul(100).checked_div(self.checks).unwrap_or(0)
    }

    /// How many checks there were.
    pub(crate) fn checks(&self) -> u64 {
        self.checks
    }

    /// When the first of them was, in seconds since 1970.
    pub(crate) fn since(&self) -> i64 {
        self.since
    }

    /// The latencies of the last checks in milliseconds, the newest at the end.
    pub(crate) fn recent(&self) -> &[Option<u64>] {
        &self.recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_the_share_of_checks_that_were_answered() {
        let mut history = History::default();
        for (at, latency) in [(100, Some(20)), (200, None), (300, Some(30))] {
            history.add("udp://a.test:1", latency, at);
        }
        let past = history.of("udp://a.test:1").unwrap();
        assert_eq!((past.uptime(), past.checks(), past.since()), (66, 3, 100));
        assert_eq!(past.recent(), [Some(20), None, Some(30)]);
        assert_eq!(history.of("udp://b.test:1"), None);
    }

    #[test]
    fn a_history_is_read_as_it_was_written() {
        let mut history = History::default();
        history.add("http://a.test", Some(7), 1);
        history.add("http://b.test", None, 2);
        assert_eq!(History::parse(&history.encode().unwrap()), Ok(history));
    }

    #[test]
    fn what_is_damaged_or_of_another_version_is_refused() {
        for text in ["", "{", "[]", r#"{"version":2,"trackers":{}}"#, r#"{"version":1,"trackers":{"a":{}}}"#]
        {
            assert!(History::parse(text.as_bytes()).is_err(), "{text}");
        }
        let cut = History::default().encode().unwrap();
        assert!(History::parse(&cut[..cut.len() - 1]).is_err());
    }

    #[test]
    fn trackers_and_checks_are_bounded() {
        let mut history = History::default();
        for at in 0..i64::try_from(MAX_TRACKERS).unwrap() + 5 {
            history.add(&format!("http://t{at}.test"), None, at);
        }
        for _ in 0..MAX_RECENT + 5 {
            history.add("http://t0.test", Some(1), 1_000_000);
        }
        history.shorten();
        assert_eq!(history.trackers.len(), MAX_TRACKERS);
        assert_eq!(history.of("http://t0.test").unwrap().recent().len(), MAX_RECENT);
        assert!(history.of("http://t1.test").is_none() && history.of("http://t6.test").is_some());
    }

    #[test]
    fn a_number_at_its_end_stays_there() {
        let text = format!(
            r#"{{"version":1,"trackers":{{"a":{{"since":0,"last":0,"checks":{0},"answered":{0},"recent":[]}}}}}}"#,
            u64::MAX
        );
        let mut history = History::parse(text.as_bytes()).unwrap();
        history.add("a", Some(1), 1);
        assert_eq!(history.of("a").unwrap().checks(), u64::MAX);
    }
}
