//! The body of an HTTP tracker's answer, to an announce and to a scrape.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tracker_failover_fuzz::http_reply::check(input));
