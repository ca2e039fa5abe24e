//! Reads the body of a scrape's answer (BEP 48).

use std::time::Duration;

use bendy::decoding::Object;

use super::reply::{KEYS_OF_A_FAILURE, not_a_reply, read_document, rejection};
use crate::announce::InfoHash;
use crate::error::{AnnounceError, ReplyError};
use crate::scrape::{ScrapeResponse, SwarmCounts};
use crate::wire::bencode::{Fields, Value, decoder};

/// Reads the body of a 2xx answer to a scrape.
///
/// The answer may hold fewer torrents than requested. A counter that isn't a number counts as missing.
///
/// # Errors
/// [`AnnounceError::Rejected`] if there is a `failure reason`; [`AnnounceError::NotAReply`] if the body isn't a well-formed
/// dictionary, or has no `files`.
pub fn read_scrape(body: &[u8]) -> Result<ScrapeResponse, AnnounceError> {
    let document = read_document(body)?;
    let names: Vec<&str> = ["files", "flags", "host"].iter().chain(&KEYS_OF_A_FAILURE).copied().collect();
    let fields = document.fields(&names).map_err(not_a_reply)?;
    if let Some(rejection) = rejection(&fields) {
        return Err(AnnounceError::Rejected(rejection));
    }
    let mut response = ScrapeResponse::default();
    // Some trackers name it `host`, and PHP encodes an empty dictionary as an empty list.
    match fields.get("files").or(fields.get("host")) {
        Some(Value::Dict(files)) => read_files(files, &mut response),
        Some(Value::List(b"le")) => {}
        _ => {
            let error = ReplyError::new("expected the key files with a dictionary", 0);
            return Err(AnnounceError::NotAReply(error));
        }
    }
    if let Some(Value::Dict(flags)) = fields.get("flags") {
        response.min_request_interval = read_flags(flags);
    }
    Ok(response)
}

/// Reads the torrents. The bytes are a canonical dictionary of a document that was read before.
fn read_files(files: &[u8], response: &mut ScrapeResponse) {
    let mut decoder = decoder(files);
    let Ok(Some(Object::Dict(mut files))) = decoder.next_object() else { return };
    while let Ok(Some((hash, counts))) = files.next_pair() {
        let Some(hash) = info_hash(hash) else { continue };
        if let Object::Dict(counts) = counts
            && let Ok(fields) = Fields::read(counts, &["complete", "downloaded", "downloaders", "incomplete"])
        {
            let counts = SwarmCounts {
                complete: fields.number("complete"),
                incomplete: fields.number("incomplete"),
                downloaded: fields.number("downloaded"),
                downloaders: fields.number("downloaders"),
            };
            response.files.insert(hash, counts);
        }
    }
}

/// The info-hash of a key. bittorrent-tracker 11 (npm) takes the hash for a text of 20 characters and writes it as UTF-8, in
/// which each byte from 0x80 on becomes two.
fn info_hash(key: &[u8]) -> Option<InfoHash> {
    if let Ok(hash) = key.try_into() {
        return Some(InfoHash::new(hash));
    }
    let characters = std::str::from_utf8(key).ok()?.chars();
    let hash: Vec<u8> = characters.map(u8::try_from).collect::<Result<_, _>>().ok()?;
    hash.try_into().ok().map(InfoHash::new)
}

fn read_flags(flags: &[u8]) -> Option<Duration> {
    let fields = Fields::of(flags, &["min_request_interval"])?;
    fields.number("min_request_interval").filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Retry;

    const HASH: InfoHash = InfoHash::new([b'a'; 20]);

    /// R48-04.
    #[test]
    fn counters_are_found_by_hash() {
        let name = "a".repeat(20);
        let reply = read_scrape(
            format!("d5:filesd20:{name}d8:completei11e10:downloadedi13772e11:downloadersi7e10:incompletei19e4:name1:xeee")
                .as_bytes(),
        );
        let counts = SwarmCounts {
            complete: Some(11),
            incomplete: Some(19),
            downloaded: Some(13772),
            downloaders: Some(7),
        };
        assert_eq!(reply.unwrap().files.into_iter().collect::<Vec<_>>(), [(HASH, counts)]);
    }

    ///
    #[test]
    fn unusual_answers_are_read() {
        let name = "a".repeat(20);
        let some = SwarmCounts { complete: Some(1), ..SwarmCounts::default() };
        let rows = [
            (format!("d5:filesd20:{name}d10:incompletei-1e8:completei1eeee"), Some(some)),
            (format!("d4:hostd20:{name}d8:completei1eeee"), Some(some)),
            (format!("d5:filesd20:{name}d8:complete1:1eee\r\n"), Some(some)),
            (format!("d5:filesd20:{name}deee"), Some(SwarmCounts::default())),
            (format!("d5:filesd20:{name}i5eee"), None),
            (format!("d5:filesd3:abcd8:completei1ee20:{}deee", "b".repeat(20)), None),
            ("d5:filesdee".to_owned(), None),
            ("d5:fileslee".to_owned(), None),
        ];
        for (body, expected) in rows {
            assert_eq!(read_scrape(body.as_bytes()).unwrap().files.get(&HASH).copied(), expected, "{body}");
        }
    }

    /// As bittorrent-tracker 11.2.3 answers.
    #[test]
    fn a_hash_written_as_utf8_is_read() {
        let hash = InfoHash::new(*b"\x01\x80\xc3\xff++++++++++++++++");
        let some = SwarmCounts { complete: Some(1), ..SwarmCounts::default() };
        let rows: [(&[u8], Option<SwarmCounts>); 3] = [
            (b"23:\x01\xc2\x80\xc3\x83\xc3\xbf++++++++++++++++", Some(some)),
            (b"24:\x01\xc2\x80\xc3\x83\xc3\xbf+++++++++++++++++", None),
            (b"23:\x01\xc4\x80\xc3\x83\xc3\xbf++++++++++++++++", None),
        ];
        for (key, expected) in rows {
            let body = [b"d5:filesd", key, b"d8:completei1eeee"].concat();
            let reply = read_scrape(&body).unwrap();
            assert_eq!(reply.files.get(&hash).copied(), expected, "{}", key.escape_ascii());
            assert_eq!(reply.files.len(), usize::from(expected.is_some()));
        }
    }

    /// R48-06.
    #[test]
    fn min_request_interval_is_read() {
        let rows = [("i600e", Some(600)), ("3:600", Some(600)), ("i0e", None), ("i-1e", None), ("le", None)];
        for (value, expected) in rows {
            let body = format!("d5:filesde5:flagsd20:min_request_interval{value}ee");
            let reply = read_scrape(body.as_bytes()).unwrap();
            assert_eq!(reply.min_request_interval, expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(read_scrape(b"d5:filesde5:flagslee").unwrap().min_request_interval, None);
    }

    /// R48-08.
    #[test]
    fn failures_and_malformed_answers_are_errors() {
        match read_scrape(b"d14:failure reason4:busy8:retry in5:nevere") {
            Err(AnnounceError::Rejected(rejection)) => {
                assert_eq!((rejection.reason.as_str(), rejection.retry), ("busy", Retry::Never));
            }
            other => panic!("{other:?}"),
        }
        for body in
            ["", "de", "le", "d5:files0:e", "d5:filesli1eee", "d8:intervali1ee", "<html>", "d5:filesd"]
        {
            let error = read_scrape(body.as_bytes()).unwrap_err();
            assert!(matches!(error, AnnounceError::NotAReply(_)), "{body}: {error}");
        }
    }
}
