//! Lists of trackers for all public torrents.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tracker_failover_fuzz::tracker_list::check(input));
