//! All clients of a world in one virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal};
use tracker_failover::{Event, PeerCounts, Scheme};

use super::agent::{Action, Agent, Attempt, Failing, News, PeerNumber};
use super::log::{Heard, Log};
use super::model::Model;
use super::ours::Ours;
use super::registry::Registry;
use super::watch::{Carries, Line, Packet, Watched};
use super::world::World;
use crate::script::{Answer as Answers, Connection, Name};
use crate::time::{Millis, rounded};

/// How much one exchange differs from the next.
const JITTER: f64 = 0.15;

/// How long a dialled peer takes to be connected.
const DIAL: Millis = 150;

/// How many connections a client has at most.
const MAX_CONNECTIONS: usize = 50;

/// The share of residents that can be connected to: others are behind a router, or gone.
const REACHABLE: f64 = 0.6;

/// How long our transport waits for an answer over UDP.
const UDP_LIMIT: Millis = 10_000;

/// Plays a world.
pub fn play(world: &World) -> Log {
    let mut play = Play::new(world, false);
    play.run(world.until);
    play.log
}

/// Plays a world while an onlooker watches. What happens is the same.
pub fn watch(world: &World) -> Watched {
    let mut play = Play::new(world, true);
    play.run(world.until);
    let (mut packets, lines) = play.seen.map(|seen| (seen.packets, seen.lines)).unwrap_or_default();
    packets.sort_by_key(|packet| packet.sent);
    Watched { log: play.log, packets, lines }
}

/// Plays a world up to a moment, and gives a client's reasons: a line for its torrent, and one for this tracker. `None` for a
/// client that isn't ours, hasn't started, or doesn't know the tracker.
pub fn explain(world: &World, member: usize, tracker: usize, at: Millis) -> Option<(String, String)> {
    let mut play = Play::new(world, false);
    play.run(at.min(world.until));
    play.clients.get(member)?.agent.as_ref()?.explain(tracker, at)
}

struct Play<'a> {
    world: &'a World,
    now: Millis,
    random: StdRng,
    /// By time, then in the order in which it was scheduled.
    queue: BinaryHeap<Reverse<(Millis, u64, u64)>>,
    happenings: HashMap<u64, Happening>,
    scheduled: u64,
    clients: Vec<Client>,
    registry: Registry,
    log: Log,
    /// What an onlooker saw, where there is one.
    seen: Option<Seen>,
}

#[derive(Default)]
struct Seen {
    packets: Vec<Packet>,
    lines: Vec<Line>,
}

struct Client {
    agent: Option<Box<dyn Agent>>,
    /// For which moment its wake-up is scheduled.
    wakes_at: Option<Millis>,
    connected: BTreeSet<PeerNumber>,
    connecting: BTreeSet<PeerNumber>,
    /// Peers that couldn't be connected to.
    unreachable: BTreeSet<PeerNumber>,
}

enum Happening {
    To(usize, News),
    Wakes(usize, Millis),
    Arrives(usize, Attempt, usize, Option<Event>),
    Connects(usize, PeerNumber),
    WantsPeers(usize),
    Leaves(usize),
}

impl<'a> Play<'a> {
    fn new(world: &'a World, is_watched: bool) -> Self {
        let clients = world.members.iter().enumerate().map(|(number, member)| Client {
            agent: Some(if member.kind.is_ours() {
                Box::new(Ours::new(world, number, is_watched)) as Box<dyn Agent>
            } else {
                Box::new(Model::new(world, number))
            }),
            wakes_at: None,
            connected: BTreeSet::new(),
            connecting: BTreeSet::new(),
            unreachable: BTreeSet::new(),
        });
        let mut play = Self {
            world,
            now: 0,
            random: StdRng::seed_from_u64(world.seed),
            queue: BinaryHeap::new(),
            happenings: HashMap::new(),
            scheduled: 0,
            clients: clients.collect(),
            registry: Registry::new(world),
            log: Log { first_answer: vec![None; world.members.len()], ..Log::default() },
            seen: is_watched.then(Seen::default),
        };
        for (number, member) in world.members.iter().enumerate() {
            play.schedule(member.starts, Happening::To(number, News::Started));
            if let Some(leaves) = member.leaves {
                play.schedule(leaves, Happening::Leaves(number));
            }
            if let Some(every) = member.wants_peers_every {
                play.schedule(member.starts + every, Happening::WantsPeers(number));
            }
        }
        play
    }

    fn run(&mut self, until: Millis) {
        while let Some(Reverse((at, _, number))) = self.queue.pop() {
            if at > until {
                break;
            }
            self.now = at;
            if let Some(happening) = self.happenings.remove(&number) {
                self.happens(happening);
            }
        }
    }

    /// A packet begins its way, where an onlooker sees it.
    fn see(&mut self, packet: Packet) {
        if let Some(seen) = &mut self.seen {
            seen.packets.push(packet);
        }
    }

    fn schedule(&mut self, at: Millis, happening: Happening) {
        self.scheduled += 1;
        self.queue.push(Reverse((at, self.scheduled, self.scheduled)));
        self.happenings.insert(self.scheduled, happening);
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::To(client, news) => {
                if let News::Answered(_, answer) = &news {
                    self.answered(client, &answer.peers.clone());
                }
                self.give(client, news);
            }
            Happening::Wakes(client, at) => {
                if self.clients[client].wakes_at == Some(at) {
                    self.clients[client].wakes_at = None;
                    self.give(client, News::Woken);
                }
            }
            Happening::Arrives(client, attempt, tracker, event) => {
                self.arrives(client, attempt, tracker, event);
            }
            Happening::Connects(client, peer) => self.connects(client, peer),
            Happening::WantsPeers(client) => {
                self.give(client, News::WantsPeers);
                if let Some(every) = self.world.members[client].wants_peers_every {
                    self.schedule(self.now + every, Happening::WantsPeers(client));
                }
            }
            Happening::Leaves(client) => self.leaves(client),
        }
    }

    /// Gives news to a client, and does what it wants.
    fn give(&mut self, client: usize, news: News) {
        let now = self.now;
        let Some(mut agent) = self.clients[client].agent.take() else { return };
        agent.take(news, now);
        while let Some(action) = agent.act(now) {
            match action {
                Action::Probe(attempt, tracker) => self.open(client, attempt, tracker, true),
                Action::Open(attempt, tracker) => self.open(client, attempt, tracker, false),
                Action::Announce(attempt, tracker, event) => {
                    let half = self.round_trip(client, tracker) / 2;
                    self.schedule(now + half, Happening::Arrives(client, attempt, tracker, event));
                    let connection = self.world.trackers[tracker].script.at(now + half).connection;
                    self.see(Packet {
                        sent: now,
                        arrives: now + half,
                        member: client,
                        tracker,
                        carries: Carries::Announce(0),
                        is_outward: true,
                        vanishes: connection == Connection::Silent,
                    });
                }
            }
        }
        if let Some(seen) = &mut self.seen {
            let lines = agent.take_lines().into_iter();
            seen.lines.extend(lines.map(|text| Line { at: now, member: client, text }));
        }
        let wake = agent.wake().map(|wake| wake.max(now));
        if wake != self.clients[client].wakes_at {
            self.clients[client].wakes_at = wake;
            if let Some(wake) = wake {
                self.schedule(wake, Happening::Wakes(client, wake));
            }
        }
        self.clients[client].agent = Some(agent);
    }

    /// A channel is opened, or a probe is made: that, and the exchange that follows if it is over HTTP.
    fn open(&mut self, client: usize, attempt: Attempt, tracker: usize, is_probe: bool) {
        let round_trip = self.round_trip(client, tracker);
        let of = &self.world.trackers[tracker];
        let state = of.script.at(self.now + round_trip / 2);
        let udp = of.scheme == Scheme::Udp;
        // TLS takes one round trip more.
        let connect = if of.scheme == Scheme::Https { 2 * round_trip } else { round_trip };
        if !matches!(state.name, Name::Unknown(_)) {
            self.see_opening(client, tracker, round_trip, is_probe);
        }
        let (after, news) = match (state.name, state.connection) {
            (Name::Unknown(after), _) => (after, News::Failed(attempt, Failing::Nameless)),
            (_, Connection::Refused) if !udp => (round_trip, News::Failed(attempt, Failing::Refused)),
            (_, Connection::Accepted) if is_probe => {
                let first_byte = if udp { connect } else { round_trip };
                let took = if udp { connect } else { connect + round_trip };
                (took, News::Probed(attempt, connect, first_byte))
            }
            (_, Connection::Accepted) => (connect, News::Opened(attempt)),
            _ if udp => (UDP_LIMIT, News::Failed(attempt, Failing::TimedOut)),
            _ => return,
        };
        self.schedule(self.now + after, Happening::To(client, news));
    }

    /// An opening and its answer, if there will be one.
    fn see_opening(&mut self, member: usize, tracker: usize, round_trip: Millis, is_probe: bool) {
        let (now, half) = (self.now, round_trip / 2);
        let of = &self.world.trackers[tracker];
        let connection = of.script.at(now + half).connection;
        let carries = if is_probe { Carries::Probe } else { Carries::Opening };
        let answer = match connection {
            Connection::Silent => None,
            Connection::Refused if of.scheme == Scheme::Udp => None,
            Connection::Refused => Some(Carries::Refusal),
            Connection::Accepted | Connection::BadCertificate => Some(carries),
        };
        let packet = Packet {
            sent: now,
            arrives: now + half,
            member,
            tracker,
            carries,
            is_outward: true,
            vanishes: answer.is_none(),
        };
        self.see(packet);
        if let Some(carries) = answer {
            let (sent, arrives) = (now + half, now + round_trip);
            self.see(Packet { sent, arrives, carries, is_outward: false, ..packet });
        }
    }

    /// An announce has come to its tracker.
    fn arrives(&mut self, client: usize, attempt: Attempt, tracker: usize, event: Option<Event>) {
        let half = self.round_trip(client, tracker) / 2;
        let of = &self.world.trackers[tracker];
        let state = of.script.at(self.now);
        let (number, member) = (number(client), &self.world.members[client]);
        let mut work = 0;
        let news = match (state.connection, state.answer) {
            (Connection::Accepted, Answers::Mute | Answers::Stalled) if of.scheme != Scheme::Udp => return,
            (Connection::Accepted, Answers::Good) => {
                work = of.answers_at(self.now).work;
                let mut random = StdRng::seed_from_u64(self.random.random());
                let answer = self.registry.announced(of, number, member.is_seed, self.now, &mut random);
                let named = answer.peers.iter().filter(|peer| **peer != number).count();
                let complete = answer.complete - u64::from(member.is_seed);
                self.log.heard.push(Heard { at: self.now, member: client, tracker, event, named, complete });
                News::Answered(attempt, answer)
            }
            (Connection::Accepted, answer) if !matches!(answer, Answers::Mute | Answers::Stalled) => {
                News::Failed(attempt, Failing::Broken)
            }
            (Connection::Refused, _) if of.scheme != Scheme::Udp => News::Failed(attempt, Failing::Broken),
            _ if of.scheme == Scheme::Udp => {
                let news = News::Failed(attempt, Failing::TimedOut);
                return self.schedule(self.now + UDP_LIMIT, Happening::To(client, news));
            }
            _ => return,
        };
        let carries = match &news {
            News::Answered(_, answer) => {
                Carries::Announce(answer.peers.iter().filter(|peer| **peer != number).count())
            }
            _ => Carries::Refusal,
        };
        let (sent, arrives) = (self.now + work, self.now + work + half);
        self.see(Packet {
            sent,
            arrives,
            member: client,
            tracker,
            carries,
            is_outward: false,
            vanishes: false,
        });
        self.schedule(arrives, Happening::To(client, news));
    }

    /// An answer has come: who was named is known now, and dialled.
    fn answered(&mut self, client: usize, peers: &[PeerNumber]) {
        if self.clients[client].agent.is_none() {
            return;
        }
        self.log.first_answer[client].get_or_insert(self.now);
        let mut dialled = false;
        for peer in peers.iter().copied().filter(|peer| *peer != number(client)) {
            let is_seed = self.registry.is_resident_seed(peer);
            let is_seed = is_seed.unwrap_or_else(|| {
                let other = peer as usize;
                self.log.named.entry((client.min(other), client.max(other))).or_insert(self.now);
                self.world.members[other].is_seed
            });
            let of = &mut self.clients[client];
            let known = of.connected.contains(&peer) || of.unreachable.contains(&peer);
            let has_room = of.connected.len() + of.connecting.len() < MAX_CONNECTIONS;
            let is_useful = !(is_seed && self.world.members[client].is_seed);
            if !known && has_room && is_useful && of.connecting.insert(peer) {
                dialled = true;
                self.schedule(self.now + DIAL, Happening::Connects(client, peer));
            }
        }
        if dialled {
            self.report(client);
        }
    }

    fn connects(&mut self, client: usize, peer: PeerNumber) {
        let of = &mut self.clients[client];
        if !of.connecting.remove(&peer) {
            return;
        }
        let is_there = match self.registry.is_resident_seed(peer) {
            Some(_) => self.random.random_bool(REACHABLE),
            None => self.clients[peer as usize].agent.is_some(),
        };
        let of = &mut self.clients[client];
        if !is_there {
            of.unreachable.insert(peer);
        } else if of.connected.insert(peer) && self.registry.is_resident_seed(peer).is_none() {
            let other = peer as usize;
            self.clients[other].connected.insert(number(client));
            self.clients[other].connecting.remove(&number(client));
            self.log.connected.entry((client.min(other), client.max(other))).or_insert(self.now);
            self.report(other);
        }
        self.report(client);
    }

    /// Reports the connections of a client to it.
    fn report(&mut self, client: usize) {
        if self.world.members[client].kind.is_ours() && !self.world.reports_peers {
            return;
        }
        let of = &self.clients[client];
        let is_seed = |peer: &&PeerNumber| {
            let resident = self.registry.is_resident_seed(**peer);
            resident.unwrap_or_else(|| self.world.members[**peer as usize].is_seed)
        };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let peers = PeerCounts {
            connected: count(of.connected.len()),
            connecting: count(of.connecting.len()),
            seeds: count(of.connected.iter().filter(is_seed).count()),
        };
        self.schedule(self.now, Happening::To(client, News::Peers(peers)));
    }

    fn leaves(&mut self, client: usize) {
        self.clients[client].agent = None;
        self.registry.left(number(client));
        let peers = std::mem::take(&mut self.clients[client].connected);
        for peer in peers {
            if self.registry.is_resident_seed(peer).is_some() {
                continue;
            }
            self.clients[peer as usize].connected.remove(&number(client));
            self.report(peer as usize);
        }
    }

    fn round_trip(&mut self, client: usize, tracker: usize) -> Millis {
        let mean = self.world.trackers[tracker].distances[self.world.members[client].region];
        let noise = LogNormal::new(0.0, JITTER).map_or(1.0, |noise| noise.sample(&mut self.random));
        rounded(mean * noise).max(2)
    }
}

fn number(client: usize) -> PeerNumber {
    PeerNumber::try_from(client).unwrap_or(PeerNumber::MAX)
}
