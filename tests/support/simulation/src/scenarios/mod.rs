//! The scenarios, by the numbers that the tables show.

mod common;
mod cost;
mod decade;
mod elsewhere;
mod manners;
mod outage;
mod reach;
mod recovery;
mod start;
mod steady;

use crate::table::Row;

/// A scenario: a kind of world, and what is measured in it.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its number in the tables; 0 is the steady state.
    pub number: u64,
    /// Its subject, in a few words.
    pub title: &'static str,
    /// Plays it with so many seeds per row, where it needs many.
    pub play: fn(Effort) -> Vec<Row>,
}

/// How thoroughly a scenario is played: the number of seeds where a row needs many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort(pub u64);

impl Effort {
    /// For tests: half a minute for everything on two cores.
    pub const TEST: Self = Self(400);
    /// For the table: a few minutes on one core.
    pub const FULL: Self = Self(2000);

    /// Whether rows are wanted that compare other clients with each other.
    fn is_full(self) -> bool {
        self.0 > Self::TEST.0
    }
}

/// All of them.
pub const ALL: &[Scenario] = &[
    Scenario { number: 0, title: "steady state", play: steady::months },
    Scenario { number: 1, title: "all healthy", play: start::healthy_or_warm },
    Scenario { number: 2, title: "refused, cold", play: start::refused },
    Scenario { number: 3, title: "silent, cold", play: start::silent },
    Scenario { number: 4, title: "the tracker in use dies", play: outage::in_use_dies },
    Scenario { number: 5, title: "slow-loris", play: outage::slow_loris },
    Scenario { number: 6, title: "5xx", play: outage::server_errors },
    Scenario { number: 7, title: "flapping", play: steady::flapping },
    Scenario { number: 8, title: "latency drift", play: steady::drift },
    Scenario { number: 9, title: "correlated deaths", play: outage::correlated },
    Scenario { number: 10, title: "names", play: outage::names },
    Scenario { number: 11, title: "captive portal", play: recovery::captive_portal },
    Scenario { number: 12, title: "TLS", play: outage::definitive },
    Scenario { number: 13, title: "suspend", play: elsewhere::suspend },
    Scenario { number: 14, title: "all dead, then one back", play: recovery::all_dead },
    Scenario { number: 15, title: "retry hints", play: manners::retry_hints },
    Scenario { number: 17, title: "tier 1 dies and returns", play: outage::tiers },
    Scenario { number: 19, title: "UDP loss", play: start::udp_loss },
    Scenario { number: 20, title: "storm", play: manners::storm },
    Scenario { number: 21, title: "network change", play: elsewhere::network_change },
    Scenario { number: 23, title: "shutdown", play: manners::shutdown },
    Scenario { number: 24, title: "hostile intervals", play: manners::hostile_intervals },
    Scenario { number: 29, title: "life that lies", play: outage::lying_life },
    Scenario { number: 30, title: "reach", play: reach::meetings },
    Scenario { number: 31, title: "cost of reach", play: cost::announces },
    Scenario { number: 32, title: "ten real years", play: decade::years },
];

/// Those that are played with swarms.
pub const SWARMS: &[u64] = &[30, 31, 32];

/// The goals that today's engine doesn't reach, and what will change that. A row that is listed here and reaches
/// its goal fails the test: the list has to be true.
pub const EXPECTED_TO_FAIL: &[(&str, &str)] = &[(
    "19 20 % of packets lost, 4 trackers, p95",
    "a UDP announce is sent again sooner than after 1 s: more than one in three has to be, and where that is lost \
         too another tracker is announced to after 1.5 s",
)];
