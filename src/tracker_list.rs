//! Lists of public trackers as they are published, and lists of trackers that aren't wanted.

use std::collections::BTreeSet;
use std::fmt;

use crate::tracker::{Scheme, TrackerUrl, TrackerUrlError};

/// The largest text that is read, in bytes. Published lists have at most some dozen KiB.
const MAX_LEN: usize = 1 << 20;

/// How many lines are read.
const MAX_LINES: usize = 10_000;

/// The longest line, in bytes: a list for aria2 has all trackers in one.
const MAX_LINE_LEN: usize = 64 << 10;

/// How many trackers are kept: the longest published lists have some hundred.
const MAX_TRACKERS: usize = 1000;

/// How many errors are kept; further ones are counted only.
const MAX_ERRORS: usize = 100;

/// The longest name of a host (RFC 1035), in bytes.
const MAX_HOST_LEN: usize = 253;

/// Trackers for all public torrents of a client, kept apart from those of a torrent's own.
///
/// The formats of the published lists are read as they are: one URL a line with blank lines between tiers, all URLs in a line
/// with commas between them (aria2's `bt-tracker`), comments after `#`, `;` or `//`, any line ends, and a byte order mark.
/// A tracker that is listed twice, by the normalised form of its URL, keeps its first place. Lines that aren't understood are
/// reported, and the others are used.
///
/// [`TrackerSet::add_list`](crate::TrackerSet::add_list) puts them behind the trackers of a torrent. A private torrent gets none
/// of them (BEP 27).
///
/// ```
/// use tracker_failover::{DenyList, TrackerList, TrackerSet};
///
/// let list = TrackerList::parse("# best\nudp://a.test:6969/announce\n\nhttp://b.test/announce\nhttp//c.test/announce\n");
/// assert_eq!(list.len(), 2);
/// assert_eq!(list.errors()[0].to_string(), "line 5: not a tracker address: expected scheme://host, found no \"://\"");
///
/// let list = list.without(&DenyList::parse("b.test"));
/// let mut trackers = TrackerSet::new([["http://own.test/announce".parse()?]]);
/// assert_eq!(trackers.add_list(&list), 1);
/// assert_eq!(trackers.tiers().count(), 2);
/// # Ok::<(), tracker_failover::TrackerUrlError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackerList {
    tiers: Vec<Vec<TrackerUrl>>,
    errors: Vec<ListError>,
    further_errors: usize,
}

/// Trackers that aren't wanted: by host, whatever scheme, port and path, or by URL.
///
/// ```
/// use tracker_failover::DenyList;
///
/// let denied = DenyList::parse("bad.test\nworse.test:6969\nhttp://mixed.test/one/announce\n");
/// assert!(denied.denies(&"udp://bad.test:1337".parse()?));
/// assert!(!denied.denies(&"udp://worse.test:1337".parse()?));
/// assert!(!denied.denies(&"http://mixed.test/two/announce".parse()?));
/// # Ok::<(), tracker_failover::TrackerUrlError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DenyList {
    urls: BTreeSet<TrackerUrl>,
    /// Each with its port, or with any.
    hosts: BTreeSet<(String, Option<u16>)>,
    errors: Vec<ListError>,
    further_errors: usize,
}

/// What wasn't understood in a line. It shows scheme and host at most: the rest may be a passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListError {
    /// The number of the line, from 1.
    pub line: usize,
    /// Why it was left out.
    pub reason: ListErrorReason,
}

/// Why a line of a list was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListErrorReason {
    /// It isn't the address of a tracker.
    #[error(transparent)]
    NotAnAddress(#[from] TrackerUrlError),
    /// Its trackers can't be announced to.
    #[error("{0}: expected http, https or udp")]
    Unsupported(TrackerUrl),
    /// It isn't UTF-8.
    #[error("expected UTF-8")]
    NotUtf8,
    /// Something follows the URL.
    #[error("expected one URL, or several with commas between them")]
    MoreThanUrl,
    /// It isn't a host.
    #[error("expected a host, host:port or URL")]
    NotAHost,
    /// The line is longer than those that are read.
    #[error("expected at most {MAX_LINE_LEN} bytes")]
    TooLong,
    /// This line and those after it are beyond what is read.
    #[error(
        "expected at most {MAX_LEN} bytes, {MAX_LINES} lines and {MAX_TRACKERS} trackers; the rest isn't read"
    )]
    TooMuch,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl TrackerList {
    /// Reads a list. At most 1 MiB, 10,000 lines and 1000 trackers are read, and lines up to 64 KiB.
    pub fn parse(text: impl AsRef<[u8]>) -> Self {
        let mut list = Self::default();
        let mut seen = BTreeSet::new();
        let mut is_new_tier = true;
        for (number, line) in lines(text.as_ref()) {
            let line = match line {
                Ok("") => {
                    is_new_tier = true;
                    continue;
                }
                Ok(line) => line,
                Err(reason) => {
                    list.fail(number, reason);
                    continue;
                }
            };
            for tracker in trackers(line) {
                let tracker = match tracker {
                    Ok(tracker) => tracker,
                    Err(reason) => {
                        list.fail(number, reason);
                        continue;
                    }
                };
                if seen.contains(&tracker) {
                    continue;
                }
                if seen.len() == MAX_TRACKERS {
                    list.fail(number, ListErrorReason::TooMuch);
                    return list;
                }
                seen.insert(tracker.clone());
                match list.tiers.last_mut().filter(|_| !is_new_tier) {
                    Some(tier) => tier.push(tracker),
                    None => list.tiers.push(vec![tracker]),
                }
                is_new_tier = false;
            }
        }
        list
    }

    /// The same list without what is denied.
    #[must_use]
    pub fn without(mut self, denied: &DenyList) -> Self {
        for tier in &mut self.tiers {
            tier.retain(|tracker| !denied.denies(tracker));
        }
        self.tiers.retain(|tier| !tier.is_empty());
        self
    }

    /// The tiers, in the order of the list. None is empty.
    pub fn tiers(&self) -> impl Iterator<Item = &[TrackerUrl]> {
        self.tiers.iter().map(Vec::as_slice)
    }

    /// All trackers, tier by tier.
    pub fn trackers(&self) -> impl Iterator<Item = &TrackerUrl> {
        self.tiers.iter().flatten()
    }

    /// How many trackers there are.
    pub fn len(&self) -> usize {
        self.tiers.iter().map(Vec::len).sum()
    }

    /// Whether there is no tracker.
    pub fn is_empty(&self) -> bool {
        self.tiers.is_empty()
    }

    /// The lines that weren't understood, the first 100 of them.
    pub fn errors(&self) -> &[ListError] {
        &self.errors
    }

    /// How many there were beyond these.
    pub fn further_errors(&self) -> usize {
        self.further_errors
    }

    fn fail(&mut self, line: usize, reason: ListErrorReason) {
        fail(&mut self.errors, &mut self.further_errors, line, reason);
    }
}

impl DenyList {
    /// Reads a list of the same form as [`TrackerList::parse`] does, in which a line may also be a host or `host:port`.
    pub fn parse(text: impl AsRef<[u8]>) -> Self {
        let mut list = Self::default();
        for (number, line) in lines(text.as_ref()) {
            let line = match line {
                Ok(line) => line,
                Err(reason) => {
                    fail(&mut list.errors, &mut list.further_errors, number, reason);
                    continue;
                }
            };
            for entry in entries(line) {
                if let Err(reason) = list.deny(entry) {
                    fail(&mut list.errors, &mut list.further_errors, number, reason);
                }
            }
        }
        list
    }

    /// Whether a tracker isn't wanted.
    pub fn denies(&self, tracker: &TrackerUrl) -> bool {
        let host = tracker.host().to_owned();
        let of_host = [(host.clone(), None), (host, Some(tracker.port()))];
        of_host.iter().any(|host| self.hosts.contains(host)) || self.urls.contains(tracker)
    }

    /// The lines that weren't understood, the first 100 of them.
    pub fn errors(&self) -> &[ListError] {
        &self.errors
    }

    /// How many there were beyond these.
    pub fn further_errors(&self) -> usize {
        self.further_errors
    }

    fn deny(&mut self, entry: &str) -> Result<(), ListErrorReason> {
        if entry.contains("://") {
            self.urls.insert(TrackerUrl::parse(entry)?);
            return Ok(());
        }
        // The host of an address, so that its normalised forms are equal.
        let plain = |c: char| !"/?#@\\".contains(c) && !c.is_whitespace();
        let address = Some(entry).filter(|entry| entry.len() <= MAX_HOST_LEN + 6 && entry.chars().all(plain));
        let parsed = |scheme: &str| TrackerUrl::parse(&format!("{scheme}://{}", address?)).ok();
        // A UDP tracker has to have a port, and an HTTP tracker needn't.
        let host = match parsed("udp") {
            Some(url) => (url.host().to_owned(), Some(url.port())),
            None => (parsed("http").ok_or(ListErrorReason::NotAHost)?.host().to_owned(), None),
        };
        self.hosts.insert(host);
        Ok(())
    }
}

/// Denies every tracker of a list.
impl From<&TrackerList> for DenyList {
    fn from(list: &TrackerList) -> Self {
        Self { urls: list.trackers().cloned().collect(), ..Self::default() }
    }
}

/// The lines that count, each with its number and without blanks and comments around it; empty where it is blank.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, Result<&str, ListErrorReason>)> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut read = 0;
    let mut lines = text.split(|byte| *byte == b'\n').enumerate();
    let mut has_ended = false;
    std::iter::from_fn(move || {
        loop {
            let (number, line) = lines.next().filter(|_| !has_ended)?;
            read += line.len() + 1;
            if read > MAX_LEN + 1 || number >= MAX_LINES {
                has_ended = true;
                return Some((number + 1, Err(ListErrorReason::TooMuch)));
            }
            if line.len() > MAX_LINE_LEN {
                return Some((number + 1, Err(ListErrorReason::TooLong)));
            }
            let Ok(line) = std::str::from_utf8(line) else {
                return Some((number + 1, Err(ListErrorReason::NotUtf8)));
            };
            let line = line.trim();
            if !is_comment(line) {
                return Some((number + 1, Ok(line)));
            }
        }
    })
}

fn is_comment(text: &str) -> bool {
    text.starts_with(['#', ';']) || text.starts_with("//")
}

/// A line without the comment at its end, which begins a word.
fn without_comment(line: &str) -> &str {
    let blanks = line.match_indices(char::is_whitespace);
    let mut words = blanks.map(|(at, blank)| at + blank.len());
    let end = words.find(|at| is_comment(&line[*at..]));
    &line[..end.unwrap_or(line.len())]
}

/// The entries of a line of a deny list: what stands between commas.
fn entries(line: &str) -> impl Iterator<Item = &str> {
    without_comment(line).split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// The trackers of a line.
fn trackers(line: &str) -> impl Iterator<Item = Result<TrackerUrl, ListErrorReason>> {
    let mut rest = Some(without_comment(line));
    std::iter::from_fn(move || {
        loop {
            let (entry, after) = split_entry(rest?);
            rest = after;
            let entry = entry.trim().trim_end_matches(',').trim_end();
            if !entry.is_empty() && !is_comment(entry) {
                return Some(tracker(entry));
            }
        }
    })
}

/// The first entry of a line, and what follows its comma. A comma is part of a URL, unless another URL follows it.
fn split_entry(line: &str) -> (&str, Option<&str>) {
    // Looks no further than the scheme: it is asked for each comma of the line.
    let is_url = |text: &str| {
        let behind = text.trim_start().trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        behind.starts_with("://")
    };
    let mut commas = line.match_indices(',').map(|(at, _)| (&line[..at], &line[at + 1..]));
    match commas.find(|(_, after)| is_url(after)) {
        Some((entry, after)) => (entry, Some(after)),
        None => (line, None),
    }
}

fn tracker(entry: &str) -> Result<TrackerUrl, ListErrorReason> {
    let (url, rest) = entry.split_once(char::is_whitespace).unwrap_or((entry, ""));
    if !rest.trim_start().is_empty() {
        return Err(ListErrorReason::MoreThanUrl);
    }
    let tracker = TrackerUrl::parse(url)?;
    if tracker.scheme() == Scheme::Other { Err(ListErrorReason::Unsupported(tracker)) } else { Ok(tracker) }
}

fn fail(errors: &mut Vec<ListError>, further: &mut usize, line: usize, reason: ListErrorReason) {
    if errors.len() < MAX_ERRORS {
        errors.push(ListError { line, reason });
    } else {
        *further += 1;
    }
}

#[cfg(test)]
mod tests;
