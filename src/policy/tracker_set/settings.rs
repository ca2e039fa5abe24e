//! What a set of trackers says beside its trackers: in which order, and at how many of them.

use crate::policy::config::{AnnounceTo, Config, Order, Scheduling, Schemes};

/// What a set says beside its trackers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SetSettings {
    /// Whether the torrent is private (BEP 27).
    pub(super) private: bool,
    /// The order that the caller asked for; `None` leaves it to the configuration.
    pub(super) order: Option<Order>,
    /// How many trackers the caller wants to be registered at; `None` leaves it to the configuration.
    pub(super) announce_to: Option<AnnounceTo>,
    /// The schemes that can be announced to.
    pub(super) schemes: Schemes,
    /// Whether the tiers were shuffled already: BEP 12 wants that once.
    pub(super) shuffled: bool,
}

impl SetSettings {
    /// The order in force.
    pub(super) fn order(self) -> Order {
        if self.private { Order::Bep12 } else { self.order.unwrap_or_default() }
    }

    /// How many trackers a torrent is registered at.
    pub(super) fn announce_to(self) -> AnnounceTo {
        if self.private { AnnounceTo::One } else { self.announce_to.unwrap_or_default() }
    }

    /// Takes from the configuration what the caller left open.
    pub(super) fn prepare(&mut self, config: &Config) {
        self.schemes = config.schemes;
        self.order.get_or_insert(config.order);
        match config.scheduling {
            Scheduling::Automatic => self.announce_to.get_or_insert(config.announce_to),
            // A caller that decides when to announce gets one announce each time.
            Scheduling::Manual => self.announce_to.insert(AnnounceTo::One),
        };
    }

    /// Takes over what a change of the set has left open: a new set in place of another says nothing of it. A private
    /// torrent stays private.
    pub(super) fn keep(&mut self, before: Self, config: &Config) {
        self.private |= before.private;
        self.order = self.order.or(before.order);
        self.announce_to = match config.scheduling {
            Scheduling::Automatic => self.announce_to.or(before.announce_to),
            Scheduling::Manual => Some(AnnounceTo::One),
        };
        (self.schemes, self.shuffled) = (before.schemes, self.shuffled || before.shuffled);
    }
}
