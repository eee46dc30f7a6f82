//! `rtp_receiver_tester`: receives RTP and checks that it is the video it should be.

use std::process::ExitCode;

use cvmmap_tools::{common::failure, testers::rtp_receiver};

fn main() -> ExitCode {
    failure::exit_with("rtp_receiver_tester", rtp_receiver::run())
}
