//! `rtp_receiver_tester`.

fn main() {}
