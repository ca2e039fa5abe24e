//! Texts from the network made fit for a terminal: control and invisible characters are replaced.

/// How many characters of a text are kept, at most. No message is longer; more would only fill logs.
pub(crate) const MAX_TEXT_LEN: usize = 1024;

/// The replacement for control and invisible characters.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// The invisible characters that aren't control characters, as ranges in ascending order.
///
/// These are the `Default_Ignorable_Code_Point`s of Unicode, assigned or not (zero-width characters, marks of the reading
/// direction, variation selectors, fillers, tags), and other characters without a visible shape: line and paragraph
/// separators, annotations, format controls of single scripts, the empty braille cell, the null notehead. Two texts that
/// differ in them look alike, and whole sentences can be hidden in them.
const INVISIBLE: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d159}', '\u{1d159}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Makes a text fit for a terminal: at most [`MAX_TEXT_LEN`] characters, each neutralised.
pub(crate) fn fit(text: &str) -> String {
    text.chars().take(MAX_TEXT_LEN).map(neutralised).collect()
}

/// Cuts the addresses in a text to scheme, host and port, and other words at their query: user names, paths and queries hold
/// passkeys. A word that is an address is cut to its end, whatever comes in it, because everything but a blank may be part of
/// an address; only closing punctuation is kept.
pub(crate) fn without_secrets(text: &str) -> String {
    text.split_inclusive(char::is_whitespace)
        .map(|word| word_without_secrets(word).unwrap_or_else(|| word.to_owned()))
        .collect()
}

/// The word without what may be secret in it; `None` if it stays as it is.
fn word_without_secrets(word: &str) -> Option<String> {
    let bare = word.trim_end_matches(|c: char| c.is_whitespace() || ")]}>\"'`,.;:".contains(c));
    let end = &word[bare.len()..];
    let Some((scheme, rest)) = bare.split_once("://") else {
        let (path, query) = bare.split_once('?')?;
        return query.contains('=').then(|| format!("{path}?\u{2026}{end}"));
    };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    let cut = if rest.len() > authority.len() { "/\u{2026}" } else { "" };
    Some(format!("{scheme}://{host}{cut}{end}"))
}

/// A visible character in place of this one, if it is invisible or could control the terminal.
fn neutralised(character: char) -> char {
    match character {
        '\t' | '\n' | '\r' => ' ',
        _ if character.is_control() || is_invisible(character) => REPLACEMENT,
        _ => character,
    }
}

fn is_invisible(character: char) -> bool {
    let after = INVISIBLE.partition_point(|(first, _)| *first <= character);
    INVISIBLE[..after].last().is_some_and(|(_, last)| character <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R97: a transport outside this crate may pass on any text.
    #[test]
    fn the_warning_of_any_transport_is_fit_for_a_terminal() {
        let warning = format!("a\u{200b}\u{1b}\n{}", "x".repeat(5000));
        let mut response = crate::announce::AnnounceResponse { warning: Some(warning), ..Default::default() };
        response.bound();
        let warning = response.warning.unwrap();
        assert!(warning.starts_with("a\u{fffd}\u{fffd} x") && warning.chars().count() == MAX_TEXT_LEN);
    }

    #[test]
    fn secrets_are_cut_out_of_addresses() {
        for (text, shown) in [
            ("no address: a?b, why? 1=1", "no address: a?b, why? 1=1"),
            ("see http://t.test", "see http://t.test"),
            ("url (http://t.test:80/p/announce?k=1&x=(2)'3')", "url (http://t.test:80/\u{2026}')"),
            ("\"https://u:p@[::1]:80?k\": refused\n", "\"https://[::1]:80/\u{2026}\": refused\n"),
            ("http://a.test/x http://b.test/y", "http://a.test/\u{2026} http://b.test/\u{2026}"),
            ("GET /announce?k=1 failed", "GET /announce?\u{2026} failed"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(text), shown, "{text}");
        }
    }

    #[test]
    fn the_table_of_invisible_characters_is_in_order() {
        assert!(INVISIBLE.windows(2).all(|pair| pair[0].1 < pair[1].0));
        assert!(INVISIBLE.iter().all(|(first, last)| first <= last));
    }

    /// R97: zero-width characters, tags, variation selectors and others.
    #[test]
    fn invisible_characters_are_replaced_and_others_are_not() {
        let invisible = "\u{ad}\u{34f}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180b}\u{180e}\u{180f}\u{200b}\u{200c}\
            \u{200d}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\u{2061}\u{2064}\u{2065}\u{2066}\
            \u{2069}\u{206a}\u{206f}\u{2800}\u{3164}\u{fe00}\u{fe0f}\u{feff}\u{ffa0}\u{fff0}\u{fff9}\u{fffb}\
            \u{13430}\u{1bca0}\u{1d159}\u{1d173}\u{1d17a}\u{e0000}\u{e0001}\u{e0020}\u{e0041}\u{e007f}\u{e0100}\
            \u{e01ef}\u{e0fff}\0\u{7f}\u{80}\u{9f}";
        for character in invisible.chars() {
            assert_eq!(neutralised(character), REPLACEMENT, "{character:?}");
        }
        let visible = "aZ09~ \u{a0}\u{ac}\u{ae}ä\u{301}\u{2010}\u{2027}\u{202f}\u{205f}\u{27ff}\u{2801}\u{3000}東\
            \u{fdff}\u{fe10}\u{fffc}\u{fffd}\u{1f980}\u{dffff}";
        for character in visible.chars() {
            assert_eq!(neutralised(character), character, "{character:?}");
        }
    }
}
