//! Reads the encrypted part of an exchange of keys, as far as it is here.

use super::{CONSTANT, Cipher, MAX_PAD};
use crate::wire::Why;

/// Encrypted bytes, and the cipher that reads them.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    cipher: Cipher,
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Bytes that begin where the cipher is.
    pub(super) fn new(cipher: Cipher, bytes: &'a [u8]) -> Self {
        Self { cipher, rest: bytes }
    }

    /// The next bytes in clear; `None` while they aren't here.
    pub(super) fn bytes(&mut self, length: usize) -> Option<Vec<u8>> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        let mut clear = bytes.to_vec();
        self.cipher.apply(&mut clear);
        Some(clear)
    }

    /// The constant that shows that both sides have the same keys.
    pub(super) fn constant(&mut self) -> Result<Option<()>, Why> {
        match self.bytes(CONSTANT.len()) {
            Some(bytes) if bytes != CONSTANT => Err(Why::Handshake),
            other => Ok(other.map(drop)),
        }
    }

    /// A number of two bytes.
    pub(super) fn u16(&mut self) -> Option<u16> {
        let bytes = self.bytes(2)?;
        Some(u16::from_be_bytes(*bytes.first_chunk()?))
    }

    /// A number of four bytes.
    pub(super) fn u32(&mut self) -> Option<u32> {
        let bytes = self.bytes(4)?;
        Some(u32::from_be_bytes(*bytes.first_chunk()?))
    }

    /// Padding behind its length.
    pub(super) fn padding(&mut self) -> Result<Option<()>, Why> {
        let Some(length) = self.u16().map(usize::from) else { return Ok(None) };
        if length > MAX_PAD {
            return Err(Why::Handshake);
        }
        Ok(self.bytes(length).map(drop))
    }

    /// What is left, still encrypted, and the cipher that reads it.
    pub(super) fn into_rest(self) -> (Cipher, &'a [u8]) {
        (self.cipher, self.rest)
    }
}
