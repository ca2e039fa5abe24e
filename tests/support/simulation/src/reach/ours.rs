//! One of our clients: an engine of its own with one torrent.

use std::collections::HashMap;
use std::net::SocketAddr;

use tracker_failover::policy::{AttemptId, Engine, Input, Output, TorrentId};
use tracker_failover::{
    AnnounceError, AnnounceResponse, AnnounceTo, Cause, Config, InfoHash, Measurement, Peer, PeerAddress,
    PeerId, TimeoutPhase, Torrent, TrackerSet, TrackerUrl,
};

use super::agent::{Action, Agent, Answer, Attempt, Failing, News, PeerNumber};
use super::world::{Kind, World};
use crate::time::{Millis, span, timestamp};

pub(super) struct Ours {
    engine: Engine,
    /// The torrent before it is added.
    newcomer: Option<(TrackerSet, Torrent)>,
    torrent: Option<TorrentId>,
    number: PeerNumber,
    /// The number of each tracker.
    numbers: HashMap<TrackerUrl, usize>,
    /// The attempts in their order: the engine's ids are opaque.
    attempts: Vec<(AttemptId, usize)>,
    places: HashMap<AttemptId, Attempt>,
    wake: Option<Millis>,
    /// The lines that it prints, while it is watched.
    lines: Option<Vec<String>>,
}

impl Ours {
    pub(super) fn new(world: &World, member: usize, is_watched: bool) -> Self {
        let of = &world.members[member];
        let announce_to = match of.kind {
            Kind::Ours(announce_to) => announce_to,
            _ => AnnounceTo::default(),
        };
        let url = |tracker: usize| -> TrackerUrl {
            let scheme = world.trackers[tracker].scheme.name();
            let url = format!("{scheme}://t{tracker}.test:7000/announce").parse();
            url.expect("the address of a simulated tracker is one")
        };
        let tiers = world.tiers.iter().map(|tier| tier.iter().map(|tracker| url(*tracker)).collect());
        let number = PeerNumber::try_from(member).unwrap_or(PeerNumber::MAX);
        let mut peer_id = *b"-XX0001-000000000000";
        peer_id[16..].copy_from_slice(&number.to_be_bytes());
        let mut torrent = Torrent::new(InfoHash::new([7; 20]), PeerId::new(peer_id), address(number).port());
        torrent.transfer.left = Some(if of.is_seed { 0 } else { 1000 });
        let seed = world.seed.wrapping_mul(1000).wrapping_add(u64::from(number));
        Self {
            engine: Engine::new(Config::default().announce_to(announce_to), seed),
            newcomer: Some((TrackerSet::new(tiers.collect::<Vec<Vec<_>>>()), torrent)),
            torrent: None,
            number,
            numbers: (0..world.trackers.len()).map(|tracker| (url(tracker), tracker)).collect(),
            attempts: Vec::new(),
            places: HashMap::new(),
            wake: None,
            lines: is_watched.then(Vec::new),
        }
    }

    fn attempt(&mut self, id: AttemptId, tracker: &TrackerUrl) -> (Attempt, usize) {
        let (number, tracker) = (self.attempts.len() as Attempt, self.numbers[tracker]);
        self.attempts.push((id, tracker));
        self.places.insert(id, number);
        (number, tracker)
    }

    fn id(&self, attempt: Attempt) -> (AttemptId, usize) {
        self.attempts[usize::try_from(attempt).unwrap_or(usize::MAX)]
    }

    fn response(&self, answer: Answer) -> AnnounceResponse {
        let mut response = AnnounceResponse::default();
        response.interval = Some(span(answer.interval));
        response.complete = Some(answer.complete);
        response.incomplete = Some(answer.incomplete);
        response.external_ip = answer.names_address.then(|| address(self.number).ip());
        let peer = |peer| Peer { address: PeerAddress::Ip(address(peer)), id: None };
        response.peers = answer.peers.into_iter().map(peer).collect();
        response
    }
}

impl Agent for Ours {
    fn take(&mut self, news: News, now: Millis) {
        let at = timestamp(now);
        match news {
            News::Started => {
                if let Some((trackers, torrent)) = self.newcomer.take() {
                    self.torrent = Some(self.engine.add(trackers, torrent, at));
                }
            }
            News::Woken => {}
            News::Probed(attempt, connect, first_byte) => {
                let measured = Measurement { connect: span(connect), first_byte: span(first_byte) };
                self.engine.handle(Input::Probed(self.id(attempt).0, Ok(measured)), at);
            }
            News::Opened(attempt) => {
                let (id, tracker) = self.id(attempt);
                let tracker = u32::try_from(tracker).unwrap_or(u32::MAX);
                self.engine.reached(id, SocketAddr::new(address(u32::MAX - tracker).ip(), 7000), at);
                self.engine.handle(Input::Opened(id), at);
            }
            News::Failed(attempt, failing) => {
                let error = match failing {
                    Failing::Refused => AnnounceError::Connect(Cause::new("connection refused")),
                    Failing::Nameless => AnnounceError::Resolve(Cause::new("no such name")),
                    Failing::Broken => AnnounceError::Broken(Cause::new("connection reset")),
                    Failing::TimedOut => AnnounceError::TimedOut(TimeoutPhase::Reply),
                };
                self.engine.handle(Input::Failed(self.id(attempt).0, error), at);
            }
            News::Answered(attempt, answer) => {
                let response = Box::new(self.response(answer));
                self.engine.handle(Input::Replied(self.id(attempt).0, response), at);
            }
            News::Peers(peers) => {
                if let Some(torrent) = self.torrent {
                    self.engine.set_peers(torrent, peers, at);
                }
            }
            News::WantsPeers => {
                if let Some(torrent) = self.torrent {
                    self.engine.want_peers(torrent, at);
                }
            }
        }
    }

    fn act(&mut self, now: Millis) -> Option<Action> {
        loop {
            match self.engine.poll(timestamp(now)) {
                Output::Probe { attempt, tracker } => {
                    let (attempt, tracker) = self.attempt(attempt, &tracker);
                    return Some(Action::Probe(attempt, tracker));
                }
                Output::Open { attempt, tracker } => {
                    let (attempt, tracker) = self.attempt(attempt, &tracker);
                    return Some(Action::Open(attempt, tracker));
                }
                Output::Announce { attempt, request } => {
                    if let Some(attempt) = self.places.get(&attempt).copied() {
                        return Some(Action::Announce(attempt, self.id(attempt).1, request.event));
                    }
                }
                Output::Wait(wake) => {
                    // Timers fire at whole milliseconds, as tokio's do.
                    self.wake = wake.map(|wake| wake.as_micros().div_ceil(1000));
                    return None;
                }
                Output::Alert { alert, .. } => {
                    if let Some(lines) = &mut self.lines {
                        lines.push(format!("[{}] {alert}", alert.tag()));
                    }
                }
                // What was opened is dropped; answers that come all the same are ignored by the engine.
                _ => {}
            }
        }
    }

    fn wake(&self) -> Option<Millis> {
        self.wake
    }

    fn take_lines(&mut self) -> Vec<String> {
        self.lines.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn explain(&self, tracker: usize, now: Millis) -> Option<(String, String)> {
        let (torrent, now) = (self.torrent?, timestamp(now));
        let status = self.engine.status(torrent, now)?;
        let of = status.tiers.iter().flatten().find(|of| self.numbers.get(&of.tracker) == Some(&tracker))?;
        let latency =
            of.latency.map_or(String::new(), |latency| format!(", {} ms away", latency.as_millis()));
        let next =
            of.next_announce.map_or(String::new(), |next| format!(", next announce in {} s", next.as_secs()));
        let of = format!(
            "{}: {}{latency}; {}; {} answered, {} failed in a row{next}",
            of.tracker, of.state, of.role, of.answered, of.failures_in_a_row
        );
        Some((self.engine.explain(torrent, now)?, of))
    }
}

/// The address of a peer: public, and no other's, with a port of its own as clients choose one.
fn address(peer: PeerNumber) -> SocketAddr {
    let [_, a, b, c] = peer.to_be_bytes();
    let port = 10_000 + u16::try_from(peer % 50_000).unwrap_or(0);
    SocketAddr::from(([81, a, b, c], port))
}
