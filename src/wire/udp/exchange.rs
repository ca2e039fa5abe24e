//! An exchange with a UDP tracker: one question, its packets, and its answer.

use std::time::Duration;

use super::{ConnectionId, Family, Reply, TransactionId, announce_request, scrape_request, scrape_response};
use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash};
use crate::scrape::ScrapeResponse;
use crate::tracker::TrackerUrl;

/// When packets are sent, and how long to wait for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// When the packets of an exchange are sent, counted from its beginning. 0, 1 and 3 s by default: BEP 15 waits 15 s
    /// before the first repetition, so that one lost datagram would cost more than a failover (R70).
    pub sends: Vec<Duration>,
    /// How long an exchange waits for its answer. 10 s by default.
    pub limit: Duration,
    /// How long a connection id is used after it was received. 60 s by default (BEP 15: one minute).
    pub connection_lifetime: Duration,
}

/// A question to a tracker.
#[derive(Debug, Clone)]
pub enum Question {
    /// A connection id, unless there is a valid one.
    Connect,
    /// A connection id in any case, to measure how long the answer takes.
    Probe,
    /// An announce.
    Announce(TrackerUrl, Box<AnnounceRequest>),
    /// A scrape of these torrents, at most [`MAX_SCRAPED`](super::MAX_SCRAPED).
    Scrape(Vec<InfoHash>),
}

/// A tracker's answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// A connection id is there.
    Connected {
        /// The time from the connect packet to its answer; `None` if the connection id was there before.
        round_trip: Option<Duration>,
    },
    /// The answer to an announce.
    Announced(Box<AnnounceResponse>),
    /// The answer to a scrape.
    Scraped(ScrapeResponse),
}

/// Why an exchange brought no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeError {
    /// No answer arrived in time.
    Silent,
    /// The network reported that the port is unreachable: see [`Endpoint::unreachable`](super::Endpoint::unreachable).
    Unreachable,
    /// The tracker answered with an error, whose text this is.
    Rejected(String),
}

/// The id of an exchange of an [`Endpoint`](super::Endpoint).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub(super) u64);

/// What an [`Endpoint`](super::Endpoint) needs from its driver. Exhaustive, so that no driver misses a new request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointOutput {
    /// Send this packet.
    Send(Vec<u8>),
    /// An exchange has ended, and its id is no longer valid.
    Ended(ExchangeId, Result<Answer, ExchangeError>),
    /// Nothing to do until this time, or (`None`) until the next datagram or exchange.
    Wait(Option<Duration>),
}

/// One exchange in progress.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) question: Question,
    pub(super) began: Duration,
    /// How many of the times in [`Times::sends`] have passed.
    passed: usize,
    /// Whether it waits for a connection id.
    pub(super) waiting: bool,
    /// Whether a packet is due regardless of the times: a connection id has arrived, or the old one was stale.
    owed: bool,
    /// Whether a stale connection id was renewed already, which happens once.
    renewed: bool,
    sent: Vec<Sent>,
}

/// A sent packet whose answer is still accepted.
#[derive(Debug, Clone, Copy)]
struct Sent {
    transaction: TransactionId,
    connection: ConnectionId,
}

/// What a received packet means for an exchange.
pub(super) enum Received {
    /// Nothing: it answers another kind of question.
    Nothing,
    /// The connection id is stale, and another may be asked for.
    Stale(ConnectionId),
    /// The exchange has ended; this is the connection id of the answered packet. After an error that isn't used again.
    Ended(Result<Answer, ExchangeError>, ConnectionId),
}

impl Times {
    fn send(&self, index: usize) -> Option<Duration> {
        match self.sends.get(index) {
            // Without any, no packet would be sent.
            None if index == 0 => Some(Duration::ZERO),
            time => time.copied(),
        }
    }

    /// The shortest time between two connect packets of all exchanges together.
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

    /// When it fails without an answer.
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

    /// Marks the due packets as sent. After several times have passed at once (the machine slept), one packet is sent, not a
    /// burst.
    pub(super) fn take_due(&mut self, times: &Times, now: Duration) {
        self.owed = false;
        while self.due_at(times).is_some_and(|due| due <= now) {
            self.passed += 1;
        }
    }

    /// Whether its question is the connecting itself.
    pub(super) fn only_connects(&self) -> bool {
        matches!(self.question, Question::Connect | Question::Probe)
    }

    /// A connection id has arrived: an exchange that waits for it continues at once.
    pub(super) fn connected(&mut self) {
        self.owed |= std::mem::take(&mut self.waiting);
    }

    /// Whether it has sent a packet with this number.
    pub(super) fn lists(&self, transaction: TransactionId) -> bool {
        self.sent.iter().any(|sent| sent.transaction == transaction)
    }

    /// Whether it has sent a packet, or waits for the answer to a connect.
    pub(super) fn is_under_way(&self) -> bool {
        self.waiting || !self.sent.is_empty()
    }

    /// The connection id of its last packet.
    pub(super) fn last_connection(&self) -> Option<ConnectionId> {
        self.sent.last().map(|sent| sent.connection)
    }

    /// Whether a packet and its first repetition, both with the connection id of the last packet, got no answer.
    pub(super) fn repeats_in_vain(&self) -> bool {
        let last = self.last_connection();
        self.sent.iter().filter(|sent| Some(sent.connection) == last).count() > 2
    }

    /// The packet of its question; `None` if that is the connecting itself.
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

    /// Handles a packet with one of its numbers.
    pub(super) fn received(&mut self, transaction: TransactionId, reply: Reply) -> Received {
        let Some(sent) = self.sent.iter().find(|sent| sent.transaction == transaction).copied() else {
            return Received::Nothing;
        };
        match (reply, &self.question) {
            (Reply::Announced(response), Question::Announce(..)) => {
                Received::Ended(Ok(Answer::Announced(response)), sent.connection)
            }
            (Reply::Scraped(records), Question::Scrape(torrents)) => {
                Received::Ended(Ok(Answer::Scraped(scrape_response(torrents, &records))), sent.connection)
            }
            (Reply::Error(text), _) if !self.renewed && super::names_connection_id(&text) => {
                self.renewed = true;
                self.owed = true;
                // Its other packets with this id get the same error, which must not count as a second one.
                self.sent.retain(|other| other.connection != sent.connection);
                Received::Stale(sent.connection)
            }
            (Reply::Error(text), _) => Received::Ended(Err(ExchangeError::Rejected(text)), sent.connection),
            _ => Received::Nothing,
        }
    }
}
