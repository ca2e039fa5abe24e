//! Ten real years of public trackers: which of them was listed on which day.

use std::sync::OnceLock;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tracker_failover::Scheme;

use crate::script::{Script, State};
use crate::time::{DAY, Millis};

/// How many days the history has.
pub const DAYS: u32 = 3773;

/// A tracker's presence in the lists.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The scheme of its URL.
    pub scheme: Scheme,
    /// Its median place in the list, from 0.
    pub place: u32,
    /// The days on which it was listed: from the first to the last of each span.
    pub spans: Vec<(u32, u32)>,
}

impl Listed {
    /// Whether it was listed on a day.
    pub fn on(&self, day: u32) -> bool {
        self.spans.iter().any(|(first, last)| (*first..=*last).contains(&day))
    }

    /// What it does in a world that begins on a day: it lives on the days on which it was listed, and is down on the
    /// others, each time in a way of its own.
    pub fn script(&self, from: u32, days: u32, random: &mut StdRng) -> Script {
        let state = |day: u32, random: &mut StdRng| {
            if self.on(day) { State::UP } else { State::down(random) }
        };
        let mut script = Script::always(state(from, random));
        for day in from + 1..from + days {
            if self.on(day) != self.on(day - 1) {
                script = script.then(Millis::from(day - from) * DAY, state(day, random));
            }
        }
        script
    }
}

/// All public trackers that were listed, those of WebSocket left out.
///
/// # Panics
/// If a line of the history can't be read.
pub fn history() -> &'static [Listed] {
    static HISTORY: OnceLock<Vec<Listed>> = OnceLock::new();
    HISTORY.get_or_init(|| {
        let lines = include_str!("../data/tracker-history.tsv").lines();
        lines.filter(|line| !line.starts_with('#')).filter_map(listed).collect()
    })
}

/// The first trackers of a day's list: in the order of their median places.
pub fn list_of(day: u32, count: usize) -> Vec<&'static Listed> {
    let mut listed: Vec<&Listed> = history().iter().filter(|tracker| tracker.on(day)).collect();
    listed.sort_by_key(|tracker| tracker.place);
    listed.truncate(count);
    listed
}

/// A random day that has so many trackers, and so many days after it.
pub fn day(days: u32, count: usize, random: &mut StdRng) -> u32 {
    loop {
        let day = random.random_range(0..DAYS - days);
        if list_of(day, count).len() == count {
            return day;
        }
    }
}

fn listed(line: &str) -> Option<Listed> {
    let mut fields = line.split('\t').skip(1);
    let scheme = match fields.next().expect("a scheme") {
        "udp" => Scheme::Udp,
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let place = fields.next().and_then(|place| place.parse().ok()).expect("a place");
    let number = |day: &str| day.parse().expect("a day");
    let spans = fields.next().expect("spans").split(',').map(|span| {
        let (first, last) = span.split_once('-').expect("a first and a last day");
        (number(first), number(last))
    });
    Some(Listed { scheme, place, spans: spans.collect() })
}

/// A generator for the sample of this number.
pub fn random(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ 0x5eed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_is_what_its_first_lines_say() {
        let last = history().iter().flat_map(|tracker| &tracker.spans).map(|(_, last)| *last).max();
        assert_eq!((history().len(), last), (1109, Some(DAYS - 1)));
    }

    #[test]
    fn a_script_follows_the_days() {
        let tracker = Listed { scheme: Scheme::Http, place: 0, spans: vec![(3, 4), (6, 9)] };
        let script = tracker.script(4, 7, &mut random(1));
        let lives = [0, 1, 2, 3, 4, 5, 6].map(|day| script.at(day * DAY).lives());
        assert_eq!(lives, [true, false, true, true, true, true, false]);
    }

    /// The first of a list is the one that stays: in nearly all cases it is there a year later.
    #[test]
    fn most_trackers_of_a_list_are_gone_or_away_after_years() {
        let mut random = random(2);
        let left: usize = (0..50)
            .map(|_| {
                let day = day(365, 20, &mut random);
                list_of(day, 20).iter().filter(|tracker| tracker.on(day + 365)).count()
            })
            .sum();
        assert!((350..800).contains(&left), "{left} of 1000");
    }
}
