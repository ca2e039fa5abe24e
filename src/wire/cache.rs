//! The format of the latency cache: one bencoded dictionary, which is read strictly.
//!
//! ```text
//! app       "tracker-failover"
//! format    1
//! hosts     a dictionary for each scheme://host:port; zero and unknown values are left out
//!   answered, failed        the time of the last answer and failure, in seconds since 1970
//!   connect, reply          [srtt in µs, rttvar in µs, time of the last sample, number of samples]
//!   openings, row           the number of consecutive back-offs, and of consecutive failures
//!   open                    1 if the host is backed off
//! written   the time of writing, in seconds since 1970
//! ```
//!
//! Unknown keys are skipped, so a further key needs no new format.

use std::time::Duration;

use bendy::decoding::{Decoder, DictDecoder, Object};
use bendy::encoding::{Encoder, Error, SortedDictEncoder};

use super::bencode::{Fields, Value};
use crate::error::CacheError;
use crate::host_snapshot::{HostSnapshot, RttSnapshot};
use crate::tracker::{Scheme, TrackerHost, TrackerUrl};

/// The largest file that is read or written, in bytes: about 4000 hosts with names of usual length.
pub const LIMIT: usize = 1 << 20;

/// The first bytes of every latency cache.
const MAGIC: &[u8] = b"d3:app16:tracker-failover";

/// The version that is written. No other is read.
const FORMAT: u64 = 1;

/// The levels of nesting: the file, its hosts, a host, and a list in it.
const DEPTH: usize = 4;

const NAMES: [&str; 7] = ["answered", "connect", "failed", "open", "openings", "reply", "row"];

type Result<T, E = CacheError> = std::result::Result<T, E>;

/// Encodes hosts, as many of the first as fit into [`LIMIT`] bytes. Of several entries for one host the first
/// counts. Hosts that couldn't be decoded again are left out: those with an unsupported scheme, or with a name that is too
/// long for an address with a port. `written_at` is in seconds since 1970.
pub fn encode(hosts: &[HostSnapshot], written_at: u64) -> Vec<u8> {
    let mut count = hosts.len();
    loop {
        // The encoder has nothing to refuse: the keys are sorted, each once, and the depth is 4.
        let bytes = encoded(&hosts[..count], written_at).unwrap_or_default();
        if bytes.len() <= LIMIT {
            return bytes;
        }
        count -= count.div_ceil(8);
    }
}

/// Decodes hosts, in no particular order. Never more than fit into [`LIMIT`] bytes.
///
/// # Errors
/// If the bytes aren't a latency cache, or one that is too large, of another version, or damaged.
pub fn decode(bytes: &[u8]) -> Result<Vec<HostSnapshot>> {
    if !bytes.starts_with(MAGIC) {
        return Err(CacheError::Foreign);
    }
    if bytes.len() > LIMIT {
        return Err(CacheError::TooLarge { limit: LIMIT });
    }
    let mut decoder = Decoder::new(bytes).with_max_depth(DEPTH);
    let Ok(Some(Object::Dict(file))) = decoder.next_object() else { return Err(broken()) };
    let hosts = decode_file(file)?;
    match decoder.next_object() {
        Ok(None) => Ok(hosts),
        _ => Err(CacheError::Damaged("nothing after the dictionary")),
    }
}

fn decode_file(mut file: DictDecoder<'_, '_>) -> Result<Vec<HostSnapshot>> {
    let (mut hosts, mut format) = (None, None);
    // In the order of the keys, so the format is known before the hosts.
    while let Some((key, value)) = file.next_pair().map_err(|_| broken())? {
        match (key, value) {
            (b"app", Object::Bytes(b"tracker-failover")) => {}
            (b"app", _) => return Err(CacheError::Foreign),
            (b"format", Object::Integer(version)) => {
                let version = version.parse().map_err(|_| CacheError::Damaged("a number as format"))?;
                if version != FORMAT {
                    return Err(CacheError::Version(version));
                }
                format = Some(version);
            }
            (b"hosts", Object::Dict(dict)) if format.is_some() => hosts = Some(decode_hosts(dict)?),
            (b"format" | b"hosts", _) => return Err(CacheError::Damaged("a format, and then the hosts")),
            _ => {}
        }
    }
    hosts.ok_or(CacheError::Damaged("the hosts"))
}

fn decode_hosts(mut dict: DictDecoder<'_, '_>) -> Result<Vec<HostSnapshot>> {
    let mut hosts = Vec::new();
    while let Some((key, value)) = dict.next_pair().map_err(|_| broken())? {
        let damaged = |expected| CacheError::DamagedHost { expected, number: hosts.len() + 1 };
        let host = host(key).ok_or_else(|| damaged("scheme://host:port"))?;
        let Object::Dict(entry) = value else { return Err(damaged("a dictionary")) };
        let fields = Fields::read(entry, &NAMES).map_err(|_| broken())?;
        hosts.push(decode_host(host, &fields).map_err(damaged)?);
    }
    Ok(hosts)
}

fn decode_host(host: TrackerHost, fields: &Fields<'_>) -> Result<HostSnapshot, &'static str> {
    let moment = |name| fields.get(name).map(|value| integer(value).ok_or("seconds since 1970")).transpose();
    let count = |name| match fields.get(name) {
        Some(value) => integer(value).and_then(|n| u32::try_from(n).ok()).ok_or("a count below 2^32"),
        None => Ok(0),
    };
    let time = |name| match fields.get(name) {
        Some(value) => {
            smoothed(value).map(Some).ok_or("four integers: srtt, rttvar, time and number of samples")
        }
        None => Ok(None),
    };
    Ok(HostSnapshot {
        connect: time("connect")?,
        reply: time("reply")?,
        answered_at: moment("answered")?,
        failed_at: moment("failed")?,
        consecutive_failures: count("row")?,
        trips: count("openings")?,
        is_backed_off: count("open")? > 0,
        ..HostSnapshot::new(host)
    })
}

/// The host of a key, which has to be in the normalised form, without user name, path and query.
fn host(key: &[u8]) -> Option<TrackerHost> {
    let text = std::str::from_utf8(key).ok()?;
    let host = TrackerUrl::parse(text).ok()?.tracker_host();
    (host.scheme() != Scheme::Other && host.to_string() == text).then_some(host)
}

fn integer(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Integer(text) => text.parse().ok(),
        Value::Bytes(_) | Value::List(_) | Value::Dict(_) => None,
    }
}

fn smoothed(value: Value<'_>) -> Option<RttSnapshot> {
    let Value::List(list) = value else { return None };
    let mut decoder = Decoder::new(list).with_max_depth(1);
    let Ok(Some(Object::List(mut list))) = decoder.next_object() else { return None };
    let mut next = || -> Option<u64> {
        match list.next_object() {
            Ok(Some(Object::Integer(text))) => text.parse().ok(),
            _ => None,
        }
    };
    let (srtt, rttvar) = (Duration::from_micros(next()?), Duration::from_micros(next()?));
    let (at, samples) = (next()?, u32::try_from(next()?).ok()?);
    matches!(list.next_object(), Ok(None)).then_some(RttSnapshot { srtt, rttvar, at, samples })
}

fn broken() -> CacheError {
    CacheError::Damaged("canonical bencode, four levels deep")
}

fn encoded(hosts: &[HostSnapshot], written_at: u64) -> Result<Vec<u8>, Error> {
    let mut entries: Vec<_> = hosts.iter().map(|host| (host.host.to_string(), host)).collect();
    // A host name of the greatest length is too long for an address once its port is added: it mustn't spoil the file.
    entries.retain(|(key, known)| host(key.as_bytes()).as_ref() == Some(&known.host));
    // Stable, so the first of two equal keys stays.
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    entries.dedup_by(|(later, _), (first, _)| later == first);
    let mut encoder = Encoder::new().with_max_depth(DEPTH);
    encoder.emit_dict(|mut file| {
        file.emit_pair(b"app", "tracker-failover")?;
        file.emit_pair(b"format", FORMAT)?;
        file.emit_pair_with(b"hosts", |value| {
            value.emit_dict(|mut dict| {
                entries.iter().try_for_each(|(key, host)| {
                    dict.emit_pair_with(key.as_bytes(), |value| {
                        value.emit_dict(|entry| encode_host(entry, host))
                    })
                })
            })
        })?;
        file.emit_pair(b"written", written_at)
    })?;
    encoder.get_output()
}

fn encode_host(mut entry: SortedDictEncoder<'_>, host: &HostSnapshot) -> Result<(), Error> {
    moment(&mut entry, b"answered", host.answered_at)?;
    time(&mut entry, b"connect", host.connect)?;
    moment(&mut entry, b"failed", host.failed_at)?;
    count(&mut entry, b"open", host.is_backed_off.into())?;
    count(&mut entry, b"openings", host.trips)?;
    time(&mut entry, b"reply", host.reply)?;
    count(&mut entry, b"row", host.consecutive_failures)
}

fn moment(entry: &mut SortedDictEncoder<'_>, key: &[u8], at: Option<u64>) -> Result<(), Error> {
    at.map_or(Ok(()), |at| entry.emit_pair(key, at))
}

fn count(entry: &mut SortedDictEncoder<'_>, key: &[u8], count: u32) -> Result<(), Error> {
    if count == 0 { Ok(()) } else { entry.emit_pair(key, count) }
}

fn time(entry: &mut SortedDictEncoder<'_>, key: &[u8], time: Option<RttSnapshot>) -> Result<(), Error> {
    let Some(RttSnapshot { srtt, rttvar, at, samples }) = time else { return Ok(()) };
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    entry.emit_pair_with(key, |value| {
        value.emit_list(|list| {
            list.emit_int(micros(srtt))?;
            list.emit_int(micros(rttvar))?;
            list.emit_int(at)?;
            list.emit_int(samples)
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "d3:app16:tracker-failover6:formati1e5:hostsde7:writteni7ee";

    /// A file with these hosts, as they are written.
    fn file(hosts: &str) -> Vec<u8> {
        format!("d3:app16:tracker-failover6:formati1e5:hostsd{hosts}e7:writteni7ee").into_bytes()
    }

    fn named(name: &str) -> HostSnapshot {
        HostSnapshot::new(host(name.as_bytes()).unwrap())
    }

    fn time(srtt: u64, rttvar: u64, at: u64, samples: u32) -> RttSnapshot {
        let (srtt, rttvar) = (Duration::from_micros(srtt), Duration::from_micros(rttvar));
        RttSnapshot { srtt, rttvar, at, samples }
    }

    #[test]
    fn a_file_as_it_is_written() {
        let known = HostSnapshot {
            connect: Some(time(12_000, 600, 100, 3)),
            reply: Some(time(30_000, 1500, 101, 4)),
            answered_at: Some(101),
            failed_at: Some(102),
            consecutive_failures: 1,
            trips: 2,
            is_backed_off: true,
            ..named("http://a.test:80")
        };
        let hosts = [named("udp://[::1]:6969"), known];
        let text = "16:http://a.test:80d8:answeredi101e7:connectli12000ei600ei100ei3ee6:failedi102e\
            4:openi1e8:openingsi2e5:replyli30000ei1500ei101ei4ee3:rowi1ee16:udp://[::1]:6969de";
        let bytes = encode(&hosts, 7);
        assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&file(text)));
        let mut read = decode(&bytes).unwrap();
        read.reverse();
        assert_eq!(read, hosts);
        assert_eq!(encode(&[], 7), EMPTY.as_bytes());
    }

    #[test]
    fn a_damaged_cache_is_refused_with_the_cause() {
        let rows: [(&[u8], &str); 19] = [
            (b"", "not a latency cache"),
            (b"not bencode", "not a latency cache"),
            (b"d8:intervali1800e5:peers0:e", "not a latency cache"),
            (b"d3:app17:tracker-failover2e", "not a latency cache"),
            (b"d3:app16:tracker-failover", "damaged: expected canonical bencode"),
            (b"d3:app16:tracker-failovere", "expected the hosts"),
            (b"d3:app16:tracker-failover5:hostsde6:formati1ee", "expected a format, and then the hosts"),
            (
                b"d3:app16:tracker-failover6:formati2e5:hostslllleeee7:writteni7ee",
                "version 2, expected version 1",
            ),
            (b"d3:app16:tracker-failover6:formati-1e5:hostsdee", "a number as format"),
            (b"d3:app16:tracker-failover6:format1:15:hostsdee", "expected a format"),
            (b"d3:app16:tracker-failover6:formati1e5:hostslee", "expected a format, and then the hosts"),
            (&[EMPTY.as_bytes(), b"i1e"].concat(), "nothing after"),
            (&file("16:http://a.test:80i1e"), "a dictionary in host number 1"),
            (&file("16:http://a.test:80de5:otherde"), "scheme://host:port in host number 2"),
            (&file("13:http://a.testde"), "scheme://host:port"),
            (&file("26:http://a.test:80/announce?de"), "scheme://host:port"),
            (&file("16:http://a.test:80d6:failedi-1ee"), "seconds since 1970"),
            (&file("16:http://a.test:80d3:rowi4294967296ee"), "a count below 2^32"),
            (
                &file("16:http://a.test:80d5:replyli1ei2ei3eee"),
                "four integers: srtt, rttvar, time and number of samples in host number 1",
            ),
        ];
        for (bytes, expected) in rows {
            let error = decode(bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{}: {error}", String::from_utf8_lossy(bytes));
        }
        // Sorted the other way round, a key twice, a level too deep.
        for hosts in [
            "15:udp://a.test:80de16:http://a.test:80de",
            "1:ade1:ade",
            "16:http://a.test:80d5:replylli1eeeee",
        ] {
            assert!(decode(&file(hosts)).is_err(), "{hosts}");
        }
        let mut large = EMPTY.as_bytes().to_vec();
        large.resize(LIMIT + 1, b' ');
        assert!(matches!(decode(&large), Err(CacheError::TooLarge { limit: LIMIT })));
    }

    #[test]
    fn unknown_keys_are_skipped() {
        let bytes = b"d3:app16:tracker-failover5:extrai1e6:formati1e5:hostsd16:http://a.test:80d3:newli1ee3:rowi3eeee";
        let read = decode(bytes).unwrap();
        assert_eq!(read, [HostSnapshot { consecutive_failures: 3, ..named("http://a.test:80") }]);
    }

    #[test]
    fn the_limit_holds_and_the_first_stay() {
        let long = "x".repeat(60);
        let name = |number: usize| format!("http://h{number}.{long}.{long}.{long}.test:80");
        let hosts: Vec<_> = (0..20_000).map(|number| named(&name(number))).collect();
        let bytes = encode(&hosts, 7);
        assert!(bytes.len() <= LIMIT && bytes.len() > LIMIT * 3 / 4, "{}", bytes.len());
        let read = decode(&bytes).unwrap();
        assert!(read.contains(&hosts[0]) && !read.contains(&hosts[19_999]));
    }

    #[test]
    fn hosts_that_could_not_be_decoded_again_are_left_out() {
        let unspoken = "wss://a.test/".parse::<TrackerUrl>().unwrap();
        let unwritable = [HostSnapshot::new(unspoken.tracker_host())];
        assert_eq!(encode(&unwritable, 7), EMPTY.as_bytes());
    }

    fn any_time() -> impl Strategy<Value = Option<RttSnapshot>> {
        proptest::option::of(
            any::<(u64, u64, u64, u32)>()
                .prop_map(|(srtt, rttvar, at, samples)| time(srtt, rttvar, at, samples)),
        )
    }

    fn any_host() -> impl Strategy<Value = HostSnapshot> {
        let name =
            ("http|https|udp", "[a-z0-9]{1,12}(\\.[a-z]{2,9}){1,3}|\\[2001:db8::[1-9]\\]", 1..=u16::MAX);
        let moments = any::<(Option<u64>, Option<u64>)>();
        (name, any_time(), any_time(), moments, any::<(u32, u32, bool)>()).prop_map(
            |((scheme, name, port), connect, reply, (answered_at, failed_at), counts)| HostSnapshot {
                connect,
                reply,
                answered_at,
                failed_at,
                consecutive_failures: counts.0,
                trips: counts.1,
                is_backed_off: counts.2,
                ..named(&format!("{scheme}://{name}:{port}"))
            },
        )
    }

    proptest! {
        #[test]
        fn encoded_hosts_are_decoded(hosts in proptest::collection::vec(any_host(), 0..20), at in any::<u64>()) {
            let mut expected = hosts.clone();
            expected.sort_by_key(|host| host.host.to_string());
            expected.dedup_by(|later, first| later.host == first.host);
            prop_assert_eq!(decode(&encode(&hosts, at)).unwrap(), expected);
        }

        #[test]
        fn nothing_panics(
            hosts in proptest::collection::vec(any_host(), 0..4),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<proptest::sample::Index>(),
            noise in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut bytes = encode(&hosts, 7);
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let _ = decode(&bytes);
            let _ = decode(&bytes[..cut.index(bytes.len())]);
            let _ = decode(&[MAGIC, &noise].concat());
            let _ = decode(&noise);
        }
    }
}
