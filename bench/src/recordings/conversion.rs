//! One conversion, by one of our programs or by ffmpeg.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::footage::{FPS, Footage};
use crate::proc;

/// Both are told the same; the words of x264 and x265.
const PRESET: &str = "veryfast";
const QUALITY: &str = "20";
const AT_ONCE: usize = 2;
/// How often a program is looked at: little against the seconds that it takes.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Ours,
    Ffmpeg,
}

#[derive(Clone, Copy, Debug)]
pub enum Job {
    /// A recording.
    One,
    /// All of them, two at a time.
    Batch,
    /// All of them in one picture.
    Grid,
}

/// What a conversion took.
#[derive(Debug)]
pub struct Ran {
    pub seconds: f64,
    /// Of the files that it made.
    pub bytes: u64,
    /// The most memory that one of its processes had.
    pub peak_kib: u64,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "one recording",
            Self::Batch => "four recordings, two at a time",
            Self::Grid => "four recordings in a grid",
        })
    }
}

impl Job {
    /// Pictures that are encoded, of recordings of so many.
    pub fn frames(self, frames: usize) -> usize {
        match self {
            Self::One | Self::Grid => frames,
            Self::Batch => super::CAMERAS * frames,
        }
    }

    pub fn run(self, program: Program, codec: &str, cameras: &[Footage], folder: &Path) -> Result<Ran> {
        let made = folder.join("made");
        if made.exists() {
            fs::remove_dir_all(&made)?;
        }
        fs::create_dir(&made)?;
        let mut commands = match (self, program) {
            (Self::One, Program::Ours) => vec![one(codec, &cameras[0], &made)?],
            (Self::One, Program::Ffmpeg) => vec![ffmpeg_one(codec, &cameras[0], &made)],
            (Self::Batch, Program::Ours) => vec![batch(codec, cameras, &made)?],
            (Self::Batch, Program::Ffmpeg) => cameras.iter().map(|camera| ffmpeg_one(codec, camera, &made)).collect(),
            (Self::Grid, Program::Ours) => vec![grid(codec, cameras, &made)?],
            (Self::Grid, Program::Ffmpeg) => vec![ffmpeg_grid(codec, cameras, &made)],
        };
        commands.reverse();
        let begun = Instant::now();
        let mut peak_kib = 0;
        let mut at_work: Vec<AtWork> = Vec::new();
        while !(commands.is_empty() && at_work.is_empty()) {
            while at_work.len() < AT_ONCE
                && let Some(mut command) = commands.pop()
            {
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                at_work.push(AtWork(command.spawn().with_context(|| format!("{command:?}"))?));
            }
            thread::sleep(LOOK);
            for at in (0..at_work.len()).rev() {
                peak_kib = peak_kib.max(peak(at_work[at].0.id()));
                if let Some(status) = at_work[at].0.try_wait()? {
                    ensure!(status.success(), "{self} by {program:?}: {status}");
                    at_work.swap_remove(at);
                }
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        let sizes = fs::read_dir(&made)?.map(|file| Ok(file?.metadata()?.len())).collect::<Result<Vec<_>>>()?;
        ensure!(sizes.iter().all(|&size| size > 0) && !sizes.is_empty(), "{self} by {program:?} made nothing");
        Ok(Ran { seconds, bytes: sizes.iter().sum(), peak_kib })
    }
}

/// A process that ends when nobody waits for it any more.
struct AtWork(Child);

impl Drop for AtWork {
    fn drop(&mut self) {
        // Both are in vain for one that has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `VmHWM` of proc(5); 0 of a process that has ended.
fn peak(pid: u32) -> u64 {
    proc::lines(pid, "status", ["VmHWM"]).map_or(0, |[kib]| kib)
}

/// One of our programs, which are beside this one, told what both are told.
fn ours(program: &str, codec: &str) -> Result<Command> {
    let path = env::current_exe()?.with_file_name(program);
    let mut command = Command::new(path);
    command.args(["--codec", codec, "--encoder-device", "software", "--preset", "fast", "--quality", QUALITY]);
    Ok(command)
}

fn one(codec: &str, camera: &Footage, made: &Path) -> Result<Command> {
    let mut command = ours("zed_svo_to_mp4", codec)?;
    command.arg("--input").arg(&camera.svo2).arg("--output").arg(made.join("ours.mp4"));
    Ok(command)
}

/// The batch program makes files beside its inputs, so these are linked to.
fn batch(codec: &str, cameras: &[Footage], made: &Path) -> Result<Command> {
    for Footage { svo2, .. } in cameras {
        fs::hard_link(svo2, made.join(svo2.file_name().context("a name")?))?;
    }
    let mut command = ours("zed_batch_svo_to_mp4", codec)?;
    command.arg(made).args(["--pattern", "*.svo2", "--jobs", &AT_ONCE.to_string()]);
    Ok(command)
}

fn grid(codec: &str, cameras: &[Footage], made: &Path) -> Result<Command> {
    let mut command = ours("zed_svo_grid_to_mp4", codec)?;
    for camera in cameras {
        command.arg("--input").arg(&camera.svo2);
    }
    command.arg("--output").arg(made.join("ours.mp4"));
    Ok(command)
}

fn ffmpeg(inputs: &[&Footage]) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]);
    for input in inputs {
        command.arg("-i").arg(&input.matroska);
    }
    command
}

fn encode(command: &mut Command, codec: &str, output: PathBuf) {
    let encoder: &[&str] = match codec {
        "h264" => &["-c:v", "libx264"],
        _ => &["-c:v", "libx265", "-x265-params", "info=0:log-level=error", "-tag:v", "hvc1"],
    };
    command.args(encoder).args(["-preset", PRESET, "-crf", QUALITY, "-g", &FPS.to_string()]);
    command.args(["-movflags", "+faststart"]).arg(output);
}

fn ffmpeg_one(codec: &str, camera: &Footage, made: &Path) -> Command {
    let mut command = ffmpeg(&[camera]);
    command.args(["-vf", "crop=iw/2:ih:0:0"]);
    let name = camera.matroska.with_extension("mp4");
    encode(&mut command, codec, made.join(name.file_name().unwrap_or_default()));
    command
}

fn ffmpeg_grid(codec: &str, cameras: &[Footage], made: &Path) -> Command {
    let mut command = ffmpeg(&cameras.iter().collect::<Vec<_>>());
    let tile = |at: usize| format!("[{at}]crop=iw/2:ih:0:0,scale=iw/2:ih/2[t{at}];");
    let tiles: String = (0..cameras.len()).map(tile).collect();
    let time = "drawbox=0:0:200:40:black:fill";
    let filter = format!("{tiles}[t0][t1][t2][t3]xstack=inputs=4:layout=0_0|w0_0|0_h0|w0_h0,{time}");
    command.args(["-filter_complex", &filter]);
    encode(&mut command, codec, made.join("theirs.mp4"));
    command
}
