//! Publishes frame after frame when it is due.

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender},
    time::Instant,
};

use cvmmap::{
    Abi, Address, DepthUnit, Encoded, Frame, Permissions, PixelFormat, PlaneImage, PlaneKind, PublishError, Publisher,
    body::Packet, nats::proto::source_flags,
};
use serde::Serialize;
use tools_cli::failure::Failure;
use tools_mcap::{
    camera::Reader,
    decoder::{Decoder, Picture, codec_of},
    depth_map::Depth,
    reader::ReadError,
    writer::Topics,
};
use tools_media::annex_b;

use super::{
    frames::{Frames, Recorded},
    index::Landing,
    link::{Link, Order, Seek},
    pace::Pace,
};

/// What is replayed, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The recording.
    pub file: PathBuf,
    /// What to read of it.
    pub topics: Topics,
    /// Where consumers look.
    pub address: Address,
    /// Who may read there.
    pub permissions: Permissions,
    /// How many times as fast.
    pub speed: f64,
    /// Whether it starts over at its end.
    pub repeat: bool,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Summary {
    /// Frames published.
    pub frames: u64,
    /// Those with depth.
    pub depth: u64,
    /// Depth pictures that could not be read.
    pub depth_invalid: u64,
    /// Body-tracking packets in the recording.
    pub body: u64,
    /// Further ones that were too many without a frame.
    pub body_dropped: u64,
    /// Those that are none, and were not published.
    pub body_invalid: u64,
    /// Those that no NATS server took.
    pub body_unsent: u64,
    /// Times that the end was reached.
    pub passes: u64,
    /// Times that it went on from another frame.
    pub seeks: u64,
}

/// Publishes a recording.
pub struct Player {
    settings: Settings,
    publisher: Publisher,
    decoder: Option<(String, Decoder)>,
    pace: Pace,
    tell: fn(&str),
    summary: Summary,
    nats: Option<Link>,
    approach: Option<Approach>,
}

/// How a pass over the recording goes on.
enum Turn {
    Next,
    Stop,
    Seek(Box<Seek>),
}

/// On the way to a frame: what is read before it is not published.
struct Approach {
    landing: Landing,
    read: usize,
    /// The newest packets before it: what consumers know of bodies at that time.
    bodies: Vec<Vec<u8>>,
    done: SyncSender<()>,
}

impl Player {
    /// Takes the producer's name; nothing is published yet.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when it is taken.
    pub fn new(settings: Settings, tell: fn(&str)) -> Result<Self, Failure> {
        let publisher = Publisher::create_for(&settings.address, Abi::V2 { minor: 1 }, settings.permissions)
            .map_err(|error| Failure::Configuration(error.to_string()))?;
        let pace = Pace::new(settings.speed);
        Ok(Self {
            settings,
            publisher,
            decoder: None,
            pace,
            tell,
            summary: Summary::default(),
            nats: None,
            approach: None,
        })
    }

    /// Speaks over NATS from now on.
    pub fn speak(&mut self, link: Link) {
        self.nats = Some(link);
    }

    /// Publishes until the end, or until told to stop or nobody is left to do so.
    ///
    /// # Errors
    /// [`Failure::Configuration`] for a file that cannot be opened or a segment that cannot be written,
    /// [`Failure::Protocol`] for a file that is damaged or holds no such video.
    pub fn play(&mut self, orders: &Receiver<Order>) -> Result<(), Failure> {
        let mut frames = self.open()?;
        loop {
            let before = self.summary.frames;
            match self.pass(&mut frames, orders)? {
                Turn::Next => {}
                Turn::Stop => return Ok(()),
                Turn::Seek(seek) => {
                    frames = seek.frames;
                    let (landing, done) = (seek.landing, seek.done);
                    self.approach = Some(Approach { landing, read: 0, bodies: Vec::new(), done });
                    continue;
                }
            }
            if self.summary.frames == before {
                return Err(Failure::Protocol(format!(
                    "{} has no video of topic {}; --camera-label or --topic names another",
                    self.settings.file.display(),
                    self.settings.topics.video
                )));
            }
            if frames.ended_early() && self.summary.passes == 0 {
                (self.tell)("the recording was not finished; this was all of it");
            }
            self.summary.passes += 1;
            if !self.settings.repeat {
                return Ok(());
            }
            frames = self.open()?;
            self.approach = None;
            self.start_over();
        }
    }

    /// Publishes frames up to the end, or to an order to go elsewhere.
    fn pass(&mut self, frames: &mut Frames, orders: &Receiver<Order>) -> Result<Turn, Failure> {
        while let Some(frame) = frames.next_frame().map_err(|error| self.unreadable(&error))? {
            let turn = match self.approach.take() {
                None => self.show(frame, orders)?,
                Some(approach) => self.approach(approach, frame, orders)?,
            };
            if !matches!(turn, Turn::Next) {
                return Ok(turn);
            }
        }
        Ok(Turn::Next)
    }

    /// Comes one frame nearer to a landing, or lands.
    fn approach(
        &mut self,
        mut approach: Approach,
        mut frame: Recorded,
        orders: &Receiver<Order>,
    ) -> Result<Turn, Failure> {
        let (at, landing) = (approach.read, approach.landing);
        approach.read += 1;
        if at < landing.frame {
            if !frame.bodies.is_empty() {
                approach.bodies = frame.bodies;
            }
            if at >= landing.keyframe {
                self.decoder(&frame.video.format)?.decode(frame.video.data)?;
            }
            self.approach = Some(approach);
            return Ok(self.wait(Instant::now(), orders));
        }
        if frame.bodies.is_empty() {
            frame.bodies.extend(approach.bodies.pop());
        }
        self.pace.jump();
        self.start_over();
        self.summary.seeks += 1;
        let turn = self.show(frame, orders)?;
        if matches!(turn, Turn::Next) {
            // Who asked may have given up.
            let _ = approach.done.send(());
        }
        Ok(turn)
    }

    /// Counts frames from 0 again, and says so.
    fn start_over(&mut self) {
        self.publisher.start_over();
        if let Some(link) = &self.nats {
            link.stream_reset();
        }
    }

    /// So far.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    fn open(&self) -> Result<Frames, Failure> {
        let reader = Reader::open(&self.settings.file, self.settings.topics.clone());
        reader.map(Frames::new).map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &ReadError) -> Failure {
        let text = format!("{}: {error}", self.settings.file.display());
        match error {
            ReadError::Io(_) => Failure::Configuration(text),
            ReadError::Mcap(_) | ReadError::Message { .. } => Failure::Protocol(text),
        }
    }

    /// Publishes a frame when it is due, and its bodies behind it.
    fn show(&mut self, frame: Recorded, orders: &Receiver<Order>) -> Result<Turn, Failure> {
        let Recorded { timestamp_ns, video, depth, bodies, bodies_dropped } = frame;
        let codec = codec_of(&video);
        let encoded = Encoded {
            codec,
            keyframe: annex_b::is_keyframe(codec, &video.data),
            frame_rate: (0, 0),
            stream_pts_ns: timestamp_ns,
        };
        let picture = self.decoder(&video.format)?.decode(video.data.clone())?;
        let depth = depth.and_then(|depth| match Depth::of(&depth) {
            Ok(depth) => Some(depth),
            Err(why) => {
                self.summary.depth_invalid += 1;
                if self.summary.depth_invalid == 1 {
                    (self.tell)(&format!("the depth at {timestamp_ns} ns cannot be read: {why}"));
                }
                None
            }
        });
        let due = self.pace.due(timestamp_ns, Instant::now());
        let turn = self.wait(due, orders);
        if !matches!(turn, Turn::Next) {
            return Ok(turn);
        }
        let frame_id = self
            .publish(timestamp_ns, &picture, depth.as_ref(), encoded, &video.data)
            .map_err(|error| Failure::Configuration(error.to_string()))?;
        if let Some(link) = &self.nats {
            let has = |is: bool, flag| if is { flag } else { 0 };
            let flags = has(depth.is_some(), source_flags::HAS_DEPTH) | has(!bodies.is_empty(), source_flags::HAS_BODY);
            link.stand(timestamp_ns, frame_id, flags);
        }
        self.summary.body_dropped += bodies_dropped;
        for packet in bodies {
            self.publish_body(packet);
        }
        Ok(Turn::Next)
    }

    /// Waits, and does what can be done meanwhile.
    fn wait(&mut self, until: Instant, orders: &Receiver<Order>) -> Turn {
        loop {
            match orders.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => return Turn::Next,
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return Turn::Stop,
                Ok(Order::Seek(seek)) => return Turn::Seek(seek),
                Ok(Order::Reset(done)) => {
                    self.start_over();
                    // Who asked may have given up.
                    let _ = done.send(());
                }
            }
        }
    }

    /// Publishes a packet byte for byte: its frame count is that of the recorded stream, its time that of the frame.
    fn publish_body(&mut self, packet: Vec<u8>) {
        self.summary.body += 1;
        let Some(link) = &self.nats else {
            return;
        };
        if let Err(why) = Packet::parse(&packet) {
            self.summary.body_invalid += 1;
            if self.summary.body_invalid == 1 {
                (self.tell)(&format!("a body-tracking packet of the recording is none and is left out: {why}"));
            }
        } else if !link.publish_body(packet) {
            self.summary.body_unsent += 1;
        }
    }

    fn publish(
        &mut self,
        timestamp_ns: u64,
        picture: &Picture,
        depth: Option<&Depth>,
        encoded: Encoded,
        unit: &[u8],
    ) -> Result<u32, PublishError> {
        let left = PlaneImage {
            kind: PlaneKind::Left,
            pixel_format: PixelFormat::Bgr,
            depth: cvmmap::Depth::U8,
            width: picture.width,
            height: picture.height,
            stride: picture.stride,
            data: picture.frame.plane_data(0).map_err(|_| PublishError::Frame("the picture has no rows"))?,
        };
        let depth_plane = depth.map(|depth| PlaneImage {
            kind: PlaneKind::Depth,
            pixel_format: PixelFormat::Gray,
            depth: cvmmap::Depth::F32,
            width: depth.width,
            height: depth.height,
            stride: depth.width * 4,
            data: &depth.data,
        });
        let planes =
            [Some(left), depth_plane, Some(PlaneImage::access_unit(unit))].into_iter().flatten().collect::<Vec<_>>();
        let depth_unit = depth.map_or(DepthUnit::Unknown, |depth| depth.unit);
        let frame = Frame { timestamp_ns, planes: &planes, depth_unit, encoded: Some(encoded) };
        let frame_id = self.publisher.publish(&frame)?;
        self.summary.frames += 1;
        self.summary.depth += u64::from(depth.is_some());
        Ok(frame_id)
    }

    fn decoder(&mut self, format: &str) -> Result<&mut Decoder, Failure> {
        if self.decoder.as_ref().is_none_or(|(made_for, _)| made_for != format) {
            self.decoder = Some((format.to_owned(), Decoder::new(format)?));
        }
        match &mut self.decoder {
            Some((_, decoder)) => Ok(decoder),
            None => Err(Failure::Pipeline("there is no decoder".to_owned())),
        }
    }
}
