//! Work that others do on the machine.

use std::{env, path::Path, process::Command, time::Instant};

use anyhow::Result;

use super::Program;

/// Processes that keep a core busy each, until dropped.
pub struct Load {
    processes: Vec<Program>,
    began: Instant,
}

impl Load {
    pub fn start(dir: &Path, processes: usize) -> Result<Self> {
        let busy = |index| {
            let mut command = Command::new(env::current_exe()?);
            command.arg("burn");
            Program::start(dir, &format!("load-{index}"), command)
        };
        Ok(Self { processes: (0..processes).map(busy).collect::<Result<_>>()?, began: Instant::now() })
    }

    /// CPU that they got since they were started, in percent of one core; none without a load.
    pub fn cpu_percent(&self) -> Result<Option<f64>> {
        let used = self.processes.iter().map(Program::cpu_seconds).sum::<Result<f64>>()?;
        Ok((!self.processes.is_empty()).then(|| 100.0 * used / self.began.elapsed().as_secs_f64()))
    }
}

/// Keeps a core busy until it is killed, or whoever started it is gone.
pub fn burn() {
    let stdin = std::thread::spawn(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    while !stdin.is_finished() {
        std::hint::spin_loop();
    }
}
