//! Reads bencode, by hand: what judges the library must not share its codec.

use std::collections::BTreeMap;

/// A value of BEP 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Integer(i64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Dict(BTreeMap<Vec<u8>, Value>),
}

impl Value {
    /// Reads one value that is the whole of these bytes.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let value = read(&mut rest)?;
        rest.is_empty().then_some(value)
    }

    pub(crate) fn get(&self, key: impl AsRef<[u8]>) -> Option<&Self> {
        match self {
            Self::Dict(entries) => entries.get(key.as_ref()),
            _ => None,
        }
    }

    pub(crate) fn integer(&self, key: &str) -> Option<i64> {
        match self.get(key) {
            Some(Self::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn bytes(&self, key: &str) -> Option<&[u8]> {
        match self.get(key) {
            Some(Self::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }
}

fn read(rest: &mut &[u8]) -> Option<Value> {
    let (first, behind) = rest.split_first()?;
    match first {
        b'i' => {
            *rest = behind;
            number(rest, b'e').map(Value::Integer)
        }
        b'l' => {
            *rest = behind;
            let mut items = Vec::new();
            while !at_end(rest)? {
                items.push(read(rest)?);
            }
            Some(Value::List(items))
        }
        b'd' => {
            *rest = behind;
            let mut entries = BTreeMap::new();
            while !at_end(rest)? {
                entries.insert(string(rest)?, read(rest)?);
            }
            Some(Value::Dict(entries))
        }
        _ => string(rest).map(Value::Bytes),
    }
}

fn at_end(rest: &mut &[u8]) -> Option<bool> {
    let (first, behind) = rest.split_first()?;
    if *first == b'e' {
        *rest = behind;
    }
    Some(*first == b'e')
}

fn string(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = number(rest, b':')?;
    let (bytes, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = behind;
    Some(bytes.to_vec())
}

fn number(rest: &mut &[u8], end: u8) -> Option<i64> {
    let place = rest.iter().position(|byte| *byte == end)?;
    let (digits, behind) = rest.split_at(place);
    *rest = behind.get(1..)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
