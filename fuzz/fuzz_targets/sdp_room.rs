//! See `tandem_fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tandem_fuzz::sdp_room(data));
