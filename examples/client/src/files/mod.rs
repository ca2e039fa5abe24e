//! The torrent's files: names that are safe, what lies where, and the threads that hash, read and write them.

mod begun;
mod border;
pub(crate) mod check;
pub(crate) mod disk;
pub(crate) mod identity;
pub(crate) mod layout;
pub(crate) mod names;
mod open;
mod resume;
mod resume_file;
pub(crate) mod space;
mod stamp;
pub(crate) mod storage;
#[cfg(test)]
mod tests;
mod verified;
