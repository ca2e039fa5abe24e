//! What the arguments name: trackers of lists, torrents, magnet links and addresses. Pure.

use std::collections::BTreeSet;

use tracker_failover::{Metainfo, TrackerList, TrackerUrl};
use url::Url;

/// How many trackers are checked at most. Published lists have some hundred.
pub(crate) const MAX_TRACKERS: usize = 4096;

/// What kind of thing an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A tracker list or torrent on standard input.
    Stdin,
    /// A magnet link.
    Magnet,
    /// An announce address.
    Url,
    /// The path of a tracker list or a torrent.
    File,
}

/// The trackers that were read, each once and in their order, and what couldn't be used. Notes hold no address.
#[derive(Debug, Default)]
pub(crate) struct Input {
    trackers: Vec<TrackerUrl>,
    seen: BTreeSet<TrackerUrl>,
    notes: Vec<String>,
    left_out: usize,
}

impl Kind {
    /// What an argument is, by its form.
    pub(crate) fn of(argument: &str) -> Self {
        if argument == "-" {
            Self::Stdin
        } else if argument.get(..MAGNET.len()).is_some_and(|start| start.eq_ignore_ascii_case(MAGNET)) {
            Self::Magnet
        } else if argument.contains("://") {
            Self::Url
        } else {
            Self::File
        }
    }
}

impl Input {
    /// Adds an announce address.
    pub(crate) fn add_url(&mut self, of: &str, url: &str) {
        match url.parse() {
            Ok(tracker) => self.add(tracker),
            Err(error) => self.note(format!("{of}: {error}")),
        }
    }

    /// Adds the trackers (`tr`) of a magnet link (BEP 9).
    pub(crate) fn add_magnet(&mut self, of: &str, link: &str) {
        let Ok(link) = Url::parse(link) else {
            return self.note(format!("{of}: expected a magnet link"));
        };
        let mut count = 0_usize;
        for (key, value) in link.query_pairs() {
            // As in `tr.1`, which some programs write.
            if key.split('.').next() == Some("tr") {
                count += 1;
                self.add_url(&format!("{of}, tracker {count}"), &value);
            }
        }
        if count == 0 {
            self.note(format!("{of}: the magnet link names no tracker"));
        }
    }

    /// Adds the trackers of a torrent, or of a tracker list.
    pub(crate) fn add_content(&mut self, of: &str, content: &[u8]) {
        if !is_torrent(content) {
            return self.add_list(of, content);
        }
        match Metainfo::parse(content) {
            Ok(metainfo) => {
                for tracker in metainfo.announce_tiers().iter().flatten() {
                    self.add(tracker.clone());
                }
                for skipped in metainfo.skipped_trackers() {
                    self.note(format!("{of}: skipped {skipped}"));
                }
            }
            Err(error) => self.note(format!("{of}: {error}")),
        }
    }

    /// Adds the trackers of a list as they are published.
    fn add_list(&mut self, of: &str, content: &[u8]) {
        let list = TrackerList::parse(content);
        for tracker in list.trackers() {
            self.add(tracker.clone());
        }
        for error in list.errors() {
            self.note(format!("{of}, {error}"));
        }
    }

    fn add(&mut self, tracker: TrackerUrl) {
        if self.trackers.len() >= MAX_TRACKERS {
            self.left_out = self.left_out.saturating_add(1);
        } else if self.seen.insert(tracker.clone()) {
            self.trackers.push(tracker);
        }
    }

    fn note(&mut self, note: String) {
        match self.notes.len() {
            0..MAX_NOTES => self.notes.push(note),
            MAX_NOTES => self.notes.push("further lines that couldn't be used aren't shown".into()),
            _ => {}
        }
    }

    /// The trackers, and the notes on what couldn't be used.
    pub(crate) fn into_parts(mut self) -> (Vec<TrackerUrl>, Vec<String>) {
        if self.left_out > 0 {
            let note = format!("{} trackers beyond {MAX_TRACKERS} are left out", self.left_out);
            self.notes.push(note);
        }
        (self.trackers, self.notes)
    }
}

/// Whether a file is meant to be a torrent: a dictionary in bencode, which no address begins like.
fn is_torrent(content: &[u8]) -> bool {
    matches!(content, [b'd', digit, ..] if digit.is_ascii_digit())
}

const MAGNET: &str = "magnet:?";

/// How many notes are kept: a file that is no list has one for each of its words.
const MAX_NOTES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(input: Input) -> (Vec<String>, Vec<String>) {
        let (trackers, notes) = input.into_parts();
        (trackers.iter().map(ToString::to_string).collect(), notes)
    }

    #[test]
    fn an_argument_is_known_by_its_form() {
        for (argument, kind) in [
            ("-", Kind::Stdin),
            ("MAGNET:?xt=urn:btih:0", Kind::Magnet),
            ("udp://a.test:1", Kind::Url),
            ("lists/best.txt", Kind::File),
            ("some.torrent", Kind::File),
        ] {
            assert_eq!(Kind::of(argument), kind, "{argument}");
        }
    }

    #[test]
    fn a_list_is_read_in_its_usual_forms() {
        let mut input = Input::default();
        let list = "\u{feff}# best\r\nudp://a.test:1/announce\r\n\r\nhttp://b.test/KEY,udp://a.test:1/announce\nSECRET\n";
        input.add_content("list", list.as_bytes());
        let (found, notes) = hosts(input);
        assert_eq!(found, ["udp://a.test:1", "http://b.test"]);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("list, line 5: ") && !notes[0].contains("SECRET"), "{notes:?}");
    }

    #[test]
    fn a_torrent_gives_the_trackers_of_all_its_tiers() {
        let info = "4:infod6:lengthi5e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae";
        let tiers = "ll13:http://a.testel14:udp://b.test:1ee";
        let mut input = Input::default();
        input.add_content("t", format!("d13:announce-list{tiers}{info}e").as_bytes());
        input.add_content("damaged", b"d8:announce");
        let (found, notes) = hosts(input);
        assert_eq!(found, ["http://a.test", "udp://b.test:1"]);
        assert!(notes.len() == 1 && notes[0].starts_with("damaged: "), "{notes:?}");
    }

    #[test]
    fn a_magnet_link_gives_its_trackers() {
        let mut input = Input::default();
        input.add_magnet(
            "1",
            "magnet:?xt=urn:btih:0&tr=http%3A%2F%2Fa.test%2FSECRET&tr.1=udp://b.test:1&tr=no",
        );
        input.add_magnet("2", "magnet:?xt=urn:btih:0");
        let (found, notes) = hosts(input);
        assert_eq!(found, ["http://a.test", "udp://b.test:1"]);
        assert_eq!(notes.len(), 2);
        assert!(notes[0].starts_with("1, tracker 3: "), "{notes:?}");
    }

    #[test]
    fn trackers_and_notes_are_bounded() {
        let mut input = Input::default();
        for list in 0..5 {
            let trackers = (0..1000).map(|n| format!("http://t{n}.{list}.test\nnonsense\n"));
            input.add_content("many", trackers.collect::<String>().as_bytes());
        }
        let (found, notes) = hosts(input);
        assert_eq!((found.len(), notes.len()), (MAX_TRACKERS, MAX_NOTES + 2));
        assert_eq!(notes[MAX_NOTES + 1], "904 trackers beyond 4096 are left out");
    }
}
