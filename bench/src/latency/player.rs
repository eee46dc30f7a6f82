//! An FFmpeg that receives by RTSP or SRT and decodes at once; its pictures come through a pipe.

use std::{
    fs,
    io::Read as _,
    net::{TcpListener, UdpSocket},
    os::fd::AsFd as _,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    FFMPEG,
    number::{self, Arrivals},
    way::{Destination, Kind, Protocol, SRT_LATENCY, Way, camera},
};
use crate::clip::Size;

/// One that waits for a publisher listens by then.
const LISTEN_MAX: Duration = Duration::from_secs(10);
/// A server that is not there yet is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// A running player; a new one follows one that found nothing.
pub struct Player {
    process: Arc<Mutex<Child>>,
    is_over: Arc<AtomicBool>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Player {
    /// Plays what `kind` publishes.
    pub fn start(way: &Way, kind: Kind, size: Size, arrivals: &Arrivals) -> Result<(Self, Destination)> {
        let is_rtsp = way.protocol == Protocol::Rtsp;
        let port = match way.protocol {
            Protocol::Rtsp => TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port(),
            _ => UdpSocket::bind(("127.0.0.1", 0))?.local_addr()?.port(),
        };
        // FFmpeg has no RTSP server: it publishes to one that listens.
        let listens = !is_rtsp || kind == Kind::Ffmpeg;
        let arguments = arguments(way, kind, port);
        let (process, pictures) = spawn(&arguments)?;
        if is_rtsp && listens {
            wait_for_listener(port)?;
        }
        let process = Arc::new(Mutex::new(process));
        let is_over = Arc::new(AtomicBool::new(false));
        let reader = {
            let (process, is_over, arrivals) = (Arc::clone(&process), Arc::clone(&is_over), Arc::clone(arrivals));
            thread::spawn(move || {
                let mut pictures = pictures;
                while !read(&mut pictures, size, &arrivals) && !is_over.load(Ordering::Relaxed) {
                    thread::sleep(AGAIN);
                    let mut running = process.lock().unwrap_or_else(PoisonError::into_inner);
                    let _ = running.wait();
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let Ok((next, its)) = spawn(&arguments) else {
                        break;
                    };
                    (*running, pictures) = (next, its);
                }
            })
        };
        let to = if is_rtsp { Destination::Rtsp(port) } else { Destination::Srt(port) };
        Ok((Self { process, is_over, reader: Some(reader) }, to))
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        {
            let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = self.reader.take().map(thread::JoinHandle::join);
    }
}

fn arguments(way: &Way, kind: Kind, port: u16) -> Vec<String> {
    let input = match (way.protocol, kind) {
        (Protocol::Rtsp, Kind::Streamer) => {
            format!("-rtsp_transport tcp -max_delay 0 -i rtsp://127.0.0.1:{port}/{}", camera())
        }
        // Without a limit, FFmpeg 9 refuses its own default for it.
        (Protocol::Rtsp, Kind::Ffmpeg) => {
            format!("-rtsp_flags listen -listen_timeout 30 -max_delay 0 -i rtsp://127.0.0.1:{port}/live")
        }
        _ => format!("-i srt://127.0.0.1:{port}?mode=listener&latency={}", SRT_LATENCY.as_micros()),
    };
    let before =
        "-nostdin -loglevel quiet -fflags nobuffer -flags low_delay -probesize 32 -analyzeduration 0 -threads 1";
    let behind = "-map 0:v:0 -fps_mode passthrough -f rawvideo -pix_fmt gray -flush_packets 1 pipe:1";
    [before, &input, behind].iter().flat_map(|part| part.split(' ')).map(str::to_owned).collect()
}

fn spawn(arguments: &[String]) -> Result<(Child, ChildStdout)> {
    let mut process = Command::new(FFMPEG)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("starting a player")?;
    let pictures = process.stdout.take().context("a piped output")?;
    // The default of 64 KiB makes many small reads of one picture.
    rustix::pipe::fcntl_setpipe_size(pictures.as_fd(), 1 << 20)?;
    Ok((process, pictures))
}

/// Reads to the end. Whether anything came.
fn read(pictures: &mut ChildStdout, size: Size, arrivals: &Arrivals) -> bool {
    let mut luma = vec![0; (size.width * size.height) as usize];
    let mut any = false;
    while pictures.read_exact(&mut luma).is_ok() {
        let now = Instant::now();
        any = true;
        if let Some(number) = number::read(&luma, size.width as usize) {
            arrivals.lock().unwrap_or_else(PoisonError::into_inner).push((number, now));
        }
    }
    any
}

/// State 0A is LISTEN. Source: proc_net_tcp.
fn wait_for_listener(port: u16) -> Result<()> {
    let listening = format!(":{port:04X} 00000000:0000 0A");
    let until = Instant::now() + LISTEN_MAX;
    while !fs::read_to_string("/proc/net/tcp")?.contains(&listening) {
        ensure!(Instant::now() < until, "no player listens");
        thread::sleep(AGAIN);
    }
    Ok(())
}
