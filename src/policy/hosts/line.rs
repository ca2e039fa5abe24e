//! The torrents that wait for a host in back-off, in the order in which they may try it.

use std::cmp::Reverse;

use crate::policy::io::TorrentId;
use crate::time::Timestamp;

/// How many torrents a line holds. Those beyond it come when places have become free: whoever tries leaves the line.
const MAX_WAITING: usize = 64;

/// Where a torrent stands among those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// It hasn't failed here since it was last answered: the latest answer first, because it says most about the host.
    Unfailed(Reverse<Option<Timestamp>>),
    /// It has failed here.
    Failed,
}

impl Rank {
    pub(super) fn unfailed(answered_at: Option<Timestamp>) -> Self {
        Self::Unfailed(Reverse(answered_at))
    }
}

/// A short sorted list: by rank, then by arrival, so that a torrent that tried and comes back stands behind those that
/// wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Line(Vec<(Rank, TorrentId)>);

impl Line {
    /// How many torrents go before this one.
    pub(super) fn place(&self, torrent: TorrentId, rank: Rank) -> u32 {
        let place = self.position(torrent).unwrap_or_else(|| self.end_of(rank));
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Gives a torrent its place, or a new one where its rank has changed. The last makes room where the line is full.
    pub(super) fn join(&mut self, torrent: TorrentId, rank: Rank) {
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

    /// Takes out a torrent that tries, and those before it: it was their turn, and they didn't come.
    pub(super) fn leave(&mut self, torrent: TorrentId) {
        if let Some(place) = self.position(torrent) {
            self.0.drain(..=place);
        }
    }

    fn position(&self, torrent: TorrentId) -> Option<usize> {
        self.0.iter().position(|(_, waiting)| *waiting == torrent)
    }

    /// Behind all of this rank.
    fn end_of(&self, rank: Rank) -> usize {
        self.0.partition_point(|(other, _)| *other <= rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> TorrentId {
        TorrentId::new(number)
    }

    fn answered(seconds: u64) -> Rank {
        Rank::unfailed(Some(Timestamp::from_micros(seconds * 1_000_000)))
    }

    fn order(line: &Line) -> Vec<TorrentId> {
        line.0.iter().map(|(_, torrent)| *torrent).collect()
    }

    #[test]
    fn the_last_answered_goes_first_and_those_that_failed_go_round() {
        let mut line = Line::default();
        for (torrent, rank) in [
            (1, Rank::Failed),
            (2, Rank::unfailed(None)),
            (3, answered(5)),
            (4, answered(9)),
            (5, Rank::Failed),
        ] {
            line.join(id(torrent), rank);
        }
        assert_eq!(order(&line), [4, 3, 2, 1, 5].map(id));
        line.leave(id(4));
        line.join(id(4), Rank::Failed);
        assert_eq!(order(&line), [3, 2, 1, 5, 4].map(id), "it tried without success");
        line.leave(id(1));
        line.join(id(1), Rank::Failed);
        assert_eq!(order(&line), [5, 4, 1].map(id), "those before it didn't come");
        assert_eq!((line.place(id(4), Rank::Failed), line.place(id(9), answered(1))), (1, 0));
    }

    #[test]
    fn it_is_bounded_and_keeps_the_best() {
        let mut line = Line::default();
        for number in 0..10_000 {
            line.join(id(number), Rank::Failed);
        }
        line.join(id(10_000), answered(1));
        assert_eq!((line.0.len(), line.place(id(10_000), answered(1))), (MAX_WAITING, 0));
        assert_eq!(line.place(id(9999), Rank::Failed) as usize, MAX_WAITING);
    }
}
