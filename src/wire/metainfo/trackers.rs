//! The trackers of a torrent file: `announce-list` (BEP 12) and `announce` (BEP 3), cleaned.

use std::collections::HashSet;
use std::fmt;

use bendy::decoding::Object;

use crate::tracker::{Scheme, TrackerUrl, TrackerUrlError};
use crate::wire::bencode::{Value, decoder};

/// Lists beyond that are pasted together from the internet, or aimed at somebody.
const MOST_TRACKERS: usize = 200;
const MOST_TIERS: usize = 50;

/// How many skipped ones are told apart; the rest is only counted.
const MOST_SKIPPED: usize = 200;

/// Something that stands where a tracker should be and was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedTracker {
    /// Scheme and host, as far as they can be told without showing a passkey. Safe to print.
    pub shown: String,
    /// Why it was left out.
    pub reason: SkipReason,
}

/// Why something was left out of the trackers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is no address of a tracker.
    #[error(transparent)]
    NotAnAddress(#[from] TrackerUrlError),
    /// It isn't UTF-8.
    #[error("not a tracker address: not UTF-8")]
    NotUtf8,
    /// The torrent has more trackers than are taken from one file.
    #[error("beyond the first 200 trackers")]
    TooManyTrackers,
    /// The torrent has more tiers than are taken from one file.
    #[error("beyond the first 50 tiers")]
    TooManyTiers,
    /// Only so many skipped ones are told apart.
    #[error("skipped like the ones before")]
    More,
}

impl fmt::Display for SkippedTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.shown, self.reason)
    }
}

/// The tiers and what was skipped. Where the list leaves nothing that is spoken here, `announce` goes in front of
/// what it does hold.
pub(super) fn read(
    announce: Option<Value<'_>>,
    list: Option<Value<'_>>,
) -> (Vec<Vec<TrackerUrl>>, Vec<SkippedTracker>) {
    let mut tiers = Cleaned::default();
    tiers.add_list(list);
    if !tiers.has_usable() {
        tiers = Cleaned::default();
        if let Some(Value::Bytes(text)) = announce {
            tiers.add_tier([text]);
        }
        tiers.add_list(list);
    }
    tiers.finish()
}

#[derive(Default)]
struct Cleaned {
    tiers: Vec<Vec<TrackerUrl>>,
    seen: HashSet<TrackerUrl>,
    skipped: Vec<SkippedTracker>,
    skipped_beyond: usize,
}

impl Cleaned {
    /// Adds what stands under `announce-list`: a list of tiers by the BEP, but a flat list of addresses and a
    /// single one are met as well. Other types are passed over, they hold no address that could be lost.
    fn add_list(&mut self, list: Option<Value<'_>>) {
        match list {
            Some(Value::Bytes(text)) => self.add_tier([text]),
            Some(Value::List(bytes)) => {
                let mut decoder = decoder(bytes);
                let Ok(Some(Object::List(mut tiers))) = decoder.next_object() else { return };
                while let Ok(Some(tier)) = tiers.next_object() {
                    match tier {
                        Object::Bytes(text) => self.add_tier([text]),
                        Object::List(mut texts) => self.add_tier(std::iter::from_fn(|| {
                            loop {
                                match texts.next_object() {
                                    Ok(Some(Object::Bytes(text))) => return Some(text),
                                    Ok(Some(_)) => {}
                                    Ok(None) | Err(_) => return None,
                                }
                            }
                        })),
                        Object::Integer(_) | Object::Dict(_) => {}
                    }
                }
            }
            Some(Value::Integer(_) | Value::Dict(_)) | None => {}
        }
    }

    fn add_tier<'t>(&mut self, texts: impl IntoIterator<Item = &'t [u8]>) {
        let mut tier = Vec::new();
        for bytes in texts {
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            match read_address(bytes) {
                Ok(url) if self.seen.contains(&url) => {}
                Ok(url) => match self.limit() {
                    Some(reason) => self.skip(url.to_string(), reason),
                    None => {
                        self.seen.insert(url.clone());
                        tier.push(url);
                    }
                },
                Err(reason) => self.skip(scheme_and_host(&String::from_utf8_lossy(bytes)), reason),
            }
        }
        if !tier.is_empty() {
            self.tiers.push(tier);
        }
    }

    /// The limit that the next address would break.
    fn limit(&self) -> Option<SkipReason> {
        if self.tiers.len() >= MOST_TIERS {
            return Some(SkipReason::TooManyTiers);
        }
        (self.seen.len() >= MOST_TRACKERS).then_some(SkipReason::TooManyTrackers)
    }

    fn skip(&mut self, shown: String, reason: SkipReason) {
        if self.skipped.len() < MOST_SKIPPED {
            self.skipped.push(SkippedTracker { shown, reason });
        } else {
            self.skipped_beyond += 1;
        }
    }

    fn has_usable(&self) -> bool {
        self.tiers.iter().flatten().any(|url| url.scheme() != Scheme::Other)
    }

    fn finish(mut self) -> (Vec<Vec<TrackerUrl>>, Vec<SkippedTracker>) {
        if self.skipped_beyond > 0 {
            let shown = format!("{} more", self.skipped_beyond);
            self.skipped.push(SkippedTracker { shown, reason: SkipReason::More });
        }
        (self.tiers, self.skipped)
    }
}

fn read_address(bytes: &[u8]) -> Result<TrackerUrl, SkipReason> {
    let text = std::str::from_utf8(bytes).map_err(|_| SkipReason::NotUtf8)?;
    Ok(TrackerUrl::parse(text)?)
}

/// What may be shown of a text that isn't an address: as much of scheme and host as is certain to be that.
/// Anything else could be a passkey, a password or a terminal escape.
fn scheme_and_host(text: &str) -> String {
    const LONGEST_SHOWN: usize = 100;
    let plain = |text: &str, allowed: &str| -> String {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || allowed.contains(*c);
        text.chars().take_while(is_plain).take(LONGEST_SHOWN).collect()
    };
    let text = text.trim();
    let Some((scheme, rest)) = text
        .split_once("://")
        .filter(|(scheme, _)| scheme.len() <= 10 && scheme.bytes().all(|b| b.is_ascii_alphabetic()))
    else {
        return format!("a text of {} bytes", text.len());
    };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = match authority.rsplit_once('@') {
        Some((_userinfo, host)) => host,
        // A password may hold a slash, so what comes before a later @ may be part of one.
        None if rest.contains('@') => "",
        None => authority,
    };
    let host = plain(host, ".-:[]");
    format!("{}://{host}", scheme.to_ascii_lowercase())
}
