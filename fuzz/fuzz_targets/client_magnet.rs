//! Magnet links.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| client::fuzzing::magnet(input));
