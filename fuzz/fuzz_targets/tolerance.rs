//! The tolerance for bencode as it is found, against bendy and against a naive reader.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tracker_failover_fuzz::tolerance::check(input));
