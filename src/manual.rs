//! The manual: how the crate works, and the reasons.
//!
//! [`architecture`] describes the rooms of the crate, where each decision is made, and a failover millisecond by
//! millisecond; [`algorithm`] lists the pieces of selection and failover, and what fails without each; [`defaults`] gives a
//! reason for every setting; [`deviations`] lists where a specification isn't followed; [`regressions`] lists defects of
//! other clients and of earlier versions that have a test here; [`requirements`] names the tests of each requirement; [`usage`]
//! says what to set for one torrent, for a desktop client, and for ten thousand torrents, and what that costs; [`features`] says
//! which line to add for which program; [`reach`] says how many trackers a torrent is announced to, and what that costs them.

pub mod algorithm {
    #![doc = include_str!("manual/algorithm.md")]
}

pub mod architecture {
    #![doc = include_str!("manual/architecture.md")]

    #[cfg(doc)]
    use crate::{
        Config, Prober, TrackerSet, TrackerUrl, Transport,
        internals::Ledger,
        policy::{Engine, HealthBook},
    };
}

pub mod defaults {
    #![doc = include_str!("manual/defaults.md")]

    #[cfg(doc)]
    use crate::Config;
}

pub mod deviations {
    #![doc = include_str!("manual/deviations.md")]

    #[cfg(doc)]
    use crate::{AnnounceTo, Announced, Config, Order, policy::Engine};
}

pub mod features {
    #![doc = include_str!("manual/features.md")]
}

pub mod reach {
    #![doc = include_str!("manual/reach.md")]
}

pub mod regressions {
    #![doc = include_str!("manual/regressions.md")]
}

pub mod requirements {
    #![doc = include_str!("manual/requirements.md")]
}

pub mod usage {
    #![doc = include_str!("manual/usage.md")]

    #[cfg(doc)]
    use crate::{AnnounceTo, Config, HostStatus};
}
