//! What the user says and hears.

pub(crate) mod cli;
pub(crate) mod event;
pub(crate) mod json;
pub(crate) mod report;
pub(crate) mod units;
