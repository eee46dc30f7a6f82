//! The launcher, one process for each stream, and what each one's receiver gets.

use std::{
    env, fs,
    io::{BufReader, Read},
    net::{Ipv4Addr, UdpSocket},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use cvmmap::Target;
use serde_json::Value;

/// Ticks of `/proc/PID/stat` a second, as Linux has them on every architecture it is used on here.
const TICKS: u32 = 100;
/// How long the last packets may be on their way.
const SETTLE_MAX: Duration = Duration::from_secs(3);
/// A keyframe is many packets at once.
const RECEIVE_BUFFER: usize = 4 << 20;

/// What all streams together have used and brought so far.
#[derive(Clone, Copy)]
pub struct Sample {
    pub units: u64,
    pub packets_lost: u64,
    pub cpu: Duration,
    pub rss_kib: u64,
}

pub struct Streamers {
    processes: Vec<Child>,
    receivers: Vec<Receiver>,
}

impl Streamers {
    pub fn start(targets: &[Target]) -> Result<Self> {
        let program = env::current_exe()?.with_file_name("cvmmap_streamer");
        let receivers = targets.iter().map(|_| Receiver::start()).collect::<Result<Vec<_>>>()?;
        let processes = targets
            .iter()
            .zip(&receivers)
            .map(|(target, receiver)| {
                Command::new(&program)
                    .args(["--input-uri", &target.to_string(), "--input-video-source", "encoded", "--json", "--rtp"])
                    .args(["--rtp-endpoint", &format!("127.0.0.1:{}", receiver.port)])
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn()
                    .with_context(|| format!("starting {}", program.display()))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { processes, receivers })
    }

    pub fn all_receive(&self) -> bool {
        self.receivers.iter().all(|receiver| receiver.units.load(Ordering::Relaxed) > 0)
    }

    pub fn sample(&self) -> Result<Sample> {
        // What is on its way arrives.
        thread::sleep(Duration::from_millis(300));
        let sum = |count: fn(&Receiver) -> &AtomicU64| {
            self.receivers.iter().map(|receiver| count(receiver).load(Ordering::Relaxed)).sum()
        };
        let (mut ticks, mut rss_kib) = (0, 0);
        for process in &self.processes {
            let folder = format!("/proc/{}", process.id());
            let stat = fs::read_to_string(format!("{folder}/stat"))?;
            let after_name = stat.rsplit_once(')').context("/proc/PID/stat")?.1;
            // proc(5): utime and stime are the 14th and 15th field.
            ticks += after_name
                .split_whitespace()
                .skip(11)
                .take(2)
                .filter_map(|ticks| ticks.parse::<u32>().ok())
                .sum::<u32>();
            let status = fs::read_to_string(format!("{folder}/status"))?;
            let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
            rss_kib += rss.trim().trim_end_matches(" kB").parse::<u64>()?;
        }
        Ok(Sample {
            units: sum(|receiver| &receiver.units),
            packets_lost: sum(|receiver| &receiver.lost),
            cpu: Duration::from_secs(1) * ticks / TICKS,
            rss_kib,
        })
    }

    /// Waits for so many units at all receivers, and no longer than they can take.
    pub fn settle(&self, units: u64) -> Result<Sample> {
        let deadline = Instant::now() + SETTLE_MAX;
        loop {
            let sample = self.sample()?;
            if sample.units >= units || Instant::now() > deadline {
                return Ok(sample);
            }
        }
    }

    /// Ends all; their summaries.
    pub fn end(mut self) -> Result<Vec<Value>> {
        for process in &self.processes {
            Command::new("kill").args(["-INT", &process.id().to_string()]).status()?;
        }
        let mut summaries = Vec::new();
        for process in &mut self.processes {
            let mut text = String::new();
            BufReader::new(process.stdout.take().context("a piped output")?).read_to_string(&mut text)?;
            process.wait()?;
            summaries.push(serde_json::from_str(&text)?);
        }
        Ok(summaries)
    }
}

impl Drop for Streamers {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // Mostly it has ended.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Counts what comes.
struct Receiver {
    port: u16,
    units: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    fn start() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let port = socket.local_addr()?.port();
        let (units, lost, ended) = <(Arc<AtomicU64>, Arc<AtomicU64>, Arc<AtomicBool>)>::default();
        let counters = (Arc::clone(&units), Arc::clone(&lost), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            let (units, lost, ended) = counters;
            let (mut packet, mut last) = ([0; 2048], None::<u16>);
            while !ended.load(Ordering::Relaxed) {
                if !matches!(socket.recv(&mut packet), Ok(12..)) {
                    continue;
                }
                // RFC 3550 section 5.1; the marker ends an access unit, RFC 6184 section 5.1.
                let sequence = u16::from_be_bytes([packet[2], packet[3]]);
                if let Some(last) = last.replace(sequence) {
                    lost.fetch_add(sequence.wrapping_sub(last).wrapping_sub(1).into(), Ordering::Relaxed);
                }
                units.fetch_add(u64::from(packet[1] >> 7), Ordering::Relaxed);
            }
        });
        Ok(Self { port, units, lost, ended, thread: Some(thread) })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It counts and cannot panic.
            let _ = thread.join();
        }
    }
}
