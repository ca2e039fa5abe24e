//! What is wrong with the trackers, and how they stand in the torrent.

use std::fmt;
use std::time::Duration;

use fake_tracker::{Asked, Behaviour};

/// How long a living tracker takes to answer.
pub(crate) const LATENCY: Duration = Duration::from_millis(5);

/// The interval that trackers ask for where a second announce is waited for. Some clients need a setting for so short
/// a one: see [`Client::start`](crate::clients::Client::start).
pub(crate) const INTERVAL: Duration = Duration::from_secs(20);

/// How long after its first answer the tracker in use dies. Transmission scrapes it until 10 s after its start, which
/// isn't to meet a dead one, and the earliest announce of the clients comes after 0.92 of the interval.
pub(crate) const USE: Duration = Duration::from_secs(15);

/// What three trackers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// All three are alive.
    Alive,
    /// No process listens where the first two should be.
    Refuse,
    /// The first two accept connections, and never answer.
    Mute,
    /// The same, but a request that announces nothing, such as a probe, is answered.
    MuteToAnnounces,
    /// From the first two a web page comes back, with status 200.
    Html,
    /// The one in use dies after an announce: no process listens.
    MidRunRefuse,
    /// The one in use dies after an announce: it accepts connections, and never answers.
    MidRunMute,
    /// The first two are alive and know no peer; the third knows the seed.
    Empty,
}

/// How the three trackers stand in the torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Each its own tier.
    Tiers,
    /// All in one tier, which BEP 12 has clients shuffle.
    OneTier,
}

impl Scenario {
    pub(crate) const ALL: [Self; 8] = [
        Self::Alive,
        Self::Refuse,
        Self::Mute,
        Self::MuteToAnnounces,
        Self::Html,
        Self::MidRunRefuse,
        Self::MidRunMute,
        Self::Empty,
    ];

    /// Its name in result files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Refuse => "refuse",
            Self::Mute => "mute",
            Self::MuteToAnnounces => "mute-to-announces",
            Self::Html => "html",
            Self::MidRunRefuse => "mid-run-refuse",
            Self::MidRunMute => "mid-run-mute",
            Self::Empty => "empty",
        }
    }

    /// The layouts it is measured in: both where each shows something that the other doesn't.
    pub(crate) fn layouts(self) -> &'static [Layout] {
        match self {
            Self::Alive | Self::MuteToAnnounces | Self::Html => &[Layout::Tiers],
            _ => &[Layout::Tiers, Layout::OneTier],
        }
    }

    /// What the trackers do at first.
    pub(crate) fn behaviours(self) -> [Behaviour; 3] {
        let living = Behaviour::ok_after(LATENCY);
        let (first_two, last) = match self {
            Self::Alive | Self::Empty => (living.clone(), living),
            Self::Refuse => (Behaviour::Refused, living),
            Self::Mute => (Behaviour::Silent, living),
            Self::MuteToAnnounces => (Behaviour::ok().when(Asked::Announce, Behaviour::Silent), living),
            Self::Html => (Behaviour::html(), living),
            Self::MidRunRefuse | Self::MidRunMute => {
                // libtorrent takes 30 s for the least interval if none is named.
                let again = Behaviour::ok_every(INTERVAL, Some(INTERVAL)).after(LATENCY);
                (again.clone(), again)
            }
        };
        [first_two.clone(), first_two, last]
    }

    /// How many seeds and leechers each of them knows. Enough that no client has a reason to ask another tracker, but
    /// where that is measured.
    pub(crate) fn swarms(self) -> [(u8, u8); 3] {
        match self {
            Self::Empty => [(0, 0), (0, 0), (1, 0)],
            _ => [(5, 15); 3],
        }
    }

    /// How many of the trackers, from the first, can't give the answer that is waited for at the start.
    pub(crate) fn useless(self) -> usize {
        match self {
            Self::Alive | Self::MidRunRefuse | Self::MidRunMute => 0,
            _ => 2,
        }
    }

    /// What becomes of the tracker in use after the first answer, where that is measured.
    pub(crate) fn death(self) -> Option<Behaviour> {
        match self {
            Self::MidRunRefuse => Some(Behaviour::Refused),
            Self::MidRunMute => Some(Behaviour::Silent),
            _ => None,
        }
    }
}

impl Layout {
    /// Its name in result files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tiers => "three",
            Self::OneTier => "one",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alive => "all three alive",
            Self::Refuse => "two refuse",
            Self::Mute => "two accept and are mute",
            Self::MuteToAnnounces => "two are mute to announces alone",
            Self::Html => "two answer HTML with 200",
            Self::MidRunRefuse => "the one in use comes to refuse",
            Self::MidRunMute => "the one in use comes to be mute",
            Self::Empty => "two know no peer",
        })
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tiers => "three tiers",
            Self::OneTier => "one tier",
        })
    }
}
