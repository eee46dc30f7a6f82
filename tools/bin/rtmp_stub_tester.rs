//! `rtmp_stub_tester`: takes one RTMP publisher, or an FLV file, and checks every tag of it.

use std::process::ExitCode;

use tools_cli::failure;
use tools_testers::rtmp_stub;

fn main() -> ExitCode {
    failure::exit_with("rtmp_stub_tester", rtmp_stub::run())
}
