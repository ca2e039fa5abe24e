//! When a client that counts on demand is asked for its counters: just before an announce is written.

use std::time::Duration;

use crate::time::Timestamp;

/// For how long counters that were read count as those of the moment, until an announce is written with them: the beginning
/// of a round asks, and opening a channel to a near tracker takes less.
const LIFETIME: Duration = Duration::from_millis(100);

/// How long an announce waits for counters. A client that gives none, because its code fails, announces the last ones.
const PATIENCE: Duration = Duration::from_secs(1);

/// The counters of one client.
#[derive(Debug, Default)]
pub(super) struct Counting(Option<OnDemand>);

/// Of a client that counts on demand.
#[derive(Debug, Clone, Copy, Default)]
struct OnDemand {
    /// When it last gave its counters, or was given up.
    counted_at: Option<Timestamp>,
    /// When it was asked, if it hasn't answered yet.
    asked_at: Option<Timestamp>,
}

impl Counting {
    /// Has the client asked from now on.
    pub(super) fn on_demand(&mut self) {
        self.0.get_or_insert_default();
    }

    /// Notes that the client gave its counters. Gives whether it was asked for them.
    pub(super) fn counted(&mut self, now: Timestamp) -> bool {
        let Some(on_demand) = &mut self.0 else { return false };
        let before = std::mem::replace(on_demand, OnDemand { counted_at: Some(now), asked_at: None });
        before.asked_at.is_some()
    }

    /// Notes that an announce was written, so that the next one asks again.
    pub(super) fn written(&mut self) {
        if let Some(on_demand) = &mut self.0 {
            on_demand.counted_at = None;
        }
    }

    /// Until when an announce waits for the counters, and whether the client has to be asked now; `None` if they are known.
    pub(super) fn missing(&mut self, now: Timestamp) -> Option<(bool, Timestamp)> {
        let on_demand = self.0.as_mut()?;
        match *on_demand {
            OnDemand { counted_at: Some(at), .. } if now.since(at) < LIFETIME => None,
            OnDemand { asked_at: Some(at), .. } if now.since(at) < PATIENCE => Some((false, at + PATIENCE)),
            OnDemand { asked_at: Some(_), .. } => {
                *on_demand = OnDemand { counted_at: Some(now), asked_at: None };
                None
            }
            OnDemand { asked_at: None, .. } => {
                on_demand.asked_at = Some(now);
                Some((true, now + PATIENCE))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn a_client_is_asked_once_for_each_announce() {
        let mut counting = Counting::default();
        assert_eq!(counting.missing(at(0)), None, "it reports by itself");
        counting.on_demand();
        assert_eq!(counting.missing(at(5)), Some((true, at(1005))));
        assert_eq!(counting.missing(at(6)), Some((false, at(1005))));
        assert!(counting.counted(at(7)));
        assert_eq!((counting.missing(at(7)), counting.missing(at(106))), (None, None));
        assert_eq!(counting.missing(at(107)), Some((true, at(1107))));
        assert!(counting.counted(at(108)) && !counting.counted(at(108)));
        assert_eq!(counting.missing(at(109)), None);
        counting.written();
        assert_eq!(counting.missing(at(110)), Some((true, at(1110))), "for the next announce");
    }

    #[test]
    fn a_client_that_gives_no_counters_delays_an_announce_by_a_second() {
        let mut counting = Counting::default();
        counting.on_demand();
        assert!(counting.missing(at(0)).is_some() && counting.missing(at(999)).is_some());
        assert_eq!(counting.missing(at(1000)), None);
        assert_eq!(counting.missing(at(1100)), Some((true, at(2100))), "and the next one by another");
    }
}
