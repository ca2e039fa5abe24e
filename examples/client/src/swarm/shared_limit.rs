//! A limit that several torrents share: what one leaves the others may take.
//!
//! Each torrent asks for its share a few times a second, and says whether it wants anything. Those that do share alike; where
//! there isn't a block for each, the one goes first that has waited longest.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::limit::Limit;
use crate::wire::message::BLOCK;

/// One torrent's part in a limit.
#[derive(Debug)]
pub(crate) struct SharedLimit {
    pool: Rc<RefCell<Pool>>,
    number: u32,
    /// For how many blocks its share is until time passes.
    allowance: Cell<usize>,
    /// Whether it was its turn, and it has taken nothing since.
    has_left: Cell<bool>,
}

#[derive(Debug)]
struct Pool {
    limit: Limit,
    /// The number of the next torrent.
    next: u32,
    /// The torrents that want something, with the turn in which each had something last.
    hungry: BTreeMap<u32, u64>,
    turn: u64,
}

impl Pool {
    /// A torrent has had its turn.
    fn served(&mut self, number: u32) {
        self.turn += 1;
        let turn = self.turn;
        if let Some(last) = self.hungry.get_mut(&number) {
            *last = turn;
        }
    }
}

impl SharedLimit {
    /// A limit of so many bytes a second, for one torrent to begin with.
    pub(crate) fn new(rate: u64) -> Self {
        let pool = Pool { limit: Limit::new(rate), next: 0, hungry: BTreeMap::new(), turn: 0 };
        Self::of(Rc::new(RefCell::new(pool)))
    }

    /// The same limit for one more torrent.
    pub(crate) fn another(&self) -> Self {
        Self::of(Rc::clone(&self.pool))
    }

    fn of(pool: Rc<RefCell<Pool>>) -> Self {
        let number = pool.borrow().next;
        pool.borrow_mut().next = number.wrapping_add(1);
        Self { pool, number, allowance: Cell::new(usize::MAX), has_left: Cell::new(false) }
    }

    /// Time has passed, and the torrent wants something or not.
    pub(super) fn tick(&self, is_hungry: bool, now: Duration) {
        let mut pool = self.pool.borrow_mut();
        pool.limit.tick(now);
        if is_hungry {
            let turn = pool.turn;
            pool.hungry.entry(self.number).or_insert(turn);
        } else {
            pool.hungry.remove(&self.number);
        }
        if self.has_left.replace(false) {
            pool.served(self.number);
        }
        let others = pool.hungry.keys().filter(|&&number| number != self.number).count();
        let is_enough = pool.limit.blocks() > others;
        let is_next = || {
            pool.hungry.iter().min_by_key(|(number, turn)| (**turn, **number)).map(|(number, _)| *number)
                == Some(self.number)
        };
        self.allowance.set(match others {
            0 => usize::MAX,
            others if is_enough => pool.limit.blocks().div_ceil(others + 1),
            _ if is_next() => {
                self.has_left.set(pool.limit.blocks() > 0);
                1
            }
            _ => 0,
        });
    }

    /// For how many blocks it allows, the last of which may be the one that makes a debt.
    pub(super) fn blocks(&self) -> usize {
        self.pool.borrow().limit.blocks().min(self.allowance.get())
    }

    /// For how many blocks the share of each of so many peers is.
    pub(super) fn share(&self, peers: usize) -> usize {
        self.blocks() / peers.max(1)
    }

    /// Takes bytes, more than there are if need be.
    pub(super) fn take(&self, bytes: u64) {
        let mut pool = self.pool.borrow_mut();
        pool.limit.take(bytes);
        pool.served(self.number);
        self.has_left.set(false);
        if self.allowance.get() < usize::MAX {
            self.allowance.set(self.allowance.get().saturating_sub(blocks_of(bytes)));
        }
    }

    /// Bytes that were taken won't flow.
    pub(super) fn give_back(&self, bytes: u64) {
        self.pool.borrow_mut().limit.give_back(bytes);
        self.allowance.set(self.allowance.get().saturating_add(blocks_of(bytes)));
    }
}

impl Drop for SharedLimit {
    fn drop(&mut self) {
        self.pool.borrow_mut().hungry.remove(&self.number);
    }
}

fn blocks_of(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(BLOCK.into())).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many torrents share a limit for 100 seconds, and each takes up to so many blocks at a time; gives the bytes that each got.
    fn flow(rate: u64, wants: &[usize]) -> Vec<u64> {
        let first = SharedLimit::new(rate);
        let others: Vec<_> = wants.iter().skip(1).map(|_| first.another()).collect();
        let limits: Vec<_> = std::iter::once(first).chain(others).collect();
        let mut got = vec![0; wants.len()];
        for step in 0..2000 {
            for ((limit, &want), got) in limits.iter().zip(wants).zip(&mut got) {
                limit.tick(want > 0, Duration::from_millis(50 * step));
                for _ in 0..want.min(limit.blocks()) {
                    limit.take(BLOCK.into());
                    *got += u64::from(BLOCK);
                }
            }
        }
        got
    }

    #[test]
    fn torrents_that_want_all_get_as_much_as_each_other_and_all_of_it() {
        for (rate, count) in [(4 << 10, 2), (16 << 10, 3), (100 << 10, 2), (10 << 20, 5), (100 << 20, 50)] {
            let got = flow(rate, &vec![usize::MAX; count]);
            let all: u64 = got.iter().sum();
            assert!(all.abs_diff(rate * 100) <= rate + (64 << 10), "{rate} B/s: {all}");
            let fair = all / count as u64;
            assert!(got.iter().all(|&got| got > fair / 2 && got < fair * 2), "{rate} B/s: {got:?}");
        }
    }

    #[test]
    fn what_one_leaves_another_gets() {
        for wants in [[usize::MAX, 0], [0, usize::MAX], [usize::MAX, 1]] {
            let got = flow(10 << 20, &wants);
            let all: u64 = got.iter().sum();
            assert!(all.abs_diff(1000 << 20) <= 11 << 20, "{wants:?}: {got:?}");
        }
    }

    /// It has peers with room, and nothing to ask them for.
    #[test]
    fn one_that_wants_and_takes_nothing_holds_no_other_up() {
        let limits = [SharedLimit::new(16 << 10)];
        let other = limits[0].another();
        let mut got = 0;
        for step in 0..2000 {
            let now = Duration::from_millis(50 * step);
            limits[0].tick(true, now);
            other.tick(true, now);
            if other.blocks() > 0 {
                other.take(BLOCK.into());
                got += u64::from(BLOCK);
            }
        }
        assert!(got > 90 * (16 << 10), "{got}");
    }

    #[test]
    fn one_torrent_alone_has_the_limit_for_itself() {
        let limit = SharedLimit::new(1 << 20);
        limit.tick(true, Duration::from_secs(1));
        assert_eq!(limit.blocks(), 32);
        limit.take(u64::from(BLOCK) * 32);
        assert_eq!(limit.blocks(), 0);
        limit.give_back(u64::from(BLOCK) * 2);
        assert_eq!((limit.blocks(), limit.share(2)), (2, 1));
    }
}
