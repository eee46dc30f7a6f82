//! Where each message of a recording is: by the index at the file's end, or else by looking through the file once. Source:
//! MCAP specification, "Records" and "Summary Section".

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use mcap::{
    MAGIC, McapError, Summary,
    records::{ChunkIndex, Record, op},
    sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions},
};
use prost::Message as _;
use tools_mcap::{
    reader::{RECORD_MAX, ReadError, check_magic, summary},
    schema::{PROTOBUF, nanoseconds},
    topics::Declared,
};

/// Kind and length of a record, before its content.
const FRAMING: u64 = 9;
/// Records outside chunks are taken together up to so many bytes.
const LOOSE_BYTES: u64 = 4 << 20;

/// A channel as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    pub topic: String,
    /// Name of its schema; empty for none.
    pub schema: String,
    pub message_encoding: String,
}

impl Channel {
    pub fn declared(&self) -> Declared<'_> {
        Declared { topic: &self.topic, schema: &self.schema, message_encoding: &self.message_encoding }
    }
}

/// A message's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub channel: u16,
    /// When, in nanoseconds.
    pub time: u64,
    /// Number of the message in the file.
    pub ordinal: u64,
    /// Number of the segment.
    segment: u32,
    /// Number of the message among those of its channel in the segment.
    nth: u32,
}

/// Part of the file that can be read by itself: a chunk, or records that are in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    offset: u64,
    length: u64,
}

/// Offset in its chunk, channel and log time of a message.
type Indexed = (u64, u16, u64);

/// The messages of a segment, by channel.
pub type Segmented = HashMap<u16, Vec<Vec<u8>>>;

/// The index of a recording.
#[derive(Debug)]
pub struct Index {
    file: File,
    pub channels: BTreeMap<u16, Channel>,
    /// In the order of the file.
    pub entries: Vec<Entry>,
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
    /// When the file cannot be read, is no MCAP file, or its summary is damaged.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        check_magic(path)?;
        let file = File::open(path)?;
        let mut index = Self {
            file,
            channels: BTreeMap::new(),
            entries: Vec::new(),
            finished: false,
            damage: None,
            segments: Vec::new(),
        };
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

    /// The messages of a segment.
    ///
    /// # Errors
    /// When the segment cannot be read, or is damaged.
    pub fn load(&self, segment: u32) -> Result<Segmented, ReadError> {
        let mut messages = Segmented::new();
        records(&self.file, self.segments[segment as usize], |record| {
            if let Record::Message { header, data } = record {
                messages.entry(header.channel_id).or_default().push(data.into_owned());
            }
            Ok(())
        })?;
        Ok(messages)
    }

    /// Takes what the summary says. False when it does not tell of every message.
    fn take(&mut self, summary: &Summary) -> Result<bool, ReadError> {
        for (id, channel) in &summary.channels {
            let schema = channel.schema.as_ref().map(|schema| schema.name.clone()).unwrap_or_default();
            let channel =
                Channel { topic: channel.topic.clone(), schema, message_encoding: channel.message_encoding.clone() };
            self.channels.insert(*id, channel);
        }
        let size = self.file.metadata()?.len();
        let mut chunks = summary.chunk_indexes.iter().collect::<Vec<_>>();
        chunks.sort_by_key(|chunk| chunk.chunk_start_offset);
        for chunk in chunks {
            let Some(messages) = self.message_index(chunk, size)? else {
                return Ok(false);
            };
            self.segments.push(Segment { offset: chunk.chunk_start_offset, length: chunk.chunk_length });
            self.note(messages.into_iter().map(|(_, channel, time)| (channel, time)));
        }
        let is_complete = summary.stats.as_ref().is_some_and(|stats| stats.message_count == self.entries.len() as u64);
        let is_declared = self.entries.iter().all(|entry| self.channels.contains_key(&entry.channel));
        Ok(is_complete && is_declared)
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
        while let Some((framing, content)) = rest.split_first_chunk::<{ FRAMING as usize }>() {
            let (kind, length) = framing_of(framing);
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
        let mut counts = HashMap::<u16, u32>::new();
        for (channel, time) in messages {
            let nth = counts.entry(channel).or_default();
            let ordinal = self.entries.len() as u64;
            self.entries.push(Entry { channel, time, ordinal, segment, nth: *nth });
            *nth += 1;
        }
    }

    /// Whether the log's times, which are all that the index has, are the messages' own. The first message of each channel
    /// answers for the others.
    fn logs_are_timestamps(&self) -> Result<bool, ReadError> {
        let mut firsts = BTreeMap::<u32, Vec<&Entry>>::new();
        let mut seen = HashSet::new();
        for entry in self.entries.iter().filter(|entry| seen.insert(entry.channel)) {
            firsts.entry(entry.segment).or_default().push(entry);
        }
        for (segment, entries) in firsts {
            let messages = self.load(segment)?;
            for entry in entries {
                let message = entry.of(&messages);
                let is_same = |message: &Vec<u8>| {
                    let channel = &self.channels[&entry.channel];
                    own_time(channel, message, entry.time) == entry.time
                };
                if !message.is_some_and(is_same) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Makes the index anew from the file itself, as far as it goes.
    fn look_through(&mut self) -> Result<(), ReadError> {
        let mut channels = BTreeMap::<u16, Channel>::new();
        let mut schemas = HashMap::new();
        (self.segments, self.entries) = (Vec::new(), Vec::new());
        for segment in framed(&self.file)? {
            let mut messages = Vec::new();
            let read = records(&self.file, segment, |record| {
                match record {
                    Record::Schema { header, .. } => drop(schemas.insert(header.id, header.name)),
                    Record::Channel(channel) => {
                        let schema = schemas.get(&channel.schema_id).cloned().unwrap_or_default();
                        let declared =
                            Channel { topic: channel.topic, schema, message_encoding: channel.message_encoding };
                        channels.insert(channel.id, declared);
                    }
                    Record::Message { header, data } => {
                        let unknown = McapError::UnknownChannel(header.sequence, header.channel_id);
                        let channel = channels.get(&header.channel_id).ok_or(ReadError::Mcap(unknown))?;
                        messages.push((header.channel_id, own_time(channel, &data, header.log_time)));
                    }
                    _ => {}
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
        self.channels = channels;
        Ok(())
    }
}

impl Entry {
    /// The message, of its segment's.
    pub fn of<'a>(&self, messages: &'a Segmented) -> Option<&'a Vec<u8>> {
        messages.get(&self.channel)?.get(self.nth as usize)
    }

    /// Number of its segment.
    pub fn segment(&self) -> u32 {
        self.segment
    }
}

/// A message's own time, or the log's where it tells none.
fn own_time(channel: &Channel, message: &[u8], log_time: u64) -> u64 {
    let stamped = if channel.message_encoding == PROTOBUF { Stamped::decode(message).ok() } else { None };
    let time = stamped.and_then(|stamped| stamped.timestamp).as_ref().and_then(nanoseconds);
    time.filter(|time| *time != 0).unwrap_or(log_time)
}

/// Kind and length of a record.
fn framing_of(bytes: &[u8; FRAMING as usize]) -> (u8, u64) {
    let [kind, length @ ..] = *bytes;
    (kind, u64::from_le_bytes(length))
}

/// The parts of a file that hold messages, as far as they are whole.
fn framed(file: &File) -> Result<Vec<Segment>, ReadError> {
    let size = file.metadata()?.len();
    let mut segments = Vec::<Segment>::new();
    let mut loose = false;
    let mut offset = MAGIC.len() as u64;
    while size.saturating_sub(offset) >= FRAMING {
        let mut framing = [0; FRAMING as usize];
        file.read_exact_at(&mut framing, offset)?;
        let (kind, length) = framing_of(&framing);
        if length > size - offset - FRAMING || kind == op::DATA_END {
            break;
        }
        let segment = Segment { offset, length: FRAMING + length };
        offset += segment.length;
        match (kind, segments.last_mut()) {
            (op::MESSAGE | op::SCHEMA | op::CHANNEL, Some(last))
                if loose && last.offset + last.length == segment.offset && last.length < LOOSE_BYTES =>
            {
                last.length += segment.length;
            }
            (op::CHUNK | op::MESSAGE | op::SCHEMA | op::CHANNEL, _) => {
                loose = kind != op::CHUNK;
                segments.push(segment);
            }
            _ => {}
        }
    }
    Ok(segments)
}

/// Reads the records of a segment, which has to be whole.
fn records(
    file: &File,
    segment: Segment,
    mut each: impl FnMut(Record<'_>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let options = LinearReaderOptions::default()
        .with_skip_start_magic(true)
        .with_prevalidate_chunk_crcs(true)
        .with_record_length_limit(RECORD_MAX);
    let mut reader = LinearReader::new_with_options(options);
    let (mut at, mut left) = (segment.offset, segment.length);
    while let Some(event) = reader.next_event() {
        match event {
            Ok(LinearReadEvent::ReadRequest(wanted)) => {
                let wanted = wanted.min(usize::try_from(left).unwrap_or(usize::MAX));
                let read = loop {
                    match file.read_at(reader.insert(wanted), at) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        read => break read?,
                    }
                };
                reader.notify_read(read);
                (at, left) = (at + read as u64, left - read as u64);
            }
            Ok(LinearReadEvent::Record { opcode, data }) => {
                each(mcap::parse_record(opcode, data).map_err(ReadError::Mcap)?)?;
            }
            // The segment ends before the file does.
            Err(McapError::UnexpectedEof) if left == 0 => break,
            Err(error) => return Err(ReadError::Mcap(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mcap::{WriteOptions, records::MessageHeader};
    use tools_mcap::schema::{COMPRESSED_VIDEO, foxglove::CompressedVideo, timestamp};

    use super::*;

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
        let number = |entry: &Entry| {
            let messages = index.load(entry.segment()).unwrap();
            CompressedVideo::decode(&entry.of(&messages).unwrap()[..]).unwrap().data[0]
        };
        index.entries.iter().map(|entry| (entry.time, number(entry))).collect()
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
        let times = Index::open(&path).unwrap().entries.iter().map(|entry| entry.time).collect::<Vec<_>>();
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
                for segment in index.entries.iter().map(Entry::segment) {
                    let _ = index.load(segment);
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
