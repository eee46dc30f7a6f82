//! Work that others do on the machine.

use std::{env, path::Path, process::Command};

use anyhow::Result;

use super::Program;

/// Processes that keep a core busy each, until dropped.
pub struct Load(#[expect(dead_code, reason = "held for its end")] Vec<Program>);

impl Load {
    pub fn start(dir: &Path, processes: usize) -> Result<Self> {
        let busy = |index| {
            let mut command = Command::new(env::current_exe()?);
            command.arg("burn");
            Program::start(dir, &format!("load-{index}"), command)
        };
        (0..processes).map(busy).collect::<Result<_>>().map(Self)
    }
}

/// Keeps a core busy until it is killed, or whoever started it is gone.
pub fn burn() {
    let stdin = std::thread::spawn(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    while !stdin.is_finished() {
        std::hint::spin_loop();
    }
}
