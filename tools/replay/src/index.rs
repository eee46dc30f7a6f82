//! Finding a moment in a finished recording by the chunks that the index at its end names.

use std::{ops::Range, path::Path, sync::Arc};

use cvmmap::nats::proto::source_flags;
use tools_mcap::{
    camera::{Entry, Reader},
    decoder::codec_of,
    index,
    reader::ReadError,
    writer::Topics,
};
use tools_media::annex_b;

use super::frames::Frames;

/// Where the frames of a recording are.
pub struct Index {
    file: Arc<index::Index>,
    topics: Topics,
    /// First and last log time of each, in the order of the file.
    chunks: Vec<(u64, u64)>,
    start_ns: u64,
    end_ns: u64,
    flags: u32,
}

/// A frame, and where decoding has to begin to come to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landing {
    /// The frame's capture time.
    pub timestamp_ns: u64,
    /// The chunk to read from.
    chunk: usize,
    /// Frames of it before the keyframe.
    pub keyframe: usize,
    /// Frames from there on before the one that was looked for.
    pub frame: usize,
}

impl Index {
    /// The index of a file; none when it has none, or one that does not tell where the video is.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn read(path: &Path, topics: Topics) -> Result<Option<Self>, ReadError> {
        let Some((file, chunks)) = index::Index::of_chunks(path)? else {
            return Ok(None);
        };
        let has = |topic: &str, flag| {
            let has = file.channels.iter().any(|channel| channel.topic == topic);
            if has { flag } else { 0 }
        };
        let flags = has(&topics.depth, source_flags::HAS_DEPTH) | has(&topics.body, source_flags::HAS_BODY);
        let mut index = Self { file: Arc::new(file), topics, chunks, start_ns: 0, end_ns: 0, flags };
        let Some((start_ns, end_ns)) = index.bounds()? else {
            return Ok(None);
        };
        (index.start_ns, index.end_ns) = (start_ns, end_ns);
        Ok(Some(index))
    }

    /// Capture times of the first and the last frame.
    pub fn timeline(&self) -> (u64, u64) {
        (self.start_ns, self.end_ns)
    }

    /// What the recording has beside video, as [`source_flags`].
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// The frame at a time, or else the one before it.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn land(&self, target_ns: u64) -> Result<Option<Landing>, ReadError> {
        let chunks = self.chunks.iter().enumerate().filter(|(_, (start_ns, _))| *start_ns <= target_ns);
        // In a recording that goes over the same time again, the last such place.
        let Some((nearest, _)) = chunks.max_by_key(|(_, (_, end_ns))| *end_ns.min(&target_ns)) else {
            return Ok(None);
        };
        let mut found: Option<(u64, usize)> = None;
        for chunk in (0..=nearest).rev() {
            let units = self.units(chunk)?;
            found = match found {
                Some((timestamp_ns, frame)) => Some((timestamp_ns, frame + units.len())),
                None => {
                    let not_after = units.iter().enumerate().filter(|(_, unit)| unit.timestamp_ns <= target_ns);
                    not_after.max_by_key(|(_, unit)| unit.timestamp_ns).map(|(at, unit)| (unit.timestamp_ns, at))
                }
            };
            let Some((timestamp_ns, frame)) = found else { continue };
            let before = &units[..units.len().min(frame + 1)];
            // What a recording begins with has to be one, or nothing of it can be decoded.
            let keyframe = before.iter().rposition(|unit| unit.is_keyframe).or((chunk == 0).then_some(0));
            if let Some(keyframe) = keyframe {
                return Ok(Some(Landing { timestamp_ns, chunk, keyframe, frame }));
            }
        }
        Ok(None)
    }

    /// The frames from a landing's chunk on.
    pub fn frames(&self, landing: &Landing) -> Frames {
        Frames::new(self.reader(landing.chunk..self.chunks.len()))
    }

    fn reader(&self, chunks: Range<usize>) -> Reader {
        Reader::of_segments(Arc::clone(&self.file), chunks, self.topics.clone())
    }

    fn units(&self, chunk: usize) -> Result<Vec<Unit>, ReadError> {
        let mut reader = self.reader(chunk..chunk + 1);
        let mut units = Vec::new();
        while let Some((timestamp_ns, entry)) = reader.next_entry()? {
            if let Entry::Video(video) = entry {
                let is_keyframe = annex_b::is_keyframe(codec_of(&video), &video.data);
                units.push(Unit { timestamp_ns, is_keyframe });
            }
        }
        Ok(units)
    }

    /// First and last time. None without video, and where frames are not in the chunks that the log's times say.
    fn bounds(&self) -> Result<Option<(u64, u64)>, ReadError> {
        let mut by_start: Vec<usize> = (0..self.chunks.len()).collect();
        by_start.sort_by_key(|chunk| self.chunks[*chunk].0);
        for chunk in by_start {
            let Some(start_ns) = self.units(chunk)?.iter().map(|unit| unit.timestamp_ns).min() else { continue };
            let (first, last) = self.chunks[chunk];
            let last = if (first..=last).contains(&start_ns) { self.land(u64::MAX)? } else { None };
            return Ok(last.map(|last| (start_ns, last.timestamp_ns.max(start_ns))));
        }
        Ok(None)
    }
}

struct Unit {
    timestamp_ns: u64,
    is_keyframe: bool,
}

#[cfg(test)]
pub(super) mod tests {
    use std::{collections::BTreeMap, fs, fs::File};

    use mcap::{WriteOptions, records::MessageHeader};
    use prost::Message as _;
    use tools_mcap::{
        schema::{COMPRESSED_VIDEO, PROTOBUF, foxglove::CompressedVideo},
        topics::BODY_ENCODING,
    };

    use super::*;

    pub const KEY: &[u8] = &[0, 0, 0, 1, 0x65];
    pub const DELTA: &[u8] = &[0, 0, 0, 1, 0x41];
    pub const BODY: &[u8] = b"body";

    /// A file of these messages with their log times, in chunks of about three.
    pub fn recording(path: &Path, messages: &[(u64, &[u8])]) {
        let mut writer =
            WriteOptions::new().compression(None).chunk_size(Some(150)).create(File::create(path).unwrap()).unwrap();
        let schema = writer.add_schema(COMPRESSED_VIDEO.name, "protobuf", b"").unwrap();
        let metadata = BTreeMap::from([("name".to_owned(), "value".to_owned())]);
        let video = writer.add_channel(schema, "/camera/video", PROTOBUF, &metadata).unwrap();
        let body = writer.add_channel(0, "/camera/body", BODY_ENCODING, &BTreeMap::new()).unwrap();
        for (time, data) in messages {
            let is_body = *data == BODY;
            let unit = CompressedVideo { data: data.to_vec(), format: "h264".to_owned(), ..Default::default() };
            let header = MessageHeader {
                channel_id: if is_body { body } else { video },
                sequence: 0,
                log_time: *time,
                publish_time: *time,
            };
            let content = if is_body { data.to_vec() } else { unit.encode_to_vec() };
            writer.write_to_known_channel(&header, &content).unwrap();
        }
        writer.finish().unwrap();
    }

    fn index(messages: &[(u64, &[u8])]) -> (tempfile::TempDir, Option<Index>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mcap");
        recording(&path, messages);
        let index = Index::read(&path, Topics::of("camera")).unwrap();
        (folder, index)
    }

    /// Times of keyframe and frame that reading from a landing leads to.
    fn reached(index: &Index, target: u64) -> Option<(u64, u64)> {
        let landing = index.land(target).unwrap()?;
        let mut frames = index.frames(&landing);
        let times: Vec<_> =
            std::iter::from_fn(|| frames.next_frame().unwrap()).map(|frame| frame.timestamp_ns).collect();
        assert_eq!(times[landing.frame], landing.timestamp_ns);
        Some((times[landing.keyframe], times[landing.frame]))
    }

    #[test]
    fn a_landing_is_the_frame_before_from_its_keyframe() {
        let messages: Vec<_> = (0..40).map(|at| (100 + at * 10, if at % 8 == 0 { KEY } else { DELTA })).collect();
        let (_folder, index) = index(&messages);
        let index = index.unwrap();
        assert!(index.chunks.len() > 8, "{}", index.chunks.len());
        assert_eq!((index.timeline(), index.flags()), ((100, 490), source_flags::HAS_BODY));
        for target in 100..600 {
            let frame = (target.min(490) - 100) / 10;
            assert_eq!(reached(&index, target), Some((100 + frame / 8 * 80, 100 + frame * 10)), "{target}");
        }
        assert_eq!(reached(&index, 99), None);
    }

    #[test]
    fn a_time_that_comes_twice_is_the_last_one() {
        let pass: Vec<_> = (0..20).map(|at| (100 + at * 10, if at % 5 == 0 { KEY } else { DELTA })).collect();
        let (_folder, index) = index(&[&pass[..], &pass[..]].concat());
        let index = index.unwrap();
        assert_eq!(index.timeline(), (100, 290));
        for at in 3..20 {
            let time = 100 + at * 10;
            assert_eq!(reached(&index, time), Some((100 + at / 5 * 50, time)));
        }
    }

    #[test]
    fn what_cannot_be_sought_in_has_no_index() {
        let (folder, none) = index(&[(5, BODY), (6, BODY)]);
        assert!(none.is_none());
        let path = folder.path().join("a.mcap");
        recording(&path, &[(5, KEY), (6, DELTA)]);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(!Index::read(&path, Topics::of("camera")).is_ok_and(|index| index.is_some()), "{length}");
        }
        // Whatever else is wrong is told, or found where it is read.
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xFF;
            fs::write(&path, &damaged).unwrap();
            if let Ok(Some(index)) = Index::read(&path, Topics::of("camera")) {
                let _ = index.land(6);
            }
        }
    }
}
