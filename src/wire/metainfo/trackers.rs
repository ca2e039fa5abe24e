//! The trackers of a torrent file: `announce-list` (BEP 12) and `announce` (BEP 3), without invalid entries and duplicates.

use std::collections::HashSet;
use std::fmt;

use bendy::decoding::Object;

use crate::tracker::{Scheme, TrackerUrl, TrackerUrlError};
use crate::wire::bencode::{Value, decoder};

/// The limits of trackers and tiers. Longer lists are collected from the internet, or aimed at a victim.
const MAX_TRACKERS: usize = 200;
const MAX_TIERS: usize = 50;

/// How many skipped entries are listed; further ones are counted only.
const MAX_SKIPPED: usize = 200;

/// An entry of the trackers that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedTracker {
    /// Scheme and host, as far as they can be shown without a passkey. Safe to print.
    pub shown: String,
    /// Why it was left out.
    pub reason: SkipReason,
}

/// Why an entry of the trackers was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// It isn't the address of a tracker.
    #[error(transparent)]
    NotAnAddress(#[from] TrackerUrlError),
    /// It isn't UTF-8.
    #[error("not a tracker address: not UTF-8")]
    NotUtf8,
    /// The torrent has more trackers than are read.
    #[error("beyond the first 200 trackers")]
    TooManyTrackers,
    /// The torrent has more tiers than are read.
    #[error("beyond the first 50 tiers")]
    TooManyTiers,
    /// Stands for all further skipped entries, which aren't listed.
    #[error("skipped like the ones before")]
    More,
}

impl fmt::Display for SkippedTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.shown, self.reason)
    }
}

/// The tiers and the skipped entries. If the list holds no tracker with a supported scheme, `announce` goes in front of it.
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
    /// Adds the value of `announce-list`: a list of tiers (BEP 12), but flat lists of addresses and single addresses occur as
    /// well. Values of other types hold no address, and are skipped.
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
                Ok(url) => {
                    if let Some(reason) = self.limit() {
                        self.skip(url.to_string(), reason);
                    } else {
                        self.seen.insert(url.clone());
                        tier.push(url);
                    }
                }
                Err(reason) => self.skip(scheme_and_host(&String::from_utf8_lossy(bytes)), reason),
            }
        }
        if !tier.is_empty() {
            self.tiers.push(tier);
        }
    }

    /// The limit that the next address would exceed.
    fn limit(&self) -> Option<SkipReason> {
        if self.tiers.len() >= MAX_TIERS {
            return Some(SkipReason::TooManyTiers);
        }
        (self.seen.len() >= MAX_TRACKERS).then_some(SkipReason::TooManyTrackers)
    }

    fn skip(&mut self, shown: String, reason: SkipReason) {
        if self.skipped.len() < MAX_SKIPPED {
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

/// The displayable part of an invalid address: as much of scheme and host as is certain. The rest could be a passkey, a
/// password or a terminal escape.
fn scheme_and_host(text: &str) -> String {
    const MAX_SHOWN_LEN: usize = 100;
    let plain = |text: &str, allowed: &str| -> String {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || allowed.contains(*c);
        text.chars().take_while(is_plain).take(MAX_SHOWN_LEN).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Bencode of a text, or of tiers written as `[a b] [c]`.
    fn text(text: &str) -> String {
        format!("{}:{text}", text.len())
    }

    fn list(items: impl IntoIterator<Item = String>) -> String {
        format!("l{}e", items.into_iter().collect::<String>())
    }

    fn tiers(tiers: &[&[&str]]) -> String {
        list(tiers.iter().map(|tier| list(tier.iter().map(|item| text(item)))))
    }

    fn cleaned(announce: &str, list: &str) -> (Vec<Vec<String>>, Vec<String>) {
        let list = (!list.is_empty()).then_some(Value::List(list.as_bytes()));
        let (tiers, skipped) = read(Some(Value::Bytes(announce.as_bytes())), list);
        let written = |tier: Vec<TrackerUrl>| tier.iter().map(|url| url.as_str().to_owned()).collect();
        (tiers.into_iter().map(written).collect(), skipped.iter().map(ToString::to_string).collect())
    }

    const ONE: &str = "http://one.test/announce";

    /// R12-01, POL-11.
    #[test]
    fn the_list_wins_over_announce() {
        let rows: [(String, Vec<Vec<&str>>); 18] = [
            (
                tiers(&[&["http://a.test/a"], &["udp://b.test:1337/a", "http://c.test/a"]]),
                vec![vec!["http://a.test/a"], vec!["udp://b.test:1337/a", "http://c.test/a"]],
            ),
            (String::new(), vec![vec![ONE]]),
            ("le".into(), vec![vec![ONE]]),
            ("llee".into(), vec![vec![ONE]]),
            ("ll0:ee".into(), vec![vec![ONE]]),
            ("l0:e".into(), vec![vec![ONE]]),
            (tiers(&[&[" "], &["t.test/a"]]), vec![vec![ONE]]),
            (tiers(&[&["wss://w.test/a"]]), vec![vec![ONE], vec!["wss://w.test/a"]]),
            (
                tiers(&[&["wss://w.test/a", "http://a.test/a"]]),
                vec![vec!["wss://w.test/a", "http://a.test/a"]],
            ),
            (
                list([text("http://a.test/a"), text("http://b.test/a")]),
                vec![vec!["http://a.test/a"], vec!["http://b.test/a"]],
            ),
            (
                tiers(&[&[], &["http://a.test/a"], &["", " \n"], &["http://b.test/a"]]),
                vec![vec!["http://a.test/a"], vec!["http://b.test/a"]],
            ),
            (
                format!(
                    "li5ede{}e",
                    tiers(&[&["http://a.test/a"]]).strip_prefix('l').unwrap().strip_suffix('e').unwrap()
                ),
                vec![vec!["http://a.test/a"]],
            ),
            (
                format!("lli5ele{}dee{}e", text("http://a.test/a"), text("http://b.test/a")),
                vec![vec!["http://a.test/a"], vec!["http://b.test/a"]],
            ),
            (
                tiers(&[
                    &["http://a.test/a", "HTTP://A.test:80/a"],
                    &["http://a.test/a"],
                    &["http://a.test/A"],
                ]),
                vec![vec!["http://a.test/a"], vec!["http://a.test/A"]],
            ),
            (
                tiers(&[&["udp://A.test:1/a", "udp://a.test:1/a", "http://a.test/a"]]),
                vec![vec!["udp://A.test:1/a", "http://a.test/a"]],
            ),
            (
                tiers(&[&["http://t1.test/a"], &["http://t1.test/a", "http://t2.test/a"]]),
                vec![vec!["http://t1.test/a"], vec!["http://t2.test/a"]],
            ),
            (
                tiers(&[&[" http://a.test/a\r\n", "\thttp://b.test/a"]]),
                vec![vec!["http://a.test/a", "http://b.test/a"]],
            ),
            (tiers(&[&["dht://", "http://a.test/a"]]), vec![vec!["dht://", "http://a.test/a"]]),
        ];
        for (list, expected) in rows {
            assert_eq!(cleaned(ONE, &list).0, expected, "{list}");
        }
    }

    ///
    #[test]
    fn other_types_of_announce_list_are_read() {
        let announce = Some(Value::Bytes(ONE.as_bytes()));
        for list in [
            Value::Integer("5"),
            Value::Dict(b"d1:a15:http://a.test/ae"),
            Value::Bytes(b""),
            Value::Bytes(b"x"),
        ] {
            assert_eq!(read(announce, Some(list)).0, [[ONE.parse::<TrackerUrl>().unwrap()]], "{list:?}");
        }
        let list = Value::Bytes(b"http://a.test/a");
        assert_eq!(read(announce, Some(list)).0, [["http://a.test/a".parse::<TrackerUrl>().unwrap()]]);
        for announce in [None, Some(Value::Integer("5")), Some(Value::List(b"le")), Some(Value::Bytes(b" "))]
        {
            assert_eq!(read(announce, None), (vec![], vec![]), "R5-01");
        }
        assert_eq!(read(Some(Value::Bytes(b"wss://w.test")), None).0.len(), 1);
    }

    /// POL-12, S-22.
    #[test]
    fn an_invalid_address_is_reported_without_secrets() {
        let rows = [
            (
                "http://b.test:0/k3y",
                "http://b.test:0: not a tracker address: expected a port from 1 to 65535",
            ),
            ("UDP://t.test/k3y", "udp://t.test: not a tracker address: expected a port in a udp address"),
            (
                "http://u:k3y@t.test/a b",
                "http://t.test: not a tracker address: it holds a blank or control character",
            ),
            (
                "http://u:k3y/k3y@t.test/a b",
                "http://: not a tracker address: it holds a blank or control character",
            ),
            (
                "http://2001:db8::1/k3y",
                "http://2001:db8::1: not a tracker address: expected an IPv6 address in brackets",
            ),
            ("http:///k3y", "http://: not a tracker address: expected a host after \"://\""),
            (
                "t.test/k3y",
                "a text of 10 bytes: not a tracker address: expected scheme://host, found no \"://\"",
            ),
            ("k3yk3yk3yk3y://t.test/ ", "a text of 22 bytes: not a tracker address"),
            (
                "http://t\u{1b}[31m.test/k3y",
                "http://t: not a tracker address: it holds a blank or control character",
            ),
        ];
        for (address, expected) in rows {
            let (tiers, skipped) = cleaned(address, "");
            if skipped.is_empty() {
                // A foreign scheme is a tier, and shown by the address itself.
                assert_eq!(tiers.len(), 1, "{address}");
                continue;
            }
            assert_eq!((tiers.len(), skipped.len()), (0, 1), "{address}");
            assert!(skipped[0].starts_with(expected) && !skipped[0].contains("k3y"), "{}", skipped[0]);
        }
        let (_, skipped) = read(Some(Value::Bytes(b"http://t.test/\xff")), None);
        assert_eq!(skipped[0].to_string(), "http://t.test: not a tracker address: not UTF-8", "Q-37");
        let long = format!("http://t.test/{}", "k3y".repeat(1000));
        assert_eq!(
            cleaned(&long, "").1,
            ["http://t.test: not a tracker address: expected at most 2048 bytes"],
            "S-19"
        );
    }

    /// C14.
    #[test]
    fn a_bad_address_leaves_the_rest() {
        let list = tiers(&[
            &[" http://a.test/announce\n"],
            &["wss://w.test/announce"],
            &["http://b.test:0/announce"],
        ]);
        let (tiers, skipped) = cleaned(ONE, &list);
        assert_eq!(tiers, [["http://a.test/announce"], ["wss://w.test/announce"]]);
        assert_eq!(skipped.len(), 1);
    }

    /// S-19, POL-21.
    #[test]
    fn thousands_of_trackers_are_cut_and_reported() {
        let address = |n: usize| format!("http://t{n}.test/a");
        let (tiers, skipped) = cleaned(ONE, &list([list((0..1000).map(|n| text(&address(n))))]));
        assert_eq!((tiers.len(), tiers[0].len(), skipped.len()), (1, 200, 201));
        assert_eq!(skipped[0], "http://t200.test: beyond the first 200 trackers");
        assert_eq!(skipped[200], "600 more: skipped like the ones before");

        let (tiers, skipped) = cleaned(ONE, &list((0..100).map(|n| text(&address(n)))));
        assert_eq!((tiers.len(), skipped.len()), (50, 50));
        assert_eq!(skipped[0], "http://t50.test: beyond the first 50 tiers");

        let foreign = list((0..100).map(|n| text(&format!("wss://t{n}.test/a"))));
        assert_eq!(cleaned(ONE, &foreign).0[0], [ONE], "foreign addresses don't push out the only good one");
    }
}
