#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| btd_fuzz::krpc(data));
