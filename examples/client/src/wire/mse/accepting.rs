//! The exchange of keys, as the side that was dialled sees it.

use rand::RngExt;
use rand::rngs::StdRng;
use tracker_failover::InfoHash;

use super::decoder::Decoder;
use super::keys::{KEY, KeyPair, Sender, SharedSecret};
use super::{CONSTANT, Ciphers, Methods, Secured, end_of, noise, padding};
use crate::wire::Why;

/// An exchange with a peer that has dialled us.
#[derive(Debug)]
pub(crate) struct Accepting {
    methods: Methods,
    rng: StdRng,
    keys: KeyPair,
    /// Known when their key has come.
    secret: Option<SharedSecret>,
    /// Known when they have named it.
    torrent: Option<InfoHash>,
    /// Everything that has come. It is little, and read from its start each time.
    received: Vec<u8>,
}

impl Accepting {
    /// Awaits an exchange.
    pub(crate) fn new(methods: Methods, mut rng: StdRng) -> Self {
        let keys = KeyPair::new(rng.random());
        Self { methods, rng, keys, secret: None, torrent: None, received: Vec::new() }
    }

    /// Takes bytes of the peer, which may want one of these torrents; what is to be sent to it is appended to `out`.
    ///
    /// # Errors
    /// When it doesn't speak the protocol, wants another torrent, or nothing that it takes is allowed.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        mut torrents: impl Iterator<Item = InfoHash>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Secured>, Why> {
        self.received.extend_from_slice(bytes);
        let Some((key, after_key)) = self.received.split_first_chunk::<KEY>() else { return Ok(None) };
        if self.secret.is_none() {
            self.secret = Some(self.keys.shared(key));
            out.extend_from_slice(self.keys.public());
            out.append(&mut noise(&mut self.rng));
        }
        let Some(secret) = &self.secret else { return Ok(None) };
        let Some(start) = end_of(&secret.mark(), after_key)? else { return Ok(None) };
        let after_mark = after_key.get(start..).unwrap_or_default();
        let Some((hidden, encrypted)) = after_mark.split_first_chunk::<20>() else { return Ok(None) };
        let named = self.torrent.or_else(|| torrents.find(|&torrent| secret.hide(torrent) == *hidden));
        let torrent = named.ok_or(Why::InfoHash)?;
        self.torrent = Some(torrent);
        let mut decoder = Decoder::new(secret.cipher(Sender::Dialler, torrent)?, encrypted);
        if decoder.constant()?.is_none() {
            return Ok(None);
        }
        let Some(offered) = decoder.u32() else { return Ok(None) };
        let method = self.methods.choose(offered).ok_or(Why::Encryption)?;
        if decoder.padding()?.is_none() {
            return Ok(None);
        }
        let Some(initial) = decoder.u16() else { return Ok(None) };
        // They are encrypted in any case, and of what follows that depends on the method.
        let Some(mut clear) = decoder.bytes(initial.into()) else { return Ok(None) };
        let mut outgoing = secret.cipher(Sender::Accepter, torrent)?;
        let mut answer = CONSTANT.to_vec();
        answer.extend_from_slice(&method.bit().to_be_bytes());
        answer.append(&mut padding(&mut self.rng));
        outgoing.apply(&mut answer);
        out.append(&mut answer);
        let (incoming, rest) = decoder.into_rest();
        let mut rest = rest.to_vec();
        let mut ciphers = Ciphers::of(method, incoming, outgoing);
        ciphers.decrypt(&mut rest);
        clear.append(&mut rest);
        Ok(Some(Secured { torrent, method, ciphers, clear }))
    }
}
