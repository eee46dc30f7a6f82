//! A slow network in front of a server, in Python.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Passes one connection on; dropping it cuts that.
pub struct SlowRelay {
    process: Child,
    pub port: u16,
}

impl SlowRelay {
    /// Towards `port`, with so many kbit/s.
    pub fn start(port: u16, kbit: u32) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/slow_relay/relay.py");
        let mut command = Command::new("python3");
        command.arg(script).args([port.to_string(), kbit.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, port: line.trim().parse().unwrap() }
    }

    /// From now on this fast.
    pub fn set(&mut self, kbit: u32) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{kbit}").unwrap();
    }
}

impl Drop for SlowRelay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
