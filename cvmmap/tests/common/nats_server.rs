//! A NATS server of a test's own.

// Every test file is a program of its own and takes what it needs.
#![allow(dead_code)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(20);

pub struct NatsServer {
    child: Option<Child>,
    port: u16,
    folder: tempfile::TempDir,
    config: String,
}

impl NatsServer {
    pub fn start() -> Self {
        Self::with("")
    }

    /// A server with more lines of configuration.
    pub fn with(config: &str) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), config)
    }

    /// A server whose configuration names files of a folder.
    pub fn in_folder(folder: tempfile::TempDir, config: &str) -> Self {
        let mut server = Self { child: None, port: 0, folder, config: config.to_owned() };
        server.run("-1".to_owned());
        server
    }

    fn run(&mut self, port: String) {
        let path = self.path("nats-server.conf");
        fs::write(&path, &self.config).unwrap();
        let program = if Path::new("/usr/sbin/nats-server").exists() { "/usr/sbin/nats-server" } else { "nats-server" };
        let child = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", &port, "--ports_file_dir"])
            .arg(self.folder.path())
            .arg("-c")
            .arg(path)
            .arg("-l")
            .arg(self.path("nats-server.log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server runs; scripts/setup.sh --tests installs it");
        let ports = self.path(&format!("nats-server_{}.ports", child.id()));
        self.child = Some(child);
        let deadline = Instant::now() + PATIENCE;
        self.port = loop {
            let told = fs::read_to_string(&ports).ok();
            let told = told.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
            if let Some(port) = told.as_ref().and_then(port_of) {
                break port;
            }
            assert!(Instant::now() < deadline, "nats-server does not start: {}", self.log());
            thread::sleep(Duration::from_millis(2));
        };
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("nats-server.log")).unwrap_or_default()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.kill();
        self.run(self.port.to_string());
    }
}

fn port_of(told: &serde_json::Value) -> Option<u16> {
    told.get("nats")?.get(0)?.as_str()?.rsplit(':').next()?.parse().ok()
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
