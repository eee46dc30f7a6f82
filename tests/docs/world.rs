//! Where a page's lines run: a folder, names and ports of its own, and what the page says is there.

use std::{
    collections::HashMap,
    fs::{self, File},
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use crate::{
    nats_server::NatsServer,
    streamer_support::{ffmpeg, free_port, wait_for},
};

/// A line that is not done after this hangs.
const PATIENCE: Duration = Duration::from_secs(90);
/// The camera of the pages.
const CAMERA: &str = "cam0";
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// How a line ended.
#[derive(Debug, Default)]
pub struct Ran {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// When a line that goes on is interrupted.
pub enum Until {
    /// It has said so, on stdout or stderr.
    Said(&'static str),
    /// A file has so many bytes.
    File(&'static str, u64),
}

/// A process group that ends with the page.
pub struct Group(Child);

impl Group {
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    fn signal(&self, name: &str) {
        // It may be gone.
        let _ = Command::new("kill").args([name, "--", &format!("-{}", self.0.id())]).stderr(Stdio::null()).status();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal("-KILL");
        let _ = self.0.wait();
    }
}

pub struct World {
    folder: tempfile::TempDir,
    /// Stands for the pages' camera in every name.
    pub camera: String,
    pub rtp_port: u16,
    pub rtmp_port: u16,
    http_port: u16,
    foxglove_port: u16,
    rtsp_port: u16,
    pub nats: NatsServer,
    /// What the lines so far have exported.
    exported: HashMap<String, String>,
    background: Vec<Group>,
    /// The receiver or server of the line that runs.
    peer: Option<Group>,
}

impl World {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path();
        for name in ["config", "cvmmap", "media", "scripts"] {
            symlink(Path::new(ROOT).join(name), path.join(name)).unwrap();
        }
        fs::create_dir_all(path.join("target/release")).unwrap();
        for file in built() {
            symlink(&file, path.join("target/release").join(file.file_name().unwrap())).unwrap();
        }
        Self {
            camera: format!("d{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)),
            rtp_port: free_port(),
            rtmp_port: free_port(),
            http_port: free_port(),
            foxglove_port: free_port(),
            rtsp_port: free_port(),
            nats: NatsServer::start(),
            exported: HashMap::new(),
            background: Vec::new(),
            peer: None,
            folder,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(self.own(name))
    }

    /// A page's text with names and ports that nobody else has.
    pub fn own(&self, text: &str) -> String {
        let folder = self.folder.path().display();
        let (rtp, rtmp, http, rtsp) = (self.rtp_port, self.rtmp_port, self.http_port, self.rtsp_port);
        let text = text
            .replace(CAMERA, &self.camera)
            .replace("127.0.0.1:5004", &format!("127.0.0.1:{rtp}"))
            .replace("port=5004", &format!("port={rtp}"))
            .replace("--port 5004", &format!("--port {rtp}"))
            .replace("rtmp://127.0.0.1/", &format!("rtmp://127.0.0.1:{rtmp}/"))
            .replace("--listen-port 1935", &format!("--listen-port {rtmp}"))
            .replace("127.0.0.1:8080", &format!("127.0.0.1:{http}"))
            .replace("127.0.0.1:8765", &format!("127.0.0.1:{}", self.foxglove_port))
            .replace("127.0.0.1:8554", &format!("127.0.0.1:{rtsp}"))
            .replace("nats://127.0.0.1:4222", &self.nats.url())
            // An element takes its server from its property alone.
            .replace("-m cvmmapsrc ", &format!("-m cvmmapsrc nats-url={} ", self.nats.url()))
            .replace("/var/lib/nats", &format!("{folder}/nats"))
            .replace(" /tmp/", &format!(" {folder}/"));
        match text.strip_prefix("nats-server ") {
            Some(rest) => format!("nats-server -p {} {rest}", self.nats.port()),
            None => text,
        }
    }

    /// A command line of a shell, to be started.
    fn shell(&self, line: &str) -> Command {
        let path = std::env::var("PATH").unwrap();
        let programs = self.folder.path().join("target/release");
        let support = Path::new(ROOT).join("tests/docs");
        let venv = Path::new(ROOT).join("target/peers/venv/bin");
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("set -o pipefail; {line}")])
            .env("PATH", format!("{}:{}:{}:{path}", support.display(), programs.display(), venv.display()))
            .env("GST_REGISTRY", self.path("registry.bin"))
            .env("GST_PLUGIN_PATH", &programs)
            .env("NATS_URL", self.nats.url())
            // There is no screen: a sink that takes pictures as a window does stands in for it.
            .env("GST_PLUGIN_FEATURE_RANK", "fakevideosink:1024")
            .env("SDL_VIDEODRIVER", "dummy")
            .env("SDL_AUDIODRIVER", "dummy")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .envs(&self.exported)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// Runs a line. Once `until` holds, it is interrupted; without, it ends by itself.
    pub fn run(&mut self, line: &str, until: Option<&Until>) -> Ran {
        let line = self.own(line);
        let files = [self.path("stdout"), self.path("stderr")];
        let is_export = line.starts_with("export ");
        let command = if is_export { format!("{line} && env") } else { line.clone() };
        let mut command = self.shell(&command);
        if until.is_some() {
            // A sink says so of every picture that it shows.
            command.env("GST_DEBUG", "basesink:5").env("GST_DEBUG_NO_COLOR", "1");
        }
        let [stdout, stderr] = [0, 1].map(|at: usize| File::create(&files[at]).unwrap());
        let mut group = Group(command.stdout(stdout).stderr(stderr).spawn().unwrap());
        let said = || files.each_ref().map(|file| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned());
        let (deadline, mut was_interrupted) = (Instant::now() + PATIENCE, false);
        let status = loop {
            if let Some(status) = group.0.try_wait().unwrap() {
                break status;
            }
            if !was_interrupted && until.is_some_and(|until| self.holds(until, &said().concat())) {
                was_interrupted = true;
                group.signal("-INT");
            }
            if Instant::now() > deadline {
                drop(group);
                panic!("{line}\nis not done after {PATIENCE:?}, and said {:#?}", said());
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let [stdout, stderr] = said();
        assert!(until.is_none() || was_interrupted, "{line}\nended early: {status}\n{stdout}\n{stderr}");
        if is_export {
            let variables = stdout.lines().filter_map(|line| line.split_once('='));
            let names: Vec<_> = line["export ".len()..].split('=').take(1).collect();
            let own = variables.filter(|(name, _)| names.contains(name));
            self.exported.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        Ran { code: status.code(), signal: status.signal(), stdout, stderr }
    }

    fn holds(&self, until: &Until, said: &str) -> bool {
        match until {
            Until::Said(text) => said.contains(text),
            Until::File(name, bytes) => fs::metadata(self.path(name)).is_ok_and(|file| file.len() >= *bytes),
        }
    }

    /// Starts a line and leaves it running until the page ends, or everything is stopped.
    pub fn start(&mut self, line: &str) {
        let line = self.own(line);
        let log = || File::create(self.path(&format!("background{}", self.background.len()))).unwrap();
        let child = self.shell(&format!("exec {line}")).stdout(log()).stderr(log()).spawn().unwrap();
        self.background.push(Group(child));
    }

    /// A camera with everything on it, small and fast.
    pub fn start_camera(&mut self, more: &str) {
        self.start(&format!(
            "cvmmap_streamer --input-mode dummy --input-uri cvmmap://{CAMERA} --dummy-frames 1000000 --dummy-width 160 \
             --dummy-height 120 --dummy-fps 60 --dummy-depth --dummy-confidence --dummy-body 38 {more}"
        ));
        self.wait_answer("info");
    }

    /// Waits until the camera, or its recorder, answers.
    pub fn wait_answer(&self, request: &str) {
        let line = self.own(&format!("cvmmap_ctl {request} cvmmap://{CAMERA}"));
        wait_for("an answer", || {
            self.shell(&line).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
        });
    }

    /// Waits until the streamer tells what it counts of the camera.
    pub fn wait_http(&self) {
        let line = self.own("curl -s http://127.0.0.1:8080/metrics | grep -q frames_received_total");
        wait_for("metrics", || self.shell(&line).stderr(Stdio::null()).status().unwrap().success());
    }

    /// Waits until the recorder has written a frame: one that is stopped before its first keyframe leaves no file.
    pub fn wait_recorded(&self) {
        let line = self.own("cvmmap_ctl record status cvmmap://cam0 --json | grep -q '\"frames_encoded\":[1-9]'");
        wait_for("a recorded frame", || self.shell(&line).stderr(Stdio::null()).status().unwrap().success());
    }

    /// Ends everything in the background.
    pub fn stop(&mut self) {
        for group in &mut self.background {
            group.signal("-INT");
            let deadline = Instant::now() + Duration::from_secs(10);
            while group.is_running() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.background.clear();
        self.peer = None;
    }

    /// A streamer beside the camera, which can be asked to record.
    pub fn start_recorder(&mut self) {
        self.start(&format!(
            "cvmmap_streamer --input-uri cvmmap://{CAMERA} --codec h264 --rtp --rtp-endpoint 127.0.0.1:9"
        ));
        self.wait_answer("record status");
    }

    /// Records some seconds of the camera, and ends it.
    pub fn record(&mut self) {
        self.start_camera("--dummy-encoded h264");
        let ran = self.run("cvmmap_streamer --input-uri cvmmap://cam0 --mcap cam0.mcap --ingest-max-frames 240", None);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        self.stop();
    }

    /// A stock receiver that writes what comes to `received.h264` or `received.h265`.
    pub fn start_rtp_receiver(&mut self, codec: &str) {
        self.peer = None;
        // A file of a line before says nothing of this one.
        let _ = fs::remove_file(self.path(&format!("received.{codec}")));
        let encoding = codec.to_uppercase();
        let line = self.own(&format!(
            "gst-launch-1.0 udpsrc address=127.0.0.1 port=5004 caps=application/x-rtp,media=video,clock-rate=90000,encoding-name={encoding} \
             ! rtp{codec}depay ! {codec}parse ! video/x-{codec},stream-format=byte-stream ! filesink buffer-mode=unbuffered location=received.{codec}"
        ));
        let child = self.shell(&format!("exec {line}")).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.peer = Some(Group(child.unwrap()));
        // State 07 is a bound UDP socket. Source: proc_net_udp.
        let bound = format!(":{:04X} 00000000:0000 07", self.rtp_port);
        wait_for("receiver", || fs::read_to_string("/proc/net/udp").unwrap().contains(&bound));
    }

    /// An RTMP server for one publisher, which keeps what it gets.
    pub fn start_rtmp_server(&mut self) {
        self.peer = None;
        let _ = fs::remove_file(self.path("received.mkv"));
        let child = ffmpeg()
            .args([
                "-listen",
                "1",
                "-timeout",
                "60",
                "-analyzeduration",
                "500000",
                "-i",
                &self.own("rtmp://127.0.0.1/live/cam0"),
            ])
            .args(["-map", "0:v", "-c", "copy", "-flush_packets", "1", "-y"])
            .arg(self.path("received.mkv"))
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        self.peer = Some(Group(child.unwrap()));
        wait_listening(self.rtmp_port);
    }

    /// A server with a stream for one player, at a URL of the pages.
    pub fn start_play_server(&mut self, url: &str) {
        let url = self.own(url);
        let port = url.split(':').nth(2).and_then(|rest| rest.split('/').next()).unwrap().parse().unwrap();
        let child = ffmpeg()
            .args(["-re", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=30", "-c:v", "libx264", "-g", "15"])
            .args(["-tune", "zerolatency", "-pix_fmt", "yuv420p", "-f", "flv", "-listen", "1", &url])
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        self.peer = Some(Group(child.unwrap()));
        wait_listening(port);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
        for path in [format!("/dev/shm/cvmmap_{}", self.camera), format!("/tmp/cvmmap_{}", self.camera)] {
            let _ = fs::remove_file(path);
        }
    }
}

fn wait_listening(port: u16) {
    // State 0A is LISTEN. Source: proc_net_tcp.
    let listening = format!(":{port:04X} 00000000:0000 0A");
    wait_for("server", || fs::read_to_string("/proc/net/tcp").unwrap().contains(&listening));
}

/// What cargo built: the programs, and the elements, which it leaves among the dependencies when it builds for tests.
fn built() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_BIN_EXE_cvmmap_streamer")).parent().unwrap();
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let programs = files.filter(|path| path.is_file() && path.extension().is_none());
    let elements = ["libgstcvmmap.so", "libgstflvhevc.so"].map(|name| {
        let path = folder.join("deps").join(name);
        assert!(path.exists(), "{} is not there: test the whole workspace, or build it", path.display());
        path
    });
    programs.chain(elements).collect()
}

/// What has to be executable is.
#[test]
fn stand_ins_can_be_run() {
    for name in ["nats", "sudo"] {
        let mode = fs::metadata(Path::new(ROOT).join("tests/docs").join(name)).unwrap().permissions().mode();
        assert_ne!(mode & 0o111, 0, "{name}");
    }
}
