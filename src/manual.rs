//! The manual: why things are as they are.
//!
//! [`architecture`] goes through the parts and through one failover, millisecond by millisecond; [`algorithm`] has the
//! pieces of selection and failover, and what fails without each; [`defaults`] has a
//! reason for every knob; [`deviations`] says where a specification isn't followed; [`regressions`] lists the defects
//! of others that have a test here; [`requirements`] names the tests of each requirement.

pub mod algorithm {
    #![doc = include_str!("manual/algorithm.md")]
}

pub mod architecture {
    #![doc = include_str!("manual/architecture.md")]

    #[cfg(doc)]
    use crate::{
        Config, Prober, TrackerSet, TrackerUrl, Transport,
        internals::{Ledger, Schedule},
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
    use crate::{Announced, Config, Order, policy::Engine};
}

pub mod regressions {
    #![doc = include_str!("manual/regressions.md")]
}

pub mod requirements {
    #![doc = include_str!("manual/requirements.md")]
}
