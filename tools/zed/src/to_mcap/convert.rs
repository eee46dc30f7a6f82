//! The work itself: pictures into encoders, and what comes out of them into the file, in the order of time.

use std::{fs::File, io::BufWriter};

use mcap::McapError;
use tempfile::NamedTempFile;
use tools_cli::{failure::Failure, progress::Progress, target::Target};
use tools_mcap::{
    schema::{
        cvmmap_streamer::{
            BundleManifest,
            bundle_manifest::{self, Member, member::Status},
        },
        foxglove::CompressedVideo,
        timestamp,
    },
    writer::{self, Compression, Topics, Writer},
};
use tools_media::encoders::Choice;

use super::{
    Input, PROGRAM,
    camera::Camera,
    messages,
    plan::{Plan, Step},
    policy::Policy,
    queue::{Entry, Moment, Queue},
    summary::{CameraSummary, Summary},
};
use crate::{encode_error::EncodeError, encoder::Encoding, picture::Picture, source::Recording, wanted::Wanted};

/// Bytes of what is encoded that wait for a camera whose encoder looks ahead to a picture that does not come. Then it has
/// to give what it has.
pub const WAITING_MAX: usize = 256 << 20;

/// What is to be done.
#[derive(Debug)]
pub struct Job<'a> {
    pub plan: &'a Plan,
    pub inputs: &'a [Input],
    pub policy: Policy,
    pub wanted: &'a Wanted,
    pub encoding: &'a Encoding,
    pub compression: Compression,
    pub target: &'a Target,
    pub waiting_max: usize,
}

/// Makes the file.
///
/// # Errors
/// What cannot be read, encoded or written. After a signal, [`Failure::CutShort`] when there is something to keep.
pub fn convert(job: &Job<'_>, recordings: &mut [Box<dyn Recording>], choice: &Choice) -> Result<Summary, EncodeError> {
    let file = job.target.beside(".partial")?;
    let mut work = Work::begin(job, recordings, choice, &file)?;
    match work.run() {
        Ok(()) => {
            let summary = work.summary();
            work.close()?;
            job.target.keep(file)?;
            Ok(summary)
        }
        Err(EncodeError::Other(Failure::Interrupted { signal })) if work.first.is_some() => {
            work.close()?;
            Err(Failure::CutShort { signal, left: job.target.keep_part(file)? }.into())
        }
        Err(trouble) => Err(trouble),
    }
}

/// A file at work.
struct Work<'a> {
    job: &'a Job<'a>,
    choice: &'a Choice,
    cameras: Vec<Camera<'a>>,
    tallies: Vec<Tally>,
    queue: Queue,
    writer: Writer<BufWriter<File>>,
    bundles: usize,
    partial: usize,
    /// Bundles that are not strict enough since a picture is damaged.
    dropped: usize,
    /// Earliest and latest timestamp in the file.
    first: Option<u64>,
    last: u64,
}

/// What was written of a camera.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    written: usize,
    concealed: usize,
    depth: usize,
    poses: usize,
    /// Size of its pictures.
    size: (u32, u32),
    /// Whether the intrinsics of pictures and of depth are in the file.
    calibrated: bool,
    depth_calibrated: bool,
}

impl<'a> Work<'a> {
    fn begin(
        job: &'a Job<'a>,
        recordings: &'a mut [Box<dyn Recording>],
        choice: &'a Choice,
        file: &NamedTempFile,
    ) -> Result<Self, Failure> {
        let described = recordings.iter().zip(job.inputs).map(|(recording, input)| {
            writer::Camera::new(Topics::of(&input.label), messages::about(recording.facts()))
        });
        let clone = file.as_file().try_clone().map_err(|error| job.target.unwritable(&error))?;
        let writer = Writer::new(BufWriter::new(clone), job.compression, described.collect())
            .map_err(|error| unwritable(job.target, error))?;
        let cameras = recordings
            .iter_mut()
            .zip(&job.plan.ranges)
            .map(|(recording, range)| Camera::begin(recording.as_mut(), range.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            job,
            choice,
            tallies: vec![Tally::default(); cameras.len()],
            queue: Queue::new(cameras.len()),
            cameras,
            writer,
            bundles: 0,
            partial: 0,
            dropped: job.plan.dropped,
            first: None,
            last: 0,
        })
    }

    fn run(&mut self) -> Result<(), EncodeError> {
        let Plan { steps, .. } = self.job.plan;
        let name = self.job.target.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut progress = Progress::new(PROGRAM, &name, steps.len());
        for (at, step) in steps.iter().enumerate() {
            self.step(step)?;
            self.collect()?;
            progress.at(at + 1);
        }
        for camera in 0..self.cameras.len() {
            self.cameras[camera].finish()?;
            self.drain(camera)?;
        }
        let lacks = |tally: &Tally| tally.written > 0 && tally.depth == 0;
        if self.job.wanted.depth.is_some()
            && let Some(camera) = self.tallies.iter().position(lacks)
        {
            return Err(Failure::Configuration(format!(
                "{}: none of its pictures comes with depth; take --no-depth, or install the ZED SDK and take --provider sdk",
                self.job.inputs[camera].path.display()
            ))
            .into());
        }
        match self.first {
            Some(_) => Ok(()),
            None => Err(Failure::Threshold(match self.job.policy {
                Policy::Strict => "no bundle is whole: pictures are damaged; take --bundle-policy nearest".to_owned(),
                Policy::Nearest | Policy::Copy => {
                    "none of the pictures that are asked for can be shown: they are damaged".to_owned()
                }
            })
            .into()),
        }
    }

    /// Reads what is written together, and hands it to the encoders.
    fn step(&mut self, step: &Step) -> Result<(), EncodeError> {
        let mut pictures = Vec::with_capacity(step.members.len());
        for member in &step.members {
            let camera = &mut self.cameras[member.camera];
            pictures.push(match member.picture {
                Some(number) => camera.picture(number)?,
                None => None,
            });
        }
        let present = pictures.iter().flatten().count();
        if self.job.policy == Policy::Strict && present < pictures.len() {
            for (member, _) in step.members.iter().zip(&pictures).filter(|(_, picture)| picture.is_some()) {
                self.cameras[member.camera].passed_over += 1;
            }
            self.dropped += 1;
            return Ok(());
        }
        if step.bundle.is_none() && present == 0 {
            return Ok(());
        }
        let manifest = step.bundle.map(|bundle| {
            self.bundles += 1;
            self.partial += usize::from(present < pictures.len());
            (bundle.timestamp, self.manifest(step, bundle.index, bundle.timestamp, &pictures))
        });
        let mut moments = Vec::with_capacity(present);
        for (member, picture) in step.members.iter().zip(pictures) {
            if let Some(picture) = picture {
                moments.push(self.take_in(member.camera, picture)?);
            }
        }
        self.queue.push(Entry { manifest, moments });
        Ok(())
    }

    fn manifest(&mut self, step: &Step, index: u64, moment: u64, pictures: &[Option<Picture>]) -> BundleManifest {
        let members = step.members.iter().zip(pictures).map(|(member, picture)| {
            let camera = &mut self.cameras[member.camera];
            let status = match (picture, member.picture) {
                (Some(_), _) => Status::Present,
                (None, Some(_)) => Status::CorruptedGap,
                (None, None) => Status::Unknown,
            };
            Member {
                label: self.job.inputs[member.camera].label.clone(),
                timestamp: member.picture.map(|number| timestamp(camera.facts().timestamps[number])),
                status: status.into(),
                skipped_frames: u32::try_from(camera.take_lost()).unwrap_or(u32::MAX),
            }
        });
        let policy = match self.job.policy {
            Policy::Nearest => bundle_manifest::Policy::Nearest,
            Policy::Strict => bundle_manifest::Policy::Strict,
            Policy::Copy => bundle_manifest::Policy::Unknown,
        };
        BundleManifest { members: members.collect(), timestamp: Some(timestamp(moment)), index, policy: policy.into() }
    }

    fn take_in(&mut self, camera: usize, mut picture: Picture) -> Result<Moment, EncodeError> {
        let (job, tally) = (self.job, &mut self.tallies[camera]);
        let input = &job.inputs[camera];
        let depth = picture.depth.take().filter(|_| job.wanted.depth.is_some());
        let depth = depth.and_then(|depth| messages::depth(depth, picture.timestamp, &input.label));
        let pose = picture.pose.filter(|_| job.wanted.tracking.is_some());
        tally.size = (picture.info.width(), picture.info.height());
        tally.written += 1;
        tally.concealed += usize::from(picture.concealed);
        tally.depth += usize::from(depth.is_some());
        tally.poses += usize::from(pose.is_some());
        let timestamp = picture.timestamp;
        self.cameras[camera].encode(picture, (job.encoding, self.choice), job.target.directory())?;
        Ok(Moment { camera, timestamp, depth, pose: pose.map(|pose| messages::pose(&pose, timestamp)), unit: None })
    }

    /// Writes what the encoders have given.
    fn collect(&mut self) -> Result<(), EncodeError> {
        for camera in 0..self.cameras.len() {
            while let Some((timestamp, unit)) = self.cameras[camera].unit()? {
                self.fill(camera, timestamp, unit)?;
            }
        }
        self.write_whole()?;
        while self.queue.bytes() > self.job.waiting_max
            && let Some(camera) = self.queue.waits_for()
        {
            self.drain(camera)?;
        }
        Ok(())
    }

    /// Writes what a camera's encoder still has.
    fn drain(&mut self, camera: usize) -> Result<(), EncodeError> {
        for (timestamp, unit) in self.cameras[camera].drain()? {
            self.fill(camera, timestamp, unit)?;
        }
        if self.queue.is_owed_by(camera) {
            return Err(Failure::Pipeline(format!(
                "{} has lost pictures; take another --encoder-device or --codec",
                self.choice.name()
            ))
            .into());
        }
        Ok(self.write_whole()?)
    }

    fn fill(&mut self, camera: usize, timestamp: u64, unit: Vec<u8>) -> Result<(), Failure> {
        let due = self.queue.due(camera);
        self.queue.fill(camera, timestamp, unit).ok_or_else(|| {
            Failure::Pipeline(format!(
                "{} has given an access unit of no picture, or out of order ({}: of {timestamp} ns, and {} ns was due); take \
                 another --encoder-device or --codec",
                self.choice.name(),
                self.job.inputs[camera].path.display(),
                due.map_or("none".to_owned(), |due| due.to_string())
            ))
        })
    }

    fn write_whole(&mut self) -> Result<(), Failure> {
        while let Some(entry) = self.queue.pop() {
            if let Some((timestamp, manifest)) = &entry.manifest {
                self.writer.bundle(*timestamp, manifest).map_err(|error| unwritable(self.job.target, error))?;
            }
            for moment in entry.moments {
                self.first = Some(self.first.map_or(moment.timestamp, |first| first.min(moment.timestamp)));
                self.last = self.last.max(moment.timestamp);
                self.write(moment)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, moment: Moment) -> Result<(), Failure> {
        let Moment { camera, timestamp: time, depth, pose, unit } = moment;
        let label = &self.job.inputs[camera].label;
        let intrinsics = self.cameras[camera].facts().intrinsics;
        let tally = &mut self.tallies[camera];
        let size = tally.size;
        let depth_size = depth.as_ref().map(|depth| (depth.width, depth.height));
        let writer = &mut self.writer;
        let write = || {
            if let Some(intrinsics) = intrinsics {
                let of = |(width, height)| messages::calibration(&intrinsics.scaled_to(width, height), time, label);
                if !std::mem::replace(&mut tally.calibrated, true) {
                    writer.calibration(camera, time, &of(size))?;
                }
                if let Some(depth_size) = depth_size.filter(|depth_size| *depth_size != size)
                    && !std::mem::replace(&mut tally.depth_calibrated, true)
                {
                    writer.depth_calibration(camera, time, &of(depth_size))?;
                }
            }
            // Before the picture: a reader that takes messages in their order has it when its picture comes.
            if let Some(depth) = &depth {
                writer.depth(camera, time, depth)?;
            }
            if let Some(pose) = &pose {
                writer.pose(camera, time, pose)?;
            }
            let unit = CompressedVideo {
                timestamp: Some(timestamp(time)),
                frame_id: label.clone(),
                data: unit.unwrap_or_default(),
                format: self.job.encoding.codec.name().to_owned(),
            };
            writer.video(camera, time, &unit)
        };
        write().map_err(|error| unwritable(self.job.target, error))
    }

    fn summary(&self) -> Summary {
        let cameras = self.cameras.iter().zip(&self.tallies).zip(self.job.inputs).zip(&self.job.plan.ranges);
        let cameras = cameras.map(|(((camera, tally), input), range)| CameraSummary {
            label: input.label.clone(),
            input: input.path.clone(),
            provider: camera.facts().provider,
            rectified: camera.facts().rectified,
            frames: range.clone().count(),
            written: tally.written,
            concealed: tally.concealed,
            skipped: camera.passed_over,
            depth: tally.depth,
            poses: tally.poses,
            losses: camera.losses(),
        });
        Summary {
            output: self.job.target.path().to_owned(),
            encoder: self.choice.name(),
            policy: match self.job.policy {
                Policy::Nearest => "nearest",
                Policy::Strict => "strict",
                Policy::Copy => "copy",
            },
            clock: self.cameras[0].facts().clock.name(),
            bundles: self.bundles,
            partial: self.partial,
            dropped: self.dropped,
            first_timestamp_ns: self.first.unwrap_or_default(),
            last_timestamp_ns: self.last,
            cameras: cameras.collect(),
        }
    }

    /// Writes the end of the file.
    fn close(self) -> Result<(), Failure> {
        let finished = self
            .writer
            .finish()
            .and_then(|file| file.into_inner().map(drop).map_err(|error| McapError::Io(error.into_error())));
        finished.map_err(|error| unwritable(self.job.target, error))
    }
}

fn unwritable(target: &Target, error: McapError) -> Failure {
    match error {
        McapError::Io(error) => target.unwritable(&error),
        error => Failure::Pipeline(format!("{}: it cannot be written: {error}", target.path().display())),
    }
}

#[cfg(test)]
mod tests;
