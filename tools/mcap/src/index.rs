//! Where each message of a recording is: by the index at the file's end, or else by looking through the file once. Source:
//! MCAP specification, "Records" and "Summary Section".

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
};

use mcap::{
    McapError, Summary,
    records::{ChunkIndex, Record},
};
use prost::Message as _;

use super::{
    channel::{Channel, Channels},
    framing::{FRAME, RECORD_MAX, frame},
    reader::{ReadError, check_magic, summary},
    schema::{PROTOBUF, own_time},
    segment::Segment,
};

/// A message's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of its channel.
    pub channel: u16,
    /// When, in nanoseconds.
    pub time: u64,
    /// Number of the message in the file.
    pub ordinal: u64,
    /// Number of the segment.
    pub segment: u32,
    /// Number of the message in the segment.
    nth: u32,
}

impl Place {
    /// The message, of its segment's.
    pub fn of<'a>(&self, messages: &'a [Stored]) -> Option<&'a Stored> {
        messages.get(self.nth as usize).filter(|message| message.id == self.channel)
    }
}

/// A message as the file has it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Number of its channel.
    pub id: u16,
    /// Its channel.
    pub channel: Arc<Channel>,
    /// When it was written, in nanoseconds.
    pub log_time: u64,
    /// What it holds.
    pub data: Vec<u8>,
}

/// Offset in its chunk, channel and log time of a message.
type Indexed = (u64, u16, u64);

/// The first log time of some messages, and the last, nanoseconds.
pub type LogTimes = (u64, u64);

/// The index of a recording.
#[derive(Debug)]
pub struct Index {
    file: File,
    /// What messages are.
    pub channels: Channels,
    /// In the order of the file; none when chunks alone are known.
    pub places: Vec<Place>,
    /// Whether the file has its end.
    pub finished: bool,
    /// What is wrong with the file; messages behind it are not in the index.
    pub damage: Option<String>,
    segments: Vec<Segment>,
}

/// What every message of ours begins with.
#[derive(Clone, PartialEq, prost::Message)]
struct Stamped {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<prost_types::Timestamp>,
}

impl Index {
    /// Reads the index of a file, or makes one.
    ///
    /// # Errors
    /// When the file cannot be read, or is no MCAP file.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        check_magic(path)?;
        let mut index = Self::empty(File::open(path)?);
        let summary = match summary(path) {
            Ok(summary) => summary,
            Err(ReadError::Mcap(error)) => {
                index.damage = Some(format!("its summary: {error}"));
                None
            }
            Err(error) => return Err(error),
        };
        index.finished = summary.is_some();
        let is_told = match &summary {
            Some(summary) => index.take(summary)? && index.logs_are_timestamps()?,
            None => false,
        };
        if !is_told {
            index.look_through()?;
        }
        Ok(index)
    }

    /// The chunks of a finished file with their first and last log times, in its order. None for a file without its end.
    ///
    /// # Errors
    /// When the file cannot be read, or its summary is damaged.
    pub fn of_chunks(path: &Path) -> Result<Option<(Self, Vec<LogTimes>)>, ReadError> {
        let Some(mut summary) = summary(path)? else {
            return Ok(None);
        };
        let mut index = Self::empty(File::open(path)?);
        index.finished = true;
        index.channels = Channels::of(&summary);
        summary.chunk_indexes.sort_by_key(|chunk| chunk.chunk_start_offset);
        index.segments = summary.chunk_indexes.iter().map(Segment::of).collect();
        let times = summary.chunk_indexes.iter().map(|chunk| (chunk.message_start_time, chunk.message_end_time));
        Ok(Some((index, times.collect())))
    }

    fn empty(file: File) -> Self {
        let (channels, places, segments) = Default::default();
        Self { file, channels, places, finished: false, damage: None, segments }
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The messages of a segment.
    ///
    /// # Errors
    /// When the segment cannot be read, or is damaged.
    pub fn load(&self, segment: usize) -> Result<Vec<Stored>, ReadError> {
        // A summary need not repeat the channels.
        let mut channels = self.channels.clone();
        let mut messages = Vec::new();
        self.segments[segment].records(&self.file, |record| {
            match record {
                Record::Message { header, data } => {
                    let channel = Arc::clone(known(&channels, &header)?);
                    let (id, log_time) = (header.channel_id, header.log_time);
                    messages.push(Stored { id, channel, log_time, data: data.into_owned() });
                }
                declared => channels.learn(declared, true),
            }
            Ok(())
        })?;
        Ok(messages)
    }

    /// Takes what the summary says. False when it does not tell of every message.
    fn take(&mut self, summary: &Summary) -> Result<bool, ReadError> {
        self.channels = Channels::of(summary);
        let size = self.file.metadata()?.len();
        let mut chunks = summary.chunk_indexes.iter().collect::<Vec<_>>();
        chunks.sort_by_key(|chunk| chunk.chunk_start_offset);
        for chunk in chunks {
            let Some(messages) = self.message_index(chunk, size)? else {
                return Ok(false);
            };
            self.segments.push(Segment::of(chunk));
            self.note(messages.into_iter().map(|(_, channel, time)| (channel, time)));
        }
        let is_complete = summary.stats.as_ref().is_some_and(|stats| stats.message_count == self.places.len() as u64);
        Ok(is_complete && self.places.iter().all(|place| self.channels.get(place.channel).is_some()))
    }

    /// The messages of a chunk, in their order. None when the file does not say.
    fn message_index(&self, chunk: &ChunkIndex, size: u64) -> Result<Option<Vec<Indexed>>, ReadError> {
        let begin = chunk.chunk_start_offset.checked_add(chunk.chunk_length);
        let end = begin.and_then(|begin| begin.checked_add(chunk.message_index_length));
        let (Some(begin), Some(end)) = (begin, end) else {
            return Ok(None);
        };
        if end > size || chunk.message_index_length > RECORD_MAX as u64 {
            return Ok(None);
        }
        let mut bytes = vec![0; chunk.message_index_length as usize];
        self.file.read_exact_at(&mut bytes, begin)?;
        let (mut rest, mut messages) = (&bytes[..], Vec::new());
        while let Some((kind, length)) = frame(rest) {
            let content = &rest[FRAME..];
            let Some((content, behind)) = usize::try_from(length).ok().and_then(|at| content.split_at_checked(at))
            else {
                return Ok(None);
            };
            rest = behind;
            if let Record::MessageIndex(index) = mcap::parse_record(kind, content).map_err(ReadError::Mcap)? {
                messages.extend(index.records.iter().map(|entry| (entry.offset, index.channel_id, entry.log_time)));
            }
        }
        messages.sort_unstable();
        Ok(rest.is_empty().then_some(messages))
    }

    /// Adds the messages of the last segment.
    fn note(&mut self, messages: impl Iterator<Item = (u16, u64)>) {
        let segment = self.segments.len() as u32 - 1;
        for (nth, (channel, time)) in (0..).zip(messages) {
            self.places.push(Place { channel, time, ordinal: self.places.len() as u64, segment, nth });
        }
    }

    /// Whether the log's times, which are all that the index has, are the messages' own. The first message of each channel
    /// answers for the others.
    fn logs_are_timestamps(&self) -> Result<bool, ReadError> {
        let mut firsts = BTreeMap::<u32, Vec<&Place>>::new();
        let mut seen = HashSet::new();
        for place in self.places.iter().filter(|place| seen.insert(place.channel)) {
            firsts.entry(place.segment).or_default().push(place);
        }
        for (segment, places) in firsts {
            let messages = self.load(segment as usize)?;
            let is_same = |place: &&Place| {
                let message = place.of(&messages);
                message.is_some_and(|message| time_of(&message.channel, &message.data, place.time) == place.time)
            };
            if !places.iter().all(is_same) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes the index anew from the file itself, as far as it goes.
    fn look_through(&mut self) -> Result<(), ReadError> {
        (self.channels, self.segments, self.places) = Default::default();
        for segment in Segment::all_of(&self.file)? {
            let mut messages = Vec::new();
            let read = segment.records(&self.file, |record| {
                match record {
                    Record::Message { header, data } => {
                        let channel = known(&self.channels, &header)?;
                        messages.push((header.channel_id, time_of(channel, &data, header.log_time)));
                    }
                    declared => self.channels.learn(declared, true),
                }
                Ok(())
            });
            match read {
                Ok(()) => {
                    self.segments.push(segment);
                    self.note(messages.into_iter());
                }
                Err(ReadError::Io(error)) => return Err(error.into()),
                // What depends on a lost part would be shown wrong.
                Err(error) => {
                    self.damage.get_or_insert(error.to_string());
                    break;
                }
            }
        }
        Ok(())
    }
}

fn known<'a>(channels: &'a Channels, header: &mcap::records::MessageHeader) -> Result<&'a Arc<Channel>, ReadError> {
    let unknown = || ReadError::Mcap(McapError::UnknownChannel(header.sequence, header.channel_id));
    channels.get(header.channel_id).ok_or_else(unknown)
}

/// A message's own time, or the log's where it tells none.
fn time_of(channel: &Channel, message: &[u8], log_time: u64) -> u64 {
    let stamped = if channel.encoding == PROTOBUF { Stamped::decode(message).ok() } else { None };
    own_time(stamped.and_then(|stamped| stamped.timestamp).as_ref(), log_time)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mcap::{WriteOptions, records::MessageHeader};

    use super::*;
    use crate::schema::{COMPRESSED_VIDEO, foxglove::CompressedVideo, timestamp};

    /// A file of two cameras' messages with these times, the log's and their own.
    fn recording(path: &Path, options: WriteOptions, times: &[(u64, u64)]) {
        let mut writer = options.compression(None).create(File::create(path).unwrap()).unwrap();
        let schema = writer.add_schema(COMPRESSED_VIDEO.name, PROTOBUF, b"").unwrap();
        let channel = |label: &str| format!("/{label}/video");
        let channels =
            ["a", "b"].map(|label| writer.add_channel(schema, &channel(label), PROTOBUF, &BTreeMap::new()).unwrap());
        for (at, (log_time, own)) in times.iter().enumerate() {
            let own = (*own > 0).then(|| timestamp(*own));
            let video = CompressedVideo { timestamp: own, data: vec![at as u8; 20], ..Default::default() };
            let (channel_id, log_time, publish_time) = (channels[at % 2], *log_time, *log_time);
            let header = MessageHeader { channel_id, sequence: 0, log_time, publish_time };
            writer.write_to_known_channel(&header, &video.encode_to_vec()).unwrap();
        }
        writer.finish().unwrap();
    }

    /// Time of each message in the index, and the number that it holds.
    fn found(index: &Index) -> Vec<(u64, u8)> {
        let number = |place: &Place| {
            let messages = index.load(place.segment as usize).unwrap();
            CompressedVideo::decode(&place.of(&messages).unwrap().data[..]).unwrap().data[0]
        };
        index.places.iter().map(|place| (place.time, number(place))).collect()
    }

    fn chunked() -> WriteOptions {
        WriteOptions::new().chunk_size(Some(200))
    }

    const TIMES: [(u64, u64); 9] = [(5, 5), (6, 6), (7, 7), (8, 8), (3, 3), (4, 4), (11, 11), (11, 11), (12, 0)];

    #[test]
    fn a_file_without_its_end_has_the_same_messages() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mcap");
        let wanted = TIMES.iter().zip(0..).map(|((time, _), number)| (*time, number)).collect::<Vec<_>>();
        for options in [chunked(), chunked().emit_message_indexes(false), WriteOptions::new().use_chunks(false)] {
            recording(&path, options, &TIMES);
            let index = Index::open(&path).unwrap();
            assert_eq!((found(&index), index.finished), (wanted.clone(), true));
            let file = fs::read(&path).unwrap();
            fs::write(&path, &file[..file.len() - 20]).unwrap();
            let index = Index::open(&path).unwrap();
            assert_eq!((found(&index), index.finished, index.damage), (wanted.clone(), false, None));
        }
    }

    #[test]
    fn a_messages_own_time_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mcap");
        recording(&path, chunked(), &TIMES.map(|(time, own)| (time + 1000, own)));
        let times = Index::open(&path).unwrap().places.iter().map(|place| place.time).collect::<Vec<_>>();
        assert_eq!(times, [5, 6, 7, 8, 3, 4, 11, 11, 1012]);
    }

    #[test]
    fn whatever_is_damaged_is_said_or_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mcap");
        recording(&path, chunked(), &TIMES[..5]);
        let whole = fs::read(&path).unwrap();
        let load_all = || {
            if let Ok(index) = Index::open(&path) {
                for place in &index.places {
                    let _ = index.load(place.segment as usize);
                }
            }
        };
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            load_all();
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xFF;
            fs::write(&path, &damaged).unwrap();
            load_all();
        }
        // Without an index, what comes before a damaged chunk is there, and what follows is not.
        let mut damaged = whole[..whole.len() - 20].to_vec();
        let third = damaged.windows(20).position(|bytes| bytes == [2; 20]).unwrap();
        damaged[third] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let index = Index::open(&path).unwrap();
        assert!(index.damage.is_some());
        assert_eq!(found(&index), [(5, 0), (6, 1)]);
    }
}
