//! The strict testers, judged by streams that are right and by streams that are wrong.

#[path = "../support/port.rs"]
mod port;
#[path = "../support/program.rs"]
mod support;

mod picture_compare;
mod rtmp_stub_tester;
mod rtp_receiver_tester;
