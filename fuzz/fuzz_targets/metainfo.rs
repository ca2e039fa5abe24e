//! Torrent files.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tracker_failover_fuzz::metainfo::check(input));
