//! A producer in Python that writes the contract's bytes itself: any picture size, any bytes as an access unit.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::{
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::json;

/// Ends with the last frame that it was given, or when it is dropped.
pub struct RudeProducer(Child);

impl RudeProducer {
    /// Begins to publish, with the first subscriber.
    pub fn start(segment: &str, socket: &Path, fps: u32) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/rude_producer/producer.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(segment).arg(socket).args([&fps.to_string(), "camera"]).stdin(Stdio::piped());
        let mut producer = Self(command.spawn().unwrap());
        producer.tell(&json!({ "wait": true }));
        producer
    }

    /// A picture of this size, so many times.
    pub fn show(&mut self, width: u32, height: u32, times: u32) {
        (0..times).for_each(|_| self.tell(&json!({ "size": [width, height] })));
    }

    /// A small picture with H.264 beside it.
    pub fn show_unit(&mut self, unit: &[u8], keyframe: bool) {
        self.tell(&json!({ "size": [32, 18], "unit": hex(unit), "codec": 1, "keyframe": keyframe }));
    }

    /// The same, captured so many seconds after the start.
    pub fn show_unit_at(&mut self, seconds: f64, unit: &[u8], keyframe: bool) {
        self.tell(&json!({ "size": [32, 18], "unit": hex(unit), "codec": 1, "keyframe": keyframe, "at": seconds }));
    }

    fn tell(&mut self, order: &serde_json::Value) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{order}").unwrap();
    }

    /// Leaves after the last frame.
    pub fn leave(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Drop for RudeProducer {
    fn drop(&mut self) {
        // Without orders it ends by itself, and takes its segment along.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
