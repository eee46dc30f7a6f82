//! `rtmp_stub_tester`.

fn main() {}
