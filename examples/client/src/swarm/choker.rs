//! Which peers we upload to: four slots for those that send most, and one that rotates (BEP 3, choking).

use std::time::Duration;

use rand::Rng;
use rand::seq::IndexedRandom;

use super::PeerKey;

/// What the choker knows about a peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// The peer.
    pub(crate) key: PeerKey,
    /// Whether it is interested in our pieces.
    pub(crate) interested: bool,
    /// Whether it is unchoked now.
    pub(crate) unchoked: bool,
    /// How fast it sends to us, in bytes per second; how fast it receives from us, once we have everything.
    pub(crate) speed: u64,
}

/// Decides which peers may request blocks.
#[derive(Debug, Default)]
pub(crate) struct Choker {
    next: Duration,
    optimistic: Option<PeerKey>,
    optimistic_until: Duration,
}

impl Choker {
    /// The peers to unchoke from now on. `None` if it isn't time to judge again and no slot is free: a free slot is given away
    /// at once, and not after ten seconds.
    pub(crate) fn decide(
        &mut self,
        now: Duration,
        candidates: &[Candidate],
        rng: &mut impl Rng,
    ) -> Option<Vec<PeerKey>> {
        let waiting = candidates.iter().any(|c| c.interested && !c.unchoked);
        let used = candidates.iter().filter(|c| c.interested && c.unchoked).count();
        if now < self.next && (used > SLOTS || !waiting) {
            return None;
        }
        if now < self.next {
            return Some(fill(candidates, rng));
        }
        self.next = now + PERIOD;
        let mut ranking: Vec<_> = candidates.iter().filter(|c| c.interested).copied().collect();
        // On a tie the peers in a slot stay, because a change costs both sides.
        ranking.sort_by_key(|c| (std::cmp::Reverse(c.speed), !c.unchoked, c.key));
        let mut chosen: Vec<_> = ranking.iter().take(SLOTS).map(|c| c.key).collect();
        let rest: Vec<_> = ranking.iter().skip(SLOTS).map(|c| c.key).collect();
        let stays = self.optimistic.filter(|key| now < self.optimistic_until && rest.contains(key));
        if stays.is_none() {
            let fresh: Vec<_> = rest.iter().copied().filter(|&key| Some(key) != self.optimistic).collect();
            self.optimistic = fresh.choose(rng).or(rest.first()).copied();
            self.optimistic_until = now + OPTIMISTIC_PERIOD;
        }
        chosen.extend(self.optimistic);
        Some(chosen)
    }
}

/// Everybody who is unchoked and interested stays; free slots go to the waiting at random.
fn fill(candidates: &[Candidate], rng: &mut impl Rng) -> Vec<PeerKey> {
    let interested = |unchoked| candidates.iter().filter(move |c| c.interested && c.unchoked == unchoked);
    let mut chosen: Vec<_> = interested(true).map(|c| c.key).collect();
    let waiting: Vec<_> = interested(false).map(|c| c.key).collect();
    let free = (SLOTS + 1).saturating_sub(chosen.len());
    chosen.extend(waiting.sample(rng, free.min(waiting.len())));
    chosen
}

/// Slots for the fastest; one more goes round.
const SLOTS: usize = 4;
/// How often the peers are judged (BEP 3: ten seconds).
const PERIOD: Duration = Duration::from_secs(10);
/// How long the one that goes round stays (BEP 3: thirty seconds).
const OPTIMISTIC_PERIOD: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn candidate(key: u32, speed: u64, unchoked: bool) -> Candidate {
        Candidate { key: PeerKey(key), interested: true, unchoked, speed }
    }

    #[test]
    fn a_free_slot_is_given_at_once() {
        let (mut choker, mut rng) = (Choker::default(), StdRng::seed_from_u64(1));
        let at = Duration::from_secs;
        assert_eq!(choker.decide(at(0), &[], &mut rng), Some(vec![]));
        assert_eq!(choker.decide(at(1), &[], &mut rng), None);
        assert_eq!(choker.decide(at(1), &[candidate(1, 0, false)], &mut rng), Some(vec![PeerKey(1)]));
        assert_eq!(choker.decide(at(1), &[candidate(1, 0, true)], &mut rng), None);
        let full: Vec<_> = (1..=6).map(|key| candidate(key, 0, key <= 5)).collect();
        assert_eq!(choker.decide(at(2), &full, &mut rng), None);
    }

    #[test]
    fn the_fastest_four_keep_their_slots_and_one_goes_round() {
        let (mut choker, mut rng) = (Choker::default(), StdRng::seed_from_u64(1));
        let peers: Vec<_> = (1..=9).map(|key| candidate(key, u64::from(key), false)).collect();
        let mut optimistic = Vec::new();
        for round in 0..7 {
            let chosen = choker.decide(Duration::from_secs(10 * round), &peers, &mut rng).unwrap();
            assert_eq!(chosen[..4], [9, 8, 7, 6].map(PeerKey));
            assert_eq!(chosen.len(), 5);
            optimistic.push(chosen[4]);
        }
        assert_eq!(optimistic[0], optimistic[2]);
        assert_ne!(optimistic[2], optimistic[3]);
        assert_ne!(optimistic[5], optimistic[6]);
    }

    #[test]
    fn who_wants_nothing_gets_no_slot() {
        let (mut choker, mut rng) = (Choker::default(), StdRng::seed_from_u64(1));
        let peers = [Candidate { interested: false, ..candidate(1, 9, true) }, candidate(2, 0, false)];
        assert_eq!(choker.decide(Duration::ZERO, &peers, &mut rng), Some(vec![PeerKey(2)]));
    }
}
