//! How far the batch is: a table for a person at a terminal, lines for a log.

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tools_cli::progress::{Told, say};

use super::{args::ProgressUi, listen::clean, pool::Worker, report::Outcome};

const ROW: &str = "{prefix}: {percent:>3}%|{bar:20}| {pos}/{len} {wide_msg}";
const IDLE: &str = "{prefix}: {wide_msg}";
const TOTAL: &str = "{prefix}: {percent:>3}%|{wide_bar}| {msg} [{elapsed}<{eta}]";
/// A job's part of the total.
const PARTS: f64 = 1000.0;

/// Tells how far it is.
pub struct View {
    program: &'static str,
    /// Jobs that are known of.
    jobs: usize,
    done: usize,
    failed: usize,
    running: BTreeMap<usize, Running>,
    begun: Instant,
    /// A line of text comes so often.
    every: Duration,
    last: Instant,
    table: Option<Table>,
}

struct Running {
    name: String,
    told: Option<Told>,
}

struct Table {
    bars: MultiProgress,
    rows: Vec<ProgressBar>,
    total: ProgressBar,
}

impl View {
    pub fn new(
        program: &'static str,
        ui: Option<ProgressUi>,
        every: Duration,
        workers: &[Worker],
        jobs: usize,
    ) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        if ui == Some(ProgressUi::Table) && !is_terminal {
            say(program, "--progress-ui table: stderr is no terminal; going on with text");
        }
        let table = (is_terminal && ui != Some(ProgressUi::Text)).then(|| Table::new(workers));
        let now = Instant::now();
        Self { program, jobs, done: 0, failed: 0, running: BTreeMap::new(), begun: now, every, last: now, table }
    }

    /// There are so many jobs.
    pub fn known(&mut self, jobs: usize) {
        self.jobs = jobs;
        self.show_total();
    }

    /// Jobs that were dealt with.
    pub fn done(&self) -> usize {
        self.done
    }

    pub fn running(&self) -> usize {
        self.running.len()
    }

    pub fn started(&mut self, worker: usize, who: &Worker, input: &Path) {
        let name = clean(&input.display().to_string());
        match &self.table {
            Some(table) => {
                table.rows[worker].reset();
                table.rows[worker].set_message(short(input));
            }
            None => self.say(&format!("start {name} (worker {}, {who})", worker + 1)),
        }
        self.running.insert(worker, Running { name: short(input), told: None });
    }

    pub fn at(&mut self, worker: usize, told: Told) {
        if let Some(running) = self.running.get_mut(&worker) {
            running.told = Some(told);
        }
        if let Some(table) = &self.table {
            let row = &table.rows[worker];
            row.set_style(style(ROW));
            row.set_length(told.of as u64);
            row.set_position(told.done as u64);
        }
        self.show_total();
    }

    /// A job has ended as the line says; without an outcome, it goes on elsewhere.
    pub fn ended(&mut self, worker: usize, line: &str, outcome: Option<Outcome>) {
        self.running.remove(&worker);
        self.done += usize::from(outcome.is_some());
        self.failed += usize::from(outcome == Some(Outcome::Failed));
        if let Some(table) = &self.table {
            table.rows[worker].set_style(style(IDLE));
            table.rows[worker].set_message("");
        }
        self.say(&format!("[{}/{}] {line}", self.done, self.jobs));
        self.show_total();
    }

    /// When the next line of text is due.
    pub fn wait(&self) -> Duration {
        self.every.saturating_sub(self.last.elapsed())
    }

    /// Tells how far it is, if that is due.
    pub fn heartbeat(&mut self) {
        if self.table.is_some() || self.last.elapsed() < self.every {
            return;
        }
        self.last = Instant::now();
        let running = self.running.values().map(|Running { name, told }| match told {
            Some(Told { done, of }) => format!("{name} {} %", 100 * done / (*of).max(1)),
            None => name.clone(),
        });
        let running = running.collect::<Vec<_>>().join(", ");
        self.say(&format!(
            "{} of {} done, {} failed, {} s; running: {}",
            self.done,
            self.jobs,
            self.failed,
            self.begun.elapsed().as_secs(),
            if running.is_empty() { "nothing" } else { &running }
        ));
    }

    fn say(&self, line: &str) {
        match &self.table {
            // A terminal that is gone sees nothing.
            Some(table) => drop(table.bars.println(format!("{}: {line}", self.program))),
            None => say(self.program, line),
        }
    }

    fn show_total(&self) {
        let Some(table) = &self.table else { return };
        let shares = self.running.values().filter_map(|running| running.told);
        let shares: f64 = shares.map(|told| told.done as f64 / told.of.max(1) as f64).sum();
        table.total.set_length((self.jobs as f64 * PARTS) as u64);
        table.total.set_position(((self.done as f64 + shares.min(self.running.len() as f64)) * PARTS) as u64);
        table.total.set_message(format!("{} of {} done, {} failed", self.done, self.jobs, self.failed));
    }
}

impl Table {
    fn new(workers: &[Worker]) -> Self {
        let bars = MultiProgress::new();
        let add = |template, prefix: String| {
            let bar = bars.add(ProgressBar::no_length().with_prefix(prefix).with_style(style(template)));
            // Time passes also while nothing is told.
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        };
        let rows =
            workers.iter().zip(1..).map(|(worker, number)| add(IDLE, format!("worker {number}, {worker}"))).collect();
        let total = add(TOTAL, "total".to_owned());
        Self { bars, rows, total }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.rows.iter().for_each(ProgressBar::finish_and_clear);
        // What has been reached stays on the screen.
        self.total.abandon();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is understood")
}

fn short(path: &Path) -> String {
    clean(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
}
