//! The ranking against the truth, in worlds of trackers whose latencies, jitter and losses are known. Nothing is sent.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tracker_failover::Scheme;

use crate::finding::{Finding, Reach, rank};

const WORLDS: u64 = 500;
const TRACKERS: usize = 30;
const TRIES: u32 = 3;

/// A tracker as it is. Times are in milliseconds.
struct Truth {
    distance: f64,
    /// What an answer takes longer than the distance, on average.
    jitter: f64,
    /// The share of tries that are lost; 1 if it is dead.
    loss: f64,
}

impl Truth {
    /// A tracker 5 to 500 ms away, with some jitter. A fifth of all are dead; one in ten loses up to a tenth of
    /// the packets, the others up to a hundredth.
    fn random(random: &mut StdRng) -> Self {
        let distance = 5.0 * 100_f64.powf(random.random::<f64>());
        let loss = match random.random::<f64>() {
            0.0..0.2 => 1.0,
            0.2..0.3 => 0.1 * random.random::<f64>(),
            _ => 0.01 * random.random::<f64>(),
        };
        Self { distance, jitter: distance * 0.1 * random.random::<f64>(), loss }
    }

    /// What an announce takes on average: each lost packet costs a second.
    fn expected(&self) -> f64 {
        if self.loss < 1.0 {
            self.distance + self.jitter + 1000.0 * self.loss / (1.0 - self.loss)
        } else {
            f64::INFINITY
        }
    }

    /// What a check finds: exponential jitter, and losses.
    fn finding(&self, name: usize, random: &mut StdRng) -> Finding {
        let mut latencies = Vec::new();
        for _ in 0..TRIES {
            if random.random::<f64>() >= self.loss {
                let jitter = -self.jitter * (1.0 - random.random::<f64>()).ln();
                latencies.push(Duration::from_secs_f64((self.distance + jitter) / 1000.0));
            }
        }
        let v4 = Reach::Tried { latencies, tried: TRIES, error: None };
        Finding { v4, ..Finding::new(name.to_string(), Scheme::Udp) }
    }
}

/// Kendall's τ of an order: of all pairs of different worth, those in the right order less those in the wrong one.
fn tau(worth: &[f64]) -> f64 {
    let (mut right, mut wrong) = (0_u32, 0_u32);
    for (place, one) in worth.iter().enumerate() {
        for other in &worth[place + 1..] {
            right += u32::from(one < other);
            wrong += u32::from(one > other);
        }
    }
    (f64::from(right) - f64::from(wrong)) / f64::from(right + wrong)
}

/// The τ of the ranking in a world.
fn tau_in(seed: u64) -> f64 {
    let mut random = StdRng::seed_from_u64(seed);
    let truths: Vec<Truth> = (0..TRACKERS).map(|_| Truth::random(&mut random)).collect();
    let findings = truths.iter().enumerate().map(|(name, truth)| truth.finding(name, &mut random));
    let rows = rank(findings.collect());
    let worth = rows.iter().map(|row| truths[row.finding.name.parse::<usize>().unwrap()].expected());
    tau(&worth.collect::<Vec<_>>())
}

#[test]
fn tau_is_one_for_the_right_order_and_minus_one_for_its_reverse() {
    assert!((tau(&[1.0, 2.0, 3.0]) - 1.0).abs() < 1e-9);
    assert!((tau(&[3.0, 2.0, 1.0]) + 1.0).abs() < 1e-9);
    assert!((tau(&[1.0, f64::INFINITY, f64::INFINITY]) - 1.0).abs() < 1e-9);
    assert!((tau(&[2.0, 1.0, 3.0]) - 1.0 / 3.0).abs() < 1e-9);
}

#[test]
fn the_ranking_agrees_with_the_truth() {
    let mut taus: Vec<f64> = (0..WORLDS).map(tau_in).collect();
    taus.sort_by(f64::total_cmp);
    let mean = taus.iter().sum::<f64>() / taus.iter().map(|_| 1.0).sum::<f64>();
    println!(
        "Kendall's tau in {WORLDS} worlds: mean {mean:.3}, least {:.3}, 5 % below {:.3}",
        taus[0], taus[25]
    );
    assert!(mean >= 0.9, "{mean}");
    assert!(taus[25] >= 0.8, "{}", taus[25]);
}
