//! One frame of a camera: its picture, decoded from the keyframe before it, with depth, pose and bundle.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tools_cli::failure::Failure;
use tools_mcap::{
    decoder::{self, Decoder, codec_of},
    depth_map::Depth,
    schema::{
        cvmmap_streamer::{
            BundleManifest, DepthMap,
            bundle_manifest::{Member, member::Status},
        },
        foxglove::{CompressedVideo, PoseInFrame},
        nanoseconds,
    },
};
use tools_media::annex_b;

use super::{
    picture::Rgb,
    recording::{Layout, Recording},
};

/// Decoded pictures that are kept: a second of four cameras of full size, more of smaller ones.
const BYTES_KEPT: usize = 256 << 20;

/// A frame of a camera.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Capture time of the picture; of the bundle, where the camera has none in it.
    pub timestamp_ns: u64,
    /// Number of the picture among the camera's.
    pub video_index: Option<usize>,
    pub picture: Option<Arc<Rgb>>,
    pub depth: Option<Arc<Depth>>,
    pub pose: Option<PoseInFrame>,
    pub bundle: Option<BundleManifest>,
    /// What is missing or wrong.
    pub notes: Vec<String>,
}

/// Takes frames out of a recording, in any order; the next one is the cheapest.
pub struct Sampler {
    pub recording: Recording,
    running: Option<Running>,
    /// Whether pictures of a camera are keyframes, as far as that is known.
    keyframes: HashMap<(usize, usize), bool>,
    pictures: VecDeque<(usize, usize, Arc<Rgb>)>,
}

/// A decoder between two pictures.
struct Running {
    camera: usize,
    format: String,
    /// Number of the picture that it is to be given next.
    next: usize,
    decoder: Decoder,
}

impl Sampler {
    pub fn new(recording: Recording) -> Self {
        Self { recording, running: None, keyframes: HashMap::new(), pictures: VecDeque::new() }
    }

    /// A frame by its number, which is one of [`Recording::frames_of`].
    ///
    /// # Errors
    /// [`Failure::Protocol`] when it cannot be read or decoded, [`Failure::Pipeline`] when there is no decoder.
    pub fn sample(&mut self, camera: usize, frame: usize) -> Result<Sample, Failure> {
        let mut sample = Sample::default();
        match self.recording.layout {
            Layout::Bundled => self.find_in_bundle(camera, frame, &mut sample)?,
            Layout::Copy | Layout::Single => sample.video_index = Some(frame),
        }
        let Some(number) = sample.video_index else {
            return Ok(sample);
        };
        let place = self.recording.cameras[camera].video.places()[number];
        sample.timestamp_ns = place.time;
        sample.picture = Some(self.picture(camera, number)?);
        let Self { recording, .. } = self;
        let tracks = &recording.cameras[camera];
        let depth = tracks.depth.at(place.time, place.ordinal).map(|at| tracks.depth.places()[at]);
        let pose = tracks.pose.at(place.time, place.ordinal).map(|at| tracks.pose.places()[at]);
        if depth.is_none() && !tracks.depth.places().is_empty() {
            sample.notes.push("there is no depth of this time".to_owned());
        }
        if let Some(depth) = depth {
            match Depth::of(&recording.message::<DepthMap>(&depth)?) {
                Ok(depth) => sample.depth = Some(Arc::new(depth)),
                Err(why) => sample.notes.push(format!("the depth cannot be unpacked: {why}")),
            }
        }
        if let Some(pose) = pose {
            sample.pose = Some(recording.message(&pose)?);
        }
        Ok(sample)
    }

    /// The picture that a bundle has of a camera.
    fn find_in_bundle(&mut self, camera: usize, frame: usize, sample: &mut Sample) -> Result<(), Failure> {
        let Self { recording, .. } = self;
        let beside = recording.bundles.places()[frame];
        let bundle = recording.bundle(frame)?;
        let Recording { cameras, .. } = recording;
        let Some(camera) = cameras.get(camera) else { return Ok(()) };
        let member = bundle.members.iter().find(|member| member.label == camera.label);
        sample.timestamp_ns = beside.time;
        match member {
            None => sample.notes.push(format!("the bundle does not name {}", camera.label)),
            Some(member) if member.status() == Status::Present => {
                let time = member.timestamp.as_ref().and_then(nanoseconds);
                sample.video_index = time.and_then(|time| camera.video.at(time, beside.ordinal));
                if sample.video_index.is_none() {
                    sample.notes.push("the bundle says that there is a picture, and there is none of its time".into());
                }
            }
            Some(member) => sample.notes.push(gap(member)),
        }
        sample.bundle = Some(bundle);
        Ok(())
    }

    /// A picture of a camera by its number.
    ///
    /// # Errors
    /// As [`Sampler::sample`].
    pub fn picture(&mut self, camera: usize, number: usize) -> Result<Arc<Rgb>, Failure> {
        if let Some((.., picture)) = self.pictures.iter().find(|(of, at, _)| (*of, *at) == (camera, number)) {
            return Ok(Arc::clone(picture));
        }
        let keyframe = self.keyframe(camera, number)?;
        let goes_on = |running: &Running| running.camera == camera && (keyframe..=number).contains(&running.next);
        let mut running = self.running.take().filter(goes_on);
        let begin = running.as_ref().map_or(keyframe, |running| running.next);
        let mut picture = None;
        for at in begin..=number {
            let video = self.video(camera, at)?;
            let mut decoding = match running.take() {
                Some(running) if running.format == video.format => running,
                _ => Running { camera, next: at, decoder: Decoder::new(&video.format)?, format: video.format },
            };
            let decoded = decoding.decoder.decode(video.data)?;
            decoding.next = at + 1;
            running = Some(decoding);
            picture = Some(self.keep(camera, at, rgb(&decoded)?));
        }
        self.running = running;
        picture.ok_or_else(|| self.wrong(camera, number, "is not where it was"))
    }

    fn keep(&mut self, camera: usize, number: usize, picture: Rgb) -> Arc<Rgb> {
        let picture = Arc::new(picture);
        self.pictures.push_front((camera, number, Arc::clone(&picture)));
        let mut bytes = 0;
        let kept = self.pictures.iter().take_while(|(.., picture)| {
            bytes += picture.pixels.len();
            bytes <= BYTES_KEPT
        });
        let kept = kept.count().max(1);
        self.pictures.truncate(kept);
        picture
    }

    /// The last keyframe up to a picture.
    fn keyframe(&mut self, camera: usize, number: usize) -> Result<usize, Failure> {
        for at in (0..=number).rev() {
            let is_keyframe = match self.keyframes.get(&(camera, at)) {
                Some(known) => *known,
                None => {
                    let video = self.video(camera, at)?;
                    let is_keyframe = annex_b::is_keyframe(codec_of(&video), &video.data);
                    self.keyframes.insert((camera, at), is_keyframe);
                    is_keyframe
                }
            };
            if is_keyframe {
                return Ok(at);
            }
        }
        Err(self.wrong(camera, number, "cannot be decoded: there is no keyframe before it"))
    }

    fn video(&mut self, camera: usize, number: usize) -> Result<CompressedVideo, Failure> {
        let place = self.recording.cameras[camera].video.places()[number];
        self.recording.message(&place)
    }

    fn wrong(&self, camera: usize, number: usize, what: &str) -> Failure {
        let (path, label) = (self.recording.path().display(), &self.recording.cameras[camera].label);
        Failure::Protocol(format!("{path}: picture {number} of {label} {what}"))
    }
}

/// What a bundle says of a camera that it has no picture of.
fn gap(member: &Member) -> String {
    match member.status() {
        Status::CorruptedGap => {
            format!("no picture: the camera's recording was damaged here, {} frames skipped", member.skipped_frames)
        }
        Status::Unknown | Status::Present => "no picture: the camera has none of this moment".to_owned(),
    }
}

/// Packs a decoded picture.
fn rgb(decoded: &decoder::Picture) -> Result<Rgb, Failure> {
    let damaged = |why: &str| Failure::Protocol(format!("a picture cannot be shown: {why}"));
    if decoded.frame.buffer().flags().contains(gst::BufferFlags::CORRUPTED) {
        return Err(damaged("its access unit is damaged, or refers to one that is missing"));
    }
    let rows = decoded.frame.plane_data(0).map_err(|_| damaged("it has no rows"))?;
    let (width, height) = (decoded.width as usize, decoded.height as usize);
    let mut pixels = Vec::with_capacity(width * height * 3);
    for row in rows.chunks(decoded.stride as usize).take(height) {
        let row = row.get(..width * 3).ok_or_else(|| damaged("a row is short"))?;
        pixels.extend(row.chunks_exact(3).flat_map(|bgr| [bgr[2], bgr[1], bgr[0]]));
    }
    Ok(Rgb { width, height, pixels })
}
