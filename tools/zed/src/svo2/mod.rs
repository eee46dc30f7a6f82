//! SVO2 files, read without the ZED SDK.
//!
//! They are MCAP files; what is known of their messages is in [`payload`]. Pictures are the left half of what the camera
//! saw, with its lens distortion: the file has no calibration.

mod index;
mod payload;
#[cfg(test)]
mod robustness;
mod stored;
mod strips;

use std::{fs::File, ops::RangeInclusive, os::unix::fs::FileExt as _, sync::Arc};

use gst_video::{VideoFormat, VideoInfo};
use tools_cli::{failure::Failure, interrupt};
use tools_mcap::{framing::MAGIC, walk::Walk};

use self::{
    index::Index,
    payload::{Compression, Payload},
    stored::{Reader, Stored},
};
use super::{
    decoder::Decoder,
    entries,
    picture::{self, Picture},
    source::{Clock, Facts, Losses, Recording},
};

pub use index::{Unreadable, is_picture};

/// What a file tells of its pictures, for who reads them otherwise. None when it is damaged, or no SVO2 file.
pub fn whole(file: File) -> Option<Facts> {
    let mut magic = [0; MAGIC.len()];
    file.read_exact_at(&mut magic, 0).ok().filter(|()| magic == MAGIC)?;
    let read = Svo2::open(file).ok()?;
    let damage = read.index.damage;
    (!damage.cut && damage.bytes == 0 && read.index.entries.iter().all(|entry| entry.whole)).then_some(read.facts)
}

/// An SVO2 file.
#[derive(Debug)]
pub struct Svo2 {
    file: File,
    index: Arc<Index>,
    facts: Facts,
    range: RangeInclusive<usize>,
    shown: usize,
    at_work: Option<Work>,
}

#[derive(Debug)]
enum Work {
    Stream(Decoder),
    Strips(Reader),
}

impl Svo2 {
    /// Looks through the file.
    ///
    /// # Errors
    /// When there is nothing in it that could be shown.
    pub fn open(file: File) -> Result<Self, Unreadable> {
        let index = Index::read(Walk::new(file.try_clone()?)?)?;
        let facts = Facts {
            provider: "svo2",
            compression: match index.compression {
                Compression::H264 => "H.264",
                Compression::H265 => "H.265",
                Compression::JpegStrips => "JPEG strips",
            },
            serial: serial(&index.topic).map(str::to_owned),
            rectified: Some(false),
            intrinsics: None,
            clock: Clock::of(entries::epoch(&index.entries)),
            timestamps: entries::timestamps(&index.entries),
        };
        Ok(Self { file, index: Arc::new(index), facts, range: 0..=0, shown: 0, at_work: None })
    }

    fn work(&self) -> Result<Work, Failure> {
        let range = self.range.clone();
        let read = |range| {
            let reader = self.file.try_clone().and_then(|file| Reader::new(file, Arc::clone(&self.index), range));
            reader.map_err(|error| entries::unreadable(&error))
        };
        let media_type = match self.index.compression {
            Compression::JpegStrips => return Ok(Work::Strips(read(range)?)),
            Compression::H264 => "video/x-h264",
            Compression::H265 => "video/x-h265",
        };
        let begin = entries::decoding_begin(&self.index.entries, *range.start());
        let mut reader = read(begin..=*range.end())?;
        let epoch = entries::epoch(&self.index.entries);
        let caps =
            gst::Caps::builder(media_type).field("stream-format", "byte-stream").field("alignment", "au").build();
        let decoder = Decoder::fed(&caps, move || {
            let stored = reader.next().map_err(|error| entries::unreadable(&error))?;
            Ok(stored.and_then(|stored| access_unit(stored, epoch)))
        })?;
        Ok(Work::Stream(decoder))
    }
}

impl Recording for Svo2 {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn begin(&mut self, range: RangeInclusive<usize>) -> Result<(), Failure> {
        self.range = range;
        self.shown = 0;
        self.at_work = Some(self.work()?);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Picture>, Failure> {
        let epoch = entries::epoch(&self.index.entries);
        loop {
            let (timestamp, buffer, info) = match &mut self.at_work {
                None => return Ok(None),
                Some(Work::Stream(decoder)) => {
                    let Some(sample) = decoder.next()? else {
                        return Ok(None);
                    };
                    let Some((buffer, info)) = picture::of_sample(&sample) else {
                        continue;
                    };
                    let Some(pts) = buffer.pts() else {
                        continue;
                    };
                    let (buffer, info) = picture::left_half(&buffer, &info).ok_or_else(|| {
                        Failure::Configuration(format!(
                            "its pictures of {} x {} are not two eyes side by side; this is not a stereo recording",
                            info.width(),
                            info.height()
                        ))
                    })?;
                    (epoch + pts.nseconds(), buffer, info)
                }
                Some(Work::Strips(reader)) => {
                    interrupt::check()?;
                    let Some(stored) = reader.next().map_err(|error| entries::unreadable(&error))? else {
                        return Ok(None);
                    };
                    let Some((buffer, info)) = yuyv(&stored) else {
                        continue;
                    };
                    (stored.entry.timestamp, buffer, info)
                }
            };
            if let Some(index) = entries::number(&self.index.entries, &self.range, timestamp) {
                self.shown += 1;
                let corrupted = buffer.flags().contains(gst::BufferFlags::CORRUPTED);
                let concealed = corrupted || self.index.entries[index].guessed;
                return Ok(Some(Picture { index, timestamp, buffer, info, concealed, depth: None, pose: None }));
            }
        }
    }

    fn losses(&self) -> Losses {
        entries::losses(&self.index.entries, &self.range, self.shown, self.index.damage)
    }
}

/// `Camera_SN123/side_by_side` is of the camera 123.
fn serial(topic: &str) -> Option<&str> {
    topic.split('/').next()?.strip_prefix("Camera_SN").filter(|serial| serial.bytes().all(|byte| byte.is_ascii_digit()))
}

fn access_unit(stored: Stored, epoch: u64) -> Option<gst::Buffer> {
    let Payload::AccessUnit { bytes, .. } = stored.payload else {
        return None;
    };
    let mut unit = stored.message;
    unit.truncate(bytes.end);
    unit.drain(..bytes.start);
    let mut buffer = gst::Buffer::from_mut_slice(unit);
    let timestamp = gst::ClockTime::from_nseconds(stored.entry.timestamp.saturating_sub(epoch));
    buffer.get_mut().expect("nobody else has it").set_pts(timestamp);
    Some(buffer)
}

fn yuyv(stored: &Stored) -> Option<(gst::Buffer, VideoInfo)> {
    let Payload::Strips(strips) = &stored.payload else {
        return None;
    };
    let left = strips::decode(&stored.message, strips)?;
    let info = VideoInfo::builder(VideoFormat::Yuy2, left.width as u32, left.height as u32).build().ok()?;
    (info.size() == left.bytes.len()).then(|| (gst::Buffer::from_mut_slice(left.bytes), info))
}

#[cfg(test)]
mod tests {
    use super::serial;

    #[test]
    fn the_serial_number_is_that_of_the_topic() {
        assert_eq!(serial("Camera_SN40735594/side_by_side"), Some("40735594"));
        assert_eq!(serial("Camera_SN../side_by_side"), None);
        assert_eq!(serial("left/side_by_side"), None);
    }
}
