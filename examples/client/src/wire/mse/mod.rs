//! Message Stream Encryption (MSE, also called protocol encryption): hides connections between peers from networks that
//! hinder BitTorrent. Bytes in, bytes out; randomness is an argument.
//!
//! Each side sends a public key and noise; the side that dialled then sends the torrent's info-hash in a form that only
//! clients which have the torrent recognise, and the ways in which the connection may go on, of which the other side chooses
//! one. It protects from being recognised, not from a man in the middle, who can exchange keys with both. Source: "Message
//! Stream Encryption", version 1.0, as written down by the authors of Vuze.

mod accepting;
mod cipher;
mod decoder;
mod dialling;
mod keys;
#[cfg(test)]
mod tests;

use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use tracker_failover::InfoHash;

pub(super) use self::accepting::Accepting;
pub(crate) use self::cipher::Cipher;
pub(super) use self::dialling::Dialling;
use super::Why;

/// Whether connections are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Never: only plain connections are made and taken.
    Off,
    /// Where the peer can do it.
    Prefer,
    /// Always: a plain connection isn't made and isn't taken.
    Require,
}

/// In which way a connection goes on after its keys were exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// In plain text; only the beginning was hidden.
    Plain,
    /// Encrypted from the first byte to the last.
    Rc4,
}

/// The ways that one side takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Methods(u32);

impl Methods {
    /// Those that a policy allows.
    pub(super) fn of(policy: Policy) -> Self {
        match policy {
            Policy::Off => Self(0),
            Policy::Prefer => Self(PLAIN | RC4),
            Policy::Require => Self(RC4),
        }
    }

    /// The one that is chosen of those that the other side takes: an encrypted one if there is any, as Transmission has it. A peer
    /// that wants to save the work doesn't offer it.
    fn choose(self, theirs: u32) -> Option<Method> {
        let common = self.0 & theirs;
        if common & RC4 != 0 {
            Some(Method::Rc4)
        } else if common & PLAIN != 0 {
            Some(Method::Plain)
        } else {
            None
        }
    }

    /// The one that the other side has chosen, which is to be one of these.
    fn chosen(self, theirs: u32) -> Option<Method> {
        if theirs.is_power_of_two() { self.choose(theirs) } else { None }
    }
}

impl Method {
    /// The word for a connection's way, also for one whose beginning was plain.
    pub(crate) fn word(of: Option<Self>) -> &'static str {
        match of {
            None => "none",
            Some(Self::Plain) => "handshake",
            Some(Self::Rc4) => "rc4",
        }
    }

    fn bit(self) -> u32 {
        match self {
            Self::Plain => PLAIN,
            Self::Rc4 => RC4,
        }
    }
}

/// What has come of an exchange of keys.
#[derive(Debug)]
pub(super) struct Secured {
    /// The torrent that the connection is for.
    pub(super) torrent: InfoHash,
    pub(super) method: Method,
    pub(super) ciphers: Ciphers,
    /// The first bytes of what is encrypted, in clear.
    pub(super) clear: Vec<u8>,
}

/// The ciphers of a connection; none where it is in plain text.
#[derive(Debug, Default)]
pub(crate) struct Ciphers {
    /// For what comes in.
    pub(crate) incoming: Option<Cipher>,
    /// For what goes out.
    pub(crate) outgoing: Option<Cipher>,
}

impl Ciphers {
    /// Those of a connection that goes on in this way.
    fn of(method: Method, incoming: Cipher, outgoing: Cipher) -> Self {
        match method {
            Method::Plain => Self::default(),
            Method::Rc4 => Self { incoming: Some(incoming), outgoing: Some(outgoing) },
        }
    }

    /// Decrypts what has come, in place.
    pub(crate) fn decrypt(&mut self, bytes: &mut [u8]) {
        if let Some(cipher) = &mut self.incoming {
            cipher.apply(bytes);
        }
    }

    /// Encrypts what is to go, in place.
    pub(crate) fn encrypt(&mut self, bytes: &mut [u8]) {
        if let Some(cipher) = &mut self.outgoing {
            cipher.apply(bytes);
        }
    }
}

/// Noise of a random length behind a public key.
fn noise(rng: &mut StdRng) -> Vec<u8> {
    let mut noise = vec![0; rng.random_range(0..=MAX_PAD)];
    rng.fill_bytes(&mut noise);
    noise
}

/// Padding of a random length inside of what is encrypted, behind its own length.
fn padding(rng: &mut StdRng) -> Vec<u8> {
    let length = rng.random_range(0..=MAX_PAD_LENGTH);
    let mut padding = length.to_be_bytes().to_vec();
    padding.resize(2 + usize::from(length), 0);
    padding
}

/// Where these bytes end that the other side sends behind at most [`MAX_PAD`] bytes of noise; `None` while they may still come.
fn end_of(mark: &[u8], bytes: &[u8]) -> Result<Option<usize>, Why> {
    let most = MAX_PAD + mark.len();
    let within = bytes.get(..most).unwrap_or(bytes);
    let found = within.windows(mark.len()).position(|window| window == mark);
    match found {
        Some(at) => Ok(Some(at + mark.len())),
        None if bytes.len() >= most => Err(Why::Handshake),
        None => Ok(None),
    }
}

/// The bits of the ways to go on.
const PLAIN: u32 = 1;
const RC4: u32 = 2;
/// The most bytes of noise or padding in one place.
const MAX_PAD: usize = MAX_PAD_LENGTH as usize;
const MAX_PAD_LENGTH: u16 = 512;
/// The verification constant, with which what is encrypted begins.
const CONSTANT: [u8; 8] = [0; 8];
