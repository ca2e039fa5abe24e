//! The conversation with one UDP tracker at one address and port, as a state machine.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::exchange::{Exchange, Received};
use super::{
    Answer, ConnectionId, EndpointOutput, ExchangeError, ExchangeId, Family, Question, Reply, Times,
    TransactionId, connect_request, transaction_of,
};

/// How many unanswered connect packets are remembered, at most.
const MAX_CONNECTS: usize = 8;

/// The conversation with one address and port: any number of exchanges that share a connection id (R71).
///
/// It holds neither socket nor clock. Its driver calls [`poll`](Self::poll) until that returns [`EndpointOutput::Wait`], and
/// passes datagrams to [`received`](Self::received). All times are counted from one moment of the driver's choice.
///
/// 1. An exchange sends at the given [`Times`], each packet with another number. Late answers to its earlier packets are
///    accepted.
/// 2. If a packet is due and there is no valid connection id, a connect is sent in its place. All exchanges that need the id
///    share that connect, and the time between two connects is at least that before the first repetition.
/// 3. When the id arrives, the waiting exchanges send at once. Their times continue, and don't start again (BEP 15).
/// 4. After an error that names the connection id, a new one is fetched, once for each exchange (Q-52). Any other error ends
///    the exchange. After an error or silence, the connection id isn't used again.
/// 5. If a connection id from before the exchange brings no answer, the second repetition fetches a new one as well: a tracker
///    that was restarted, or sees us at another address, doesn't answer an unknown id.
///
/// ```
/// use std::time::Duration;
/// use tracker_failover::wire::udp::{Endpoint, Family, EndpointOutput, Question, Times};
///
/// let mut endpoint = Endpoint::new(Family::V4, Times::default());
/// endpoint.begin(Question::Connect, Duration::ZERO);
/// // The second argument is a random number.
/// assert!(matches!(endpoint.poll(Duration::ZERO, 7), EndpointOutput::Send(packet) if packet.len() == 16));
/// assert_eq!(endpoint.poll(Duration::ZERO, 8), EndpointOutput::Wait(Some(Duration::from_secs(1))));
/// ```
#[derive(Debug)]
pub struct Endpoint {
    family: Family,
    times: Times,
    connection: Option<Connection>,
    connects: VecDeque<Connect>,
    /// Whether the connection id may be stale, so that a connect is due beside the last packet.
    renewing: bool,
    exchanges: BTreeMap<ExchangeId, Exchange>,
    ended: VecDeque<(ExchangeId, Result<Answer, ExchangeError>)>,
    next: u64,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    id: ConnectionId,
    received_at: Duration,
    /// Whether a packet with this id has been answered.
    proven: bool,
}

/// A connect packet that hasn't been answered yet.
#[derive(Debug, Clone, Copy)]
struct Connect {
    transaction: TransactionId,
    sent_at: Duration,
}

impl Connection {
    /// Whether it was fetched before this exchange, and not for it.
    fn is_older_than(&self, exchange: &Exchange, gap: Duration) -> bool {
        self.proven || self.received_at.saturating_add(gap) <= exchange.began
    }
}

impl Endpoint {
    /// An endpoint without a connection id.
    pub fn new(family: Family, times: Times) -> Self {
        Self {
            family,
            times,
            connection: None,
            connects: VecDeque::new(),
            renewing: false,
            exchanges: BTreeMap::new(),
            ended: VecDeque::new(),
            next: 0,
        }
    }

    /// Changes the address family, where it is only known from the first answer, as through a proxy.
    pub fn set_family(&mut self, family: Family) {
        self.family = family;
    }

    /// Begins an exchange.
    pub fn begin(&mut self, question: Question, now: Duration) -> ExchangeId {
        let id = ExchangeId(self.next);
        self.next += 1;
        self.exchanges.insert(id, Exchange::new(question, now));
        id
    }

    /// Cancels an exchange. Answers to it are ignored from now on.
    pub fn cancel(&mut self, id: ExchangeId) {
        self.exchanges.remove(&id);
        self.ended.retain(|(ended, _)| *ended != id);
    }

    /// The number of exchanges in progress.
    pub fn exchanges(&self) -> usize {
        self.exchanges.len() + self.ended.len()
    }

    /// Whether there is a valid connection id.
    pub fn is_connected(&self, now: Duration) -> bool {
        self.good_connection(now).is_some()
    }

    /// What the driver has to do next. `entropy` becomes the number of the packet to send, if there is one: it has to be
    /// random, and different for each call.
    pub fn poll(&mut self, now: Duration, entropy: u32) -> EndpointOutput {
        self.settle(now);
        if let Some((id, result)) = self.ended.pop_front() {
            return EndpointOutput::Ended(id, result);
        }
        let transaction = self.unused(TransactionId(entropy));
        if std::mem::take(&mut self.renewing) && self.may_connect(now) {
            return self.connect(transaction, now);
        }
        let (connection, may_connect) = (self.good_connection(now), self.may_connect(now));
        let gap = self.times.shortest_gap();
        for exchange in self.exchanges.values_mut() {
            if exchange.due_at(&self.times).is_none_or(|due| due > now) {
                continue;
            }
            exchange.take_due(&self.times, now);
            if let Some(connection) = connection
                && let Some(packet) = exchange.packet(connection.id, transaction, self.family)
            {
                if connection.is_older_than(exchange, gap) && exchange.repeats_in_vain() {
                    exchange.waiting = true;
                    self.renewing = true;
                }
                return EndpointOutput::Send(packet);
            }
            exchange.waiting = true;
            if may_connect {
                return self.connect(transaction, now);
            }
        }
        EndpointOutput::Wait(self.next_moment())
    }

    /// Whether enough time has passed since the last connect.
    fn may_connect(&self, now: Duration) -> bool {
        let gap = self.times.shortest_gap();
        self.connects.back().is_none_or(|last| now.saturating_sub(last.sent_at) >= gap)
    }

    fn connect(&mut self, transaction: TransactionId, now: Duration) -> EndpointOutput {
        if self.connects.len() == MAX_CONNECTS {
            self.connects.pop_front();
        }
        self.connects.push_back(Connect { transaction, sent_at: now });
        EndpointOutput::Send(connect_request(transaction).to_vec())
    }

    /// Handles a datagram from the tracker. It is ignored unless it answers one of our packets.
    pub fn received(&mut self, datagram: &[u8], now: Duration) {
        let Some(transaction) = transaction_of(datagram) else { return };
        if let Some(connect) =
            self.connects.iter().find(|connect| connect.transaction == transaction).copied()
        {
            match Reply::read(datagram, self.family) {
                Some(Reply::Connected(id)) => self.connected(id, now, now.saturating_sub(connect.sent_at)),
                Some(Reply::Error(text)) => self.not_connected(&ExchangeError::Rejected(text)),
                _ => {}
            }
            return;
        }
        let Some((&id, exchange)) =
            self.exchanges.iter_mut().find(|(_, exchange)| exchange.lists(transaction))
        else {
            return;
        };
        let Some(reply) = Reply::read(datagram, self.family) else { return };
        match exchange.received(transaction, reply) {
            Received::Nothing => {}
            Received::Stale(connection) => self.distrust(connection),
            Received::Ended(result, used) => {
                if result.is_err() {
                    self.distrust(used);
                } else if let Some(connection) = &mut self.connection {
                    connection.proven |= connection.id == used;
                }
                self.end(id, result);
            }
        }
    }

    /// The network reported that the port is unreachable (by ICMP): all exchanges that have sent a packet fail. The others
    /// continue.
    pub fn unreachable(&mut self) {
        let failed: Vec<_> = self
            .exchanges
            .iter()
            .filter(|(_, exchange)| exchange.is_under_way())
            .map(|(id, _)| *id)
            .collect();
        for id in failed {
            self.end(id, Err(ExchangeError::Unreachable));
        }
        self.connects.clear();
        self.connection = None;
    }

    /// Ends the exchanges that need no answer any more, and those whose time is over.
    fn settle(&mut self, now: Duration) {
        let connected = self.is_connected(now);
        let mut over = Vec::new();
        for (id, exchange) in &self.exchanges {
            if connected && matches!(exchange.question, Question::Connect) {
                over.push((*id, Ok(Answer::Connected { round_trip: None })));
            } else if exchange.ends_at(&self.times) <= now {
                over.push((*id, Err(ExchangeError::Silent)));
            }
        }
        for (id, result) in over {
            let connection = self.exchanges.get(&id).and_then(Exchange::last_connection);
            if let (Err(_), Some(connection)) = (&result, connection) {
                self.distrust(connection);
            }
            self.end(id, result);
        }
    }

    fn connected(&mut self, id: ConnectionId, now: Duration, round_trip: Duration) {
        self.connection = Some(Connection { id, received_at: now, proven: false });
        self.connects.clear();
        let mut over = Vec::new();
        for (id, exchange) in &mut self.exchanges {
            if exchange.only_connects() {
                over.push(*id);
            } else {
                exchange.connected();
            }
        }
        for id in over {
            self.end(id, Ok(Answer::Connected { round_trip: Some(round_trip) }));
        }
    }

    /// The tracker refused to connect: the exchanges that wait for a connection id fail.
    fn not_connected(&mut self, failure: &ExchangeError) {
        self.connects.clear();
        let waiting: Vec<_> =
            self.exchanges.iter().filter(|(_, exchange)| exchange.waiting).map(|(id, _)| *id).collect();
        for id in waiting {
            self.end(id, Err(failure.clone()));
        }
    }

    fn end(&mut self, id: ExchangeId, result: Result<Answer, ExchangeError>) {
        if self.exchanges.remove(&id).is_some() {
            self.ended.push_back((id, result));
        }
    }

    /// Drops a connection id, unless it has been replaced meanwhile.
    fn distrust(&mut self, id: ConnectionId) {
        if self.connection.is_some_and(|connection| connection.id == id) {
            self.connection = None;
        }
    }

    fn good_connection(&self, now: Duration) -> Option<Connection> {
        let young = |connection: &Connection| {
            now.saturating_sub(connection.received_at) < self.times.connection_lifetime
        };
        self.connection.filter(young)
    }

    /// This number, or the next one that isn't in use.
    fn unused(&self, mut transaction: TransactionId) -> TransactionId {
        let listed = |transaction| {
            self.connects.iter().any(|connect| connect.transaction == transaction)
                || self.exchanges.values().any(|exchange| exchange.lists(transaction))
        };
        while listed(transaction) {
            transaction.0 = transaction.0.wrapping_add(1);
        }
        transaction
    }

    fn next_moment(&self) -> Option<Duration> {
        let moments = self.exchanges.values().map(|exchange| {
            let end = exchange.ends_at(&self.times);
            exchange.due_at(&self.times).map_or(end, |due| due.min(end))
        });
        moments.min()
    }
}
