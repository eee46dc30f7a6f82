//! What a bad peer must not touch: the RTP beside it.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

/// Receives RTP and counts missing packets; Python's, with a large buffer.
pub struct GapCounter {
    process: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
}

impl GapCounter {
    pub fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/streamer/rtp_gaps.py");
        let mut process =
            Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut counter = Self { lines: BufReader::new(process.stdout.take().unwrap()), process, port: 0 };
        counter.port = counter.line().parse().unwrap();
        counter
    }

    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Packets that came, and how often one was missing.
    pub fn end(mut self) -> (u64, u64) {
        drop(self.process.stdin.take());
        let counts: serde_json::Value = serde_json::from_str(&self.line()).unwrap();
        (counts["packets"].as_u64().unwrap(), counts["gaps"].as_u64().unwrap())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for GapCounter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
