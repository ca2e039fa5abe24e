//! The beginning of a connection up to both handshakes (BEP 3), in plain text or encrypted (MSE).

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use tracker_failover::InfoHash;

use super::Why;
use super::handshake::{self, Handshake, LENGTH, PROTOCOL, UP_TO_INFO_HASH};
use super::mse::{Accepting, Ciphers, Dialling, Method, Methods, Policy, Secured};

/// The beginning of one connection.
#[derive(Debug)]
pub(crate) struct Greeting {
    stage: Stage,
    /// Our handshake for each torrent that the connection may be for.
    ours: BTreeMap<InfoHash, [u8; LENGTH]>,
    /// The one that it is for.
    torrent: Option<InfoHash>,
    /// Whether our handshake has gone out.
    said: bool,
    /// Their handshake in clear, as far as it is here.
    theirs: Vec<u8>,
    /// What is to be sent.
    out: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    /// The first bytes say whether the peer encrypts.
    Unknown(Policy, Box<StdRng>),
    Dialling(Box<Dialling>),
    Accepting(Box<Accepting>),
    /// Both sides may send their handshakes.
    Open(Option<Method>, Box<Ciphers>),
}

/// Both handshakes are done.
#[derive(Debug)]
pub(crate) struct Greeted {
    /// The torrent that the connection is for.
    pub(crate) torrent: InfoHash,
    /// The peer's handshake, and how the connection goes on.
    pub(crate) handshake: Handshake,
    pub(crate) ciphers: Ciphers,
    /// What has come behind the handshake, in clear.
    pub(crate) unread: Vec<u8>,
}

impl Greeting {
    /// Greets a peer that we have dialled in plain text.
    pub(crate) fn plain(torrent: InfoHash, ours: [u8; LENGTH]) -> Self {
        let stage = Stage::Open(None, Box::default());
        Self { said: true, out: ours.to_vec(), torrent: Some(torrent), ..Self::new(stage, [(torrent, ours)]) }
    }

    /// Greets a peer that we have dialled encrypted, in a way that this policy allows.
    pub(crate) fn encrypted(torrent: InfoHash, ours: [u8; LENGTH], policy: Policy, rng: StdRng) -> Self {
        let mut out = Vec::new();
        let dialling = Dialling::new(torrent, Methods::of(policy), ours.to_vec(), rng, &mut out);
        let stage = Stage::Dialling(Box::new(dialling));
        Self { said: true, out, torrent: Some(torrent), ..Self::new(stage, [(torrent, ours)]) }
    }

    /// Awaits the greeting of a peer that has dialled us and may want one of these torrents, to which our handshakes are
    /// given. How it begins says whether it encrypts.
    pub(crate) fn awaited(
        ours: impl IntoIterator<Item = (InfoHash, [u8; LENGTH])>,
        policy: Policy,
        rng: StdRng,
    ) -> Self {
        Self::new(Stage::Unknown(policy, Box::new(rng)), ours)
    }

    fn new(stage: Stage, ours: impl IntoIterator<Item = (InfoHash, [u8; LENGTH])>) -> Self {
        let ours = ours.into_iter().collect();
        Self { stage, ours, torrent: None, said: false, theirs: Vec::new(), out: Vec::new() }
    }

    /// What is to be sent since the last time.
    pub(crate) fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Whether the peer has shown that it encrypts.
    pub(crate) fn is_secured(&self) -> bool {
        matches!(self.stage, Stage::Open(Some(_), _))
    }

    /// Takes bytes of the peer; gives what has come of the greeting when it is over.
    ///
    /// # Errors
    /// As soon as a byte is wrong, so that another protocol doesn't keep us waiting.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Option<Greeted>, Why> {
        if matches!(self.stage, Stage::Unknown(..)) {
            return self.recognise(bytes);
        }
        let secured = match &mut self.stage {
            Stage::Dialling(dialling) => dialling.receive(bytes, &mut self.out)?,
            Stage::Accepting(accepting) => {
                accepting.receive(bytes, self.ours.keys().copied(), &mut self.out)?
            }
            Stage::Open(_, ciphers) => {
                let mut clear = bytes.to_vec();
                ciphers.decrypt(&mut clear);
                return self.take_clear(&clear);
            }
            Stage::Unknown(..) => None,
        };
        let Some(Secured { torrent, method, ciphers, clear }) = secured else { return Ok(None) };
        self.torrent = Some(torrent);
        self.stage = Stage::Open(Some(method), Box::new(ciphers));
        self.take_clear(&clear)
    }

    /// Takes the first bytes of a peer that has dialled us. A public key begins like a handshake once in 2^160 times.
    fn recognise(&mut self, bytes: &[u8]) -> Result<Option<Greeted>, Why> {
        self.theirs.extend_from_slice(bytes);
        let is_plain = begins_like_a_handshake(&self.theirs);
        if is_plain && self.theirs.len() < PROTOCOL.len() {
            return Ok(None);
        }
        let plain = Stage::Open(None, Box::default());
        let Stage::Unknown(policy, rng) = std::mem::replace(&mut self.stage, plain) else { return Ok(None) };
        if is_plain && policy == Policy::Require {
            return Err(Why::Encryption);
        }
        if is_plain || policy == Policy::Off {
            return self.take_clear(&[]);
        }
        self.stage = Stage::Accepting(Box::new(Accepting::new(Methods::of(policy), *rng)));
        let begun = std::mem::take(&mut self.theirs);
        self.receive(&begun)
    }

    /// Takes bytes of their handshake. The side that was dialled sends its own when it knows the torrent (BEP 3).
    fn take_clear(&mut self, clear: &[u8]) -> Result<Option<Greeted>, Why> {
        self.theirs.extend_from_slice(clear);
        let named = self.torrent.or_else(|| handshake::info_hash(&self.theirs));
        let Some(torrent) = named else {
            return if begins_like_a_handshake(&self.theirs) { Ok(None) } else { Err(Why::Handshake) };
        };
        let read = handshake::read(&self.theirs, torrent)?;
        let ours = self.ours.get(&torrent).ok_or(Why::InfoHash)?;
        let Stage::Open(method, ciphers) = &mut self.stage else { return Ok(None) };
        if !self.said && self.theirs.len() >= UP_TO_INFO_HASH {
            let mut ours = *ours;
            ciphers.encrypt(&mut ours);
            self.out.extend_from_slice(&ours);
            self.said = true;
        }
        let Some(handshake) = read else { return Ok(None) };
        let (handshake, ciphers) =
            (Handshake { method: *method, ..handshake }, std::mem::take(&mut **ciphers));
        let unread = self.theirs.split_off(LENGTH);
        Ok(Some(Greeted { torrent, handshake, ciphers, unread }))
    }
}

/// Whether it is the beginning of a handshake, as far as it is here.
fn begins_like_a_handshake(bytes: &[u8]) -> bool {
    bytes.iter().zip(PROTOCOL).all(|(byte, expected)| byte == expected)
}

#[cfg(test)]
mod tests;
