//! The exchange of keys (Diffie-Hellman over 768 bits), and what both sides make of the secret that they share then.

use crypto_bigint::modular::ConstMontyForm;
use crypto_bigint::{U192, U768, const_monty_params};
use sha1::{Digest, Sha1};
use tracker_failover::InfoHash;

use super::Cipher;
use crate::wire::Why;

const_monty_params!(
    Modulus,
    U768,
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd\
     ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a63a36210000000000090563",
    "The prime of the exchange."
);

/// A number below the prime.
type Number = ConstMontyForm<Modulus, { U768::LIMBS }>;

/// A public key as it travels.
pub(super) type PublicKey = [u8; KEY];
pub(super) const KEY: usize = 96;

/// The keys of one side.
#[derive(Debug)]
pub(super) struct KeyPair {
    secret: U192,
    public: PublicKey,
}

impl KeyPair {
    /// The keys of 160 random bits.
    pub(super) fn new(random: [u8; 20]) -> Self {
        let mut bytes = [0; 24];
        bytes[4..].copy_from_slice(&random);
        let secret = U192::from_be_slice(&bytes);
        let public = bytes_of(&Number::new(&U768::from_u8(GENERATOR)).pow_bounded_exp(&secret, SECRET_BITS));
        Self { secret, public }
    }

    /// What the other side is sent.
    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// What both sides know after each has sent its public key.
    pub(super) fn shared(&self, theirs: &PublicKey) -> SharedSecret {
        let theirs = Number::new(&U768::from_be_slice(theirs));
        SharedSecret(bytes_of(&theirs.pow_bounded_exp(&self.secret, SECRET_BITS)))
    }
}

fn bytes_of(number: &Number) -> [u8; KEY] {
    let mut bytes = [0; KEY];
    bytes.copy_from_slice(number.retrieve().to_be_bytes().as_ref());
    bytes
}

/// What both sides know and others don't.
#[derive(Debug)]
pub(super) struct SharedSecret([u8; KEY]);

/// Which side sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// The one that dialled.
    Dialler,
    /// The one that was dialled.
    Accepter,
}

impl SharedSecret {
    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    /// By these bytes the side that was dialled recognises where the noise behind the key ends.
    pub(super) fn mark(&self) -> [u8; 20] {
        hash(&[b"req1", &self.0])
    }

    /// The torrent in a form that only those recognise who have it.
    pub(super) fn hide(&self, torrent: InfoHash) -> [u8; 20] {
        let mut hidden = hash(&[b"req2", torrent.as_bytes()]);
        for (byte, other) in hidden.iter_mut().zip(hash(&[b"req3", &self.0])) {
            *byte ^= other;
        }
        hidden
    }

    /// The cipher of what one side sends about a torrent.
    pub(super) fn cipher(&self, sender: Sender, torrent: InfoHash) -> Result<Cipher, Why> {
        let name: &[u8] = match sender {
            Sender::Dialler => b"keyA",
            Sender::Accepter => b"keyB",
        };
        Cipher::new(&hash(&[name, &self.0, torrent.as_bytes()]))
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 20] {
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

const GENERATOR: u8 = 2;
const SECRET_BITS: u32 = 160;
