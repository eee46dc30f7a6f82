//! A producer: this project's [`Publisher`], or one that writes in the order of the reference producer.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use cvmmap::{
    Abi, Address, Depth, DepthUnit, Frame, METADATA_SIZE, Metadata, PLANES, Plane, PlaneImage, PlaneKind, Publisher,
    SyncMessage, Target,
};

use crate::{
    child::{Sample, serve},
    pace::{Pace, boot_now, unix_now},
    picture::Picture,
    usage::Usage,
};

#[derive(ClapArgs)]
pub struct Args {
    #[arg(long)]
    uri: Target,
    #[command(flatten)]
    picture: Picture,
    /// Writes payload, metadata, announcement in this order, without any mark
    #[arg(long)]
    reference: bool,
    #[arg(long, default_value = "unix")]
    stamp: Stamp,
}

/// What the frames' timestamps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stamp {
    /// Unix time of the capture, which is when the frame is due.
    Unix,
    /// The same by the clock that counts from the machine's start.
    Boot,
    /// Unix time right before the metadata are written (reference order alone).
    Send,
}

impl Stamp {
    fn now(self) -> u64 {
        match self {
            Self::Unix | Self::Send => unix_now(),
            Self::Boot => boot_now(),
        }
    }
}

/// Different pictures of a reference producer.
const PICTURES: u32 = 5;

/// The byte that all pixels of a reference frame have.
pub fn pixel_of(frame_id: u32) -> u8 {
    // Far from each other and from the zeros of a new segment.
    (frame_id % PICTURES) as u8 * 40 + 17
}

pub fn run(args: &Args) -> Result<()> {
    let address = Address::from(&args.uri);
    let publisher = if args.reference {
        let mut reference = Reference::create(&address, args.picture)?;
        // Made before, for an unthrottled producer writes all the time.
        let pictures = (0..PICTURES).map(|id| vec![pixel_of(id); args.picture.bytes()]).collect::<Vec<_>>();
        let stamp = args.stamp;
        Box::new(move || {
            let captured = stamp.now();
            let picture = &pictures[(reference.next_frame_id % PICTURES) as usize];
            reference.publish(picture, || if stamp == Stamp::Send { unix_now() } else { captured })
        }) as Box<dyn FnMut() -> Result<()> + Send>
    } else {
        let mut publisher = Publisher::create(&address, Abi::V2 { minor: 0 })?;
        let (picture, stamp) = (args.picture, args.stamp);
        let data = vec![0x5A; picture.bytes()];
        Box::new(move || {
            publisher.publish(&Frame {
                timestamp_ns: stamp.now(),
                planes: &[image(&picture, &data)],
                depth_unit: DepthUnit::Unknown,
                encoded: None,
            })?;
            Ok(())
        })
    };
    publish_until_end(args.picture.fps, publisher)
}

/// Publishes at a pace until the input ends, and says how many frames that were.
pub fn publish_until_end(fps: u32, mut publish: Box<dyn FnMut() -> Result<()> + Send>) -> Result<()> {
    let published = Arc::new(AtomicU64::new(0));
    let ended = Arc::new(AtomicBool::new(false));
    let writer = {
        let (published, ended) = (Arc::clone(&published), Arc::clone(&ended));
        let mut pace = Pace::new(fps);
        thread::spawn(move || -> Result<()> {
            while !ended.load(Ordering::Relaxed) {
                pace.wait();
                publish()?;
                published.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })
    };
    serve("ready", |_| {
        let frames = published.load(Ordering::Relaxed);
        Ok(serde_json::to_string(&Sample { usage: Usage::now()?, frames, stats: Default::default() })?)
    })?;
    ended.store(true, Ordering::Relaxed);
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?
}

/// The left plane of a frame.
pub fn image<'a>(picture: &Picture, data: &'a [u8]) -> PlaneImage<'a> {
    PlaneImage {
        kind: PlaneKind::Left,
        pixel_format: picture.pixel_format(),
        depth: Depth::U8,
        width: picture.width,
        height: picture.height,
        stride: picture.stride(),
        data,
    }
}

/// A producer in the reference order.
struct Reference {
    segment: File,
    path: PathBuf,
    socket_path: Option<PathBuf>,
    socket: zmq::Socket,
    label: String,
    metadata: Metadata,
    next_frame_id: u32,
}

impl Reference {
    fn create(address: &Address, picture: Picture) -> Result<Self> {
        let path = Path::new("/dev/shm").join(address.shm_name());
        let segment = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let size = picture.bytes() as u32;
        segment.set_len(METADATA_SIZE as u64 + u64::from(size))?;
        let socket = zmq::Context::new().socket(zmq::PUB)?;
        socket.set_linger(0)?;
        socket.set_sndhwm(64)?;
        socket.bind(address.zmq_endpoint())?;
        let mut planes = [None; PLANES];
        planes[0] = Some(Plane {
            pixel_format: picture.pixel_format(),
            depth: Depth::U8,
            width: picture.width,
            height: picture.height,
            stride: picture.stride(),
            offset: 0,
            size,
        });
        let metadata = Metadata {
            abi: Abi::V2 { minor: 0 },
            frame_id: 0,
            timestamp_ns: 0,
            publish_seq: 0,
            payload_size: size,
            depth_unit: DepthUnit::Unknown,
            encoded: None,
            planes,
        };
        Ok(Self {
            segment,
            path,
            socket_path: address.socket_path().map(PathBuf::from),
            socket,
            label: address.label().unwrap_or_default().to_owned(),
            metadata,
            next_frame_id: 0,
        })
    }

    fn publish(&mut self, frame: &[u8], timestamp: impl FnOnce() -> u64) -> Result<()> {
        self.segment.write_all_at(frame, METADATA_SIZE as u64)?;
        let timestamp_ns = timestamp();
        let frame_id = self.next_frame_id;
        self.metadata = Metadata { frame_id, timestamp_ns, publish_seq: frame_id.into(), ..self.metadata };
        self.segment.write_all_at(&self.metadata.to_bytes(), 0)?;
        let message = SyncMessage::new(frame_id, timestamp_ns, &self.label).to_bytes();
        self.socket.send(message.as_slice(), zmq::DONTWAIT)?;
        self.next_frame_id += 1;
        Ok(())
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        if let Some(path) = &self.socket_path {
            let _ = fs::remove_file(path);
        }
    }
}
