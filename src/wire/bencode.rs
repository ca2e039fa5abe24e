//! Bencode as it is found: what bendy refuses but clients accept is brought into the canonical form first.
//!
//! bendy reads canonical bencode and nothing else, while trackers send keys in any order and torrent files
//! hold a key twice. [`Document`] lets bendy try; where it refuses, one bounded scan writes the first value of
//! the input anew with its keys sorted, and bendy reads that. The scan decides about structure only, every
//! value is still decoded by bendy.

#[cfg(feature = "http")]
mod extent;
mod scan;

use std::borrow::Cow;

use bendy::decoding::{Decoder, DictDecoder, Object};

#[cfg(feature = "http")]
pub(crate) use self::extent::Extent;

/// The first value of some bencoded bytes in its canonical form: keys sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<'a> {
    bytes: Cow<'a, [u8]>,
    consumed: usize,
    info: Option<&'a [u8]>,
}

/// How much is tolerated, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How many lists and dictionaries may be open at once. Also the bound on recursion, here and in bendy.
    depth: usize,
    /// How many keys and values the scan goes through before it gives up.
    items: usize,
    /// A file describes content that is hashed, so what has two readings in there is refused.
    file: bool,
}

/// Why bytes are not bencode: what was expected, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{expected} at byte {offset}")]
#[non_exhaustive]
pub struct BencodeError {
    /// What was expected, as a phrase.
    pub expected: &'static str,
    /// The byte at which it was expected, counted from 0.
    pub offset: usize,
}

impl Rules {
    /// For what trackers send: up to 32 levels, blanks and a byte order mark before the value and leading zeros in the
    /// lengths of strings are tolerated, and of a key that comes twice the first one counts.
    pub const REPLY: Self = Self { depth: 32, items: 250_000, file: false };

    /// For torrent files: fewer than 100 levels, and a key that comes twice is refused where it would make the
    /// content ambiguous, which is `info` and everything in it.
    pub const FILE: Self = Self { depth: 99, items: 2_000_000, file: true };
}

impl<'a> Document<'a> {
    /// Reads the first value of `input`. What follows it is left alone, see [`consumed`](Self::consumed).
    ///
    /// Memory stays within a small multiple of the input, and the input is gone through twice at most.
    ///
    /// # Errors
    /// When the input holds no well-formed value, or one that is deeper or has more items than `rules` allow.
    pub fn read(input: &'a [u8], rules: Rules) -> Result<Self, BencodeError> {
        let blanks = if rules.file { 0 } else { input.iter().take_while(|b| is_blank(**b)).count() };
        let value = input.get(blanks..).unwrap_or_default();
        if let Some((bytes, info)) = strictly(value, rules) {
            let consumed = blanks + bytes.len();
            return Ok(Self { bytes: Cow::Borrowed(bytes), consumed, info });
        }
        let scanned = scan::canonical(input, blanks, rules)?;
        Ok(Self { bytes: Cow::Owned(scanned.bytes), consumed: scanned.end, info: scanned.info })
    }

    /// The canonical encoding of the value. Accepted by bendy.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes of the input the value took, blanks before it included.
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// The value of the top-level key `info`, byte for byte as it stands in the input: what the info-hash is
    /// taken over (BEP 3), whatever order its keys are in. `None` unless it is a list or a dictionary.
    pub fn info(&self) -> Option<&'a [u8]> {
        self.info
    }

    /// Those entries of the dictionary whose keys are among `names`.
    pub(crate) fn fields(&self, names: &[&str]) -> Result<Fields<'_>, BencodeError> {
        Fields::of(&self.bytes, names).ok_or(BencodeError { expected: "expected a dictionary", offset: 0 })
    }
}

/// What is skipped before a reply: white space, and the bytes of a byte order mark, which editors put before scripts and
/// servers send along. No value begins with one of these.
pub(crate) fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, 0xef | 0xbb | 0xbf)
}

/// bendy's decoder for a part of a [`Document`]. Never without a depth limit: bendy's own one isn't safe on a
/// small stack.
pub(crate) fn decoder(part: &[u8]) -> Decoder<'_> {
    Decoder::new(part).with_max_depth(Rules::FILE.depth)
}

/// What bendy makes of it, where it is a list or a dictionary: the bytes of the value, and those of its `info`.
fn strictly(input: &[u8], rules: Rules) -> Option<(&[u8], Option<&[u8]>)> {
    let mut decoder = Decoder::new(input).with_max_depth(rules.depth);
    match decoder.next_object().ok()?? {
        Object::Dict(mut dict) => {
            let mut info = None;
            while let Some((key, value)) = dict.next_pair().ok()? {
                if key == b"info" {
                    info = match value {
                        Object::Dict(dict) => Some(dict.into_raw().ok()?),
                        Object::List(list) => Some(list.into_raw().ok()?),
                        Object::Integer(_) | Object::Bytes(_) => None,
                    };
                }
            }
            Some((dict.into_raw().ok()?, info))
        }
        Object::List(list) => Some((list.into_raw().ok()?, None)),
        Object::Integer(_) | Object::Bytes(_) => None,
    }
}

/// The wanted entries of one dictionary. Values that hold others are kept as their canonical bytes.
#[derive(Debug)]
pub(crate) struct Fields<'a>(Vec<(&'a [u8], Value<'a>)>);

/// One value of a dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// Kept as text, since integers have no limit in bencode.
    Integer(&'a str),
    Bytes(&'a [u8]),
    List(&'a [u8]),
    Dict(&'a [u8]),
}

impl<'a> Fields<'a> {
    /// Goes through a dictionary. Only the wanted keys are kept, so a hostile one costs no memory.
    pub(crate) fn read(
        mut dict: DictDecoder<'_, 'a>,
        names: &[&str],
    ) -> Result<Self, bendy::decoding::Error> {
        let mut fields = Vec::new();
        while let Some((key, object)) = dict.next_pair()? {
            if names.iter().any(|name| name.as_bytes() == key) {
                fields.push((key, Value::read(object)?));
            }
        }
        Ok(Self(fields))
    }

    /// The same from the bytes of a dictionary; `None` where they are none.
    pub(crate) fn of(bytes: &'a [u8], names: &[&str]) -> Option<Self> {
        match decoder(bytes).next_object() {
            Ok(Some(Object::Dict(dict))) => Self::read(dict, names).ok(),
            _ => None,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value<'a>> {
        self.0.iter().find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| *value)
    }

    /// The string under this key; absent where it is of another type.
    pub(crate) fn bytes(&self, name: &str) -> Option<&'a [u8]> {
        match self.get(name)? {
            Value::Bytes(bytes) => Some(bytes),
            Value::Integer(_) | Value::List(_) | Value::Dict(_) => None,
        }
    }

    /// The number under this key, see [`Value::number`].
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.number()
    }
}

impl<'a> Value<'a> {
    pub(crate) fn read(object: Object<'_, 'a>) -> Result<Self, bendy::decoding::Error> {
        Ok(match object {
            Object::Integer(text) => Self::Integer(text),
            Object::Bytes(bytes) => Self::Bytes(bytes),
            Object::List(list) => Self::List(list.into_raw()?),
            Object::Dict(dict) => Self::Dict(dict.into_raw()?),
        })
    }

    /// A number from 0 to 2^64-1, written as an integer or, as some trackers do, as a string of digits.
    /// Anything else is absent: one odd field mustn't cost the rest of the reply.
    pub(crate) fn number(self) -> Option<u64> {
        self.digits()?.parse().ok()
    }

    /// The digits of a number that isn't negative, however long.
    pub(crate) fn digits(self) -> Option<&'a str> {
        let text = match self {
            Self::Integer(text) => text,
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok()?,
            Self::List(_) | Self::Dict(_) => return None,
        };
        // Checked by hand, because parsing would accept a plus.
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
    }
}

#[cfg(test)]
mod tests;
