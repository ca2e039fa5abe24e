//! The torrents that wait for a host in back-off, in the order in which they may try it.

use std::cmp::Reverse;

use crate::policy::io::TorrentId;
use crate::time::Timestamp;

/// How many torrents a queue holds, to bound its memory. A torrent that finds it full asks again
/// later, when trials have freed places.
const MAX_WAITING: usize = 64;

/// Which torrent goes first: the lesser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TrialRank {
    /// It hasn't failed here since it was last answered. The latest answer goes first: it is the best evidence that the
    /// host serves this torrent.
    Unfailed(Reverse<Option<Timestamp>>),
    /// It has failed here since it was last answered.
    Failed,
}

impl TrialRank {
    /// The rank of a torrent that was last answered here at this moment, if ever.
    pub(super) fn unfailed(answered_at: Option<Timestamp>) -> Self {
        Self::Unfailed(Reverse(answered_at))
    }
}

/// A short list sorted by rank, then by arrival: a torrent that tried without success and comes back stands behind
/// those that wait.
#[derive(Debug, Clone, Default)]
pub(super) struct TrialQueue(Vec<(TrialRank, TorrentId)>);

impl TrialQueue {
    /// How many torrents go before this one, or would if it joined now.
    pub(super) fn place(&self, torrent: TorrentId, rank: TrialRank) -> u32 {
        let place = self.position(torrent).unwrap_or_else(|| self.end_of(rank));
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Gives a torrent a place, or a new one if its rank has changed. If the queue is full the last one is dropped.
    pub(super) fn join(&mut self, torrent: TorrentId, rank: TrialRank) {
        if let Some(place) = self.position(torrent) {
            if self.0.get(place).is_some_and(|(known, _)| *known == rank) {
                return;
            }
            self.0.remove(place);
        }
        let place = self.end_of(rank);
        if place < MAX_WAITING {
            self.0.insert(place, (rank, torrent));
            self.0.truncate(MAX_WAITING);
        }
    }

    /// Takes out a torrent that tries, and those before it: they had their turn and didn't use it. Kept, torrents that
    /// were removed would fill the queue.
    pub(super) fn leave(&mut self, torrent: TorrentId) {
        if let Some(place) = self.position(torrent) {
            self.0.drain(..=place);
        }
    }

    fn position(&self, torrent: TorrentId) -> Option<usize> {
        self.0.iter().position(|(_, waiting)| *waiting == torrent)
    }

    /// The place behind all of this rank.
    fn end_of(&self, rank: TrialRank) -> usize {
        self.0.partition_point(|(other, _)| *other <= rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> TorrentId {
        TorrentId::new(number)
    }

    fn answered(seconds: u64) -> TrialRank {
        TrialRank::unfailed(Some(Timestamp::from_micros(seconds * 1_000_000)))
    }

    fn order(queue: &TrialQueue) -> Vec<TorrentId> {
        queue.0.iter().map(|(_, torrent)| *torrent).collect()
    }

    #[test]
    fn the_last_answered_goes_first_and_those_that_failed_go_round() {
        let mut queue = TrialQueue::default();
        for (torrent, rank) in [
            (1, TrialRank::Failed),
            (2, TrialRank::unfailed(None)),
            (3, answered(5)),
            (4, answered(9)),
            (5, TrialRank::Failed),
        ] {
            queue.join(id(torrent), rank);
        }
        assert_eq!(order(&queue), [4, 3, 2, 1, 5].map(id));
        queue.leave(id(4));
        queue.join(id(4), TrialRank::Failed);
        assert_eq!(order(&queue), [3, 2, 1, 5, 4].map(id), "it tried without success");
        queue.leave(id(1));
        queue.join(id(1), TrialRank::Failed);
        assert_eq!(order(&queue), [5, 4, 1].map(id), "those before it didn't use their turn");
        assert_eq!((queue.place(id(4), TrialRank::Failed), queue.place(id(9), answered(1))), (1, 0));
    }

    #[test]
    fn the_queue_is_bounded_and_keeps_the_first_ranks() {
        let mut queue = TrialQueue::default();
        for number in 0..10_000 {
            queue.join(id(number), TrialRank::Failed);
        }
        queue.join(id(10_000), answered(1));
        assert_eq!((queue.0.len(), queue.place(id(10_000), answered(1))), (MAX_WAITING, 0));
        assert_eq!(queue.place(id(9999), TrialRank::Failed) as usize, MAX_WAITING);
    }
}
