//! The format of one host in a store that several processes share: its rank, by which a store finds the newest, and its
//! figures.
//!
//! ```text
//! 00000000001800000000 00000000001799999990 1\n
//! ```
//!
//! That is when the host was last heard from and when it had last both answered and failed, in seconds since 1970, and 1
//! unless it is backed off: of two records of a host the one whose first 43 bytes are greater is newer. The bytes after the line are a
//! [latency cache](super::cache) with this host alone. They hold scheme, host and port, and no path.

use super::cache;
use crate::error::CacheError;
use crate::host_snapshot::HostSnapshot;

/// The largest record that is read, in bytes. A host name of 253 bytes with the greatest figures takes half of it.
pub const LIMIT: usize = 1024;

/// How many bytes of a record are its rank.
pub const RANK: usize = 43;

/// Encodes a host; `None` if it couldn't be decoded again, see [`cache::encode`].
pub fn encode(host: &HostSnapshot) -> Option<Vec<u8>> {
    let body = cache::encode(std::slice::from_ref(host), host.rank().heard_at);
    let record = [rank(host).as_bytes(), b"\n", &body].concat();
    // A host that is left out leaves an empty cache.
    (record.len() <= LIMIT && decode(&record).is_ok()).then_some(record)
}

/// Decodes a host.
///
/// # Errors
/// If the bytes are no record of one host, or one whose rank isn't that of its figures.
pub fn decode(record: &[u8]) -> Result<HostSnapshot, CacheError> {
    if record.len() > LIMIT {
        return Err(CacheError::TooLarge { limit: LIMIT });
    }
    let Some((line, body)) = record.split_at_checked(RANK + 1) else {
        return Err(CacheError::Damaged("a rank and figures"));
    };
    let mut hosts = cache::decode(body)?;
    let host = hosts.pop().filter(|_| hosts.is_empty()).ok_or(CacheError::Damaged("one host"))?;
    let is_ranked = line.strip_suffix(b"\n") == Some(rank(&host).as_bytes());
    if is_ranked { Ok(host) } else { Err(CacheError::Damaged("the rank of the figures")) }
}

fn rank(host: &HostSnapshot) -> String {
    let rank = host.rank();
    format!("{:020} {:020} {}", rank.heard_at, rank.both_at, u8::from(rank.is_well))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::host_snapshot::RttSnapshot;
    use crate::tracker::TrackerUrl;

    fn named(name: &str) -> HostSnapshot {
        HostSnapshot::new(name.parse::<TrackerUrl>().unwrap().tracker_host())
    }

    #[test]
    fn a_record_as_it_is_written() {
        let host = HostSnapshot {
            answered_at: Some(1_799_999_990),
            failed_at: Some(1_800_000_000),
            consecutive_failures: 1,
            is_backed_off: true,
            ..named("http://a.test/announce?passkey=5ec2e7")
        };
        let record = encode(&host).unwrap();
        let text = "00000000001800000000 00000000001799999990 0\nd3:app16:tracker-failover6:formati1e5:hostsd\
            16:http://a.test:80d8:answeredi1799999990e6:failedi1800000000e4:openi1e3:rowi1eee7:writteni1800000000ee";
        assert_eq!(String::from_utf8_lossy(&record), text);
        assert_eq!(decode(&record).unwrap(), host);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let good = encode(&HostSnapshot { answered_at: Some(7), ..named("http://a.test/") }).unwrap();
        let body = &good[RANK + 1..];
        let line = &good[..=RANK];
        let mut large = good.clone();
        large.resize(LIMIT + 1, b' ');
        let two = cache::encode(&[named("http://a.test/"), named("http://b.test/")], 7);
        for bad in [
            Vec::new(),
            line.to_vec(),
            body.to_vec(),
            good[..good.len() - 1].to_vec(),
            large,
            [line, &two].concat(),
            [line, cache::encode(&[], 7).as_slice()].concat(),
            [b"00000000000000000008 00000000000000000000 1\n", body].concat(),
            [b"99999999999999999999 00000000000000000000 1\n", body].concat(),
            [&line[..RANK], b" ", body].concat(),
        ] {
            assert!(decode(&bad).is_err(), "{}", String::from_utf8_lossy(&bad));
        }
        assert_eq!(encode(&named("wss://a.test/")), None);
    }

    fn any_host() -> impl Strategy<Value = HostSnapshot> {
        let moment = || proptest::option::of(prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()]);
        let count = || prop_oneof![Just(0), Just(1), Just(u32::MAX), any::<u32>()];
        let time = proptest::option::of((any::<u64>(), any::<u64>(), any::<u32>()));
        (moment(), moment(), count(), count(), any::<bool>(), time).prop_map(
            |(answered_at, failed_at, consecutive_failures, trips, is_backed_off, time)| HostSnapshot {
                connect: time.map(|(srtt, at, samples)| RttSnapshot {
                    srtt: Duration::from_micros(srtt),
                    rttvar: Duration::from_micros(at),
                    at,
                    samples,
                }),
                answered_at,
                failed_at,
                consecutive_failures,
                trips,
                is_backed_off,
                ..named("udp://[2001:db8::1]:6969")
            },
        )
    }

    proptest! {
        #[test]
        fn an_encoded_host_is_decoded_and_the_greater_rank_is_the_newer(one in any_host(), other in any_host()) {
            let (one_record, other_record) = (encode(&one).unwrap(), encode(&other).unwrap());
            prop_assert_eq!(decode(&one_record).unwrap(), one.clone());
            prop_assert_eq!(one_record[..RANK] > other_record[..RANK], one.is_newer_than(&other));
        }

        #[test]
        fn nothing_panics(
            host in any_host(),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
            noise in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut record = encode(&host).unwrap();
            for (place, byte) in changes {
                let place = place.index(record.len());
                record[place] = byte;
            }
            let _ = decode(&record);
            let _ = decode(&noise);
        }
    }
}
