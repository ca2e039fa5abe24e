//! The meaning of an answer: its status first, then its body.

use std::time::{Duration, SystemTime};

use super::reply::{failure_in, read_announce};
use super::retry::retry_after;
use super::scrape::read_scrape;
use crate::announce::{AnnounceRequest, AnnounceResponse, Event};
use crate::error::{AnnounceError, Rejection, Retry};
use crate::scrape::ScrapeResponse;

/// The most bytes of a body that are worth reading: 2 MiB. Two thousand peers take 12 kB.
pub const MAX_BODY_LEN: usize = 2 << 20;

/// Reads the answer to an announce, for a client that brings its own HTTP library.
///
/// Status and body count together: a `failure reason` in the body is the tracker's refusal whatever the status; without one,
/// a status other than 2xx is [`AnnounceError::Status`]. The time at which the tracker may be asked again comes from the
/// body (`retry in`, BEP 31), else from `retry_after`, the header of that name: seconds or an HTTP date (RFC 9110, section
/// 10.2.3), heeded with 429 and 503. A date is compared with `now`: the server's own `Date` where it sends one, because its
/// clock may differ from ours, else the present time. After 410 the tracker isn't asked again.
///
/// [`Event::Stopped`] needs no reply: trackers answer it with an empty body, or with anything, so every 2xx is a success.
///
/// What this leaves to the caller:
/// - Bound the body while reading it: a byte more than [`MAX_BODY_LEN`] is enough. A complete reply counts, even if the
///   connection broke after it, so what has arrived is passed on in that case too.
/// - Decompress it, if the library does that: some trackers compress without being asked. A compressed body is
///   [`AnnounceError::NotAReply`].
/// - Follow redirects, never from https to http, which would show the passkey to everyone on the network path.
/// - Set [`AnnounceResponse::tracker_address`] if the address is known to be the tracker's, and not a proxy's. The
///   `Announcer` removes unusable peers by it, for every transport; so does [`usable_peers`](crate::usable_peers) for other
///   callers.
///
/// ```
/// use std::time::SystemTime;
/// use tracker_failover::wire::http::read_answer;
/// use tracker_failover::{AnnounceError, AnnounceRequest, Event, InfoHash, PeerId};
///
/// # let now = SystemTime::UNIX_EPOCH;
/// let mut request = AnnounceRequest::new(InfoHash::new([1; 20]), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
/// let busy = read_answer(&request, 503, Some("120"), b"<h1>Busy</h1>", now);
/// assert_eq!(busy.unwrap_err().to_string(), "HTTP status 503");
/// let refused = read_answer(&request, 403, None, b"d14:failure reason7:unknowne", now);
/// assert_eq!(refused.unwrap_err().to_string(), "rejected: \"unknown\"");
/// request.event = Some(Event::Stopped);
/// read_answer(&request, 200, None, b"", now)?;
/// # Ok::<(), AnnounceError>(())
/// ```
///
/// # Errors
/// [`AnnounceError::Rejected`] and [`AnnounceError::Status`] as above; [`AnnounceError::NotAReply`] for a body that is none,
/// [`AnnounceError::TooLarge`] if it is also longer than [`MAX_BODY_LEN`].
pub fn read_answer(
    request: &AnnounceRequest,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
    now: SystemTime,
) -> Result<AnnounceResponse, AnnounceError> {
    Answer::bounded(status, retry_after, body, now).into_announce(request.event)
}

/// Reads the answer to a scrape, for a client that brings its own HTTP library: as [`read_answer`] reads that to an announce.
///
/// # Errors
/// As [`read_answer`].
pub fn read_scrape_answer(
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
    now: SystemTime,
) -> Result<ScrapeResponse, AnnounceError> {
    Answer::bounded(status, retry_after, body, now).into_scrape()
}

/// An answer as it arrived.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// The value of `Retry-After`.
    pub(crate) retry_after: Option<&'a str>,
    /// What was read of the body.
    pub(crate) body: &'a [u8],
    /// Why the body isn't complete, if it isn't.
    pub(crate) flaw: Option<AnnounceError>,
    /// The time with which a date in `retry_after` is compared.
    pub(crate) now: SystemTime,
}

impl<'a> Answer<'a> {
    fn bounded(status: u16, retry_after: Option<&'a str>, body: &'a [u8], now: SystemTime) -> Self {
        let (body, flaw) = match body.get(..MAX_BODY_LEN) {
            Some(begin) if body.len() > MAX_BODY_LEN => {
                (begin, Some(AnnounceError::TooLarge { limit: MAX_BODY_LEN }))
            }
            _ => (body, None),
        };
        Self { status, retry_after, body, flaw, now }
    }

    /// Reads it as the answer to an announce.
    pub(crate) fn into_announce(self, event: Option<Event>) -> Result<AnnounceResponse, AnnounceError> {
        match self.read(read_announce) {
            // `stopped` needs no reply: trackers send nothing, or anything (POL-08, Q-82).
            Err(AnnounceError::NotAReply(_) | AnnounceError::Broken(_) | AnnounceError::TooLarge { .. })
                if event == Some(Event::Stopped) =>
            {
                Ok(AnnounceResponse::default())
            }
            other => other,
        }
    }

    /// Reads it as the answer to a scrape.
    pub(crate) fn into_scrape(self) -> Result<ScrapeResponse, AnnounceError> {
        self.read(read_scrape)
    }

    fn read<T>(self, read: fn(&[u8]) -> Result<T, AnnounceError>) -> Result<T, AnnounceError> {
        if !(200..300).contains(&self.status) {
            return Err(self.refusal());
        }
        match (read(self.body), self.flaw) {
            // A complete reply counts, even if its connection broke afterwards (S-07).
            (Ok(reply), _) => Ok(reply),
            (Err(rejected @ AnnounceError::Rejected(_)), _) => Err(rejected),
            (Err(_), Some(flaw)) => Err(flaw),
            (Err(error), None) => Err(error),
        }
    }

    /// The error of a status other than 2xx. A failure reason in the body is better than the number (Q-06). The time to
    /// retry may be in the head or in the body.
    fn refusal(&self) -> AnnounceError {
        let retry = match self.status {
            410 => Retry::Never,
            429 | 503 => self.wait().map_or(Retry::Unsaid, Retry::After),
            _ => Retry::Unsaid,
        };
        match failure_in(self.body) {
            Some(rejection) if rejection.retry == Retry::Unsaid => {
                AnnounceError::Rejected(Rejection { retry, ..rejection })
            }
            Some(rejection) => AnnounceError::Rejected(rejection),
            None => AnnounceError::Status { status: self.status, retry },
        }
    }

    fn wait(&self) -> Option<Duration> {
        retry_after(self.retry_after?, self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announce::{InfoHash, PeerId};

    const REPLY: &[u8] = b"d8:intervali1800e5:peers0:e";

    fn request(event: Option<Event>) -> AnnounceRequest {
        let mut request = AnnounceRequest::new(InfoHash::new([1; 20]), PeerId::new([b'p'; 20]), 6881);
        request.event = event;
        request
    }

    /// At 06 Nov 1994 08:49:37 GMT.
    fn read(
        event: Option<Event>,
        status: u16,
        retry_after: Option<&str>,
        body: &[u8],
    ) -> Result<AnnounceResponse, AnnounceError> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        read_answer(&request(event), status, retry_after, body, now)
    }

    /// POL-03, POL-07, Q-06.
    #[test]
    fn status_and_body_count_together() {
        let refusal = b"d14:failure reason2:noe".as_slice();
        let later = b"d14:failure reason2:no8:retry in1:5e".as_slice();
        let after = |seconds| Retry::After(Duration::from_secs(seconds));
        let date = Some("Sun, 06 Nov 1994 08:50:37 GMT");
        let none = b"".as_slice();
        let rows = [
            (404, None, b"<html>".as_slice(), "HTTP status 404", Retry::Unsaid),
            (302, None, none, "HTTP status 302", Retry::Unsaid),
            (500, None, REPLY, "HTTP status 500", Retry::Unsaid),
            (410, None, none, "HTTP status 410", Retry::Never),
            (503, Some("120"), none, "HTTP status 503", after(120)),
            (429, date, none, "HTTP status 429", after(60)),
            (503, Some("soon"), none, "HTTP status 503", Retry::Unsaid),
            (500, Some("120"), none, "HTTP status 500", Retry::Unsaid),
            (200, Some("120"), refusal, "rejected: \"no\"", Retry::Unsaid),
            (403, None, refusal, "rejected: \"no\"", Retry::Unsaid),
            (503, Some("120"), refusal, "rejected: \"no\"", after(120)),
            (503, Some("120"), later, "rejected: \"no\"", after(300)),
        ];
        for (status, header, body, text, retry) in rows {
            let error = read(None, status, header, body).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.retry()), (text, retry), "{status} {header:?}");
        }
        for status in [200, 204, 299] {
            assert!(read(None, status, None, REPLY).is_ok(), "{status}");
        }
    }

    /// POL-08, Q-82.
    #[test]
    fn every_success_answers_stopped_and_no_other_event() {
        let huge = vec![b'x'; MAX_BODY_LEN + 1];
        for body in [b"".as_slice(), b"ok", b"<html>", &huge] {
            assert!(read(Some(Event::Stopped), 200, None, body).is_ok(), "{}", body.len());
            for event in [None, Some(Event::Started), Some(Event::Completed)] {
                let error = read(event, 200, None, body).unwrap_err();
                let expected = matches!(error, AnnounceError::NotAReply(_) | AnnounceError::TooLarge { .. });
                assert!(expected, "{event:?}: {error}");
            }
        }
        let refused = read(Some(Event::Stopped), 200, None, b"d14:failure reason2:noe");
        assert!(matches!(refused, Err(AnnounceError::Rejected(_))));
        let failed = read(Some(Event::Stopped), 500, None, b"");
        assert!(matches!(failed, Err(AnnounceError::Status { status: 500, .. })));
    }

    /// S-01, S-07: what comes after the reply doesn't matter.
    #[test]
    fn a_body_over_the_limit_is_refused_unless_the_reply_is_within() {
        let mut body = REPLY.to_vec();
        body.resize(MAX_BODY_LEN + 1, b'x');
        assert!(read(None, 200, None, &body).is_ok());
        let endless = vec![b'd'; MAX_BODY_LEN + 1];
        let error = read(None, 200, None, &endless).unwrap_err();
        assert!(matches!(error, AnnounceError::TooLarge { limit: MAX_BODY_LEN }), "{error}");
        let at_limit = read(None, 200, None, &endless[..MAX_BODY_LEN]).unwrap_err();
        assert!(matches!(at_limit, AnnounceError::NotAReply(_)), "{at_limit}");
    }

    #[test]
    fn a_scrape_is_read_by_the_same_rules() {
        let read = |status, body: &[u8]| read_scrape_answer(status, Some("60"), body, SystemTime::UNIX_EPOCH);
        assert!(read(200, b"d5:filesdee").is_ok());
        let error = read(503, b"d5:filesdee").unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.retry()),
            ("HTTP status 503", Retry::After(Duration::from_secs(60)))
        );
        assert!(matches!(read(404, b"d14:failure reason2:noe"), Err(AnnounceError::Rejected(_))));
        assert!(matches!(read(200, b""), Err(AnnounceError::NotAReply(_))), "an empty answer is none");
    }
}
