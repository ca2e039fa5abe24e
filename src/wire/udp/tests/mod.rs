//! Packets against tables and against another implementation, and whole conversations in virtual time.

mod conversation;
mod loss;
mod oracle;
mod packets;

use std::time::Duration;

use super::{Answer, Endpoint, EndpointOutput, ExchangeError, ExchangeId, Family, Question, Times};
use crate::announce::{AnnounceRequest, InfoHash, PeerId};
use crate::tracker::TrackerUrl;

const HASH: &str = "123456789abcdef123456789abcdef123456789a";

fn info_hash() -> InfoHash {
    HASH.parse().unwrap()
}

fn url(text: &str) -> TrackerUrl {
    text.parse().unwrap()
}

fn request() -> AnnounceRequest {
    AnnounceRequest::new(info_hash(), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881)
}

fn announce() -> Question {
    Question::Announce(url("udp://t.test:6969/announce"), Box::new(request()))
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// An endpoint on a clock that the test sets, and what it sent.
struct Conversation {
    endpoint: Endpoint,
    now: Duration,
    entropy: u32,
    sent: Vec<(Duration, Vec<u8>)>,
    ended: Vec<(ExchangeId, Result<Answer, ExchangeError>)>,
}

impl Conversation {
    fn new(times: Times) -> Self {
        let endpoint = Endpoint::new(Family::V4, times);
        Self { endpoint, now: Duration::ZERO, entropy: 100, sent: Vec::new(), ended: Vec::new() }
    }

    fn begin(&mut self, question: Question) -> ExchangeId {
        let id = self.endpoint.begin(question, self.now);
        self.act();
        id
    }

    /// Performs the outputs of the endpoint, and returns the time of the next call.
    fn act(&mut self) -> Option<Duration> {
        loop {
            self.entropy += 1;
            match self.endpoint.poll(self.now, self.entropy) {
                EndpointOutput::Send(packet) => self.sent.push((self.now, packet)),
                EndpointOutput::Ended(id, result) => self.ended.push((id, result)),
                EndpointOutput::Wait(until) => {
                    assert!(until.is_none_or(|until| until > self.now), "it wants to be asked in the past");
                    return until;
                }
            }
        }
    }

    /// Lets time pass until this moment, with every wake-up that is asked for.
    fn until(&mut self, moment: Duration) {
        while let Some(wake) = self.act().filter(|wake| *wake <= moment) {
            self.now = wake;
        }
        self.now = moment;
        self.act();
    }

    fn receive(&mut self, datagram: &[u8]) {
        self.endpoint.received(datagram, self.now);
        self.act();
    }

    /// Answers the packet that was sent as the n-th, counted from the last one backwards.
    fn answer(&mut self, back: usize, action: u32, rest: &[u8]) {
        let packet = &self.sent[self.sent.len() - 1 - back].1;
        let datagram = [&action.to_be_bytes(), &packet[12..16], rest].concat();
        self.receive(&datagram);
    }

    fn connect(&mut self, id: u64) {
        self.answer(0, 0, &id.to_be_bytes());
    }

    /// The kinds and moments (in seconds) of what was sent.
    fn shown(&self) -> Vec<String> {
        self.sent
            .iter()
            .map(|(at, packet)| {
                let kind = ["connect", "announce", "scrape"][usize::from(packet[11])];
                format!("{kind} {}", at.as_secs_f64())
            })
            .collect()
    }

    /// The only exchange's end.
    fn end(&self) -> &Result<Answer, ExchangeError> {
        assert_eq!(self.ended.len(), 1, "{:?}", self.ended);
        &self.ended[0].1
    }
}
