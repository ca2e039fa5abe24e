//! What a behaviour answers to a request over HTTP, as steps that a connection carries out.

use std::net::{IpAddr, SocketAddr};

use crate::answer::{Answer, Failure, Framing, PeerForm, Peers, Reply};
use crate::behaviour::{Behaviour, Step};
use crate::bencode::{self, Dictionary};
use crate::request::{Asked, Heard};
use crate::swarm::{Member, Swarm, SwarmPeer};

/// How many peers a client without `numwant` is sent.
const DEFAULT_NUM_WANT: usize = 50;
/// How many peers are named at most, as in opentracker.
const MAX_PEERS: usize = 200;

/// A request that is being answered. Made when the request was heard, since that is when the swarm learns of
/// the peer; written when the delay is over, since that is when the peers are picked.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    behaviour: Behaviour,
    request: &'a Heard,
    refusal: Option<&'static str>,
}

impl<'a> Exchange<'a> {
    /// Takes the request in, as this behaviour (one that isn't made of others) does.
    pub(crate) fn new(behaviour: Behaviour, request: &'a Heard, swarm: &Swarm, member: Member) -> Self {
        let takes = matches!(behaviour, Behaviour::Ok(_) | Behaviour::HeadDrip(_) | Behaviour::BodyStall(_));
        let refusal = match request.asked() {
            Asked::Announce if takes => swarm.announce(member, request).err(),
            Asked::Other => Some("info_hash is missing"),
            _ => None,
        };
        Self { behaviour, request, refusal }
    }

    /// What the connection does about it.
    pub(crate) fn steps(self, swarm: &Swarm, member: Member) -> Vec<Step> {
        let answer = |reply: &Reply| self.answer(reply, swarm, member);
        match &self.behaviour {
            Behaviour::Ok(reply) => self.laid_out(&answer(reply)),
            Behaviour::Failure(failure) => self.laid_out(&plain(failure.encode())),
            Behaviour::Answer(answer) => self.laid_out(answer),
            Behaviour::HeadDrip(every) => {
                let (head, body) = split(&answer(&Reply::default()));
                vec![Step::Drip(head, *every), Step::Send(self.visible(body))]
            }
            Behaviour::BodyStall(sent) => {
                let (mut bytes, body) = split(&answer(&Reply::default()));
                bytes.extend(self.visible(body).into_iter().take(*sent));
                // To a HEAD that is all there is.
                if self.wants_body() {
                    vec![Step::Send(bytes), Step::Silence]
                } else {
                    vec![Step::Send(bytes)]
                }
            }
            Behaviour::EndlessBody => {
                let (head, _) = split(&plain(Vec::new()).framing(Framing::Http10));
                let body = if self.wants_body() { Step::SendForever(vec![b'0'; 4096]) } else { Step::Close };
                vec![Step::Send(head), body]
            }
            Behaviour::Raw(steps) => steps.clone(),
            Behaviour::Reset => vec![Step::Reset],
            Behaviour::Refused => vec![Step::Close],
            Behaviour::Silent
            | Behaviour::SynDropped
            | Behaviour::After(..)
            | Behaviour::When(..)
            | Behaviour::Sequence(_) => vec![Step::Silence],
        }
    }

    /// What a good tracker answers.
    fn answer(&self, reply: &Reply, swarm: &Swarm, member: Member) -> Answer {
        if self.request.method.is_empty() {
            return Answer::new(400).body("not a request of HTTP/1\n").framing(Framing::Close);
        }
        let body = match (self.refusal, self.request.asked()) {
            (Some(reason), _) => Failure { reason: reason.into(), ..Failure::default() }.encode(),
            (None, Asked::Announce) => announce_body(reply, self.request, swarm, member),
            (None, Asked::Scrape) => scrape_body(self.request, swarm, member),
            (None, Asked::Head | Asked::Other) => Vec::new(),
        };
        plain(body).framing(reply.framing)
    }

    fn laid_out(&self, answer: &Answer) -> Vec<Step> {
        let closes = match answer.framing {
            Framing::KeepAlive | Framing::Chunked => false,
            Framing::Close | Framing::BrokenPromise | Framing::Http10 => true,
        };
        let (mut bytes, body) = split(answer);
        bytes.extend(self.visible(body));
        if closes { vec![Step::Send(bytes), Step::Close] } else { vec![Step::Send(bytes)] }
    }

    fn visible(&self, body: Vec<u8>) -> Vec<u8> {
        if self.wants_body() { body } else { Vec::new() }
    }

    fn wants_body(&self) -> bool {
        self.request.asked() != Asked::Head
    }
}

/// The answer to a head that doesn't end.
pub(crate) fn too_long() -> Vec<u8> {
    let (mut bytes, body) = split(&Answer::new(431).body("the head is too long\n").framing(Framing::Close));
    bytes.extend(body);
    bytes
}

fn plain(body: Vec<u8>) -> Answer {
    Answer::new(200).header("Content-Type", "text/plain").body(body)
}

/// Head and body as bytes.
fn split(answer: &Answer) -> (Vec<u8>, Vec<u8>) {
    let version = if answer.framing == Framing::Http10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut lines = vec![format!("{version} {} {}", answer.status, answer.phrase)];
    lines.extend(answer.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    let length = format!("Content-Length: {}", answer.body.len());
    match answer.framing {
        Framing::KeepAlive | Framing::BrokenPromise => lines.push(length),
        Framing::Close => lines.extend([length, "Connection: close".to_owned()]),
        Framing::Http10 => (),
        Framing::Chunked => lines.push("Transfer-Encoding: chunked".to_owned()),
    }
    let head = lines.join("\r\n") + "\r\n\r\n";
    let body = if answer.framing == Framing::Chunked { chunked(&answer.body) } else { answer.body.clone() };
    (head.into_bytes(), body)
}

/// The body in small chunks: clients that only know single chunks are found out.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(16) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

fn announce_body(reply: &Reply, request: &Heard, swarm: &Swarm, member: Member) -> Vec<u8> {
    let mut body = Dictionary::new();
    body.integer("interval", reply.interval.as_secs());
    if let Some(min_interval) = reply.min_interval {
        body.integer("min interval", min_interval.as_secs());
    }
    if let Some(tracker_id) = &reply.tracker_id {
        body.string("tracker id", tracker_id);
    }
    if let Some(warning) = &reply.warning {
        body.string("warning message", warning);
    }
    if reply.external_ip {
        body.string("external ip", ip_bytes(request.from.ip()));
    }
    let info_hash = request.info_hash().unwrap_or_default();
    let counts = swarm.counts_of(member, &info_hash).unwrap_or_default();
    body.integer("complete", counts.complete);
    body.integer("incomplete", counts.incomplete);
    write_peers(&mut body, reply.form, &chosen(&reply.peers, request, &swarm.peers_of(member, &info_hash)));
    body.encode()
}

/// The peers to be named: not the asking one, and no more than it asked for.
fn chosen(peers: &Peers, request: &Heard, known: &[SwarmPeer]) -> Vec<(Option<[u8; 20]>, SocketAddr)> {
    let own_address = request.port().map(|port| SocketAddr::new(request.from.ip(), port));
    let named: Vec<_> = match peers {
        Peers::Swarm => known.iter().map(|peer| (Some(peer.peer_id), peer.address)).collect(),
        Peers::Fixed(addresses) => addresses.iter().map(|address| (None, *address)).collect(),
    };
    let others = named
        .into_iter()
        .filter(|(id, address)| Some(*address) != own_address && (id.is_none() || *id != request.peer_id()));
    let wanted = request.num_want().map_or(DEFAULT_NUM_WANT, |wanted| {
        usize::try_from(wanted).map_or(MAX_PEERS, |wanted| wanted.min(MAX_PEERS))
    });
    others.take(wanted).collect()
}

fn write_peers(body: &mut Dictionary, form: PeerForm, peers: &[(Option<[u8; 20]>, SocketAddr)]) {
    match form {
        PeerForm::Compact => {
            let compact = |v6: bool| {
                let of_family = peers.iter().filter(move |(_, address)| address.is_ipv6() == v6);
                of_family.flat_map(|(_, address)| compact(*address)).collect::<Vec<u8>>()
            };
            body.string("peers", compact(false));
            if peers.iter().any(|(_, address)| address.is_ipv6()) {
                body.string("peers6", compact(true));
            }
        }
        PeerForm::Dictionaries => {
            let dictionaries = peers.iter().map(|(id, address)| {
                let mut peer = Dictionary::new();
                peer.string("ip", address.ip().to_string());
                peer.integer("port", address.port());
                if let Some(id) = id {
                    peer.string("peer id", id);
                }
                peer.encode()
            });
            body.value("peers", bencode::list(dictionaries));
        }
    }
}

/// An address and port in the form of BEP 23 (6 bytes) or BEP 7 (18 bytes).
pub fn compact(address: SocketAddr) -> Vec<u8> {
    let mut bytes = ip_bytes(address.ip());
    bytes.extend(address.port().to_be_bytes());
    bytes
}

fn ip_bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// The reply of BEP 48; all torrents where none is named. Unknown torrents are left out.
fn scrape_body(request: &Heard, swarm: &Swarm, member: Member) -> Vec<u8> {
    let mut named: Vec<[u8; 20]> =
        request.all("info_hash").into_iter().filter_map(|hash| hash.try_into().ok()).collect();
    if request.parameter("info_hash").is_none() {
        named = swarm.torrents(member);
    }
    let mut files = Dictionary::new();
    for info_hash in named {
        if let Some(counts) = swarm.counts_of(member, &info_hash) {
            let mut file = Dictionary::new();
            file.integer("complete", counts.complete);
            file.integer("incomplete", counts.incomplete);
            file.integer("downloaded", counts.downloaded);
            files.value(info_hash, file.encode());
        }
    }
    let mut body = Dictionary::new();
    body.value("files", files.encode());
    body.encode()
}
