//! What became of everything, for stdout.

use std::{fmt, path::PathBuf};

use serde::Serialize;
use tools_cli::{failure::Failure, progress::say, report};

use super::{
    child::Failed,
    jobs::{Decision, State},
    listen::clean,
};

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Converted,
    Skipped,
    /// By another worker of the queue.
    Elsewhere,
    Failed,
    /// Interrupted, or not begun.
    Left,
    WouldConvert,
    Valid,
    Invalid,
    Missing,
}

/// An input, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    #[serde(serialize_with = "as_text")]
    pub input: PathBuf,
    #[serde(serialize_with = "as_text")]
    pub output: PathBuf,
    pub outcome: Outcome,
    pub why: Option<String>,
    /// What the converter said last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excerpt: Vec<String>,
    pub seconds: Option<f64>,
    /// What the converter tells of it.
    pub summary: Option<serde_json::Value>,
}

/// Also a name that is no UTF-8.
fn as_text<S: serde::Serializer>(path: &std::path::Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}

impl Entry {
    pub fn new(input: PathBuf, output: PathBuf, outcome: Outcome, why: Option<String>) -> Self {
        Self { input, output, outcome, why, excerpt: Vec::new(), seconds: None, summary: None }
    }

    pub fn failed(input: PathBuf, output: PathBuf, failed: Failed) -> Self {
        let entry = Self::new(input, output, Outcome::Failed, Some(failed.why));
        Self { excerpt: failed.excerpt, ..entry }
    }
}

/// What the converter lost, all its cameras together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lost {
    pub damaged: u64,
    pub undecoded: u64,
    /// Recordings without an end.
    pub cut: u64,
}

impl Lost {
    /// What a summary tells, wherever in it.
    pub fn of(summary: &serde_json::Value) -> Self {
        let mut lost = Self::default();
        match summary {
            serde_json::Value::Object(fields) => fields.iter().for_each(|(name, value)| match name.as_str() {
                "damaged" => lost.damaged += value.as_u64().unwrap_or(0),
                "undecoded" => lost.undecoded += value.as_u64().unwrap_or(0),
                "cut" => lost.cut += u64::from(value.as_bool() == Some(true)),
                _ => lost.add(Self::of(value)),
            }),
            serde_json::Value::Array(values) => values.iter().for_each(|value| lost.add(Self::of(value))),
            _ => {}
        }
        lost
    }

    fn add(&mut self, other: Self) {
        self.damaged = self.damaged.saturating_add(other.damaged);
        self.undecoded = self.undecoded.saturating_add(other.undecoded);
        self.cut = self.cut.saturating_add(other.cut);
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { damaged, undecoded, cut } = self;
        write!(f, "{damaged} frames damaged, {undecoded} undecoded, {cut} recordings end early")
    }
}

/// Everything.
#[derive(Debug)]
pub struct Report {
    program: &'static str,
    counts: Vec<(Outcome, usize)>,
    lost: Lost,
    jobs: Vec<Entry>,
}

impl Report {
    /// With a count of each of `outcomes`, also where it is 0.
    pub fn new(program: &'static str, outcomes: &[Outcome], jobs: Vec<Entry>) -> Self {
        let counts = outcomes.iter().map(|outcome| {
            let those = jobs.iter().filter(|entry| entry.outcome == *outcome);
            (*outcome, those.count())
        });
        let counts = counts.collect();
        let mut lost = Lost::default();
        jobs.iter().filter_map(|entry| entry.summary.as_ref()).for_each(|summary| lost.add(Lost::of(summary)));
        Self { program, counts, lost, jobs }
    }

    /// What would be done.
    pub fn of_decisions(program: &'static str, decisions: Vec<Decision>) -> Self {
        let entries = decisions.into_iter().map(|decision| {
            let outcome = if decision.convert { Outcome::WouldConvert } else { Outcome::Skipped };
            let why = decision.why();
            Entry::new(decision.job.input, decision.job.output, outcome, Some(why))
        });
        Self::new(program, &[Outcome::WouldConvert, Outcome::Skipped], entries.collect())
    }

    /// What is there.
    pub fn of_existing(program: &'static str, decisions: Vec<Decision>) -> Self {
        let entries = decisions.into_iter().map(|Decision { job, state, .. }| {
            let (outcome, why) = match state {
                State::Missing => (Outcome::Missing, None),
                State::There | State::Whole => (Outcome::Valid, None),
                State::Broken(why) => (Outcome::Invalid, Some(why)),
            };
            Entry::new(job.input, job.output, outcome, why)
        });
        Self::new(program, &[Outcome::Valid, Outcome::Invalid, Outcome::Missing], entries.collect())
    }

    pub fn count(&self, outcome: Outcome) -> usize {
        self.jobs.iter().filter(|entry| entry.outcome == outcome).count()
    }

    /// Prints the summary, and the failures to stderr.
    ///
    /// # Errors
    /// [`Failure::Threshold`] when a job failed or a file is no good, or else that stdout does not take it.
    pub fn print(&self, json: bool) -> Result<(), Failure> {
        for entry in self.jobs.iter().filter(|entry| entry.outcome == Outcome::Failed) {
            let why = entry.why.as_deref().unwrap_or_default();
            say(self.program, &format!("failed: {}: {why}", clean(&entry.input.display().to_string())));
            entry.excerpt.iter().for_each(|line| say(self.program, &format!("    {line}")));
        }
        let told = report::print(&self.json(), json, || self.to_string());
        match (self.count(Outcome::Failed), self.count(Outcome::Invalid)) {
            (0, 0) => told.map(drop),
            (0, invalid) => Err(Failure::Threshold(format!(
                "{invalid} outputs are no good; --probe-existing without --report-existing makes them again"
            ))),
            (failed, _) => Err(Failure::Threshold(format!("{failed} of {} failed", self.jobs.len()))),
        }
    }

    fn json(&self) -> serde_json::Value {
        let counts: serde_json::Map<_, _> =
            self.counts.iter().map(|(outcome, count)| (outcome.to_string(), (*count).into())).collect();
        serde_json::json!({ "counts": counts, "lost": self.lost, "jobs": self.jobs })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Converted => "converted",
            Self::Skipped => "skipped",
            Self::Elsewhere => "elsewhere",
            Self::Failed => "failed",
            Self::Left => "left",
            Self::WouldConvert => "would_convert",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Missing => "missing",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.jobs {
            let shown = |path: &PathBuf| clean(&path.display().to_string());
            let why = entry.why.as_deref().unwrap_or_default();
            match entry.outcome {
                Outcome::Invalid => writeln!(f, "{}: {why}", shown(&entry.output))?,
                Outcome::WouldConvert => {
                    writeln!(f, "convert {} to {}: {why}", shown(&entry.input), shown(&entry.output))?;
                }
                // Of a dry run: it has nothing else to tell.
                Outcome::Skipped if self.counts[0].0 == Outcome::WouldConvert => {
                    writeln!(f, "skip {}: {why}", shown(&entry.input))?;
                }
                _ => {}
            }
        }
        for (outcome, count) in &self.counts {
            writeln!(f, "{}: {count}", outcome.to_string().replace('_', " "))?;
        }
        if self.count(Outcome::Converted) > 0 {
            writeln!(f, "lost: {}", self.lost)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_summed_wherever_they_are_told() {
        let grid = serde_json::json!({ "frames": 9, "cameras": [
            { "damaged": 2, "undecoded": 1, "cut": true }, { "damaged": 3, "undecoded": 0, "cut": false }] });
        assert_eq!(Lost::of(&grid), Lost { damaged: 5, undecoded: 1, cut: 1 });
        let single = serde_json::json!({ "damaged": 4, "undecoded": -1, "cut": "x" });
        assert_eq!(Lost::of(&single), Lost { damaged: 4, undecoded: 0, cut: 0 });
    }
}
