//! Publishes frame after frame when it is due.

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Instant,
};

use cvmmap::{
    Abi, Address, Codec, DepthUnit, Encoded, Frame, PixelFormat, PlaneImage, PlaneKind, PublishError, Publisher,
};
use serde::Serialize;

use super::{
    decoder::{Decoder, Picture},
    depth::Depth,
    frames::{Frames, Recorded},
    pace::Pace,
};
use crate::{
    common::failure::Failure,
    recorder::{
        Tell, annex_b,
        mcap::{
            Topics,
            reader::{ReadError, Reader},
        },
    },
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
    /// Times that the end was reached.
    pub passes: u64,
}

/// Publishes a recording.
pub struct Player {
    settings: Settings,
    publisher: Publisher,
    decoder: Option<(String, Decoder)>,
    pace: Pace,
    tell: Tell,
    summary: Summary,
}

impl Player {
    /// Takes the producer's name; nothing is published yet.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when it is taken.
    pub fn new(settings: Settings, tell: Tell) -> Result<Self, Failure> {
        let publisher = Publisher::create(&settings.address, Abi::V2 { minor: 1 })
            .map_err(|error| Failure::Configuration(error.to_string()))?;
        let pace = Pace::new(settings.speed);
        Ok(Self { settings, publisher, decoder: None, pace, tell, summary: Summary::default() })
    }

    /// Publishes until the end, or until `stop` says so or is gone. Body-tracking packets go to `on_body` right before
    /// their frame.
    ///
    /// # Errors
    /// [`Failure::Configuration`] for a file that cannot be opened or a segment that cannot be written,
    /// [`Failure::Protocol`] for a file that is damaged or holds no such video.
    pub fn play(&mut self, stop: &Receiver<()>, mut on_body: impl FnMut(&[u8])) -> Result<(), Failure> {
        loop {
            let mut frames = self.open()?;
            let before = self.summary.frames;
            while let Some(frame) = frames.next_frame().map_err(|error| self.unreadable(&error))? {
                if !self.show(frame, stop, &mut on_body)? {
                    return Ok(());
                }
            }
            if self.summary.frames == before {
                return Err(Failure::Protocol(format!(
                    "{} has no video of topic {}; --camera or --topic names another",
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

    /// Publishes a frame when it is due. False when told to stop.
    fn show(&mut self, frame: Recorded, stop: &Receiver<()>, on_body: &mut impl FnMut(&[u8])) -> Result<bool, Failure> {
        let Recorded { timestamp_ns, video, depth, bodies } = frame;
        let codec = match video.format.as_str() {
            "h264" => Codec::H264,
            _ => Codec::H265,
        };
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
        match stop.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(false),
        }
        for packet in &bodies {
            self.summary.body += 1;
            on_body(packet);
        }
        self.publish(timestamp_ns, &picture, depth.as_ref(), encoded, &video.data)
            .map_err(|error| Failure::Configuration(error.to_string()))?;
        Ok(true)
    }

    fn publish(
        &mut self,
        timestamp_ns: u64,
        picture: &Picture,
        depth: Option<&Depth>,
        encoded: Encoded,
        unit: &[u8],
    ) -> Result<(), PublishError> {
        let left = PlaneImage {
            kind: PlaneKind::Left,
            pixel_format: PixelFormat::Bgr,
            depth: cvmmap::Depth::U8,
            width: picture.width,
            height: picture.height,
            stride: picture.stride,
            data: picture.frame.plane_data(0).map_err(|_| PublishError::Frame("the picture has no rows"))?,
        };
        let gray = PlaneImage { pixel_format: PixelFormat::Gray, ..left };
        let depth_plane = depth.map(|depth| PlaneImage {
            kind: PlaneKind::Depth,
            depth: cvmmap::Depth::F32,
            width: depth.width,
            height: depth.height,
            stride: depth.width * 4,
            data: &depth.data,
            ..gray
        });
        let size =
            u32::try_from(unit.len()).map_err(|_| PublishError::Frame("the access unit is larger than 4 GiB"))?;
        let unit = PlaneImage { kind: PlaneKind::Encoded, width: size, height: 1, stride: size, data: unit, ..gray };
        let planes = [Some(left), depth_plane, Some(unit)].into_iter().flatten().collect::<Vec<_>>();
        let depth_unit = depth.map_or(DepthUnit::Unknown, |depth| depth.unit);
        self.publisher.publish(&Frame { timestamp_ns, planes: &planes, depth_unit, encoded: Some(encoded) })?;
        self.summary.frames += 1;
        self.summary.depth += u64::from(depth.is_some());
        Ok(())
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
