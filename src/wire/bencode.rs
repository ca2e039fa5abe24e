//! Bencode as trackers and clients really write it: what bendy refuses is brought into the canonical form first.
//!
//! bendy reads canonical bencode only, while trackers send keys in any order and torrent files hold keys twice.
//! [`Document`] lets bendy try. If bendy refuses, one bounded scan rewrites the first value of the input with its keys
//! sorted, and bendy reads that. The scan handles structure only: every value is still decoded by bendy.

#[cfg(feature = "http")]
mod extent;
mod rules;
mod scan;

use std::borrow::Cow;

use bendy::decoding::{Decoder, DictDecoder, Object};

#[cfg(feature = "http")]
pub(crate) use self::extent::Extent;
pub use self::rules::{BencodeError, Rules};

/// The first value of an input in its canonical form: keys sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<'a> {
    bytes: Cow<'a, [u8]>,
    consumed: usize,
    info: Option<&'a [u8]>,
}

impl<'a> Document<'a> {
    /// Reads the first value of `input`. Bytes after it are ignored, see [`consumed`](Self::consumed).
    ///
    /// Takes memory of a small multiple of the input, and reads the input at most twice.
    ///
    /// # Errors
    /// If the input doesn't begin with a well-formed value, or the value is deeper or has more items than `rules` allow.
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

    /// The canonical encoding of the value, which bendy accepts.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes of the input the value takes, including blanks before it.
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// The value of the top-level key `info`, byte for byte as it stands in the input: the info-hash is computed over these
    /// bytes (BEP 3), whatever the order of keys. `None` if it is neither a list nor a dictionary.
    pub fn info(&self) -> Option<&'a [u8]> {
        self.info
    }

    /// The entries of the dictionary whose keys are among `names`.
    pub(crate) fn fields(&self, names: &[&str]) -> Result<Fields<'_>, BencodeError> {
        Fields::of(&self.bytes, names).ok_or(BencodeError { expected: "expected a dictionary", offset: 0 })
    }
}

/// Whether a byte is skipped before a reply: white space, and the bytes of a byte order mark, which editors put before
/// scripts and servers send along. No value begins with one of these.
pub(crate) fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, 0xef | 0xbb | 0xbf)
}

/// bendy's decoder for a part of a [`Document`]. Always with a depth limit, because bendy's default isn't safe on a small
/// stack.
pub(crate) fn decoder(part: &[u8]) -> Decoder<'_> {
    Decoder::new(part).with_max_depth(Rules::FILE.depth)
}

/// Reads a list or dictionary by bendy alone: the bytes of the value, and those of its `info`. `None` if bendy refuses.
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

/// The requested entries of one dictionary. Lists and dictionaries are kept as their canonical bytes.
#[derive(Debug)]
pub(crate) struct Fields<'a>(Vec<(&'a [u8], Value<'a>)>);

/// One value of a dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// As text, because integers have no limit in bencode.
    Integer(&'a str),
    Bytes(&'a [u8]),
    List(&'a [u8]),
    Dict(&'a [u8]),
}

impl<'a> Fields<'a> {
    /// Reads a dictionary. Only the requested keys are kept, so a hostile dictionary takes no memory.
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

    /// Reads a dictionary from its bytes; `None` if they aren't one.
    pub(crate) fn of(bytes: &'a [u8], names: &[&str]) -> Option<Self> {
        match decoder(bytes).next_object() {
            Ok(Some(Object::Dict(dict))) => Self::read(dict, names).ok(),
            _ => None,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value<'a>> {
        self.0.iter().find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| *value)
    }

    /// The string under this key; `None` if it is missing or of another type.
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

    /// A number from 0 to 2^64-1, written as an integer or, by some trackers, as a string of digits. `None` for anything
    /// else: one bad field mustn't cost the rest of the reply.
    pub(crate) fn number(self) -> Option<u64> {
        self.digits()?.parse().ok()
    }

    /// The digits of a number that isn't negative, of any length.
    pub(crate) fn digits(self) -> Option<&'a str> {
        let text = match self {
            Self::Integer(text) => text,
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok()?,
            Self::List(_) | Self::Dict(_) => return None,
        };
        // Checked here, because parsing would accept a plus sign.
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
    }
}

#[cfg(test)]
mod tests;
