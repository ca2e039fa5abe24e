//! The exit codes, as `--help` lists them.

pub(crate) const COMPLETE: u8 = 0;
pub(crate) const OTHER: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const INCOMPLETE: u8 = 3;
pub(crate) const REFUSED: u8 = 4;
pub(crate) const DISK: u8 = 5;
pub(crate) const NOT_WHOLE: u8 = 6;
pub(crate) const INTERRUPTED: u8 = 130;
