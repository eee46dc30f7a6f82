//! `picture_compare`: checks that received pictures are the ones that were sent.

use std::process::ExitCode;

use tools_cli::failure;
use tools_testers::picture_compare;

fn main() -> ExitCode {
    failure::exit_with("picture_compare", picture_compare::run())
}
