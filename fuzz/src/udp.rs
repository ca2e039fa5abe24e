//! Conversations with a UDP tracker: the input is a script of what happens, and whatever happens, each exchange ends
//! once and in time, and nothing is sent that BEP 15 doesn't know.

use std::collections::BTreeSet;
use std::time::Duration;

use tracker_failover::wire::compact::MAX_PEERS;
use tracker_failover::wire::udp::{
    Answer, Endpoint, EndpointOutput, ExchangeError, ExchangeId, Family, Question, Reply, Times,
    transaction_of,
};
use tracker_failover::{AnnounceRequest, AnnounceResponse, InfoHash, PeerId};

use super::check_text;

/// How many things happen in one conversation.
const MAX_STEPS: usize = 200;

/// Reads the input as a datagram, and plays it as a conversation.
///
/// # Panics
/// Where something does not hold.
pub fn check(input: &[u8]) {
    for family in [Family::V4, Family::V6] {
        check_datagram(input, family);
    }
    let (family, mut script) = match input {
        [first, rest @ ..] if first % 2 == 1 => (Family::V6, Script(rest)),
        _ => (Family::V4, Script(input.get(1..).unwrap_or_default())),
    };
    let mut conversation = Conversation::new(family);
    for _ in 0..MAX_STEPS {
        let Some(step) = script.byte() else { break };
        conversation.step(step, &mut script);
        conversation.act();
    }
    conversation.end();
}

/// One datagram by itself.
fn check_datagram(datagram: &[u8], family: Family) {
    let Some(reply) = Reply::read(datagram, family) else { return };
    assert!(datagram.len() >= 8 && transaction_of(datagram).is_some());
    match &reply {
        Reply::Connected(_) => assert!(datagram.len() >= 16),
        Reply::Announced(response) => {
            assert!(datagram.len() >= 20);
            check_announced(response);
        }
        Reply::Scraped(records) => assert_eq!(records.len(), (datagram.len() - 8) / 12),
        Reply::Error(text) => check_text(text),
    }
    let longer = Reply::read(&[datagram, &[0; 18]].concat(), family);
    assert_eq!(
        longer.as_ref().map(std::mem::discriminant),
        Some(std::mem::discriminant(&reply)),
        "packets may be longer"
    );
}

fn check_announced(response: &AnnounceResponse) {
    assert!(response.peers.len() <= MAX_PEERS);
    assert_ne!(response.interval, Some(Duration::ZERO));
}

struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte().unwrap_or_default()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }
}

struct Conversation {
    endpoint: Endpoint,
    now: Duration,
    entropy: u32,
    /// The transactions of the packets that were sent.
    sent: Vec<[u8; 4]>,
    running: BTreeSet<ExchangeId>,
}

impl Conversation {
    fn new(family: Family) -> Self {
        let endpoint = Endpoint::new(family, Times::default());
        Self { endpoint, now: Duration::ZERO, entropy: 0, sent: Vec::new(), running: BTreeSet::new() }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 8 {
            0 => self.begin(Question::Connect),
            1 => self.begin(Question::Probe),
            2 => self.begin(announce()),
            3 => {
                let torrents = usize::from(script.byte().unwrap_or_default()) % 75;
                self.begin(Question::Scrape(vec![InfoHash::new([7; 20]); torrents]));
            }
            4 => self.now += Duration::from_millis(50 * u64::from(script.byte().unwrap_or_default())),
            5 => self.endpoint.received(script.bytes(), self.now),
            6 => self.answer(script),
            _ => match script.byte() {
                Some(0) => self.endpoint.unreachable(),
                _ => {
                    if let Some(id) = self.running.pop_first() {
                        self.endpoint.cancel(id);
                    }
                }
            },
        }
    }

    fn begin(&mut self, question: Question) {
        let id = self.endpoint.begin(question, self.now);
        assert!(self.running.insert(id), "two exchanges with one name");
    }

    /// An answer to one of the last packets, with an action and a body from the script.
    fn answer(&mut self, script: &mut Script<'_>) {
        let back = usize::from(script.byte().unwrap_or_default());
        let action = [0, 0, 0, script.byte().unwrap_or_default() % 5];
        let body = script.bytes();
        if let Some(transaction) = self.sent.iter().rev().nth(back) {
            self.endpoint.received(&[&action, &transaction[..], body].concat(), self.now);
        }
    }

    fn act(&mut self) {
        // Each exchange sends once or ends; so much is enough for all of them.
        for _ in 0..4 * MAX_STEPS {
            self.entropy = self.entropy.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match self.endpoint.poll(self.now, self.entropy) {
                EndpointOutput::Send(packet) => self.sent(&packet),
                EndpointOutput::Ended(id, result) => {
                    assert!(self.running.remove(&id), "{id:?} ended twice, or was given up");
                    check_result(result);
                }
                EndpointOutput::Wait(until) => {
                    assert!(until.is_none_or(|until| until > self.now), "it waits for what is over");
                    assert_eq!(until.is_none(), self.running.is_empty(), "nobody would come back to it");
                    return assert_eq!(self.endpoint.exchanges(), self.running.len());
                }
            }
        }
        panic!("it never waits");
    }

    fn sent(&mut self, packet: &[u8]) {
        let transaction: [u8; 4] = packet[12..16].try_into().expect("four bytes");
        assert!(!self.sent.contains(&transaction), "a transaction comes twice");
        self.sent.push(transaction);
        match packet[8..12] {
            [0, 0, 0, 0] => {
                assert_eq!((packet.len(), &packet[..8]), (16, &b"\0\0\x04\x17\x27\x10\x19\x80"[..]));
            }
            // The address has nine bytes of path.
            [0, 0, 0, 1] => assert_eq!(packet.len(), 98 + 2 + 9),
            [0, 0, 0, 2] => assert!(packet.len() <= 16 + 74 * 20 && packet.len() % 20 == 16),
            _ => panic!("no such action: {packet:?}"),
        }
    }

    /// Whatever was begun ends within its limit, though nothing more is heard.
    fn end(mut self) {
        self.act();
        self.now += Times::default().limit;
        self.act();
        assert!(self.running.is_empty(), "{:?} never ended", self.running);
    }
}

fn check_result(result: Result<Answer, ExchangeError>) {
    match result {
        Ok(Answer::Announced(response)) => check_announced(&response),
        Ok(Answer::Scraped(response)) => assert!(response.files.len() <= 1),
        Err(ExchangeError::Rejected(text)) => check_text(&text),
        Ok(Answer::Connected { .. }) | Err(ExchangeError::Silent | ExchangeError::Unreachable) => {}
        other => panic!("no result of the protocol: {other:?}"),
    }
}

fn announce() -> Question {
    let url = "udp://t.test:6969/announce".parse().expect("an address");
    let request = AnnounceRequest::new(InfoHash::new([7; 20]), PeerId::new([b'p'; 20]), 6881);
    Question::Announce(url, Box::new(request))
}
