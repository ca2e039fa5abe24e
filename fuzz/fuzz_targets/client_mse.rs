//! What a peer sends before a connection is encrypted.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| client::fuzzing::mse(input));
