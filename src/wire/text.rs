//! Texts of trackers and torrents, made fit for a terminal.

use crate::error::{LONGEST_TEXT, neutralised};

/// Makes a text for people of bytes from the network: invalid UTF-8 replaced, control characters and the marks
/// that turn the reading direction neutralised, at most 1024 characters.
///
/// Whoever writes a failure reason or a warning also writes into the reader's terminal: an escape sequence
/// there can move the cursor, and a right-to-left mark can make one host look like another. Line breaks and
/// tabs become blanks, everything else of the kind becomes U+FFFD.
///
/// ```
/// use tracker_failover::wire::clean_text;
///
/// assert_eq!(clean_text(b"torrent\nnot \x1b[31mfound"), "torrent not \u{fffd}[31mfound");
/// ```
pub fn clean_text(bytes: &[u8]) -> String {
    // A character has at most four bytes, so what lies behind these can't be shown anyway.
    let shown = bytes.get(..LONGEST_TEXT * 4).unwrap_or(bytes);
    String::from_utf8_lossy(shown).chars().take(LONGEST_TEXT).map(neutralised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_neutralised_s20() {
        let rows: [(&[u8], &str); 8] = [
            (b"plain", "plain"),
            (b"a\r\nb\tc", "a  b c"),
            (b"\x00\x1b[2J\x7f", "\u{fffd}\u{fffd}[2J\u{fffd}"),
            ("\u{85}\u{9b}31m".as_bytes(), "\u{fffd}\u{fffd}31m"),
            ("a\u{2028}b\u{2029}".as_bytes(), "a\u{fffd}b\u{fffd}"),
            (
                "\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}".as_bytes(),
                "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
            ),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            ("gr\u{fc}n \u{6771}".as_bytes(), "gr\u{fc}n \u{6771}"),
        ];
        for (bytes, expected) in rows {
            assert_eq!(clean_text(bytes), expected);
        }
    }

    #[test]
    fn a_text_is_cut_at_1024_characters_s21() {
        assert_eq!(clean_text(&[b'a'; 5000]).chars().count(), 1024);
        let wide = "\u{1f980}".repeat(5000);
        assert_eq!(clean_text(wide.as_bytes()), "\u{1f980}".repeat(1024));
    }
}
