//! What a tracker does with connections and requests: the script a test writes.

use std::time::Duration;

use crate::answer::{Answer, Failure, Framing, Reply, RetryIn};
use crate::request::Asked;

/// What a tracker does.
///
/// Most kinds hold for every request. `HEAD` gets the head of the same answer without a body; a good tracker
/// answers a `GET` that announces nothing with a failure reason, as real ones do. [`when`](Self::when) says
/// something else for one kind of request, so a tracker can answer probes and fail announces, or the reverse.
///
/// ```
/// use std::time::Duration;
/// use fake_tracker::{Asked, Behaviour};
///
/// // Shows life, and hangs when it matters.
/// let _ = Behaviour::ok().when(Asked::Announce, Behaviour::Silent);
/// // Works once, dies, and stays dead.
/// let _ = Behaviour::Sequence(vec![Behaviour::ok(), Behaviour::Refused]);
/// // Slow, and asks for time.
/// let _ = Behaviour::status(503).header("Retry-After", "120").after(Duration::from_millis(300));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers announces and scrapes properly.
    Ok(Reply),
    /// Answers announces and scrapes with a failure reason (BEP 3), under status 200.
    Failure(Failure),
    /// Answers with anything else that HTTP can carry: a status, HTML, garbage, a redirect.
    Answer(Answer),
    /// Isn't there: connecting is refused, and open connections are closed. The port stays reserved, so that
    /// no other process can turn up on it.
    Refused,
    /// Doesn't answer to SYN, as behind a firewall that drops packets: connecting never ends, and open
    /// connections are silent.
    ///
    /// On a real port this is a Linux speciality: a socket listens with a backlog of 0, one connection of our
    /// own fills its queue, and the kernel drops every further SYN. The client's kernel goes on sending SYNs
    /// (after 1, 3, 7 … seconds), so a tracker that is brought back is found by a connect that still waits.
    /// On other systems setting it panics. In memory it works everywhere.
    SynDropped,
    /// Accepts connections, reads, and never answers.
    Silent,
    /// Resets the connection when a request has come (RST). A stream that is not TCP just ends.
    Reset,
    /// Sends a good answer, but its head one byte at a time: with the first byte at once, then one after each
    /// time of this length. The body comes in one piece. It does end, after some 80 times.
    HeadDrip(Duration),
    /// Sends the head of a good answer and so many bytes of its body, then nothing more.
    BodyStall(usize),
    /// Sends a body without length that never ends.
    EndlessBody,
    /// Sends these bytes, in this manner, whatever was asked.
    Raw(Vec<Step>),
    /// Lets this time pass, then does what follows. It has heard the request before: a swarm knows the peer,
    /// even if the peer doesn't wait for the answer.
    After(Duration, Box<Behaviour>),
    /// Does the first for one kind of request and the second for all others. Whether connections are accepted
    /// is up to the second.
    When(Asked, Box<Behaviour>, Box<Behaviour>),
    /// Does one after the other, each for one request; the last stays. Inside `When`, only its requests count.
    /// A step that is no answer (`Refused`, `SynDropped`) holds from the moment the answer before it was
    /// sent, and since nothing is heard from then on, it stays too.
    ///
    /// # Panics
    /// An empty sequence panics when it is set.
    Sequence(Vec<Behaviour>),
}

/// One thing a connection does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes one at a time, with this time between two of them.
    Drip(Vec<u8>, Duration),
    /// Sends these bytes again and again, until the client goes.
    SendForever(Vec<u8>),
    /// Lets this time pass.
    Wait(Duration),
    /// Does nothing until the client goes.
    Silence,
    /// Ends the connection.
    Close,
    /// Resets the connection (RST). A stream that is not TCP just ends.
    Reset,
}

impl Behaviour {
    /// A good tracker that answers at once.
    pub fn ok() -> Self {
        Self::Ok(Reply::default())
    }

    /// A good tracker that answers after a while.
    pub fn ok_after(delay: Duration) -> Self {
        Self::ok().after(delay)
    }

    /// A good tracker that sends this interval and minimal interval.
    pub fn ok_every(interval: Duration, min_interval: Option<Duration>) -> Self {
        Self::Ok(Reply { interval, min_interval, ..Reply::default() })
    }

    /// A good tracker whose answers are laid into HTTP in this way.
    pub fn ok_framed(framing: Framing) -> Self {
        Self::Ok(Reply { framing, ..Reply::default() })
    }

    /// What opentracker does: announces are answered, in HTTP/1.0 and with the connection closed after each;
    /// it knows no `HEAD` and answers that with a status of 400.
    pub fn opentracker() -> Self {
        let refusal = Answer::new(400).body("<title>400 Invalid Request</title>\n").framing(Framing::Http10);
        Self::ok_framed(Framing::Http10).when(Asked::Head, Self::Answer(refusal))
    }

    /// An answer with this status and a short text.
    pub fn status(status: u16) -> Self {
        Self::Answer(Answer::new(status).body("no bencode here\n"))
    }

    /// A failure reason alone.
    pub fn failure(reason: impl Into<Vec<u8>>) -> Self {
        Self::Failure(Failure { reason: reason.into(), ..Failure::default() })
    }

    /// A failure reason with `retry in` (BEP 31).
    pub fn retry_in(reason: impl Into<Vec<u8>>, retry_in: RetryIn) -> Self {
        Self::Failure(Failure { reason: reason.into(), retry_in: Some(retry_in), ..Failure::default() })
    }

    /// Bytes that are no bencode, under status 200.
    pub fn garbage() -> Self {
        Self::body(b"\x00\xffi12\x80e4:d\r\n:".repeat(8))
    }

    /// A web page, under status 200.
    pub fn html() -> Self {
        let page =
            "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body>It works!</body></html>\n";
        Self::Answer(Answer::new(200).header("Content-Type", "text/html; charset=utf-8").body(page))
    }

    /// This body, under status 200.
    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self::Answer(Answer::new(200).body(body))
    }

    /// A redirect with this status to this address.
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::Answer(Answer::new(status).header("Location", location))
    }

    /// Closes the connection when a request has come, without a word.
    pub fn hang_up() -> Self {
        Self::Raw(vec![Step::Close])
    }

    /// These bytes, then the end of the connection.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Raw(vec![Step::Send(bytes.into()), Step::Close])
    }

    /// This, after a while.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::After(delay, Box::new(self))
    }

    /// This, save for one kind of request. The last call wins where two are for the same kind.
    #[must_use]
    pub fn when(self, asked: Asked, then: Self) -> Self {
        Self::When(asked, Box::new(then), Box::new(self))
    }

    /// Adds a header to an [`Answer`]; anything else stays as it is.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Self::Answer(answer) = &mut self {
            answer.headers.push((name.into(), value.into()));
        }
        self
    }

    /// What a connection meets when it is opened.
    pub(crate) fn opening(&self) -> Opening {
        match self {
            Self::Refused => Opening::Refused,
            Self::SynDropped => Opening::Dropped,
            Self::After(_, then) => then.opening(),
            Self::When(_, _, otherwise) => otherwise.opening(),
            Self::Sequence(steps) => steps.first().map_or(Opening::Accepted, Self::opening),
            _ => Opening::Accepted,
        }
    }

    /// What is done about one request, and after which delay; moves sequences on.
    pub(crate) fn next(&mut self, asked: Asked) -> (Duration, Self) {
        match self {
            Self::After(delay, then) => {
                let (more, behaviour) = then.next(asked);
                (delay.saturating_add(more), behaviour)
            }
            Self::When(kind, then, _) if *kind == asked => then.next(asked),
            Self::When(_, _, otherwise) => otherwise.next(asked),
            Self::Sequence(steps) if steps.len() > 1 => steps.remove(0).next(asked),
            Self::Sequence(steps) => {
                steps.first_mut().map_or((Duration::ZERO, Self::Silent), |step| step.next(asked))
            }
            other => (Duration::ZERO, other.clone()),
        }
    }

    /// # Panics
    /// When there is an empty sequence in it.
    pub(crate) fn check(&self) {
        match self {
            Self::After(_, then) => then.check(),
            Self::When(_, then, otherwise) => {
                then.check();
                otherwise.check();
            }
            Self::Sequence(steps) => {
                assert!(!steps.is_empty(), "a sequence of behaviours needs at least one of them");
                steps.iter().for_each(Self::check);
            }
            _ => (),
        }
    }
}

/// What a connection meets when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    Accepted,
    Refused,
    Dropped,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_sequence_moves_on_with_each_request_and_its_last_stays() {
        let mut behaviour =
            Behaviour::Sequence(vec![Behaviour::Silent, Behaviour::Reset, Behaviour::EndlessBody]);
        let done: Vec<_> = (0..4).map(|_| behaviour.next(Asked::Other).1).collect();
        assert_eq!(
            done,
            [Behaviour::Silent, Behaviour::Reset, Behaviour::EndlessBody, Behaviour::EndlessBody]
        );
    }

    #[test]
    fn only_requests_of_its_kind_move_a_sequence_within_when() {
        let announces = Behaviour::Sequence(vec![Behaviour::Reset, Behaviour::Silent]);
        let mut behaviour = Behaviour::EndlessBody.when(Asked::Announce, announces).after(SECOND);
        for (asked, done) in [
            (Asked::Head, Behaviour::EndlessBody),
            (Asked::Announce, Behaviour::Reset),
            (Asked::Other, Behaviour::EndlessBody),
            (Asked::Announce, Behaviour::Silent),
            (Asked::Announce, Behaviour::Silent),
        ] {
            assert_eq!(behaviour.next(asked), (SECOND, done), "{asked:?}");
        }
    }

    #[test]
    fn the_last_exception_for_a_kind_wins() {
        let mut behaviour =
            Behaviour::ok().when(Asked::Head, Behaviour::Reset).when(Asked::Head, Behaviour::Silent);
        assert_eq!(behaviour.next(Asked::Head).1, Behaviour::Silent);
    }

    #[test]
    fn opening_is_decided_by_what_comes_next() {
        let mut dies = Behaviour::Sequence(vec![Behaviour::ok(), Behaviour::Refused]);
        assert_eq!(dies.opening(), Opening::Accepted);
        dies.next(Asked::Announce);
        assert_eq!(dies.opening(), Opening::Refused);
        assert_eq!(Behaviour::SynDropped.after(SECOND).opening(), Opening::Dropped);
        assert_eq!(Behaviour::ok().when(Asked::Head, Behaviour::Refused).opening(), Opening::Accepted);
    }

    #[test]
    #[should_panic(expected = "at least one")]
    fn an_empty_sequence_is_refused() {
        Behaviour::ok().when(Asked::Head, Behaviour::Sequence(Vec::new())).check();
    }
}
