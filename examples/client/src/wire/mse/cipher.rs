//! The stream cipher of encrypted connections: RC4, whose first 1024 bytes are thrown away.

use std::fmt;

use rc4::{KeyInit, Rc4, StreamCipher};

use crate::wire::Why;

/// The cipher of one direction of a connection.
pub(crate) struct Cipher(Rc4);

impl Cipher {
    /// The cipher of a key, at the beginning of what is encrypted.
    ///
    /// # Errors
    /// Never: keys of this length are taken.
    pub(super) fn new(key: &[u8; 20]) -> Result<Self, Why> {
        let mut cipher = Rc4::new_from_slice(key).map_err(|_| Why::Handshake)?;
        // The first bytes of RC4 give its key away.
        cipher.apply_keystream(&mut [0; 1024]);
        Ok(Self(cipher))
    }

    /// Encrypts or decrypts, in place. Each byte of a direction goes through it once, in order.
    pub(crate) fn apply(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}
