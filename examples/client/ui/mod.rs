//! What the user says and hears.

pub(crate) mod event;
