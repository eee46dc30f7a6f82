//! Results on stdout: `key=value` lines, or one JSON object. Talk on stderr.

use std::io::Write as _;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use tools_cli::{failure::Failure, printable, report};

/// What a program found, in the order in which it is told.
#[derive(Default)]
pub struct Report(Vec<(&'static str, Value)>);

impl Report {
    pub fn push(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.push((key, value.into()));
    }

    /// Adds how the run ended and prints the whole.
    ///
    /// # Errors
    /// How the run ended, or else that stdout does not take it.
    pub fn print(mut self, outcome: Result<(), Failure>, json: bool) -> Result<(), Failure> {
        self.push("outcome", if outcome.is_ok() { "pass" } else { "fail" });
        let exit_code = outcome.as_ref().err().map_or(0, Failure::exit_code);
        self.push("exit_code", exit_code);
        if let Err(failure) = &outcome {
            self.push("reason", failure.to_string());
        }
        let told = report::print(&self, json, || self.0.iter().map(|(key, value)| lines(key, value)).collect());
        outcome.and(told.map(drop))
    }
}

/// A list becomes one line for each of its values.
fn lines(key: &str, value: &Value) -> String {
    match value {
        Value::Array(values) => values.iter().map(|value| lines(key, value)).collect(),
        Value::String(text) => format!("{key}={}\n", printable::line(text)),
        Value::Null => format!("{key}=\n"),
        other => format!("{key}={other}\n"),
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
