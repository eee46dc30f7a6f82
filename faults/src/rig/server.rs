//! `rtmp_stub_tester` as the server that is published to.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Program, wait_for};

/// A server for one publisher.
pub struct Server {
    pub program: Program,
    /// What it received, as Annex B; complete when it has ended.
    pub received: PathBuf,
}

impl Server {
    /// The port that it listens on.
    pub fn port(&self) -> Result<u16> {
        let lines = self.program.log().lines("listening on");
        let address = lines.first().and_then(|line| line.trim_end_matches('/').rsplit_once(':')).context("a port")?.1;
        Ok(address.parse()?)
    }

    /// Waits until it has received something.
    pub fn wait_video(&self) -> Result<()> {
        wait_for("video at the RTMP server", || self.received.metadata().is_ok_and(|file| file.len() > 0)).map(|_| ())
    }
}
