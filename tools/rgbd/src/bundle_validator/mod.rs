//! `mcap_bundle_validator`: whether recordings keep the rules of `docs/mcap_layout.md`.

mod access_unit;
mod depths;
mod report;
mod tracks;

use std::{io::Write as _, path::PathBuf};

use clap::Parser;

pub use self::{
    report::{CameraCounts, Report, Rule, Violation},
    tracks::validate,
};
use tools_cli::{
    command_line::{self, VERSION},
    failure::Failure,
};

const EXAMPLES: &str = "\
Examples:
  mcap_bundle_validator run.mcap
  mcap_bundle_validator --json */*.mcap

Exit codes: 0 every file is valid, 1 wrong arguments, 2 a file cannot be read, 7 a file breaks a rule.";

/// Checks MCAP recordings of any layout: schemas, access units, depth, timestamps, calibrations, and that what the bundles
/// say is there. Each broken rule is told once, with how often and where first.
#[derive(Debug, Parser)]
#[command(name = "mcap_bundle_validator", version = VERSION, after_help = EXAMPLES)]
struct Args {
    /// The recordings
    #[arg(value_name = "MCAP", required = true)]
    files: Vec<PathBuf>,
    /// Print a JSON object a line for each file
    #[arg(long)]
    json: bool,
}

/// The program.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run() -> Result<(), Failure> {
    let Some(args) = command_line::parse::<Args>()? else {
        return Ok(());
    };
    let (mut unreadable, mut invalid) = (0, 0);
    for file in &args.files {
        match validate(file) {
            Ok(report) => {
                invalid += usize::from(!report.is_valid());
                report.print(args.json)?;
            }
            Err(failure) => {
                unreadable += 1;
                // A closed stderr is no reason to stop.
                let _ = writeln!(std::io::stderr(), "mcap_bundle_validator: {failure}");
            }
        }
    }
    let all = args.files.len();
    match (unreadable, invalid) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::Protocol(format!("{invalid} of {all} recordings break rules"))),
        _ => Err(Failure::Configuration(format!("{unreadable} of {all} files cannot be read, {invalid} break rules"))),
    }
}
