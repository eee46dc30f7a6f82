//! One table of what was measured, and the same as JSON.

use std::{array, fs, path::Path};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::machine::Machine;

/// One line of the table.
#[derive(Debug, Serialize)]
pub struct Row {
    pub section: &'static str,
    pub what: String,
    pub measured: f64,
    pub unit: &'static str,
    /// What it is compared with.
    pub against: Option<Against>,
    pub goal: Option<Goal>,
    /// Whatever else was seen, for the JSON.
    pub details: Value,
}

#[derive(Debug, Serialize)]
pub struct Against {
    pub what: &'static str,
    pub value: f64,
    pub ratio: f64,
}

#[derive(Debug, Serialize)]
pub struct Goal {
    pub text: String,
    pub met: bool,
}

impl Row {
    pub fn new(section: &'static str, what: impl Into<String>, measured: f64, unit: &'static str) -> Self {
        Self { section, what: what.into(), measured, unit, against: None, goal: None, details: Value::Null }
    }

    /// Compares with something of the same unit; the ratio is one of medians unless given.
    pub fn against(mut self, what: &'static str, value: f64) -> Self {
        self.against = Some(Against { what, value, ratio: self.measured / value });
        self
    }

    pub fn at_most(self, limit: f64, text: impl Into<String>) -> Self {
        let met = self.measured <= limit;
        self.goal(met, text)
    }

    pub fn at_least(self, limit: f64, text: impl Into<String>) -> Self {
        let met = self.measured >= limit;
        self.goal(met, text)
    }

    pub fn goal(mut self, met: bool, text: impl Into<String>) -> Self {
        self.goal = Some(Goal { text: text.into(), met });
        self
    }

    pub fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

/// Prints the table and writes the JSON.
pub fn publish(machine: &Machine, sections: &Value, rows: &[Row], json: &Path) -> Result<()> {
    let mut lines = vec![["", "measured", "against", "ratio", "goal", "met"].map(str::to_owned)];
    for row in rows {
        let (against, ratio) = row.against.as_ref().map_or_else(Default::default, |against| {
            (format!("{} {}", against.what, number(against.value)), format!("{:.2}", against.ratio))
        });
        let (goal, met) = row
            .goal
            .as_ref()
            .map_or_else(Default::default, |goal| (goal.text.clone(), if goal.met { "yes" } else { "NO" }.to_owned()));
        lines.push([row.what.clone(), format!("{} {}", number(row.measured), row.unit), against, ratio, goal, met]);
    }
    print(machine, &lines);
    let missed = rows.iter().filter(|row| row.goal.as_ref().is_some_and(|goal| !goal.met)).count();
    println!("\n{missed} goals missed; all figures in {}", json.display());
    keep(&json!({ "machine": machine, "sections": sections, "rows": rows }), json)
}

/// Prints a table below its first line.
pub fn print<const COLUMNS: usize>(machine: &Machine, lines: &[[String; COLUMNS]]) {
    println!("{}", machine.describe());
    println!();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).max(3);
    let widths: [usize; COLUMNS] = array::from_fn(width);
    let print = |cells: &[String; COLUMNS]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
    };
    for (index, line) in lines.iter().enumerate() {
        print(line);
        if index == 0 {
            print(&widths.map(|width| "-".repeat(width)));
        }
    }
}

/// Writes all figures.
pub fn keep(all: &Value, json: &Path) -> Result<()> {
    if let Some(folder) = json.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(json, serde_json::to_string_pretty(all)? + "\n")?)
}

pub fn number(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The middle of the values.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that this share of the values does not exceed.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}
