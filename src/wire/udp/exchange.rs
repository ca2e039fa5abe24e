//! One question to a UDP tracker: what is asked, when its packets go out, and which answers are its own.

use std::time::Duration;

use super::{ConnectionId, Family, Reply, TransactionId, announce_request, scrape_request, scrape_response};
use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash};
use crate::scrape::ScrapeResponse;
use crate::tracker::TrackerUrl;

/// When packets go out, and how long an answer is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// 0, 1 and 3 s. When the packets of an exchange are sent, counted from its beginning. BEP 15 waits 15 s
    /// before the first repetition; one lost datagram would then cost more than any other tracker does (R70).
    pub sends: Vec<Duration>,
    /// 10 s. When an exchange without an answer has failed.
    pub limit: Duration,
    /// 60 s. How long after its receipt a connection id is used (BEP 15: one minute).
    pub connection_lifetime: Duration,
}

/// What a tracker is asked.
#[derive(Debug, Clone)]
pub enum Question {
    /// For a connection id, unless there is a good one.
    Connect,
    /// For a connection id in any case, to see how long the answer takes.
    Probe,
    /// To take part in a swarm.
    Announce(TrackerUrl, Box<AnnounceRequest>),
    /// How large the swarms of these torrents are; [`MAX_SCRAPED`](super::MAX_SCRAPED) at most.
    Scrape(Vec<InfoHash>),
}

/// What a tracker answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// There is a connection id.
    Connected {
        /// From the packet that was answered to its answer; `None` where none was needed.
        round_trip: Option<Duration>,
    },
    /// The answer to an announce.
    Announced(Box<AnnounceResponse>),
    /// The answer to a scrape.
    Scraped(ScrapeResponse),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeError {
    /// None came in time.
    Silent,
    /// The network says that nobody is there: see [`Endpoint::unreachable`](super::Endpoint::unreachable).
    Unreachable,
    /// The tracker said no.
    Rejected(String),
}

/// Names an exchange of an [`Endpoint`](super::Endpoint).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub(super) u64);

/// What an [`Endpoint`](super::Endpoint) wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointOutput {
    /// This packet is to be sent.
    Send(Vec<u8>),
    /// An exchange has ended, and is forgotten.
    Ended(ExchangeId, Result<Answer, ExchangeError>),
    /// Nothing before this moment, or before something arrives.
    Wait(Option<Duration>),
}

/// One question under way.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) question: Question,
    pub(super) began: Duration,
    /// How many of the times have passed.
    passed: usize,
    /// It waits for a connection id.
    pub(super) waiting: bool,
    /// A packet is due whatever the times say: the connection id has come, or has turned out to be stale.
    owed: bool,
    /// A stale connection id was renewed once; that is enough.
    renewed: bool,
    sent: Vec<Sent>,
}

/// A packet whose answer is still good.
#[derive(Debug, Clone, Copy)]
struct Sent {
    transaction: TransactionId,
    connection: ConnectionId,
}

/// What a packet from the tracker means for an exchange.
pub(super) enum Heard {
    /// Nothing: it answers another kind of question.
    Nothing,
    /// The connection id is stale, and another may be asked for.
    Stale(ConnectionId),
    /// It is over, and was asked with this connection id. An error casts doubt on that as well.
    Ended(Result<Answer, ExchangeError>, ConnectionId),
}

impl Times {
    fn send(&self, index: usize) -> Option<Duration> {
        match self.sends.get(index) {
            // Without any there would be no question.
            None if index == 0 => Some(Duration::ZERO),
            time => time.copied(),
        }
    }

    /// What all exchanges together keep between two packets that ask for a connection id.
    pub(super) fn shortest_gap(&self) -> Duration {
        match (self.send(0), self.send(1)) {
            (Some(first), Some(second)) => second.saturating_sub(first),
            _ => Duration::from_secs(1),
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            sends: [0, 1, 3].map(Duration::from_secs).to_vec(),
            limit: Duration::from_secs(10),
            connection_lifetime: Duration::from_secs(60),
        }
    }
}

impl Exchange {
    pub(super) fn new(question: Question, now: Duration) -> Self {
        Self {
            question,
            began: now,
            passed: 0,
            waiting: false,
            owed: false,
            renewed: false,
            sent: Vec::new(),
        }
    }

    /// When it has failed.
    pub(super) fn ends_at(&self, times: &Times) -> Duration {
        self.began.saturating_add(times.limit)
    }

    /// When its next packet is due.
    pub(super) fn due_at(&self, times: &Times) -> Option<Duration> {
        if self.owed {
            return Some(self.began);
        }
        times.send(self.passed).map(|time| self.began.saturating_add(time))
    }

    /// Takes what is due as done. Times that passed unseen (the machine slept) are one packet, not a burst.
    pub(super) fn take_due(&mut self, times: &Times, now: Duration) {
        self.owed = false;
        while self.due_at(times).is_some_and(|due| due <= now) {
            self.passed += 1;
        }
    }

    /// Whether it needs an answer to a connect before anything else.
    pub(super) fn only_connects(&self) -> bool {
        matches!(self.question, Question::Connect | Question::Probe)
    }

    /// There is a connection id: whoever waited for it goes on at once.
    pub(super) fn connected(&mut self) {
        self.owed |= std::mem::take(&mut self.waiting);
    }

    /// Whether a packet of this number was sent.
    pub(super) fn lists(&self, transaction: TransactionId) -> bool {
        self.sent.iter().any(|sent| sent.transaction == transaction)
    }

    /// Whether anything of it was ever sent, or waits for what others sent.
    pub(super) fn is_under_way(&self) -> bool {
        self.waiting || !self.sent.is_empty()
    }

    /// The connection id of its last packet.
    pub(super) fn last_connection(&self) -> Option<ConnectionId> {
        self.sent.last().map(|sent| sent.connection)
    }

    /// Whether a packet and its first repetition, both by the connection id of the last packet, got no answer.
    pub(super) fn repeats_in_vain(&self) -> bool {
        let last = self.last_connection();
        self.sent.iter().filter(|sent| Some(sent.connection) == last).count() > 2
    }

    /// The packet that asks its question; `None` where that is the connecting itself.
    pub(super) fn packet(
        &mut self,
        connection: ConnectionId,
        transaction: TransactionId,
        family: Family,
    ) -> Option<Vec<u8>> {
        let packet = match &self.question {
            Question::Connect | Question::Probe => return None,
            Question::Announce(tracker, request) => {
                announce_request(connection, transaction, tracker, request, family)
            }
            Question::Scrape(torrents) => scrape_request(connection, transaction, torrents),
        };
        self.sent.push(Sent { transaction, connection });
        Some(packet)
    }

    /// Takes in a packet that bears one of its numbers.
    pub(super) fn heard(&mut self, transaction: TransactionId, reply: Reply) -> Heard {
        let Some(sent) = self.sent.iter().find(|sent| sent.transaction == transaction).copied() else {
            return Heard::Nothing;
        };
        match (reply, &self.question) {
            (Reply::Announced(response), Question::Announce(..)) => {
                Heard::Ended(Ok(Answer::Announced(response)), sent.connection)
            }
            (Reply::Scraped(records), Question::Scrape(torrents)) => {
                Heard::Ended(Ok(Answer::Scraped(scrape_response(torrents, &records))), sent.connection)
            }
            (Reply::Error(text), _) if !self.renewed && super::names_connection_id(&text) => {
                self.renewed = true;
                self.owed = true;
                // Its other packets with this id get the same error, and each would count as one more.
                self.sent.retain(|other| other.connection != sent.connection);
                Heard::Stale(sent.connection)
            }
            (Reply::Error(text), _) => Heard::Ended(Err(ExchangeError::Rejected(text)), sent.connection),
            _ => Heard::Nothing,
        }
    }
}
