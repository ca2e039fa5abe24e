//! The status line of an answer, rewritten while it arrives, so that HTTP/1.0 is read as HTTP/1.1.
//!
//! By the standard an answer of HTTP/1.0 has no chunks (RFC 9112, 6.1), and `hyper` refuses one that claims to. Trackers and
//! the proxies before them send it nevertheless, and other clients read it. For the reader the versions differ in nothing
//! else but in whether the connection stays open, which [`HttpConnection`] decides.
//!
//! [`HttpConnection`]: super::connection::HttpConnection

const VERSION: &[u8] = b"HTTP/1.";

/// The position in an answer, as far as it matters here.
#[derive(Debug, Default)]
pub(super) struct StatusLine {
    place: Position,
    is_1_0: bool,
}

#[derive(Debug)]
enum Position {
    /// In a status line, of which so many bytes have arrived. Line ends before it don't count.
    Line(usize),
    /// In the head of an interim answer (1xx), after which another status line follows.
    Interim { line_is_empty: bool },
    /// After the status line of the final answer, or in something that is no answer.
    Past,
}

impl Default for Position {
    fn default() -> Self {
        Self::Line(0)
    }
}

impl StatusLine {
    /// Reads the next bytes of an answer, and rewrites the version in them.
    pub(super) fn rewrite(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.place = match self.place {
                Position::Past => return,
                Position::Line(0) if matches!(byte, b'\r' | b'\n') => Position::Line(0),
                Position::Line(at) => self.in_line(at, byte),
                Position::Interim { line_is_empty: true } if *byte == b'\n' => Position::Line(0),
                Position::Interim { line_is_empty } => {
                    Position::Interim { line_is_empty: *byte == b'\n' || (line_is_empty && *byte == b'\r') }
                }
            };
        }
    }

    fn in_line(&mut self, at: usize, byte: &mut u8) -> Position {
        let fits = match at.checked_sub(VERSION.len()) {
            None => VERSION.get(at) == Some(byte),
            Some(0) => {
                self.is_1_0 = *byte == b'0';
                if self.is_1_0 {
                    *byte = b'1';
                }
                *byte == b'1'
            }
            Some(1) => *byte == b' ',
            // The first digit of the status.
            Some(_) if *byte == b'1' => return Position::Interim { line_is_empty: false },
            Some(_) => false,
        };
        if fits { Position::Line(at + 1) } else { Position::Past }
    }

    /// Whether anything but line ends has arrived.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.place, Position::Line(0))
    }

    /// Whether the answer is of HTTP/1.0.
    pub(super) fn is_1_0(&self) -> bool {
        self.is_1_0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rewrites a text as a whole, and cut at every byte, to the same result.
    fn rewritten(text: &str) -> (String, bool) {
        let mut whole = text.as_bytes().to_vec();
        let mut line = StatusLine::default();
        line.rewrite(&mut whole);
        for cut in 0..text.len() {
            let mut parts = text.as_bytes().to_vec();
            let mut other = StatusLine::default();
            let (front, back) = parts.split_at_mut(cut);
            other.rewrite(front);
            other.rewrite(back);
            assert_eq!((&parts, other.is_1_0()), (&whole, line.is_1_0()), "{text} cut at {cut}");
        }
        (String::from_utf8(whole).unwrap(), line.is_1_0())
    }

    /// R113: wherever the status line comes, and however it is cut.
    #[test]
    fn the_version_of_the_answer_is_rewritten_and_nothing_else() {
        let interim = "HTTP/1.0 100 Continue\r\nX: HTTP/1.0 200\r\nHTTP/1.0 x\r\n\r\n";
        let interim_after = "HTTP/1.1 100 Continue\r\nX: HTTP/1.0 200\r\nHTTP/1.0 x\r\n\r\n";
        for (before, after, is_1_0) in [
            ("HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", true),
            ("\r\n\nHTTP/1.0 404\r\n\r\n", "\r\n\nHTTP/1.1 404\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\n\r\nHTTP/1.0 200", "HTTP/1.1 200 OK\r\n\r\nHTTP/1.0 200", false),
            ("HTTP/1.0 200 OK\n\nHTTP/1.0 200", "HTTP/1.1 200 OK\n\nHTTP/1.0 200", true),
            ("<html>\nHTTP/1.0 200 OK", "<html>\nHTTP/1.0 200 OK", false),
            ("HTTP/0.9 200\nHTTP/1.0 200", "HTTP/0.9 200\nHTTP/1.0 200", false),
            ("HTTP/1.2 200", "HTTP/1.2 200", false),
        ] {
            assert_eq!(rewritten(before), (after.to_owned(), is_1_0), "{before}");
        }
        let before = format!("{interim}HTTP/1.0 200 OK\r\n\r\nHTTP/1.0");
        assert_eq!(rewritten(&before), (format!("{interim_after}HTTP/1.1 200 OK\r\n\r\nHTTP/1.0"), true));
        let before = format!("{interim}HTTP/1.1 200 OK\r\n\r\nHTTP/1.0");
        assert_eq!(rewritten(&before), (format!("{interim_after}HTTP/1.1 200 OK\r\n\r\nHTTP/1.0"), false));
        let mixed = "HTTP/1.1 103 x\n\nHTTP/1.0 200 OK\r\n\r\n";
        assert_eq!(rewritten(mixed), (mixed.replace("1.0", "1.1"), true));
    }
}
