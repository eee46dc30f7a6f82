//! `picture_compare`: checks that received pictures are the ones that were sent.

use std::process::ExitCode;

use cvmmap_tools::{common::failure, testers::picture_compare};

fn main() -> ExitCode {
    failure::exit_with("picture_compare", picture_compare::run())
}
