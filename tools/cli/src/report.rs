//! What a program has to tell, for stdout: JSON for programs, or text for people.

use std::io::{self, Write as _};

use serde::Serialize;

use super::{failure::Failure, printable};

/// Prints one JSON value on a line, or the text. False when a reader closed its end early: it has seen what it wanted.
///
/// # Errors
/// [`Failure::Configuration`] when stdout does not take it: it is a file on a full disk, for instance.
pub fn print(value: &impl Serialize, json: bool, text: impl FnOnce() -> String) -> Result<bool, Failure> {
    let told = if json {
        serde_json::to_string(value).map(|line| format!("{}\n", printable::json(&line))).map_err(io::Error::from)
    } else {
        Ok(printable::lines(&text()).into_owned())
    };
    let mut stdout = io::stdout().lock();
    taken(told.and_then(|told| stdout.write_all(told.as_bytes())).and_then(|()| stdout.flush()))
}

/// Whether stdout took what was written; see [`print()`].
///
/// # Errors
/// [`Failure::Configuration`] when it did not, and not because a reader had enough.
pub fn taken(written: io::Result<()>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Configuration(format!("the result cannot be written to stdout: {error}"))),
    }
}
