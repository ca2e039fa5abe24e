//! The exchange of keys, as the side that dialled sees it.

use rand::RngExt;
use rand::rngs::StdRng;
use tracker_failover::InfoHash;

use super::decoder::Decoder;
use super::keys::{KEY, KeyPair, Sender, SharedSecret};
use super::{CONSTANT, Cipher, Ciphers, Methods, Secured, end_of, noise, padding};
use crate::wire::Why;

/// An exchange with a peer that we dialled.
#[derive(Debug)]
pub(crate) struct Dialling {
    torrent: InfoHash,
    methods: Methods,
    /// What is sent encrypted as early as it can be.
    initial: Vec<u8>,
    rng: StdRng,
    keys: KeyPair,
    /// Known when their key has come, with the cipher of what we send then.
    secret: Option<(SharedSecret, Cipher)>,
    /// Everything that has come. It is little, and read from its start each time.
    received: Vec<u8>,
}

impl Dialling {
    /// Begins an exchange about a torrent. `initial` are the first bytes of what is to be encrypted.
    pub(crate) fn new(
        torrent: InfoHash,
        methods: Methods,
        initial: Vec<u8>,
        mut rng: StdRng,
        out: &mut Vec<u8>,
    ) -> Self {
        let keys = KeyPair::new(rng.random());
        out.extend_from_slice(keys.public());
        out.append(&mut noise(&mut rng));
        Self { torrent, methods, initial, rng, keys, secret: None, received: Vec::new() }
    }

    /// Takes bytes of the peer; what is to be sent to it is appended to `out`.
    ///
    /// # Errors
    /// When it doesn't speak the protocol, or chooses what it may not.
    pub(crate) fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<Secured>, Why> {
        self.received.extend_from_slice(bytes);
        let Some((key, after_key)) = self.received.split_first_chunk::<KEY>() else { return Ok(None) };
        if self.secret.is_none() {
            let secret = self.keys.shared(key);
            let mut cipher = secret.cipher(Sender::Dialler, self.torrent)?;
            let mut encrypted = CONSTANT.to_vec();
            encrypted.extend_from_slice(&self.methods.0.to_be_bytes());
            encrypted.append(&mut padding(&mut self.rng));
            encrypted.extend_from_slice(&u16::try_from(self.initial.len()).unwrap_or(u16::MAX).to_be_bytes());
            encrypted.extend(self.initial.iter().take(usize::from(u16::MAX)));
            cipher.apply(&mut encrypted);
            out.extend_from_slice(&secret.mark());
            out.extend_from_slice(&secret.hide(self.torrent));
            out.append(&mut encrypted);
            self.secret = Some((secret, cipher));
        }
        let Some((secret, _)) = &self.secret else { return Ok(None) };
        let mut incoming = secret.cipher(Sender::Accepter, self.torrent)?;
        let mut constant = CONSTANT;
        incoming.apply(&mut constant);
        let Some(start) = end_of(&constant, after_key)? else { return Ok(None) };
        let mut decoder = Decoder::new(incoming, after_key.get(start..).unwrap_or_default());
        let Some(choice) = decoder.u32() else { return Ok(None) };
        let method = self.methods.chosen(choice).ok_or(Why::Encryption)?;
        if decoder.padding()?.is_none() {
            return Ok(None);
        }
        let (incoming, rest) = decoder.into_rest();
        let mut clear = rest.to_vec();
        let Some((_, outgoing)) = self.secret.take() else { return Ok(None) };
        let mut ciphers = Ciphers::of(method, incoming, outgoing);
        ciphers.decrypt(&mut clear);
        Ok(Some(Secured { torrent: self.torrent, method, ciphers, clear }))
    }
}
