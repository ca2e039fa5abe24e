//! Worlds of scripted trackers in virtual time, and lives of clients in them: where the goals of the failover
//! engine are measured, beside what other clients would have done in the very same worlds.
//!
//! | To | run |
//! |---|---|
//! | see every figure beside every client's | `cargo run --release -p simulation` |
//! | see some scenarios only, or as the tests play them | `.. -- scenarios 3 7`, `.. -- quick 3 7` |
//! | play 10^8 random steps under the auditor's eyes | `cargo run --release -p simulation -- lives 100000000` |
//! | play 10^4 worlds of 200 torrents on 40 hosts | `cargo run --release -p simulation -- worlds 10000` |
//! | see one swarm, and who met when | `.. -- swarm 10 3 20 8 6 17` |
//! | have every goal asserted | `cargo test -p simulation` |
//!
//! A [`World`](world::World) is trackers with a [`Script`](script::Script) each. What becomes of a packet hangs
//! on the world's seed and the moment alone, so clients that are compared meet the same fate, and a run can be
//! repeated. A [`Plan`](life::Plan) is what a user does there; a [`Client`](clients::Client) lives it, and
//! leaves a [`History`](life::History). Our engine lives it alone ([`clients::ours`], years in seconds), or
//! within the whole crate over HTTP (`shell`): `tests/both.rs` has it that both decide the same, at the same
//! millisecond. Whether several clients of one torrent meet takes a world of another kind: [`reach`]. The [`scenarios`] make figures of histories and hold them against the goals; the list of
//! [those that aren't reached yet](scenarios::EXPECTED_TO_FAIL) has to be true, or the tests fail.

pub mod clients;
pub mod crowd;
pub mod decade;
pub mod life;
pub mod lives;
pub mod metrics;
pub mod network;
pub mod reach;
pub mod scenarios;
pub mod script;
#[cfg(feature = "shell")]
pub mod shell;
pub mod table;
pub mod time;
pub mod trace;
pub mod world;
