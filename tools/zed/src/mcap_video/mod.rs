//! Our own MCAP recordings: the access units of a camera, with its calibration, and the depth and the poses beside them.

mod beside;
mod index;
#[cfg(test)]
mod robustness;

use std::{fs::File, ops::RangeInclusive, sync::Arc};

use cvmmap::Codec;

pub use self::index::{cameras, is_video};
use tools_cli::failure::Failure;
use tools_mcap::{
    rvl,
    schema::{
        DEPTH_MAP, POSE_IN_FRAME,
        cvmmap_streamer::DepthMap,
        foxglove::{CameraCalibration, PoseInFrame},
    },
    walk::Walk,
};
use tools_media::codec;

use self::{
    beside::Beside,
    index::{Index, Units, Unreadable},
};
use super::{
    camera::{Intrinsics, Pose},
    decoder::Decoder,
    entries,
    picture::{self, Depth, Picture},
    source::{Clock, Facts, Losses, Recording},
    wanted::Wanted,
};

/// What a video's channel may say of its camera, in its metadata.
const SERIAL: &str = "camera_serial";
/// `true` or `false`.
const RECTIFIED: &str = "rectified";

/// A camera of an MCAP recording.
#[derive(Debug)]
pub struct McapVideo {
    file: File,
    index: Arc<Index>,
    facts: Facts,
    range: RangeInclusive<usize>,
    shown: usize,
    decoder: Option<Decoder>,
    /// What is wanted besides pictures.
    with_depth: bool,
    with_poses: bool,
    depths: Option<Beside<DepthMap>>,
    poses: Option<Beside<PoseInFrame>>,
}

impl McapVideo {
    /// Looks through the file for a camera, which may be left out when there is one.
    ///
    /// # Errors
    /// When there is nothing of it that could be shown, or nothing of what is wanted besides.
    pub fn open(file: File, label: Option<&str>, wanted: &Wanted) -> Result<Self, Unreadable> {
        let index = Index::read(Walk::new(file.try_clone()?)?, label)?;
        let (with_depth, with_poses) = (wanted.depth.is_some(), wanted.tracking.is_some());
        let shown = || index.label.escape_debug().to_string();
        if with_depth && index.depth.is_none() {
            return Err(Unreadable::NoDepth(shown()));
        }
        if with_poses && index.pose.is_none() {
            return Err(Unreadable::NoPoses(shown()));
        }
        let calibration = index.calibration.as_ref();
        let intrinsics = calibration.and_then(intrinsics);
        let said = |key| index.about.get(key);
        let facts = Facts {
            provider: "mcap",
            compression: match index.codec {
                Codec::H264 => "H.264",
                Codec::H265 => "H.265",
            },
            serial: said(SERIAL).cloned(),
            rectified: match said(RECTIFIED).map(String::as_str) {
                Some("true") => Some(true),
                Some("false") => Some(false),
                _ if calibration.is_some_and(is_bent) => Some(false),
                _ => intrinsics.map(|_| true),
            },
            intrinsics,
            clock: Clock::of(entries::epoch(&index.entries)),
            timestamps: entries::timestamps(&index.entries),
        };
        Ok(Self {
            file,
            index: Arc::new(index),
            facts,
            range: 0..=0,
            shown: 0,
            decoder: None,
            with_depth,
            with_poses,
            depths: None,
            poses: None,
        })
    }

    /// Begins to look for what is wanted besides pictures.
    fn begin_beside(&mut self) -> std::io::Result<()> {
        let walk = || Walk::new(self.file.try_clone()?);
        let index = || Arc::clone(&self.index);
        (self.depths, self.poses) = (None, None);
        if let Some(topic) = self.index.depth.clone().filter(|_| self.with_depth) {
            self.depths =
                Some(Beside::new(walk()?, index(), topic, DEPTH_MAP, |map: &DepthMap| map.timestamp.as_ref()));
        }
        if let Some(topic) = self.index.pose.clone().filter(|_| self.with_poses) {
            self.poses =
                Some(Beside::new(walk()?, index(), topic, POSE_IN_FRAME, |pose: &PoseInFrame| pose.timestamp.as_ref()));
        }
        Ok(())
    }

    /// What belongs to a picture.
    fn beside(&mut self, timestamp: u64) -> std::io::Result<(Option<Depth>, Option<Pose>)> {
        let depth = self.depths.as_mut().map_or(Ok(None), |depths| depths.at(timestamp))?;
        let pose = self.poses.as_mut().map_or(Ok(None), |poses| poses.at(timestamp))?;
        let is_whole = |map: &DepthMap| rvl::Picture::check(&map.data) == Ok((map.width, map.height));
        Ok((depth.filter(is_whole).map(Depth::Stored), pose.and_then(|pose| place(&pose))))
    }
}

impl Recording for McapVideo {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn begin(&mut self, range: RangeInclusive<usize>) -> Result<(), Failure> {
        let begin = entries::decoding_begin(&self.index.entries, *range.start());
        let mut units = self
            .file
            .try_clone()
            .and_then(|file| Units::new(file, Arc::clone(&self.index), begin..=*range.end()))
            .map_err(|error| entries::unreadable(&error))?;
        let epoch = entries::epoch(&self.index.entries);
        let caps = codec::byte_stream(self.index.codec);
        self.decoder = Some(Decoder::fed(&caps, move || {
            let unit = units.next().map_err(|error| entries::unreadable(&error))?;
            Ok(unit.map(|(timestamp, unit)| {
                let mut buffer = gst::Buffer::from_mut_slice(unit);
                let since = gst::ClockTime::from_nseconds(timestamp.saturating_sub(epoch));
                buffer.get_mut().expect("nobody else has it").set_pts(since);
                buffer
            }))
        })?);
        self.begin_beside().map_err(|error| entries::unreadable(&error))?;
        self.range = range;
        self.shown = 0;
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Picture>, Failure> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(None);
        };
        while let Some(sample) = decoder.next()? {
            let Some((buffer, info)) = picture::of_sample(&sample) else {
                continue;
            };
            let Some(pts) = buffer.pts() else {
                continue;
            };
            let timestamp = entries::epoch(&self.index.entries) + pts.nseconds();
            if let Some(index) = entries::number(&self.index.entries, &self.range, timestamp) {
                self.shown += 1;
                let corrupted = buffer.flags().contains(gst::BufferFlags::CORRUPTED);
                let concealed = corrupted || self.index.entries[index].guessed;
                let (depth, pose) = self.beside(timestamp).map_err(|error| entries::unreadable(&error))?;
                return Ok(Some(Picture { index, timestamp, buffer, info, concealed, depth, pose }));
            }
        }
        Ok(None)
    }

    fn losses(&self) -> Losses {
        entries::losses(&self.index.entries, &self.range, self.shown, self.index.damage)
    }
}

/// What a calibration says of a lens. None where it says nothing, or of a model with more terms.
fn intrinsics(calibration: &CameraCalibration) -> Option<Intrinsics> {
    let CameraCalibration { width, height, d, k, .. } = calibration;
    let &[fx, _, cx, _, fy, cy, _, _, _] = &k[..] else {
        return None;
    };
    let mut distortion = [0.0; 5];
    if is_bent(calibration) {
        distortion.get_mut(..d.len())?.copy_from_slice(d);
    }
    Some(Intrinsics { width: *width, height: *height, fx, fy, cx, cy, distortion }).filter(Intrinsics::is_usable)
}

/// Where the camera was, when the message says it in numbers.
fn place(message: &PoseInFrame) -> Option<Pose> {
    let pose = message.pose.as_ref()?;
    let (at, turned) = (pose.position.as_ref()?, pose.orientation.as_ref()?);
    let pose = Pose { position: [at.x, at.y, at.z], orientation: [turned.x, turned.y, turned.z, turned.w] };
    let is_finite = pose.position.iter().chain(&pose.orientation).all(|number| number.is_finite());
    is_finite.then_some(pose)
}

/// Whether lines of the picture are bent: it is not rectified then.
fn is_bent(calibration: &CameraCalibration) -> bool {
    calibration.d.iter().any(|value| *value != 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calibration_without_a_focal_length_is_none() {
        let k = vec![700.0, 0.0, 640.0, 0.0, 701.0, 360.0, 0.0, 0.0, 1.0];
        let whole = CameraCalibration { width: 1280, height: 720, k, d: vec![0.0; 8], ..Default::default() };
        let expected =
            Intrinsics { width: 1280, height: 720, fx: 700.0, fy: 701.0, cx: 640.0, cy: 360.0, distortion: [0.0; 5] };
        assert_eq!(intrinsics(&whole), Some(expected));
        let bent = CameraCalibration { d: vec![0.1, 0.2, 0.3, 0.4], ..whole.clone() };
        assert_eq!(intrinsics(&bent).unwrap().distortion, [0.1, 0.2, 0.3, 0.4, 0.0]);
        let mut uncalibrated = whole.clone();
        uncalibrated.k[0] = 0.0;
        for calibration in [
            uncalibrated,
            CameraCalibration { k: Vec::new(), ..whole.clone() },
            CameraCalibration { width: 0, ..whole.clone() },
            CameraCalibration { d: vec![0.1; 8], ..whole.clone() },
            CameraCalibration { d: vec![f64::NAN], ..whole },
        ] {
            assert_eq!(intrinsics(&calibration), None, "{calibration:?}");
        }
    }
}
