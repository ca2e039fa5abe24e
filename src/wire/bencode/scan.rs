//! Brings bencode into its canonical form in one pass.

use std::ops::Range;

use super::rules::{BencodeError, Rules};

/// The result of a scan.
pub(super) struct Scanned<'a> {
    /// The value in its canonical form.
    pub(super) bytes: Vec<u8>,
    /// The position in the input at which the value ends.
    pub(super) end: usize,
    /// The bytes of the top-level `info`, as they stand in the input.
    pub(super) info: Option<&'a [u8]>,
}

/// Brings the value that begins at `start` into its canonical form.
pub(super) fn canonical(input: &[u8], start: usize, rules: Rules) -> Result<Scanned<'_>, BencodeError> {
    let mut scan = Scan { input, at: start, items: 0, rules, out: Vec::new(), info: None };
    scan.value(0, Place::Top)?;
    Ok(Scanned { bytes: scan.out, end: scan.at, info: scan.info })
}

/// The part of a document, as far as it matters for duplicate keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    InInfo,
    Elsewhere,
}

/// One pass over the input that writes its first value in canonical form. Recursion is bounded by `rules.depth`.
struct Scan<'a> {
    input: &'a [u8],
    at: usize,
    items: usize,
    rules: Rules,
    out: Vec<u8>,
    info: Option<&'a [u8]>,
}

/// An entry of a dictionary: the range of its key in the input, and of the whole entry in the output.
struct Entry {
    key: Range<usize>,
    written: Range<usize>,
}

impl Scan<'_> {
    fn value(&mut self, depth: usize, place: Place) -> Result<(), BencodeError> {
        match self.peek() {
            Some(b'i') => self.integer(),
            Some(b'0'..=b'9') => self.string().map(|_| ()),
            Some(b'l') => self.list(depth, place),
            Some(b'd') => self.dict(depth, place),
            _ if depth == 0 => self.expected("expected a dictionary"),
            _ => self.expected("expected a value"),
        }
    }

    fn list(&mut self, depth: usize, place: Place) -> Result<(), BencodeError> {
        self.open(b'l', depth)?;
        let inside = if place == Place::InInfo { Place::InInfo } else { Place::Elsewhere };
        while self.peek() != Some(b'e') {
            self.value(depth + 1, inside)?;
        }
        self.copy_byte(b'e');
        Ok(())
    }

    fn dict(&mut self, depth: usize, place: Place) -> Result<(), BencodeError> {
        self.open(b'd', depth)?;
        let start = self.out.len();
        let mut entries: Vec<Entry> = Vec::new();
        let mut sorted = true;
        let mut seen_info = false;
        while self.peek() != Some(b'e') {
            if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
                return self.expected("expected a key or the end of the dictionary");
            }
            let written = self.out.len();
            let key = self.string()?;
            let is_info = place == Place::Top && self.input.get(key.clone()) == Some(b"info");
            let before = self.at;
            let inside = match place {
                Place::InInfo => Place::InInfo,
                _ if is_info => Place::InInfo,
                _ => Place::Elsewhere,
            };
            self.value(depth + 1, inside)?;
            // Of duplicate keys the first one counts, whatever it holds.
            if is_info
                && !std::mem::replace(&mut seen_info, true)
                && matches!(self.input.get(before), Some(b'd' | b'l'))
            {
                self.info = self.input.get(before..self.at);
            }
            sorted = sorted && entries.last().is_none_or(|last| self.key(last) < &self.input[key.clone()]);
            entries.push(Entry { key, written: written..self.out.len() });
        }
        self.copy_byte(b'e');
        if sorted { Ok(()) } else { self.sort(start, entries, place) }
    }

    /// Sorts the entries that were written from `start` on.
    fn sort(&mut self, start: usize, mut entries: Vec<Entry>, place: Place) -> Result<(), BencodeError> {
        // Stable, so that of duplicate keys the first one of the input stays the first.
        entries.sort_by(|one, other| self.key(one).cmp(self.key(other)));
        let twice = entries.windows(2).find_map(|pair| match pair {
            [one, other] if self.key(one) == self.key(other) && self.once_only(place, other) => Some(other),
            _ => None,
        });
        if let Some(entry) = twice {
            let expected = "expected each key once in the hashed part, found a duplicate";
            return Err(BencodeError { expected, offset: entry.key.start });
        }
        let input = self.input;
        entries.dedup_by(|later, first| input.get(later.key.clone()) == input.get(first.key.clone()));
        let unsorted = self.out.split_off(start);
        for Entry { written, .. } in &entries {
            self.out.extend_from_slice(&unsorted[written.start - start..written.end - start]);
        }
        self.out.push(b'e');
        Ok(())
    }

    fn once_only(&self, place: Place, entry: &Entry) -> bool {
        self.rules.file && (place == Place::InInfo || (place == Place::Top && self.key(entry) == b"info"))
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        self.input.get(entry.key.clone()).unwrap_or_default()
    }

    fn integer(&mut self) -> Result<(), BencodeError> {
        self.count()?;
        let start = self.at;
        self.at += 1;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let first = self.peek();
        let digits = self.skip_digits();
        if digits == 0 {
            return self.expected("expected the digits of an integer");
        }
        if first == Some(b'0') && (digits > 1 || negative) {
            self.at -= digits;
            return self.expected("expected an integer without leading zero");
        }
        if self.peek() != Some(b'e') {
            return self.expected("expected the end of an integer");
        }
        self.at += 1;
        self.out.extend_from_slice(&self.input[start..self.at]);
        Ok(())
    }

    /// Copies a string to the output, and gives the range of its bytes in the input.
    fn string(&mut self) -> Result<Range<usize>, BencodeError> {
        self.count()?;
        let start = self.at;
        let digits = self.skip_digits();
        let zeros = self.input[start..self.at].iter().take_while(|b| **b == b'0').count();
        let zeros = zeros.min(digits.saturating_sub(1));
        if zeros > 0 && self.rules.file {
            self.at = start;
            return self.expected("expected the length of a string without leading zero");
        }
        if self.peek() != Some(b':') {
            return self.expected("expected a colon after the length of a string");
        }
        self.at += 1;
        let head = &self.input[start + zeros..self.at];
        let length = head[..head.len() - 1]
            .iter()
            .try_fold(0_usize, |sum, digit| sum.checked_mul(10)?.checked_add(usize::from(digit - b'0')));
        let end = length.and_then(|length| self.at.checked_add(length));
        let Some(end) = end.filter(|end| *end <= self.input.len()) else {
            self.at = start;
            return self.expected("expected a string that ends within the input");
        };
        self.out.extend_from_slice(&self.input[start + zeros..end]);
        let bytes = self.at..end;
        self.at = end;
        Ok(bytes)
    }

    fn open(&mut self, kind: u8, depth: usize) -> Result<(), BencodeError> {
        if depth >= self.rules.depth {
            return self.expected("expected fewer levels of nesting");
        }
        self.count()?;
        self.copy_byte(kind);
        Ok(())
    }

    fn count(&mut self) -> Result<(), BencodeError> {
        self.items += 1;
        if self.items > self.rules.items { self.expected("expected fewer keys and values") } else { Ok(()) }
    }

    fn copy_byte(&mut self, byte: u8) {
        self.at += 1;
        self.out.push(byte);
    }

    fn skip_digits(&mut self) -> usize {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += digits;
        digits
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn expected<T>(&self, expected: &'static str) -> Result<T, BencodeError> {
        Err(BencodeError { expected, offset: self.at })
    }
}
