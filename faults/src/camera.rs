//! A producer that misbehaves as it is told to. It publishes in the order of the reference producer (payload, metadata,
//! announcement), or with the header first, as ours do.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use cvmmap::{Abi, Depth, DepthUnit, METADATA_SIZE, Metadata, PLANES, PixelFormat, Plane, SyncMessage};
use serde::{Deserialize, Serialize};

use crate::picture;

/// Slices in which the payload is written.
const SLICE: usize = 64 << 10;
/// The announcements' label.
pub const LABEL: &str = "faulty";
/// How far the clock is put back by a reset, times 0 to 3.
const STEP_BACK: Duration = Duration::from_secs(3600);
/// Where the frame id stands in the metadata, and the mark of a producer that changes the header first. Source: the
/// cv-mmap IPC contract; docs/coherence.md.
const FRAME_ID_AT: usize = 0x0C;
const HEADER_FIRST: (usize, &[u8; 8]) = (METADATA_SIZE - 8, b"HDRFIRST");

/// What it publishes, and what goes wrong.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[arg(long)]
    pub shm: String,
    #[arg(long)]
    pub endpoint: String,
    #[arg(long, value_enum)]
    pub order: Order,
    #[arg(long)]
    pub width: u32,
    #[arg(long)]
    pub height: u32,
    #[arg(long)]
    pub fps: u32,
    /// Pictures that cost bits
    #[arg(long)]
    pub noise: bool,
    /// Stop for a while in the middle of every so many writes; 0 is never, here and below
    #[arg(long)]
    pub stall_every: u32,
    #[arg(long)]
    pub stall_ms: u64,
    /// Start the frame counter over, and the clock, every so many frames
    #[arg(long)]
    pub reset_every: u32,
    /// Cut the segment off right after every so many announcements, until the next write
    #[arg(long)]
    pub cut_every: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// As the reference producer: nothing tells that the payload is being written
    Reference,
    /// As ours: the header changes first
    HeaderFirst,
}

/// What it did.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    pub published: u32,
    pub stalls: u32,
    pub resets: u32,
    pub cuts: u32,
}

impl Default for Settings {
    /// A camera without faults.
    fn default() -> Self {
        Self {
            shm: String::new(),
            endpoint: String::new(),
            order: Order::HeaderFirst,
            width: 640,
            height: 360,
            fps: 30,
            noise: false,
            stall_every: 0,
            stall_ms: 0,
            reset_every: 0,
            cut_every: 0,
        }
    }
}

impl Settings {
    /// The command line that says the same.
    pub fn args(&self) -> Vec<String> {
        let order = self.order.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let mut args = vec![
            format!("--shm={}", self.shm),
            format!("--endpoint={}", self.endpoint),
            format!("--order={order}"),
            format!("--width={}", self.width),
            format!("--height={}", self.height),
            format!("--fps={}", self.fps),
            format!("--stall-every={}", self.stall_every),
            format!("--stall-ms={}", self.stall_ms),
            format!("--reset-every={}", self.reset_every),
            format!("--cut-every={}", self.cut_every),
        ];
        args.extend(self.noise.then(|| "--noise".to_owned()));
        args
    }
}

/// Publishes until stdin ends, and says then what it did.
pub fn run(settings: &Settings) -> anyhow::Result<()> {
    let context = zmq::Context::new();
    let socket = context.socket(zmq::PUB)?;
    socket.set_linger(0)?;
    socket.bind(&settings.endpoint)?;
    let mut segment = Segment::create(settings)?;
    let ended = ends_with_stdin();
    writeln!(io::stderr(), "publishing")?;

    let interval = Duration::from_secs(1) / settings.fps;
    let began = Instant::now();
    let mut tick = 0;
    let mut account = Account::default();
    let mut frame_id = 0;
    let mut pixels = vec![0; segment.plane.size as usize];
    let mut noise = settings.noise.then_some(0x2545_F491_4F6C_DD1D);
    let due = |every: u32, count: u32| every != 0 && count.is_multiple_of(every);
    while !ended.load(Ordering::Relaxed) {
        // The camera does not wait for its program: a tick that went by while nobody looked is lost.
        tick = ((began.elapsed().as_nanos() / interval.as_nanos()) as u32).max(tick + 1);
        thread::sleep((interval * tick).saturating_sub(began.elapsed()));
        account.published += 1;
        frame_id += 1;
        if due(settings.reset_every, account.published) {
            account.resets += 1;
            frame_id = 1;
        }
        let taken_ms = picture::now_ms();
        picture::draw(&mut pixels, settings.width as usize, settings.height as usize, taken_ms, noise.as_mut());
        let stall = due(settings.stall_every, account.published);
        account.stalls += u32::from(stall);
        let late = (began.elapsed()).saturating_sub(interval * tick);
        let clock = Duration::from_millis(taken_ms).saturating_sub(late);
        let timestamp_ns = (clock - STEP_BACK * (account.resets % 4)).as_nanos() as u64;
        let stall = if stall { Duration::from_millis(settings.stall_ms) } else { Duration::ZERO };
        segment.write(&pixels, frame_id, timestamp_ns, stall)?;
        socket.send(&SyncMessage::new(frame_id, timestamp_ns, LABEL).to_bytes()[..], 0)?;
        if due(settings.cut_every, account.published) {
            account.cuts += 1;
            segment.cut()?;
        }
    }
    println!("{}", serde_json::to_string(&account)?);
    Ok(())
}

struct Segment {
    file: File,
    path: PathBuf,
    order: Order,
    plane: Plane,
    last_header: Option<[u8; METADATA_SIZE]>,
    published: u64,
}

impl Segment {
    fn create(settings: &Settings) -> io::Result<Self> {
        let path = Path::new("/dev/shm").join(&settings.shm);
        // What a killed one left is another file to those who have it open.
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let plane = Plane {
            pixel_format: PixelFormat::Bgr,
            depth: Depth::U8,
            width: settings.width,
            height: settings.height,
            stride: settings.width * 3,
            offset: 0,
            size: settings.width * settings.height * 3,
        };
        file.set_len(METADATA_SIZE as u64 + u64::from(plane.size))?;
        Ok(Self { file, path, order: settings.order, plane, last_header: None, published: 0 })
    }

    fn write(&mut self, pixels: &[u8], frame_id: u32, timestamp_ns: u64, stall: Duration) -> io::Result<()> {
        if let Some(last) = &mut self.last_header {
            last[FRAME_ID_AT..FRAME_ID_AT + 4].copy_from_slice(&frame_id.to_le_bytes());
            self.file.write_all_at(last, 0)?;
        }
        let middle = pixels.len() / 2 / SLICE;
        for (index, slice) in pixels.chunks(SLICE).enumerate() {
            if index == middle && !stall.is_zero() {
                thread::sleep(stall);
            }
            self.file.write_all_at(slice, (METADATA_SIZE + index * SLICE) as u64)?;
        }
        self.published += 1;
        let mut planes = [None; PLANES];
        planes[0] = Some(self.plane);
        let mut header = Metadata {
            abi: Abi::V2 { minor: 0 },
            frame_id,
            timestamp_ns,
            publish_seq: self.published,
            payload_size: self.plane.size,
            depth_unit: DepthUnit::Unknown,
            encoded: None,
            planes,
        }
        .to_bytes();
        if self.order == Order::HeaderFirst {
            let (at, mark) = HEADER_FIRST;
            header[at..].copy_from_slice(mark);
            self.last_header = Some(header);
        }
        self.file.write_all_at(&header, 0)
    }

    /// Half of the picture goes; the next write brings the segment back to its size.
    fn cut(&self) -> io::Result<()> {
        self.file.set_len(METADATA_SIZE as u64 + u64::from(self.plane.size) / 2)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn ends_with_stdin() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        flag.store(true, Ordering::Relaxed);
    });
    ended
}
