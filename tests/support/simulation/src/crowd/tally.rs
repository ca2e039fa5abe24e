//! What an auditor saw, so that one that sees nothing is noticed.

use std::fmt;
use std::time::Duration;

use super::liveness::{BOUNDS, Class};

/// Counts of a life, or of many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Announces that trackers heard.
    pub announces: u64,
    /// Answers that ended a round.
    pub answers: u64,
    /// Answers that came before the torrent could demand one.
    pub early: u64,
    /// Torrents that ended.
    pub ended: u64,
    classes: [ClassTally; BOUNDS.len()],
}

/// Deadlines of one class that were kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ClassTally {
    met: u64,
    /// The longest wait, and the longest part of a deadline in thousandths.
    longest: Duration,
    tightest: u64,
    /// By how much of the time was used, in twentieths.
    used: [u64; 20],
    /// By how long was waited: bit lengths of milliseconds.
    waited: [u64; 32],
}

impl Tally {
    pub(super) fn met(&mut self, class: Class, waited: Duration, allowed: Duration) {
        let tally = &mut self.classes[class as usize];
        tally.met += 1;
        tally.longest = tally.longest.max(waited);
        let used = u64::try_from(waited.as_micros() * 1000 / allowed.as_micros().max(1)).unwrap_or(1000);
        tally.tightest = tally.tightest.max(used);
        tally.used[usize::try_from(used / 50).unwrap_or(19).min(19)] += 1;
        let bits = 64 - u64::try_from(waited.as_millis()).unwrap_or(u64::MAX).leading_zeros();
        tally.waited[(bits as usize).min(31)] += 1;
    }

    /// How many deadlines of a class were kept.
    pub fn kept(&self, class: Class) -> u64 {
        self.classes[class as usize].met
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        self.announces += other.announces;
        self.answers += other.answers;
        self.early += other.early;
        self.ended += other.ended;
        for (tally, other) in self.classes.iter_mut().zip(&other.classes) {
            tally.met += other.met;
            tally.longest = tally.longest.max(other.longest);
            tally.tightest = tally.tightest.max(other.tightest);
            for (count, other) in tally.used.iter_mut().zip(&other.used) {
                *count += other;
            }
            for (count, other) in tally.waited.iter_mut().zip(&other.waited) {
                *count += other;
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} announces, {} rounds answered, {} of them before their time; {} torrents ended",
            self.announces, self.answers, self.early, self.ended
        )?;
        writeln!(
            f,
            "| deadlines | kept | waited p50 under | longest | used p50 under | most of a deadline used |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for (bound, tally) in BOUNDS.iter().zip(&self.classes) {
            let middle = |counts: &[u64]| {
                let mut sum = 0;
                counts.iter().position(|count| {
                    sum += count;
                    2 * sum >= tally.met
                })
            };
            let waited = middle(&tally.waited).map_or(0, |bits| 1_u64 << bits);
            let used = middle(&tally.used).map_or(0, |place| 5 * (place + 1));
            writeln!(
                f,
                "| {} | {} | {waited} ms | {:.1} s | {used} % | {:.1} % |",
                bound.name,
                tally.met,
                tally.longest.as_secs_f64(),
                f64::from(u32::try_from(tally.tightest).unwrap_or(u32::MAX)) / 10.0,
            )?;
        }
        Ok(())
    }
}
