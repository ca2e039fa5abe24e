//! The pieces that may be begun, in order of how few peers have them (rarest first).
//!
//! The pieces lie in one list sorted by availability. Equally rare ones lie in random order, and a change by
//! one moves a piece to the edge of its group with a single swap, so a `have` costs the same in a torrent of
//! any size.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

/// Where a piece lies that isn't in the list.
const NOWHERE: u32 = u32::MAX;

/// The list.
#[derive(Debug)]
pub(crate) struct Rarity {
    order: Vec<u32>,
    position: Vec<u32>,
    availability: Vec<u16>,
    /// Where the pieces of availability n begin; a last entry is the end of all.
    starts: Vec<u32>,
}

impl Rarity {
    /// A list of these pieces of so many, none of which any peer has yet.
    pub(crate) fn new(pieces: u32, wanted: impl Iterator<Item = u32>, rng: &mut impl Rng) -> Self {
        let mut order: Vec<u32> = wanted.filter(|&piece| piece < pieces).collect();
        order.shuffle(rng);
        let mut position = vec![NOWHERE; pieces as usize];
        for (at, &piece) in (0..).zip(&order) {
            position[piece as usize] = at;
        }
        let starts = vec![0, index(order.len())];
        Self { order, position, availability: vec![0; pieces as usize], starts }
    }

    /// The pieces from the rarest to the commonest.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.order.iter().copied()
    }

    /// The same pieces from a random one on.
    pub(crate) fn iter_from_random(&self, rng: &mut impl Rng) -> impl Iterator<Item = u32> + '_ {
        let start = if self.order.is_empty() { 0 } else { rng.random_range(0..self.order.len()) };
        self.order[start..].iter().chain(&self.order[..start]).copied()
    }

    /// Whether nothing is left to begin.
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// One more peer has the piece.
    pub(crate) fn increase(&mut self, piece: u32) {
        let Some((at, group)) = self.locate(piece) else { return };
        self.change_count(piece, 1);
        if at != NOWHERE {
            self.grow_to(group + 2);
            // To the end of its group, which then ends one earlier.
            let last = self.starts[group + 1] - 1;
            self.swap(at, last);
            self.starts[group + 1] = last;
        }
    }

    /// One peer fewer has the piece.
    pub(crate) fn decrease(&mut self, piece: u32) {
        let Some((at, group)) = self.locate(piece) else { return };
        if group == 0 {
            return;
        }
        self.change_count(piece, -1);
        if at != NOWHERE {
            let first = self.starts[group];
            self.swap(at, first);
            self.starts[group] = first + 1;
        }
    }

    /// Takes a piece out, because it has been begun.
    pub(crate) fn remove(&mut self, piece: u32) {
        let Some((mut at, group)) = self.locate(piece) else { return };
        if at == NOWHERE {
            return;
        }
        // Through the last place of each group behind it to the end of the list.
        for next in group + 1..self.starts.len() {
            let last = self.starts[next] - 1;
            self.swap(at, last);
            self.starts[next] = last;
            at = last;
        }
        self.order.pop();
        self.position[piece as usize] = NOWHERE;
    }

    /// Puts a piece back, at a random place among its equals.
    pub(crate) fn insert(&mut self, piece: u32, rng: &mut impl Rng) {
        let Some((NOWHERE, group)) = self.locate(piece) else { return };
        self.grow_to(group + 1);
        let mut at = index(self.order.len());
        self.order.push(piece);
        self.position[piece as usize] = at;
        // Through the first place of each group behind its own.
        for next in (group + 1..self.starts.len() - 1).rev() {
            let first = self.starts[next];
            self.swap(at, first);
            self.starts[next + 1] += 1;
            at = first;
        }
        self.starts[group + 1] += 1;
        self.swap(at, rng.random_range(self.starts[group]..=at));
    }

    fn locate(&self, piece: u32) -> Option<(u32, usize)> {
        let at = *self.position.get(piece as usize)?;
        Some((at, usize::from(self.availability[piece as usize])))
    }

    fn change_count(&mut self, piece: u32, by: i16) {
        let count = &mut self.availability[piece as usize];
        *count = count.saturating_add_signed(by);
    }

    /// Makes sure that the groups up to one exist.
    fn grow_to(&mut self, groups: usize) {
        while self.starts.len() < groups + 1 {
            self.starts.push(index(self.order.len()));
        }
    }

    fn swap(&mut self, one: u32, other: u32) {
        self.order.swap(one as usize, other as usize);
        for at in [one, other] {
            self.position[self.order[at as usize] as usize] = at;
        }
    }
}

fn index(length: usize) -> u32 {
    // Torrents have at most a few million pieces.
    u32::try_from(length).unwrap_or(NOWHERE)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn check(rarity: &Rarity) {
        let counts: Vec<_> = rarity.iter().map(|piece| rarity.availability[piece as usize]).collect();
        assert!(counts.is_sorted(), "{counts:?}");
        assert_eq!(*rarity.starts.last().unwrap() as usize, rarity.order.len());
        for (group, bounds) in rarity.starts.windows(2).enumerate() {
            for &count in &counts[bounds[0] as usize..bounds[1] as usize] {
                assert_eq!(usize::from(count), group);
            }
        }
        for (at, piece) in rarity.iter().enumerate() {
            assert_eq!(rarity.position[piece as usize] as usize, at);
        }
    }

    #[test]
    fn random_changes_keep_it_sorted() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut rarity = Rarity::new(40, 0..40, &mut rng);
        for _ in 0..20_000 {
            let piece = rng.random_range(0..42);
            match rng.random_range(0..5) {
                0 | 1 => rarity.increase(piece),
                2 => rarity.decrease(piece),
                3 => rarity.remove(piece),
                _ => rarity.insert(piece, &mut rng),
            }
            check(&rarity);
        }
    }

    #[test]
    fn the_rarest_is_first_and_ties_are_random() {
        let firsts: Vec<_> = (0..20)
            .map(|seed| {
                let mut rarity = Rarity::new(8, 0..8, &mut StdRng::seed_from_u64(seed));
                (0..8).filter(|piece| piece % 2 == 0).for_each(|piece| rarity.increase(piece));
                rarity.iter().next().unwrap()
            })
            .collect();
        assert!(firsts.iter().all(|piece| piece % 2 == 1));
        assert!(firsts.iter().any(|&piece| piece != firsts[0]));
    }
}
