//! What a program has to tell, for stdout: JSON for programs, or text for people.

use std::io::{self, Write as _};

use serde::Serialize;

use super::printable;

/// Prints one JSON value on a line, or the text. False when stdout does not take it: a reader that closed its end early has
/// seen what it wanted.
pub fn print(value: &impl Serialize, json: bool, text: impl FnOnce() -> String) -> bool {
    let mut stdout = io::stdout().lock();
    let written = if json {
        serde_json::to_string(value)
            .map_err(io::Error::from)
            .and_then(|value| writeln!(stdout, "{}", printable::json(&value)))
    } else {
        stdout.write_all(printable::lines(&text()).as_bytes())
    };
    written.and_then(|()| stdout.flush()).is_ok()
}
