//! In place of the latency cache where the feature `cache` is off: a type without values.

use std::future::Pending;
use std::time::Duration;

use tokio::time::Instant;

use super::clock::Clock;
use super::torrents::SharedTorrents;
use crate::alert::Alert;
use crate::policy::Engine;

pub(super) const LOAD_LIMIT: Duration = Duration::ZERO;

pub(super) const LAST_SAVE_LIMIT: Duration = Duration::ZERO;

/// A cache that can't be made.
pub(super) enum Cache {}

pub(super) enum JobOutput {}

impl Cache {
    pub(super) fn load(&mut self) {
        match *self {}
    }

    pub(super) fn hurry(&mut self, _: &Clock) {
        match *self {}
    }

    pub(super) fn job(&mut self) -> Pending<JobOutput> {
        match *self {}
    }

    pub(super) fn take_in(&mut self, _: JobOutput, _: &SharedTorrents) {
        match *self {}
    }

    pub(super) fn tend(&mut self, _: &Engine, _: &Clock) -> Option<Instant> {
        match *self {}
    }

    pub(super) fn finish(&mut self, _: &SharedTorrents, _: Duration) -> Pending<()> {
        match *self {}
    }

    pub(super) fn notice(&self) -> Option<Alert> {
        match *self {}
    }

    pub(super) fn noticed(&mut self) {
        match *self {}
    }
}
