//! Which tracker is the better one, by what its tries have shown. Pure.
//!
//! The score of a tracker is the time that an announce to it is expected to take:
//!
//! ```text
//! score = median of the latencies + 1 s × lost / (tried + 10)
//! ```
//!
//! - **The median** of the tries that were answered, the smaller of the two in the middle: a single slow answer says more about
//!   the moment than about the tracker.
//! - **1 s** is what a lost packet costs: TCP sends a SYN again after that time (RFC 6298).
//! - **+ 10** is what is known without trying: most paths lose next to nothing. Ten tries that were answered are added
//!   to those that were made, so that one lost packet of three costs 77 ms and not a third of a second.
//!
//! Each address family has a score, and the smaller one is the tracker's: clients race both and use the faster. Trackers that
//! never answered have none and come last. What was found earlier (`--history`) is shown, and changes no rank.

use std::cmp::Ordering;
use std::time::Duration;

/// What a lost packet costs.
const LOSS_COST: Duration = Duration::from_secs(1);

/// How many answered tries are added to those that were made.
const PRIOR_TRIES: u32 = 10;

/// The score of a tracker over one address family; `None` if it never answered.
pub(crate) fn score(latencies: &[Duration], tried: u32) -> Option<Duration> {
    let answered = u32::try_from(latencies.len()).unwrap_or(u32::MAX);
    let lost = tried.saturating_sub(answered);
    let penalty = LOSS_COST.saturating_mul(lost) / tried.saturating_add(PRIOR_TRIES);
    Some(median(latencies)?.saturating_add(penalty))
}

/// The median; the smaller of the two in the middle.
pub(crate) fn median(latencies: &[Duration]) -> Option<Duration> {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// Orders two scores, the better one first, and trackers without one last.
pub(crate) fn compare(one: Option<Duration>, other: Option<Duration>) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => one.cmp(&other),
        (one, other) => other.is_some().cmp(&one.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(figures: &[u64]) -> Vec<Duration> {
        figures.iter().map(|&millis| Duration::from_millis(millis)).collect()
    }

    #[test]
    fn the_median_counts_and_one_slow_answer_does_not() {
        for (latencies, expected) in
            [(&[20][..], 20), (&[20, 30], 20), (&[900, 20, 30], 30), (&[4, 3, 2, 1], 2)]
        {
            let tried = u32::try_from(latencies.len()).unwrap();
            assert_eq!(score(&millis(latencies), tried), Some(Duration::from_millis(expected)));
        }
    }

    #[test]
    fn a_lost_try_costs_a_thirteenth_of_a_second() {
        let lost_one = score(&millis(&[20, 20]), 3).unwrap();
        assert_eq!(lost_one.as_millis(), 20 + 1000 / 13);
        assert!(score(&millis(&[20]), 3).unwrap() > lost_one);
        // Which is as much as a distance of 76 ms, and less than one of 97 ms.
        assert!(lost_one > score(&millis(&[96, 96, 96]), 3).unwrap());
        assert!(lost_one < score(&millis(&[97, 97, 97]), 3).unwrap());
    }

    #[test]
    fn what_never_answered_comes_last() {
        assert_eq!(score(&[], 3), None);
        let mut scores = [None, score(&millis(&[7]), 1), None, score(&millis(&[3]), 3)];
        scores.sort_by(|one, other| compare(*one, *other));
        let alive: Vec<bool> = scores.iter().map(Option::is_some).collect();
        assert_eq!(alive, [true, true, false, false]);
        assert_eq!(scores[0], score(&millis(&[7]), 1));
    }

    #[test]
    fn no_number_is_too_large() {
        assert_eq!(score(&[Duration::MAX], u32::MAX), Some(Duration::MAX));
    }
}
