//! What scenarios are made of: the programs, a camera, receivers, and what stands between them.

mod bystander;
mod gate;
mod load;
#[path = "../../../tests/support/port.rs"]
mod port;
mod program;
mod relay;
mod server;
mod viewer;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub use bystander::Bystander;
pub use load::{Load, burn};
pub use port::free_port;
pub use program::{Program, Signal};
pub use relay::Relay;
pub use server::Server;
pub use viewer::{Viewer, decode};

use crate::{
    camera,
    mode::Mode,
    verdict::{Bound, Kind, Verdict},
};

/// Longer than anything takes on a busy machine; what waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// A streamer whose camera is gone for good, as is all of the suite when it is killed, ends after this.
const IDLE_MS: &str = "60000";
/// Keyframes come this often, in frames, unless a scenario says otherwise.
const GOP: u32 = 30;

/// One scenario's names, folder, and findings.
pub struct Rig {
    /// Logs and received streams, kept as evidence.
    pub dir: PathBuf,
    pub mode: Mode,
    /// Whether the fault is injected; else everything runs without.
    pub inject: bool,
    pub verdict: Verdict,
    programs: PathBuf,
    shm: String,
    sockets: tempfile::TempDir,
    started: u32,
}

impl Rig {
    pub fn new(dir: PathBuf, programs: &Path, mode: Mode, inject: bool, name: &str) -> Result<Self> {
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(Self {
            dir,
            mode,
            inject,
            verdict: Verdict::default(),
            programs: programs.to_owned(),
            shm: format!("fault_{}_{name}", std::process::id()),
            sockets: tempfile::tempdir()?,
            started: 0,
        })
    }

    /// A figure that shows that the fault was there.
    pub fn injected(&mut self, name: &str, value: impl Into<f64>, expected: impl Into<Option<Bound>>) {
        self.verdict.add(Kind::Injected, name, value.into(), expected.into());
    }

    /// A figure of what came of it.
    pub fn seen(&mut self, name: &str, value: impl Into<f64>, expected: impl Into<Option<Bound>>) {
        self.verdict.add(Kind::Seen, name, value.into(), expected.into());
    }

    pub fn segment(&self) -> PathBuf {
        Path::new("/dev/shm").join(&self.shm)
    }

    /// Starts a camera under this rig's name.
    pub fn camera(&mut self, settings: &camera::Settings) -> Result<Program> {
        let settings = camera::Settings { shm: self.shm.clone(), endpoint: self.endpoint(), ..settings.clone() };
        let mut command = Command::new(env::current_exe()?);
        command.arg("camera").args(settings.args());
        let camera = self.start("camera", command)?;
        camera.wait_said("publishing", 1)?;
        Ok(camera)
    }

    /// Ends a camera; what it did.
    pub fn end_camera(&mut self, camera: Program) -> Result<camera::Account> {
        let ended = camera.end()?;
        serde_json::from_str(&ended.stdout).with_context(|| format!("the camera's account: {:?}", ended.stdout))
    }

    /// Starts the program under test, with these outputs, on this rig's camera.
    pub fn streamer(&mut self, outputs: &[String]) -> Result<Program> {
        let command = Command::new(self.programs.join("cvmmap_streamer"));
        self.streamer_as(command, GOP, outputs)
    }

    /// The same with another distance of keyframes.
    pub fn streamer_with_gop(&mut self, gop: u32, outputs: &[String]) -> Result<Program> {
        let command = Command::new(self.programs.join("cvmmap_streamer"));
        self.streamer_as(command, gop, outputs)
    }

    /// The same in a process where a stand-in for NVENC is there, which hangs after so many frames.
    pub fn streamer_with_stand_in(&mut self, works_for_frames: u32, outputs: &[String]) -> Result<Program> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["streamer-with-stand-in", &works_for_frames.to_string()]);
        self.streamer_as(command, GOP, outputs)
    }

    fn streamer_as(&mut self, mut command: Command, gop: u32, outputs: &[String]) -> Result<Program> {
        command.args(["--shm-name", &self.shm, "--zmq-endpoint", &self.endpoint(), "--json", "--codec", "h264"]);
        command.args(["--gop", &gop.to_string(), "--ingest-idle-timeout-ms", IDLE_MS]).args(outputs);
        self.start("streamer", command)
    }

    /// Starts an RTMP server that checks what it gets.
    pub fn server(&mut self, port: u16) -> Result<Server> {
        self.server_with(port, &[])
    }

    /// The same with a receive buffer of so many bytes.
    pub fn server_with_buffer(&mut self, port: u16, bytes: u32) -> Result<Server> {
        self.server_with(port, &["--receive-buffer", &bytes.to_string()])
    }

    fn server_with(&mut self, port: u16, more: &[&str]) -> Result<Server> {
        let received = self.dir.join(format!("received-{}.h264", self.started));
        let mut command = Command::new(self.programs.join("rtmp_stub_tester"));
        command.args(["--mode", "h264", "--json", "--until-end", "--timeout-ms", "120000"]).args(more);
        command.args(["--listen-port", &port.to_string(), "--dump-es"]).arg(&received);
        let program = self.start("server", command)?;
        program.wait_said("listening on", 1)?;
        Ok(Server { program, received })
    }

    fn start(&mut self, name: &str, command: Command) -> Result<Program> {
        self.started += 1;
        Program::start(&self.dir, &format!("{}-{name}", self.started), command)
    }

    fn endpoint(&self) -> String {
        format!("ipc://{}", self.sockets.path().join("sync").display())
    }

    /// Ends the streamer, which has to do so in order, and puts its account beside what its viewer saw. At least
    /// `share_least` percent of the frames have to have come through.
    pub fn conclude(&mut self, streamer: Program, viewer: &Viewer, share_least: f64) -> Result<Value> {
        let summary = self.end_streamer(streamer)?;
        let count = |field: &str| summary[field].as_f64().unwrap_or(f64::NAN);
        let lost = ["dropped", "torn", "late", "skipped", "invalid"].map(count).iter().sum::<f64>();
        let encoded = count("encoded");
        for field in ["frames_in", "dropped", "torn", "late", "skipped", "invalid", "encoded"] {
            self.seen(field, count(field), None);
        }
        self.seen("share_encoded_percent", 100.0 * encoded / (encoded + lost), Bound::AtLeast(share_least));
        self.judge_pictures(viewer);
        Ok(summary)
    }

    /// What has to hold of a viewer whatever happens: no wrong picture, and none that is old.
    pub fn judge_pictures(&mut self, viewer: &Viewer) {
        let record = viewer.record();
        self.seen("pictures_whole", record.whole() as f64, None);
        self.seen("pictures_mixed", record.mixed() as f64, Bound::Exactly(0.0));
        self.seen("pictures_damaged", record.damaged() as f64, Bound::Exactly(0.0));
        self.seen("rtp_timestamps_back", record.timestamps_back as f64, Bound::Exactly(0.0));
        self.seen("latency_p50_ms", record.latency_ms(50), None);
        self.seen("latency_p95_ms", record.latency_ms(95), Bound::AtMost(self.mode.latency_p95_ms()));
    }

    fn end_streamer(&mut self, streamer: Program) -> Result<Value> {
        streamer.signal(Signal::INT)?;
        let ended = streamer.wait()?;
        self.seen("exit_code", ended.code.map_or(-1.0, f64::from), Bound::Exactly(0.0));
        serde_json::from_str(&ended.stdout).with_context(|| format!("the streamer's summary: {:?}", ended.stdout))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // A camera that was killed leaves it behind.
        let _ = std::fs::remove_file(self.segment());
    }
}

/// The output flags for RTP to a port here.
pub fn rtp_to(port: u16) -> Vec<String> {
    ["--rtp", "--rtp-endpoint", &format!("127.0.0.1:{port}")].map(str::to_owned).into()
}

/// The output flags for RTMP to a port here.
pub fn rtmp_to(port: u16) -> Vec<String> {
    ["--rtmp", "--rtmp-url", &format!("rtmp://127.0.0.1:{port}/live/faults")].map(str::to_owned).into()
}

/// Waits for something that tells nobody when it happens.
pub fn wait_for(what: &str, mut happened: impl FnMut() -> bool) -> Result<Duration> {
    let began = Instant::now();
    while !happened() {
        if began.elapsed() > PATIENCE {
            bail!("no {what} within {} s", PATIENCE.as_secs());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(began.elapsed())
}
