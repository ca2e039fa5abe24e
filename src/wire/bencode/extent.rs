//! Finds the end of a dictionary whose bytes arrive in pieces.

/// Follows the structure of a reply's first value while it arrives; [`Document`](super::Document) reads it afterwards.
/// Takes constant memory, and looks at each byte once.
#[derive(Debug, Default)]
pub(crate) struct Extent {
    place: Place,
    /// The number of open lists and dictionaries.
    depth: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Only blanks have arrived.
    #[default]
    Before,
    /// A value begins here, or the list or dictionary ends.
    Value,
    Integer,
    /// In the length of a string.
    Length(usize),
    /// In a string, with this many bytes missing.
    String(usize),
    Whole,
    /// The value isn't a dictionary, so its end isn't looked for.
    Never,
}

impl Extent {
    /// Processes the next bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            self.place = match (self.place, byte) {
                (Place::Whole | Place::Never, _) => return,
                (Place::String(left), _) => {
                    let (_, after) = bytes.split_at(left.min(bytes.len()));
                    let left = left - (bytes.len() - after.len());
                    bytes = after;
                    self.place = if left == 0 { Place::Value } else { Place::String(left) };
                    continue;
                }
                (Place::Before, byte) if super::is_blank(*byte) => Place::Before,
                (Place::Before | Place::Value, b'd') | (Place::Value, b'l') => {
                    self.depth += 1;
                    Place::Value
                }
                (Place::Value, b'e') => {
                    self.depth -= 1;
                    if self.depth == 0 { Place::Whole } else { Place::Value }
                }
                (Place::Value, b'i') | (Place::Integer, b'0'..=b'9' | b'-') => Place::Integer,
                (Place::Integer, b'e') | (Place::Length(0), b':') => Place::Value,
                (Place::Value, b'0'..=b'9') => Place::Length(usize::from(byte - b'0')),
                (Place::Length(length), b'0'..=b'9') => {
                    Place::Length(length.saturating_mul(10).saturating_add(usize::from(byte - b'0')))
                }
                (Place::Length(length), b':') => Place::String(length),
                _ => Place::Never,
            };
            bytes = rest;
        }
    }

    /// Whether the dictionary is complete.
    pub(crate) fn is_whole(&self) -> bool {
        self.place == Place::Whole
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::bencode::{Document, Rules};

    /// After how many bytes the dictionary is complete, which must not depend on how the bytes are cut.
    fn whole_after(input: &[u8]) -> Option<usize> {
        let mut extent = Extent::default();
        let found = (0..input.len()).find_map(|at| {
            extent.push(&input[at..=at]);
            extent.is_whole().then_some(at + 1)
        });
        for cut in 0..=input.len() {
            let mut extent = Extent::default();
            extent.push(&input[..cut]);
            assert_eq!(extent.is_whole(), found.is_some_and(|end| end <= cut), "{}", input.escape_ascii());
            extent.push(&input[cut..]);
            assert_eq!(extent.is_whole(), found.is_some(), "{}", input.escape_ascii());
        }
        found
    }

    /// R116: a reply whose end the server doesn't signal ends here.
    #[test]
    fn a_dictionary_is_whole_at_its_last_e_and_never_before() {
        for whole in [
            "de",
            "d1:ade1:blee",
            "d1:eli-5e2:ee5:dddddee",
            "d0:0:e",
            "d003:eeei1ee",
            " \r\n\u{feff}d8:intervali1800e5:peers6:eeeeeee",
        ] {
            assert_eq!(whole_after(whole.as_bytes()), Some(whole.len()), "{whole}");
            assert_eq!(whole_after(format!("{whole}e\r\nde").as_bytes()), Some(whole.len()), "{whole}");
        }
        for never in [
            "",
            "d",
            "d1:a",
            "le",
            "i1e",
            "1:a",
            "e",
            "x",
            "<html>de",
            "d1:ai1x",
            "d1xe",
            "d1:axe",
            "d-1:e",
            "d99999999999999999999999:e",
            "HTTP de",
        ] {
            assert_eq!(whole_after(never.as_bytes()), None, "{never}");
        }
    }

    proptest! {
        /// A dictionary ends where the reader of documents says.
        #[test]
        fn the_end_is_where_the_reader_finds_it(pieces in prop::collection::vec(prop::sample::select(vec![
            "d", "l", "e", "i0e", "i-1e", "0:", "1:a", "02:bc", "3:eee", "12:", " ", "\n", "x",
        ]), 0..24)) {
            let input = pieces.concat().into_bytes();
            let end = whole_after(&input);
            if let Ok(document) = Document::read(&input, Rules::REPLY)
                && document.as_bytes().starts_with(b"d")
            {
                prop_assert_eq!(end, Some(document.consumed()));
            }
        }
    }
}
