//! Figures from histories.

use crate::clients::Client;
use crate::life::{History, Plan, Stopped};
use crate::table::Row;
use crate::time::{MINUTE, Millis, seconds};
use crate::world::World;

/// How long trackers keep a peer beyond its last announce: opentracker's 45 min.
pub const REGISTERED: Millis = 45 * MINUTE;

/// Samples of several figures, of every client.
#[derive(Debug, Clone)]
pub struct Study<const N: usize>(Vec<(Client, [Vec<f64>; N])>);

impl<const N: usize> Study<N> {
    /// Plays every plan with every client, and takes from each history the samples of each figure.
    pub fn new(
        clients: &[Client],
        plans: impl Fn(u64) -> Plan,
        seeds: u64,
        samples: impl Fn(&Plan, &History) -> [Vec<f64>; N],
    ) -> Self {
        Self::with(clients, |_, seed| plans(seed), seeds, samples)
    }

    /// As [`new`](Self::new), with plans that depend on who plays them: where something is to happen to the
    /// tracker in use.
    pub fn with(
        clients: &[Client],
        plans: impl Fn(Client, u64) -> Plan,
        seeds: u64,
        samples: impl Fn(&Plan, &History) -> [Vec<f64>; N],
    ) -> Self {
        let mut studied: Vec<(Client, [Vec<f64>; N])> = Vec::new();
        for client in clients {
            let sample = |seeds: u64| {
                let mut all: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
                for seed in 0..seeds {
                    let plan = plans(*client, seed);
                    let history = client.play(&plan);
                    for (all, some) in all.iter_mut().zip(samples(&plan, &history)) {
                        all.extend(some);
                    }
                }
                all
            };
            // As long as no further tracker is needed its lives are those of ours, and some of them show that.
            let ours =
                studied.iter().find(|(other, _)| (*other, *client) == (Client::Ours, Client::AsNeeded));
            let same = ours.filter(|(_, ours)| is_start(&sample((seeds / 8).max(1)), ours));
            let all = same.map_or_else(|| sample(seeds), |(_, ours)| ours.clone());
            studied.push((*client, all));
        }
        Self(studied)
    }

    /// A row of the figure with this index, made of its samples like this.
    pub fn row(
        &self,
        index: usize,
        id: impl Into<String>,
        what: &'static str,
        figure: impl Fn(&[f64]) -> f64,
    ) -> Row {
        let figures = self.0.iter().map(|(client, samples)| (*client, figure(&samples[index])));
        Row::new(id, what, figures.collect())
    }
}

/// Whether the samples of each figure begin with these.
fn is_start<const N: usize>(some: &[Vec<f64>; N], all: &[Vec<f64>; N]) -> bool {
    some.iter().zip(all).all(|(some, all)| all.starts_with(some))
}

/// The value below which this share of the samples lies.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into a vector of samples"
)]
pub fn quantile(share: f64) -> impl Fn(&[f64]) -> f64 {
    move |samples| {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let index = (share * sorted.len() as f64) as usize;
        sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }
}

/// The mean of the samples.
#[expect(clippy::cast_precision_loss, reason = "a number of samples")]
pub fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

/// The largest sample.
pub fn largest(samples: &[f64]) -> f64 {
    samples.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// A count as a sample.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
pub fn count(count: usize) -> f64 {
    count as f64
}

/// A wait in seconds, infinite where it never ended.
pub fn wait(wait: Option<Millis>) -> f64 {
    wait.map_or(f64::INFINITY, seconds)
}

/// From the start of a torrent to its first peers.
pub fn time_to_first_peers(history: &History) -> f64 {
    let life = &history.torrents[0];
    wait(life.answers.first().zip(life.needs.first()).map(|(answer, need)| answer.at - need))
}

/// How many announces trackers heard that would have accepted them.
pub fn live_announces(history: &History, from: Millis, to: Millis) -> usize {
    history.announces(from, to).filter(|heard| heard.lives).count()
}

/// How long a session took to end.
pub fn seconds_of(stopped: Option<&Stopped>) -> f64 {
    stopped.map_or(f64::INFINITY, |stopped| seconds(stopped.at.saturating_sub(stopped.wanted)))
}

/// The share of the time during which no living tracker knew the torrent, of that during which one might have:
/// while one lived, and had done so for a minute.
pub fn uncovered(world: &World, history: &History, until: Millis) -> f64 {
    let answers = &history.torrents[0].answers;
    let (mut possible, mut bare) = (0, 0);
    for at in (MINUTE..until).step_by(60_000) {
        let lives = |tracker: usize| world.lives(tracker, at) && world.lives(tracker, at - MINUTE);
        if (0..world.trackers.len()).any(lives) {
            let last = answers.partition_point(|answer| answer.at <= at);
            let recent = answers[..last].iter().rev().take_while(|answer| answer.at + REGISTERED > at);
            possible += 1;
            bare += usize::from(!recent.into_iter().any(|answer| world.lives(answer.tracker, at)));
        }
    }
    count(bare) / count(possible)
}
