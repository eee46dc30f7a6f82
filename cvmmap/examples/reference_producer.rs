//! A producer that publishes in the order of the reference one: the payload under the old metadata, then all of the
//! metadata, then the announcement. Every byte of a picture has one value, [`value`] of its frame id.
//!
//! Its camera has a clock of its own: a frame's capture time is a tick of that clock, and frames whose tick went by while
//! nobody looked are skipped. With --jitter-ms or --burst-every the pictures come over a network, which delays them and
//! loses none. One line on stdout says that it is ready; it ends when its stdin does, or after --frames.

use std::{
    env,
    error::Error,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use cvmmap::{Abi, Depth, DepthUnit, METADATA_SIZE, Metadata, PLANES, PixelFormat, Plane, SyncMessage};

const USAGE: &str = "reference_producer --shm NAME --endpoint ENDPOINT [options]
  --shm NAME              shared memory name
  --endpoint ENDPOINT     frame-sync endpoint, for example ipc:///tmp/sync
  --label LABEL           label of the announcements (reference)
  --abi v1|v2             layout of the metadata (v2)
  --fps N                 frames a second; 0 publishes as fast as it can (30)
  --width N, --height N   picture size, BGR (640x360)
  --frames N              frames to publish; 0 publishes until stdin ends (0)
  --write-delay-ms N      stall in the middle of a payload write (0)
  --write-delay-every N   frames from one such stall to the next (1)
  --fill-ms N             time over which a payload write is spread, in equal pieces (0)
  --pieces N              pieces of such a write (32)
  --jitter-ms N           mean of the exponential delay from capture to write (0)
  --jitter-max-ms N       longest such delay (30)
  --burst-every N         frames from one that is held up, with those behind it, to the next; 0 is none (0)
  --burst-ms N            for how long (100)
  --stamp capture|write   what a timestamp is: the time of capture, or of the begin of the write (capture)
  --reset-every N         frames after which the frame counter starts over; 0 is never (0)
  --reset-clock-hours N   hours by which each such reset puts the clock back, three times, and then forth again (0)";

/// Pictures that wait in the network at most.
const WAITING_MAX: u32 = 8;

/// Slices in which the payload is written.
const SLICE: usize = 64 << 10;

struct Options {
    shm: String,
    endpoint: String,
    label: String,
    abi: Abi,
    fps: u32,
    width: u32,
    height: u32,
    frames: u32,
    write_delay: Duration,
    write_delay_every: u32,
    fill: Duration,
    pieces: u32,
    jitter: Duration,
    jitter_max: Duration,
    burst_every: u32,
    burst: Duration,
    stamp_write: bool,
    reset_every: u32,
    reset_clock: Duration,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            shm: String::new(),
            endpoint: String::new(),
            label: "reference".to_owned(),
            abi: Abi::V2 { minor: 0 },
            fps: 30,
            width: 640,
            height: 360,
            frames: 0,
            write_delay: Duration::ZERO,
            write_delay_every: 1,
            fill: Duration::ZERO,
            pieces: 32,
            jitter: Duration::ZERO,
            jitter_max: Duration::from_millis(30),
            burst_every: 0,
            burst: Duration::from_millis(100),
            stamp_write: false,
            reset_every: 0,
            reset_clock: Duration::ZERO,
        };
        while let Some(flag) = arguments.next() {
            let text = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
            let number = || text.parse::<u32>().map_err(|_| format!("{flag} {text}: a number is expected"));
            let millis = || number().map(|millis| Duration::from_millis(millis.into()));
            match flag.as_str() {
                "--shm" => options.shm = text,
                "--endpoint" => options.endpoint = text,
                "--label" => options.label = text,
                "--abi" => {
                    options.abi = match text.as_str() {
                        "v1" => Abi::V1,
                        "v2" => Abi::V2 { minor: 0 },
                        _ => return Err(format!("--abi {text}: v1 or v2 is expected")),
                    }
                }
                "--fps" => options.fps = number()?,
                "--width" => options.width = number()?,
                "--height" => options.height = number()?,
                "--frames" => options.frames = number()?,
                "--write-delay-ms" => options.write_delay = millis()?,
                "--write-delay-every" => options.write_delay_every = number()?.max(1),
                "--fill-ms" => options.fill = millis()?,
                "--pieces" => options.pieces = number()?.max(1),
                "--jitter-ms" => options.jitter = millis()?,
                "--jitter-max-ms" => options.jitter_max = millis()?,
                "--burst-every" => options.burst_every = number()?,
                "--burst-ms" => options.burst = millis()?,
                "--stamp" => {
                    options.stamp_write = match text.as_str() {
                        "capture" => false,
                        "write" => true,
                        _ => return Err(format!("--stamp {text}: capture or write is expected")),
                    }
                }
                "--reset-every" => options.reset_every = number()?,
                "--reset-clock-hours" => options.reset_clock = Duration::from_secs(3600) * number()?,
                _ => return Err(format!("{flag} is not known")),
            }
        }
        let side = 1..=u32::from(u16::MAX);
        if options.shm.is_empty() || options.endpoint.is_empty() {
            return Err("--shm and --endpoint are needed".to_owned());
        }
        if !side.contains(&options.width) || !side.contains(&options.height) {
            return Err("a picture is 1 to 65535 pixels wide and high".to_owned());
        }
        Ok(options)
    }
}

/// The byte that a frame's picture is filled with: another one than those of the frames around it.
fn value(frame_id: u32) -> u8 {
    (frame_id % 251) as u8
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(env::args().skip(1)).map_err(|error| format!("{error}\n{USAGE}"))?;
    let context = zmq::Context::new();
    let socket = context.socket(zmq::PUB)?;
    socket.set_linger(0)?;
    socket.bind(&options.endpoint)?;
    let segment = Segment::create(&options)?;
    let ended = ends_with_stdin();
    println!("ready");
    io::stdout().flush()?;

    let mut camera = Camera::new(&options);
    let (mut frame_id, mut resets) = (0u32, 0u32);
    for published in 1u32.. {
        if ended.load(Ordering::Relaxed) || (options.frames > 0 && published > options.frames) {
            break;
        }
        frame_id = frame_id.wrapping_add(1);
        if options.reset_every > 0 && published % options.reset_every == 0 {
            frame_id = 1;
            resets += 1;
        }
        let clock = camera.next_capture().saturating_sub(options.reset_clock * (resets % 4));
        let timestamp_ns = clock.as_nanos() as u64;
        let stall = published % options.write_delay_every == 0;
        let stall = if stall { options.write_delay } else { Duration::ZERO };
        if options.fill.is_zero() {
            segment.write_payload(value(frame_id), stall)?;
        } else {
            segment.fill_payload(value(frame_id), &options, stall)?;
        }
        segment.write_metadata(frame_id, timestamp_ns)?;
        socket.send(&SyncMessage::new(frame_id, timestamp_ns, &options.label).to_bytes()[..], 0)?;
    }
    Ok(())
}

/// Capture times.
struct Camera {
    interval: Option<Duration>,
    began: Instant,
    began_unix: Duration,
    ticks: u32,
    network: Option<Network>,
    stamp_write: bool,
}

/// What delays pictures on their way from the camera.
struct Network {
    jitter: Duration,
    jitter_max: Duration,
    burst_every: u32,
    burst: Duration,
    /// xorshift64.
    random: u64,
}

impl Network {
    fn delay(&mut self, tick: u32) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let uniform = ((self.random >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
        let jitter = self.jitter.mul_f64(-uniform.ln()).min(self.jitter_max);
        let burst = self.burst_every > 0 && tick.is_multiple_of(self.burst_every);
        jitter + if burst { self.burst } else { Duration::ZERO }
    }
}

impl Camera {
    fn new(options: &Options) -> Self {
        let fps = options.fps;
        let network = Network {
            jitter: options.jitter,
            jitter_max: options.jitter_max,
            burst_every: options.burst_every,
            burst: options.burst,
            random: 0x9E37_79B9_7F4A_7C15 ^ u64::from(std::process::id()),
        };
        Self {
            interval: (fps > 0).then(|| Duration::from_secs(1) / fps),
            began: Instant::now(),
            began_unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            ticks: 0,
            network: (!options.jitter.is_zero() || options.burst_every > 0).then_some(network),
            stamp_write: options.stamp_write,
        }
    }

    /// Waits for the next picture and gives its time.
    fn next_capture(&mut self) -> Duration {
        let since_began = match self.interval {
            None => self.began.elapsed(),
            Some(interval) => {
                let passed = (self.began.elapsed().as_nanos() / interval.as_nanos()) as u32;
                let waiting = if self.network.is_some() { WAITING_MAX } else { 0 };
                // A tick that went by while nobody looked is lost.
                self.ticks = passed.saturating_sub(waiting).max(self.ticks + 1);
                let tick = interval * self.ticks;
                let delay = self.network.as_mut().map_or(Duration::ZERO, |network| network.delay(self.ticks));
                thread::sleep((tick + delay).saturating_sub(self.began.elapsed()));
                if self.stamp_write { self.began.elapsed() } else { tick }
            }
        };
        self.began_unix + since_began
    }
}

struct Segment {
    file: File,
    path: PathBuf,
    abi: Abi,
    plane: Plane,
}

impl Segment {
    fn create(options: &Options) -> io::Result<Self> {
        let path = Path::new("/dev/shm").join(&options.shm);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        let stride = options.width * 3;
        let size = stride
            .checked_mul(options.height)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the picture is larger than 4 GiB"))?;
        file.set_len(METADATA_SIZE as u64 + u64::from(size))?;
        let plane = Plane {
            pixel_format: PixelFormat::Bgr,
            depth: Depth::U8,
            width: options.width,
            height: options.height,
            stride,
            offset: 0,
            size,
        };
        Ok(Self { file, path, abi: options.abi, plane })
    }

    /// Overwrites the payload, with a stall in the middle.
    fn write_payload(&self, value: u8, stall: Duration) -> io::Result<()> {
        let slice = [value; SLICE];
        let size = self.plane.size as usize;
        let middle = size / 2 / SLICE * SLICE;
        for at in (0..size).step_by(SLICE) {
            if at == middle && !stall.is_zero() {
                thread::sleep(stall);
            }
            self.file.write_all_at(&slice[..SLICE.min(size - at)], (METADATA_SIZE + at) as u64)?;
        }
        Ok(())
    }

    /// Overwrites the payload piece by piece, as a slow backend does, with a stall in the middle.
    fn fill_payload(&self, value: u8, options: &Options, stall: Duration) -> io::Result<()> {
        let began = Instant::now();
        let size = self.plane.size as usize;
        let pieces = options.pieces as usize;
        let bytes = vec![value; size.div_ceil(pieces)];
        for (index, at) in (0..size).step_by(bytes.len()).enumerate() {
            let due = options.fill * index as u32 / options.pieces;
            thread::sleep(due.saturating_sub(began.elapsed()));
            if index == pieces / 2 && !stall.is_zero() {
                thread::sleep(stall);
            }
            self.file.write_all_at(&bytes[..bytes.len().min(size - at)], (METADATA_SIZE + at) as u64)?;
        }
        thread::sleep(options.fill.saturating_sub(began.elapsed()));
        Ok(())
    }

    fn write_metadata(&self, frame_id: u32, timestamp_ns: u64) -> io::Result<()> {
        let mut planes = [None; PLANES];
        planes[0] = Some(self.plane);
        let metadata = Metadata {
            abi: self.abi,
            frame_id,
            timestamp_ns,
            publish_seq: frame_id.into(),
            payload_size: self.plane.size,
            depth_unit: DepthUnit::Unknown,
            encoded: None,
            planes,
        };
        self.file.write_all_at(&metadata.to_bytes(), 0)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Becomes true when stdin ends: whoever started this process left.
fn ends_with_stdin() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        flag.store(true, Ordering::Relaxed);
    });
    ended
}
