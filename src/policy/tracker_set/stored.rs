//! Trackers as they are stored, for `serde`: whole announce addresses, which hold passkeys.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::TrackerSet;
use super::settings::SetSettings;
use crate::policy::config::{AnnounceTo, Order};
use crate::tracker::TrackerUrl;

/// How many trackers are read, at most. A torrent file gives at most 200.
const MAX_TRACKERS: usize = 1000;

/// What is stored.
#[derive(serde::Serialize, serde::Deserialize)]
struct Stored {
    tiers: Tiers,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    order: Option<Order>,
    #[serde(default)]
    announce_to: Option<AnnounceTo>,
}

struct Tiers(Vec<Vec<TrackerUrl>>);

/// One tier as it is read: its trackers, as many as there may still be.
struct Tier(Vec<TrackerUrl>);

/// One announce address as it is read.
struct Address(TrackerUrl);

/// Whole addresses, tier by tier, and the settings of the set. **A secret**: addresses hold passkeys. What was learnt of the
/// trackers isn't part of it: see [`HostSnapshot`](crate::HostSnapshot).
impl Serialize for TrackerSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tiers = self.tiers().map(|tier| tier.cloned().collect()).collect();
        let SetSettings { private, order, announce_to, .. } = self.settings;
        Stored { tiers: Tiers(tiers), private, order, announce_to }.serialize(serializer)
    }
}

/// Each address is checked as by [`TrackerUrl::parse`], and there may be at most 1000 in at most 1000 tiers. Errors show nothing
/// of what was read.
impl<'de> Deserialize<'de> for TrackerSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Serde's own errors quote what was found in place of what was expected.
        let stored = Stored::deserialize(deserializer)
            .map_err(|_| D::Error::custom("expected tiers of at most 1000 announce addresses"))?;
        let mut set = Self::new(stored.tiers.0);
        let Stored { private, order, announce_to, .. } = stored;
        set.settings = SetSettings { private, order, announce_to, ..set.settings };
        Ok(set)
    }
}

impl Serialize for Tiers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let addresses = |tier: &Vec<TrackerUrl>| -> Vec<String> {
            tier.iter().map(|tracker| tracker.as_str().to_owned()).collect()
        };
        serializer.collect_seq(self.0.iter().map(addresses))
    }
}

/// Reads a list of which at most [`MAX_TRACKERS`] are taken, each element for as many as `count` says.
struct Bounded<T> {
    expected: &'static str,
    count: fn(&T) -> usize,
}

impl<'de> Deserialize<'de> for Tiers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An empty tier counts as well, so that those are bounded.
        let reader = Bounded { expected: "tiers", count: |Tier(tier)| tier.len().max(1) };
        let tiers = deserializer.deserialize_seq(reader)?;
        Ok(Self(tiers.into_iter().map(|Tier(tier)| tier).collect()))
    }
}

impl<'de> Deserialize<'de> for Tier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reader = Bounded { expected: "a tier", count: |Address(_)| 1 };
        let trackers = deserializer.deserialize_seq(reader)?;
        Ok(Self(trackers.into_iter().map(|Address(tracker)| tracker).collect()))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let (mut all, mut count) = (Vec::new(), 0_usize);
        while let Some(element) = elements.next_element()? {
            count = count.saturating_add((self.count)(&element));
            if count > MAX_TRACKERS {
                return Err(A::Error::custom("too many trackers"));
            }
            all.push(element);
        }
        Ok(all)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an announce address")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Address, E> {
                TrackerUrl::parse(text).map(Address).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "5ec2e7";

    fn url(text: &str) -> TrackerUrl {
        text.parse().unwrap()
    }

    fn read(text: &str) -> Result<TrackerSet, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let tiers = [
            vec![url("HTTP://A.test:80/5ec2e7/announce?passkey=5ec2e7"), url("udp://b.test:6969")],
            vec![url("wss://c.test/5ec2e7")],
        ];
        for set in [
            TrackerSet::default(),
            TrackerSet::new(tiers.clone()),
            TrackerSet::new(tiers.clone()).private(),
            TrackerSet::new(tiers).with_order(Order::Bep12).with_announce_to(AnnounceTo::EachTier),
        ] {
            let text = serde_json::to_string(&set).unwrap();
            let again = read(&text).unwrap();
            assert_eq!(again, set);
            let texts =
                |set: &TrackerSet| set.trackers().map(|url| url.as_str().to_owned()).collect::<Vec<_>>();
            assert_eq!(texts(&again), texts(&set), "byte for byte");
        }
        let least = read(r#"{"tiers":[["http://a.test/a"]],"further":1}"#).unwrap();
        assert_eq!((least.len(), least.is_private()), (1, false));
    }

    #[test]
    fn hostile_texts_are_refused_and_not_shown() {
        let tracker = |number: usize| format!("\"http://t{number}.test/5ec2e7\"");
        let many: Vec<String> = (0..=MAX_TRACKERS).map(tracker).collect();
        let of_one: Vec<String> = (0..=MAX_TRACKERS).map(|number| format!("[{}]", tracker(number))).collect();
        let hostile = [
            String::new(),
            "[]".to_owned(),
            "{}".to_owned(),
            "\"http://t.test/5ec2e7\"".to_owned(),
            r#"{"tiers":"http://t.test/5ec2e7"}"#.to_owned(),
            r#"{"tiers":["http://t.test/5ec2e7"]}"#.to_owned(),
            r#"{"tiers":[[5]]}"#.to_owned(),
            r#"{"tiers":[["5ec2e7"]]}"#.to_owned(),
            r#"{"tiers":[["http:///5ec2e7"]]}"#.to_owned(),
            r#"{"tiers":[],"private":"5ec2e7"}"#.to_owned(),
            r#"{"tiers":[],"order":"5ec2e7"}"#.to_owned(),
            format!(r#"{{"tiers":[["http://t.test/{}"]]}}"#, "x".repeat(4000)),
            format!(r#"{{"tiers":[[{}]]}}"#, many.join(",")),
            format!(r#"{{"tiers":[{}]}}"#, of_one.join(",")),
            format!(r#"{{"tiers":[{}]}}"#, vec!["[]"; MAX_TRACKERS + 1].join(",")),
        ];
        for text in hostile {
            let error = read(&text).expect_err(&text[..text.len().min(80)]);
            assert!(!error.contains(SECRET) && error.len() < 200, "{error}");
        }
        let most = format!(r#"{{"tiers":[[{}]]}}"#, many[1..].join(","));
        assert_eq!(read(&most).unwrap().len(), MAX_TRACKERS);
    }
}
