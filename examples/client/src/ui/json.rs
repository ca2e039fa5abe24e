//! One flat JSON object a line; a few kinds of fields are all the events have.

use std::fmt::Write;

use tracker_failover::InfoHash;

/// An object being written.
#[derive(Debug)]
pub(crate) struct Object(String);

impl Object {
    /// An object whose `event` is this word.
    pub(crate) fn event(word: &str) -> Self {
        Self(String::from("{")).text("event", word)
    }

    /// Adds a text.
    pub(crate) fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        write_text(&mut self.0, value);
        self
    }

    /// Adds the info-hash of the torrent that it is about, unless it has that already.
    pub(crate) fn of(self, info_hash: Option<InfoHash>) -> Self {
        match info_hash {
            // In a text each quotation mark has a backslash before it.
            Some(info_hash) if !self.0.contains("\"info_hash\":") => {
                self.text("info_hash", &info_hash.to_string())
            }
            _ => self,
        }
    }

    /// Adds a text, or null.
    pub(crate) fn maybe(mut self, key: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            return self.text(key, value);
        }
        self.key(key);
        self.0.push_str("null");
        self
    }

    /// Adds a number.
    pub(crate) fn number(mut self, key: &str, value: u64) -> Self {
        self.key(key);
        // Writing to a string can't fail.
        let _ = write!(self.0, "{value}");
        self
    }

    /// Adds a number, or null.
    pub(crate) fn maybe_number(self, key: &str, value: Option<u64>) -> Self {
        match value {
            Some(value) => self.number(key, value),
            None => self.maybe(key, None),
        }
    }

    /// Adds a number in thousandths, which is written with three digits behind the point; or null.
    pub(crate) fn maybe_thousandths(mut self, key: &str, value: Option<u64>) -> Self {
        let Some(value) = value else { return self.maybe(key, None) };
        self.key(key);
        // Writing to a string can't fail.
        let _ = write!(self.0, "{}.{:03}", value / 1000, value % 1000);
        self
    }

    /// Adds true or false.
    pub(crate) fn flag(mut self, key: &str, value: bool) -> Self {
        self.key(key);
        self.0.push_str(if value { "true" } else { "false" });
        self
    }

    /// The line, with its end.
    pub(crate) fn line(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        write_text(&mut self.0, key);
        self.0.push(':');
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_info_hash_is_added_once() {
        let hash = InfoHash::new([7; 20]);
        let line = |object: Object| object.of(Some(hash)).line();
        let expected = format!("{{\"event\":\"x\",\"info_hash\":\"{hash}\"}}\n");
        assert_eq!(line(Object::event("x")), expected);
        assert_eq!(line(Object::event("x").of(Some(hash))), expected);
        assert!(line(Object::event("x").text("text", "\"info_hash\":")).ends_with(&format!("{hash}\"}}\n")));
        assert_eq!(Object::event("x").of(None).line(), "{\"event\":\"x\"}\n");
    }

    #[test]
    fn texts_are_escaped() {
        let line = Object::event("x")
            .text("a", "q\"\\\n\x1bä")
            .maybe("b", None)
            .number("c", 7)
            .maybe_number("d", None)
            .maybe_thousandths("e", Some(1_050))
            .flag("f", true)
            .line();
        assert_eq!(
            line,
            "{\"event\":\"x\",\"a\":\"q\\\"\\\\\\n\\u001bä\",\"b\":null,\"c\":7,\"d\":null,\"e\":1.050,\"f\":true}\n"
        );
    }
}
