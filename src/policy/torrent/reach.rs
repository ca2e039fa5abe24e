//! Which trackers are announced to beside the one in use, when, and why.
//!
//! The nearest tracker for speed, the head of the list for meeting others, more while peers are short, and never again
//! where nothing new came from. Independent trackers don't know each other's peers: a near tracker that is alive and
//! empty would hide the only seed for ever. Announcing to all of them would find it as well, at a cost to each tracker
//! that gets clients banned.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::book::TorrentBook;
use super::peer_supply::Shortage;
use crate::alert::AnnounceReason;
use crate::policy::config::AnnounceTo;
use crate::policy::tracker_set::{Answers, Listed, TrackerRecord};
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// The time between two further trackers that are asked while peers are short. `BiglyBT` activates another group of
/// trackers each 2.5 s.
const WIDENING_GAP: Duration = Duration::from_millis(2500);

/// How long the answer to an announce may come late before its tracker is asked again.
const UNANSWERED: Duration = Duration::from_secs(60);

/// A tracker that is to be announced to beside the one in use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The tracker, with its record.
    pub(crate) listed: Listed<'a>,
    /// From when on.
    pub(crate) at: Timestamp,
    /// Why.
    pub(crate) reason: AnnounceReason,
}

/// What one torrent lacks, computed once for all its trackers.
struct Need {
    /// How many trackers it is registered at.
    announce_to: AnnounceTo,
    /// Whether it has the whole torrent.
    is_seed: bool,
    /// How short of peers it is.
    shortage: Shortage,
    /// Whether peers are wanted now, whatever the intervals are.
    more: bool,
    /// From when on the next tracker beyond the head is asked.
    widens_at: Timestamp,
    /// Whether some tracker is still to be sent `completed`.
    completed: bool,
}

/// The trackers that are to be announced to beside the one in use, in list order. Those that were `tried` in this round
/// are left out, and another one is the head in their place.
///
/// `earliest` gives when hints and back-offs allow an announce to a tracker, if ever, and `is_well` whether nothing
/// shows that it may not answer.
pub(super) fn wanted<'a>(
    book: &'a TorrentBook,
    tried: &BTreeSet<TrackerUrl>,
    earliest: impl Fn(Listed<'a>) -> Option<Timestamp>,
    is_well: impl Fn(Listed<'a>) -> bool,
    now: Timestamp,
) -> Vec<Wanted<'a>> {
    let need = Need::of(book, now);
    let mut wanted = Vec::new();
    if need.is_nothing() {
        return wanted;
    }
    // Compared by address: a URL takes a hundred times as long, and this is asked of each tracker.
    let in_use = book.trackers.listed_in_use();
    let is_in_use = |tracker: &TrackerUrl| in_use.is_some_and(|in_use| in_use.is_clone_of(tracker));
    let tier = |tracker: &TrackerUrl| book.trackers.tier_of(tracker).unwrap_or_default();
    // One tracker of each tier: the one in use, else one that lists us, else the first that works.
    let mut tiers = BTreeMap::new();
    if need.announce_to == AnnounceTo::EachTier {
        tiers.extend(in_use.map(|in_use| (tier(in_use), in_use)));
        for listed in book.trackers.supported_with_records() {
            if is_registered(listed, now) && !is_failing(listed) {
                tiers.entry(tier(listed.0)).or_insert(listed.0);
            }
        }
    }
    let mut is_head_found = false;
    // Second address families come last, and only here: a tracker that fails over one family has failed.
    for listed in book.trackers.supported_with_records().chain(book.trackers.second_families()) {
        if is_in_use(listed.0) {
            is_head_found = true;
        } else if !tried.contains(listed.0) {
            let is_head = !is_head_found && listed.0.family().is_none();
            let is_of_use = is_head || need.announce_to == AnnounceTo::EachTier;
            let is_living = is_of_use && !is_failing(listed) && is_well(listed);
            is_head_found |= is_living;
            let is_due = match need.announce_to {
                AnnounceTo::EachTier => {
                    let chosen = tiers.get(&tier(listed.0)).copied();
                    let chosen = chosen.or_else(|| is_living.then_some(listed.0));
                    tiers.extend(chosen.map(|chosen| (tier(listed.0), chosen)));
                    chosen.is_some_and(|chosen| chosen.is_clone_of(listed.0))
                }
                _ => true,
            };
            let choice = if is_due { need.choice(listed, is_head, book, now) } else { None };
            if let Some((at, reason)) = choice
                && let Some(earliest) = earliest(listed)
            {
                wanted.push(Wanted {
                    listed,
                    at: at.max(earliest).max(unanswered_until(listed, book)).max(book.beside_from),
                    reason,
                });
            }
        }
        if is_head_found && need.is_head_all() {
            break;
        }
    }
    wanted
}

/// When to look again although no tracker is due: the client's own count decides from then on, or is asked for again.
pub(super) fn look_at(book: &TorrentBook, now: Timestamp) -> Option<Timestamp> {
    let counted_at = book.supply.next_count().filter(|_| book.announce_to() == AnnounceTo::AsNeeded);
    counted_at.filter(|at| *at > now)
}

impl Need {
    fn of(book: &TorrentBook, now: Timestamp) -> Self {
        let is_seed = !book.wants_to_download();
        let shortage = if book.wants_peers { Shortage::Great } else { book.supply.shortage(is_seed, now) };
        let gap = if book.supply.is_last_poor() { Duration::ZERO } else { WIDENING_GAP };
        Self {
            announce_to: book.announce_to(),
            is_seed,
            shortage,
            more: book.wants_peers,
            widens_at: book.supply.answered_at() + gap,
            completed: book.ledger.owes_any_completed(),
        }
    }

    /// Whether no tracker is wanted, whatever its record says.
    fn is_nothing(&self) -> bool {
        self.announce_to == AnnounceTo::AsNeeded && !self.needs_head() && !self.completed
    }

    /// Whether no tracker beyond the head is wanted.
    fn is_head_all(&self) -> bool {
        let most = if self.is_seed { Shortage::Some } else { Shortage::None };
        self.announce_to == AnnounceTo::AsNeeded && self.shortage <= most && !self.completed
    }

    /// Whether the head of the list is wanted: a seed is to be found there, and a leecher finds others.
    fn needs_head(&self) -> bool {
        self.is_seed || self.shortage > Shortage::None
    }

    /// From when on a tracker is to be announced to, and why; `None` if it isn't wanted.
    fn choice(
        &self,
        listed: Listed<'_>,
        is_head: bool,
        book: &TorrentBook,
        now: Timestamp,
    ) -> Option<(Timestamp, AnnounceReason)> {
        let (tracker, record) = listed;
        let answers = record.map(|record| &record.answers).filter(|answers| answers.answered_at().is_some());
        let is_registered = is_registered(listed, now);
        if self.completed && is_registered && book.ledger.owes_completed(&book.trackers, tracker) {
            return Some((now, AnnounceReason::Event));
        }
        let duplicate_until = record.map_or(Timestamp::ZERO, |record| record.answers.duplicate_until());
        let by_interval = answers.map_or(Timestamp::ZERO, Answers::due);
        let (at, reason) = match self.announce_to {
            AnnounceTo::One => return None,
            AnnounceTo::EachTier | AnnounceTo::All => (by_interval, AnnounceReason::Configured),
            AnnounceTo::AsNeeded if is_head => {
                if !self.needs_head() {
                    return None;
                }
                (self.or_more(by_interval, answers), AnnounceReason::Head)
            }
            AnnounceTo::AsNeeded => {
                let by_yield = answers.map_or(Timestamp::ZERO, Answers::due_by_yield);
                let reason = AnnounceReason::MorePeers;
                if is_registered && !self.is_seed {
                    // It may name further peers by now.
                    let is_short = self.shortage > Shortage::None;
                    let at = is_short.then(|| self.or_more(by_yield, answers))?;
                    return Some((at.max(duplicate_until), reason));
                }
                // A seed goes round once. What leechers there are find it at the head.
                let is_round_over = self.is_seed && record.is_some_and(was_asked);
                if self.shortage < Shortage::Great || is_round_over {
                    return None;
                }
                (by_yield.max(self.widens_at), reason)
            }
        };
        Some((at.max(duplicate_until), reason))
    }

    /// When a tracker is due, or sooner if peers are wanted now and it may name some.
    fn or_more(&self, due: Timestamp, answers: Option<&Answers>) -> Timestamp {
        match answers {
            Some(answers) if self.more && !answers.is_barren() => due.min(answers.more_at()),
            _ => due,
        }
    }
}

/// Whether a tracker lists us, as far as we know.
fn is_registered((_, record): Listed<'_>, now: Timestamp) -> bool {
    record.is_some_and(|record| record.registration.lists_us(now))
}

/// Until when the answer to an announce that is on its way is awaited.
fn unanswered_until((_, record): Listed<'_>, book: &TorrentBook) -> Timestamp {
    let sent_at = record.and_then(|record| record.registration.sent_at());
    sent_at.map_or(Timestamp::ZERO, |sent_at| sent_at + UNANSWERED.max(book.config.limits.last_reply_limit))
}

/// Whether a tracker failed, and hasn't answered since.
fn is_failing((_, record): Listed<'_>) -> bool {
    record.is_some_and(|record| record.failure.is_some())
}

/// Whether a tracker was announced to in this session, whatever came of it.
fn was_asked(record: &TrackerRecord) -> bool {
    record.answers.successes() > 0 || record.failure.is_some()
}
