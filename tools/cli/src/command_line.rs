//! Command lines: clap's parser with the documented exit codes.

use clap::{Parser, error::ErrorKind};

use super::{failure::Failure, report};

/// Version and commit, for `--version`.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CVMMAP_COMMIT"), ")");

/// The parsed command line. `Ok(None)` after `--help` or `--version`, which print to stdout.
///
/// # Errors
/// [`Failure::Usage`] with clap's sentence, on one line, when the command line is not understood.
pub fn parse<A: Parser>() -> Result<Option<A>, Failure> {
    match A::try_parse() {
        Ok(arguments) => Ok(Some(arguments)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            report::taken(error.print())?;
            Ok(None)
        }
        Err(error) => Err(Failure::Usage(one_line(&error))),
    }
}

/// clap's sentence, on one line.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let sentence = text.split("\n\n").next().unwrap_or_default();
    let joined = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = joined.strip_prefix("error: ").unwrap_or(&joined);
    format!("{sentence} (see --help)")
}
