//! The command line, and the output for the user.

pub(crate) mod cli;
pub(crate) mod event;
pub(crate) mod json;
pub(crate) mod objects;
pub(crate) mod report;
pub(crate) mod screen;
pub(crate) mod status;
pub(crate) mod summary;
pub(crate) mod units;
