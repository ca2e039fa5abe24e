//! What the page asks for: a scenario, a seed, and what the visitor changed when.

use serde::Deserialize;
use simulation::reach::{Answers, Tracker};
use simulation::script::State;
use simulation::time::{HOUR, MINUTE, Millis};

use crate::scenario::Scenario;

/// How many changes a request may hold.
const MAX_EDITS: usize = 1000;

/// A request of the page.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The world.
    pub scenario: Scenario,
    /// Decides what the scenario leaves open: where the trackers are, and how they are spoken with.
    pub seed: u32,
    /// How long it is played, in virtual milliseconds. Ten minutes by default, an hour at most.
    #[serde(default = "ten_minutes")]
    pub until: Millis,
    /// What the visitor changed.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// Asks for the reasons of this crate's engine at a moment, in place of everything that happened.
    #[serde(default)]
    pub explain: Option<Explain>,
}

/// A change of a tracker.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// When, in virtual milliseconds.
    pub at: Millis,
    /// The number of the tracker.
    pub tracker: usize,
    /// What becomes of it.
    pub change: Change,
}

/// What becomes of a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is well again.
    Revive,
    /// Packets to it vanish.
    Kill,
    /// No process listens: connections are refused.
    Refuse,
    /// It accepts connections, and answers nothing.
    Mute,
    /// Its answers take four seconds.
    Slow,
    /// Its answers name no peers.
    Empty,
}

/// A moment and a tracker.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// When, in virtual milliseconds.
    pub at: Millis,
    /// The number of the tracker.
    pub tracker: usize,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// Why it was refused, for the visitor.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut request: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if request.until > HOUR {
            return Err(format!("until: expected at most {HOUR} ms, found {}", request.until));
        }
        if request.edits.len() > MAX_EDITS {
            return Err(format!("edits: expected at most {MAX_EDITS}, found {}", request.edits.len()));
        }
        let trackers = request.scenario.trackers();
        let named = request.edits.iter().map(|edit| edit.tracker).chain(request.explain.map(|of| of.tracker));
        if let Some(unknown) = named.into_iter().find(|tracker| *tracker >= trackers) {
            return Err(format!("tracker: expected a number below {trackers}, found {unknown}"));
        }
        request.edits.sort_by_key(|edit| edit.at);
        Ok(request)
    }
}

impl Change {
    /// Makes the change at a moment.
    pub(crate) fn apply(self, tracker: &mut Tracker, at: Millis) {
        let state = match self {
            Self::Revive | Self::Slow | Self::Empty => State::UP,
            Self::Kill => State::SILENT,
            Self::Refuse => State::REFUSED,
            Self::Mute => State::MUTE,
        };
        let answers = match self {
            Self::Slow => Answers { work: 4000, ..Answers::default() },
            Self::Empty => Answers { are_empty: true, ..Answers::default() },
            Self::Revive | Self::Kill | Self::Refuse | Self::Mute => Answers::default(),
        };
        tracker.script = tracker.script.clone().then(at, state);
        tracker.answers.retain(|(from, _)| *from < at);
        tracker.answers.push((at, answers));
    }
}

fn ten_minutes() -> Millis {
    10 * MINUTE
}
