//! `rtp_receiver_tester`: receives RTP and checks that it is the video it should be.

use std::process::ExitCode;

use tools_cli::failure;
use tools_testers::rtp_receiver;

fn main() -> ExitCode {
    failure::exit_with("rtp_receiver_tester", rtp_receiver::run())
}
