//! Texts from trackers and torrent files, made fit for a terminal.

use crate::text::{MAX_TEXT_LEN, fit};

/// Makes a displayable text of bytes from the network: invalid UTF-8, control characters and invisible characters are
/// replaced, and at most 1024 characters are kept.
///
/// Failure reasons and warnings are printed to terminals: an escape sequence in them could move the cursor, a right-to-left
/// mark could make one host look like another, and tag characters could hide whole sentences. Line breaks and tabs become
/// blanks, the other characters of this kind become U+FFFD.
///
/// ```
/// use tracker_failover::wire::clean_text;
///
/// assert_eq!(clean_text(b"torrent\nnot \x1b[31mfound"), "torrent not \u{fffd}[31mfound");
/// ```
pub fn clean_text(bytes: &[u8]) -> String {
    // A character has at most four bytes, so bytes beyond these would be cut anyway.
    let shown = bytes.get(..MAX_TEXT_LEN * 4).unwrap_or(bytes);
    fit(&String::from_utf8_lossy(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-20.
    #[test]
    fn characters_that_control_a_terminal_are_neutralised() {
        let rows: [(&[u8], &str); 9] = [
            (b"plain", "plain"),
            (b"a\r\nb\tc", "a  b c"),
            (b"\x00\x1b[2J\x7f", "\u{fffd}\u{fffd}[2J\u{fffd}"),
            ("\u{85}\u{9b}31m".as_bytes(), "\u{fffd}\u{fffd}31m"),
            ("a\u{2028}b\u{2029}".as_bytes(), "a\u{fffd}b\u{fffd}"),
            (
                "\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}".as_bytes(),
                "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
            ),
            ("a\u{200b}\u{e0041}\u{fe0f}\u{ad}b".as_bytes(), "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}b"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            ("gr\u{fc}n \u{6771}".as_bytes(), "gr\u{fc}n \u{6771}"),
        ];
        for (bytes, expected) in rows {
            assert_eq!(clean_text(bytes), expected);
        }
    }

    /// S-21.
    #[test]
    fn a_text_is_cut_at_1024_characters() {
        assert_eq!(clean_text(&[b'a'; 5000]).chars().count(), 1024);
        let wide = "\u{1f980}".repeat(5000);
        assert_eq!(clean_text(wide.as_bytes()), "\u{1f980}".repeat(1024));
    }
}
