//! Rust source as tokens: enough of them to find paths, and nothing of comments, literals and tests.

/// A piece of source that may be part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Word(String),
    /// `::`
    Joint,
    Sign(char),
}

/// A piece, and the line it stands in, counted from 1.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) piece: Piece,
    pub(super) line: usize,
}

/// The words that begin an item. What else stands behind an attribute is a field, a variant or a statement.
const ITEMS: [&str; 15] = [
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "macro_rules",
    "mod",
    "pub",
    "static",
    "struct",
    "trait",
    "type",
    "unsafe",
    "use",
];

impl Token {
    pub(super) fn word(&self) -> Option<&str> {
        match &self.piece {
            Piece::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn is(&self, sign: char) -> bool {
        self.piece == Piece::Sign(sign)
    }

    pub(super) fn is_joint(&self) -> bool {
        self.piece == Piece::Joint
    }
}

/// The tokens of a program, without what is compiled for tests only.
pub(super) fn program(text: &str) -> Vec<Token> {
    without_tests(&tokens(text))
}

/// All tokens of a text, without comments and literals.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let rest = &chars[at..];
        let length = match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => comment(rest),
            ['"', ..] => string(rest),
            ['\'', ..] => character(rest),
            [first, ..] if first.is_alphanumeric() || *first == '_' => {
                let length = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
                let word: String = rest[..length].iter().collect();
                match &rest[length..] {
                    ['"' | '#', ..] if ["r", "br", "cr"].contains(&&*word) => length + raw(&rest[length..]),
                    _ => {
                        tokens.push(Token { piece: Piece::Word(word), line });
                        length
                    }
                }
            }
            [':', ':', ..] => {
                tokens.push(Token { piece: Piece::Joint, line });
                2
            }
            [sign, ..] => {
                if !sign.is_whitespace() {
                    tokens.push(Token { piece: Piece::Sign(*sign), line });
                }
                1
            }
            [] => 1,
        };
        let length = length.min(rest.len());
        line += rest[..length].iter().filter(|c| **c == '\n').count();
        at += length;
    }
    tokens
}

/// The length of a comment in `/* */`, which may hold others.
fn comment(text: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(text: &[char]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of a raw string behind its `r`, or of the `#` of a raw word.
fn raw(text: &[char]) -> usize {
    let hashes = text.iter().take_while(|c| **c == '#').count();
    if text.get(hashes) != Some(&'"') {
        return hashes;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = hashes + 1;
    text[body..]
        .windows(end.len())
        .position(|found| found == end)
        .map_or(text.len(), |at| body + at + end.len())
}

/// The length of a literal like `'a'`, or of the `'` of a lifetime.
fn character(text: &[char]) -> usize {
    match text {
        ['\'', '\\', ..] => text.iter().skip(3).position(|c| *c == '\'').map_or(text.len(), |at| at + 4),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let (mut program, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        match attribute(&tokens[at..]) {
            Some(length) if is_for_tests(&tokens[at..at + length]) => {
                at += length;
                while let Some(length) = attribute(&tokens[at..]) {
                    at += length;
                }
                at += annotated(&tokens[at..]);
            }
            _ => {
                program.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    program
}

/// The length of the attribute that stands here, if one does.
fn attribute(tokens: &[Token]) -> Option<usize> {
    let [hash, open, ..] = tokens else { return None };
    (hash.is('#') && open.is('[')).then(|| 1 + group(&tokens[1..]))
}

/// Whether an attribute leaves what follows to tests: `cfg(test)` or `cfg(all(test, ..))`.
fn is_for_tests(attribute: &[Token]) -> bool {
    let words: Vec<&str> = attribute.iter().filter_map(Token::word).collect();
    matches!(words[..], ["cfg", "test"] | ["cfg", "all", "test", ..])
}

/// The length of what an attribute stands before.
fn annotated(tokens: &[Token]) -> usize {
    let is_item = tokens.first().and_then(Token::word).is_some_and(|word| ITEMS.contains(&word));
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token.piece {
            Piece::Sign('(' | '[') => at += group(&tokens[at..]),
            Piece::Sign('{') => return at + group(&tokens[at..]),
            Piece::Sign(';') => return at + 1,
            Piece::Sign(',') if !is_item => return at + 1,
            Piece::Sign('}') => return at,
            _ => at += 1,
        }
    }
    at
}

/// The length of a group in brackets, with all groups in it.
fn group(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.piece {
            Piece::Sign('(' | '[' | '{') => depth += 1,
            Piece::Sign(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}
