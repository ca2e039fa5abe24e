//! The conversation with one UDP tracker at one address and port, as a state machine.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::exchange::{Exchange, Heard};
use super::{
    Answer, ConnectionId, EndpointOutput, ExchangeError, ExchangeId, Family, Question, Reply, Times,
    TransactionId, connect_request, transaction_of,
};

/// How many packets that ask for a connection id may still be answered.
const MAX_CONNECTS: usize = 8;

/// Everything that goes on with one address and port: any number of exchanges that share a connection id (R71).
///
/// It holds no socket and no clock: whoever drives it calls [`poll`](Self::poll) until that says
/// [`EndpointOutput::Wait`], and then tells it what [arrived](Self::received). All times are counted from any one moment.
///
/// 1. An exchange sends at the [`Times`] given, each packet with a number of its own. Late answers to its
///    earlier packets are as good.
/// 2. A packet that is due while there is no good connection id asks for one instead. All exchanges that need
///    it share that packet, and none is sent sooner after another than the first repetition.
/// 3. Where it comes, whoever waited asks at once; the times of the exchange go on and don't start again
///    (BEP 15).
/// 4. An error that names the connection id has a new one fetched, once for each exchange (Q-52). Any other
///    ends the exchange. After an error, or silence, the connection id isn't used again.
/// 5. Where a connection id from before the exchange brings no answer, the second repetition asks for a new one as
///    well: a tracker that was restarted, or sees us at another address, says nothing to an id it doesn't know.
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
    /// The connection id may be stale: a connect is due beside the packet that was sent last.
    renewing: bool,
    exchanges: BTreeMap<ExchangeId, Exchange>,
    ended: VecDeque<(ExchangeId, Result<Answer, ExchangeError>)>,
    next: u64,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    id: ConnectionId,
    received_at: Duration,
    /// Something that was asked with it has been answered.
    proven: bool,
}

/// A packet that asks for a connection id and wasn't answered yet.
#[derive(Debug, Clone, Copy)]
struct Connect {
    transaction: TransactionId,
    sent_at: Duration,
}

impl Connection {
    /// Whether it wasn't fetched for this exchange, but is from earlier ones.
    fn is_older_than(&self, exchange: &Exchange, gap: Duration) -> bool {
        self.proven || self.received_at.saturating_add(gap) <= exchange.began
    }
}

impl Endpoint {
    /// An endpoint that nobody has talked to.
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

    /// Begins an exchange.
    pub fn begin(&mut self, question: Question, now: Duration) -> ExchangeId {
        let id = ExchangeId(self.next);
        self.next += 1;
        self.exchanges.insert(id, Exchange::new(question, now));
        id
    }

    /// Gives an exchange up; what is answered to it from now on is ignored.
    pub fn cancel(&mut self, id: ExchangeId) {
        self.exchanges.remove(&id);
        self.ended.retain(|(ended, _)| *ended != id);
    }

    /// How many exchanges are under way.
    pub fn exchanges(&self) -> usize {
        self.exchanges.len() + self.ended.len()
    }

    /// Whether there is a connection id that may be used now.
    pub fn is_connected(&self, now: Duration) -> bool {
        self.good_connection(now).is_some()
    }

    /// What it wants now. `entropy` becomes the number of the packet that is sent, if one is, and has to be
    /// random and another for each call.
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

    /// Whether a connect may go out, so soon after the last one.
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

    /// Takes in a datagram from the tracker. Whatever isn't an answer to a packet of ours changes nothing.
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
        match exchange.heard(transaction, reply) {
            Heard::Nothing => {}
            Heard::Stale(connection) => self.distrust(connection),
            Heard::Ended(result, used) => {
                if result.is_err() {
                    self.distrust(used);
                } else if let Some(connection) = &mut self.connection {
                    connection.proven |= connection.id == used;
                }
                self.end(id, result);
            }
        }
    }

    /// The network says that nobody is there (an ICMP message): all that was asked has failed. What wasn't sent
    /// yet goes on.
    pub fn unreachable(&mut self) {
        let told: Vec<_> = self
            .exchanges
            .iter()
            .filter(|(_, exchange)| exchange.is_under_way())
            .map(|(id, _)| *id)
            .collect();
        for id in told {
            self.end(id, Err(ExchangeError::Unreachable));
        }
        self.connects.clear();
        self.connection = None;
    }

    /// Ends what has its answer already, or will get none.
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

    /// The tracker refuses to connect: whoever waits for that has failed.
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

    /// Forgets a connection id, unless another has come meanwhile.
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

    /// The number, or the next that isn't in use.
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
