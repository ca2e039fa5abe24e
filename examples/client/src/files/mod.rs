//! The torrent's files: names that are safe, what lies where, and the threads that hash, read and write them.

mod begun;
mod border;
pub(crate) mod check;
pub(crate) mod disk;
pub(crate) mod identity;
pub(crate) mod layout;
pub(crate) mod names;
pub(crate) mod space;
pub(crate) mod storage;
