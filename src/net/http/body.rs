//! The body of an answer: bounded while it comes in, unpacked where it is compressed.

use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use crate::error::{AnnounceError, Cause, ReplyError};

/// What came of a body.
pub(super) struct Body {
    /// What there is of it; nothing where it was too large.
    pub(super) bytes: Vec<u8>,
    /// Why it isn't whole, if it isn't.
    pub(super) flaw: Option<AnnounceError>,
}

/// Reads a body up to a limit (S-01).
pub(super) async fn read(mut incoming: Incoming, limit: usize) -> Body {
    let too_large = || Body { bytes: Vec::new(), flaw: Some(AnnounceError::TooLarge { limit }) };
    if usize::try_from(incoming.size_hint().lower()).is_ok_and(|announced| announced <= limit) {
        let mut bytes = Vec::new();
        while let Some(frame) = incoming.frame().await {
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(data)) if data.len() > limit - bytes.len() => return too_large(),
                Ok(Ok(data)) => bytes.extend_from_slice(&data),
                Ok(Err(_trailers)) => {}
                Err(error) => return Body { bytes, flaw: Some(AnnounceError::Broken(Cause::new(error))) },
            }
        }
        return Body { bytes, flaw: None };
    }
    too_large()
}

/// Unpacks a body that begins as gzip does, whatever its head says (R65, Q-08), up to a limit and one layer deep
/// (S-02).
pub(super) fn unpacked(bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, AnnounceError> {
    if bytes.starts_with(&[0x1f, 0x8b]) { inflated(&bytes, limit) } else { Ok(bytes) }
}

#[cfg(feature = "gzip")]
fn inflated(bytes: &[u8], limit: usize) -> Result<Vec<u8>, AnnounceError> {
    use std::io::Read;

    let mut unpacked = Vec::new();
    let over = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = flate2::read::GzDecoder::new(bytes).take(over).read_to_end(&mut unpacked);
    if unpacked.len() > limit {
        return Err(AnnounceError::TooLarge { limit });
    }
    let unsound = |_| AnnounceError::NotAReply(ReplyError::new("expected sound gzip", 0));
    read.map(|_| unpacked).map_err(unsound)
}

#[cfg(not(feature = "gzip"))]
fn inflated(_: &[u8], _: usize) -> Result<Vec<u8>, AnnounceError> {
    Err(AnnounceError::NotAReply(ReplyError::new("expected no compression (the feature `gzip` is off)", 0)))
}

#[cfg(all(test, feature = "gzip"))]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_told_by_its_magic_and_unpacked_once_r65_s02() {
        let reply = b"d8:intervali1800ee";
        assert_eq!(unpacked(reply.to_vec(), 100).unwrap(), reply);
        assert_eq!(unpacked(packed(reply), 100).unwrap(), reply);
        assert_eq!(unpacked(packed(&packed(reply)), 100).unwrap(), packed(reply));
        let mut trailing = packed(reply);
        trailing.extend_from_slice(b"\r\n");
        assert_eq!(unpacked(trailing, 100).unwrap(), reply);
    }

    #[test]
    fn a_bomb_stops_at_the_limit_and_broken_gzip_is_an_error_s02() {
        let bomb = packed(&vec![0; 50_000_000]);
        assert!(matches!(unpacked(bomb, 1000), Err(AnnounceError::TooLarge { limit: 1000 })));
        assert_eq!(unpacked(packed(&[7; 1000]), 1000).unwrap().len(), 1000);
        let whole = packed(b"d8:intervali1800ee");
        for end in 2..whole.len() {
            assert!(unpacked(whole[..end].to_vec(), 100).is_err(), "{end}");
        }
        let mut wrong = whole;
        let checksum = wrong.len() - 6;
        wrong[checksum] ^= 1;
        assert!(unpacked(wrong, 100).is_err());
    }
}
