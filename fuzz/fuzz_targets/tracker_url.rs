//! Announce addresses, and what is asked of them.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tracker_failover_fuzz::tracker_url::check(input));
