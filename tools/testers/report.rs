//! Results on stdout: `key=value` lines, or one JSON object. Talk on stderr.

use std::io::Write as _;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::common::{failure::Failure, printable};

/// What a program found, in the order in which it is told.
#[derive(Default)]
pub struct Report(Vec<(&'static str, Value)>);

impl Report {
    pub fn push(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.push((key, value.into()));
    }

    /// Adds how the run ended and prints the whole. A reader that closed its end has seen what it wanted.
    pub fn print(mut self, outcome: &Result<(), Failure>, json: bool) {
        self.push("outcome", if outcome.is_ok() { "pass" } else { "fail" });
        let exit_code = outcome.as_ref().err().map_or(0, Failure::exit_code);
        self.push("exit_code", exit_code);
        if let Err(failure) = outcome {
            self.push("reason", failure.to_string());
        }
        let mut stdout = std::io::stdout().lock();
        let _ = if json {
            serde_json::to_string(&self)
                .map_err(Into::into)
                .and_then(|report| writeln!(stdout, "{}", printable::json(&report)))
        } else {
            self.0.iter().try_for_each(|(key, value)| print_text(&mut stdout, key, value))
        };
        let _ = stdout.flush();
    }
}

/// A list becomes one line for each of its values.
fn print_text(out: &mut impl std::io::Write, key: &str, value: &Value) -> std::io::Result<()> {
    match value {
        Value::Array(values) => values.iter().try_for_each(|value| print_text(out, key, value)),
        Value::String(text) => writeln!(out, "{key}={}", printable::line(text)),
        Value::Null => writeln!(out, "{key}="),
        other => writeln!(out, "{key}={other}"),
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// Talks on stderr. Nobody listening is no reason to stop.
pub fn talk(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{}", printable::line(&text.to_string()));
}
