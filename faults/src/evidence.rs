//! What a run leaves behind: a folder with every log, and the summary that the acceptance rows have too.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{mode::Mode, verdict::Verdict};

/// A scenario that was run.
pub struct Run {
    pub name: &'static str,
    pub fault: &'static str,
    pub began: SystemTime,
    pub seconds: f64,
    pub verdict: Verdict,
}

/// The evidence of one run of the suite.
pub struct Evidence {
    root: PathBuf,
    dir: PathBuf,
    id: String,
    commit: String,
    mode: Mode,
    scenarios: Vec<Value>,
    failed: usize,
}

impl Evidence {
    pub fn create(root: &Path, mode: Mode) -> Result<Self> {
        let id = said_by("date", &["-u", "+%Y%m%dT%H%M%SZ"]).context("date does not tell the time")?;
        let commit = said_by("git", &["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
        let dir = root.join(format!("fault-suite-{id}"));
        fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        Ok(Self { root: root.to_owned(), dir, id, commit, mode, scenarios: Vec::new(), failed: 0 })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps what a scenario found, in its folder as key=value lines too.
    pub fn add(&mut self, run: Run) -> Result<()> {
        let passed = run.verdict.passed();
        self.failed += usize::from(!passed);
        let dir = self.dir.join(run.name);
        let lines = run.verdict.figures.iter().map(|figure| format!("{figure}\n")).collect::<String>();
        fs::write(dir.join("figures.txt"), format!("{lines}status={}\n", run.verdict.status()))?;
        self.scenarios.push(json!({
            "name": run.name,
            "fault": run.fault,
            "status": if passed { "pass" } else { "fail" },
            "injected": run.verdict.was_injected(),
            "began_unix": run.began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            "seconds": run.seconds,
            "figures": run.verdict.figures,
            "error": run.verdict.error,
            "evidence": dir,
        }));
        Ok(())
    }

    /// Writes the summary. How many scenarios passed, and how many did not.
    pub fn finish(&self) -> Result<(usize, usize)> {
        let total = self.scenarios.len();
        let pass = total - self.failed;
        let mode = format!("{:?}", self.mode).to_lowercase();
        let summary = json!({
            "run_id": self.id, "commit": self.commit, "mode": mode, "total": total, "pass": pass,
            "fail": self.failed, "skip": 0, "scenarios": self.scenarios,
        });
        let summary = serde_json::to_string_pretty(&summary)?;
        fs::write(self.dir.join("summary.json"), &summary)?;
        fs::write(self.root.join("task-15-fault-suite-summary.json"), &summary)?;
        let text = format!(
            "run_id={}\ncommit={}\nmode={mode}\nrun_dir={}\ncommand=scripts/fault_suite.sh --mode {mode}\n\
             total={total} pass={pass} fail={} skip=0\nexit_code={}\n",
            self.id,
            self.commit,
            self.dir.display(),
            self.failed,
            u8::from(self.failed > 0),
        );
        fs::write(self.root.join("task-15-fault-suite.txt"), text)?;
        Ok((pass, self.failed))
    }
}

fn said_by(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
