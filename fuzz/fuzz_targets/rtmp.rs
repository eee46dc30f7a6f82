#![no_main]

#[path = "../../gst-plugin-flvhevc/src/rtmp/mod.rs"]
#[allow(dead_code)]
mod rtmp;
#[path = "../rtmp_checks.rs"]
mod rtmp_checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| rtmp_checks::session(data));
