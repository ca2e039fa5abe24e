//! Writes bencode (BEP 3), by hand: replies that judge a client must not come from the client's own codec.

use std::collections::BTreeMap;

/// A dictionary being written. Keys come out sorted as raw bytes, whatever order they were put in; a reply
/// that breaks this rule is written by hand and sent as an [`Answer`](crate::Answer).
///
/// ```
/// use fake_tracker::bencode::Dictionary;
///
/// let mut reply = Dictionary::new();
/// reply.string("peers", b"");
/// reply.integer("interval", 1800);
/// assert_eq!(reply.encode(), b"d8:intervali1800e5:peers0:e");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dictionary(BTreeMap<Vec<u8>, Vec<u8>>);

impl Dictionary {
    /// An empty dictionary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a byte string under a key.
    pub fn string(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.value(key, string(value));
    }

    /// Puts an integer under a key.
    pub fn integer(&mut self, key: impl AsRef<[u8]>, value: impl Into<i128>) {
        self.value(key, integer(value));
    }

    /// Puts something under a key that is encoded already: a list, a dictionary, or nonsense.
    pub fn value(&mut self, key: impl AsRef<[u8]>, encoded: impl Into<Vec<u8>>) {
        self.0.insert(key.as_ref().to_vec(), encoded.into());
    }

    /// The dictionary as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![b'd'];
        for (key, value) in &self.0 {
            bytes.extend(string(key));
            bytes.extend(value);
        }
        bytes.push(b'e');
        bytes
    }
}

/// A byte string as bytes.
pub fn string(value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let mut bytes = value.len().to_string().into_bytes();
    bytes.push(b':');
    bytes.extend(value);
    bytes
}

/// An integer as bytes.
pub fn integer(value: impl Into<i128>) -> Vec<u8> {
    format!("i{}e", value.into()).into_bytes()
}

/// A list, of items that are encoded already, as bytes.
pub fn list(items: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut bytes = vec![b'l'];
    bytes.extend(items.into_iter().flatten());
    bytes.push(b'e');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_written_as_bep_3_says() {
        assert_eq!(string("spam"), b"4:spam");
        assert_eq!(string([]), b"0:");
        for (value, text) in [(0, "i0e"), (-3, "i-3e"), (i64::MAX, "i9223372036854775807e")] {
            assert_eq!(integer(value), text.as_bytes());
        }
        assert_eq!(list([string("a"), integer(1)]), b"l1:ai1ee");
        assert_eq!(Dictionary::new().encode(), b"de");
    }

    #[test]
    fn keys_are_sorted_as_bytes_and_the_last_of_two_wins() {
        let mut nested = Dictionary::new();
        nested.value("list", list([]));
        let mut dictionary = Dictionary::new();
        dictionary.integer("b", 1);
        dictionary.value("a", nested.encode());
        dictionary.string("B", "x");
        dictionary.integer("b", 2);
        assert_eq!(dictionary.encode(), b"d1:B1:x1:ad4:listlee1:bi2ee");
    }
}
