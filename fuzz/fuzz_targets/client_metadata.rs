//! Messages about metadata, and conversations of which it has to come.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| client::fuzzing::metadata(input));
