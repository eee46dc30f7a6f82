//! Reading a recording in the order of the file. The file may be unfinished: what is there is read.

use std::{
    fs::File,
    io::{self, Read, Seek as _},
    path::Path,
};

use mcap::{
    MAGIC, McapError, Message, Summary,
    sans_io::{
        linear_reader::LinearReaderOptions,
        message_reader::{MessageReadEvent, MessageReader},
        summary_reader::{SummaryReadEvent, SummaryReader, SummaryReaderOptions},
    },
};
use prost::Message as _;

use super::schema::{
    COMPRESSED_VIDEO, DEPTH_MAP, PROTOBUF, cvmmap_streamer::DepthMap, foxglove::CompressedVideo, nanoseconds,
};
use crate::{topics::BODY_ENCODING, writer::Topics};

/// Largest record or chunk that is read; a damaged length must not take all memory.
pub const RECORD_MAX: usize = 1 << 28;

/// A message of the camera.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// An access unit.
    Video(CompressedVideo),
    /// A depth picture.
    Depth(DepthMap),
    /// A body-tracking packet.
    Body(Vec<u8>),
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no MCAP file, or is damaged.
    #[error("{0}")]
    Mcap(McapError),
    /// A message is not what its channel says.
    #[error("a message of {topic} at {time} ns is not a {schema}: {source}")]
    Message {
        /// Its topic.
        topic: String,
        /// Its log time.
        time: u64,
        /// What it should be.
        schema: &'static str,
        /// Why it is not.
        source: prost::DecodeError,
    },
}

/// Reads the messages of a file once, from its start or from a chunk on.
pub struct Messages {
    source: Box<dyn Read + Send>,
    reader: MessageReader,
    ended_early: bool,
}

impl Messages {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Ok(Self::new(Box::new(File::open(path)?), LinearReaderOptions::default()))
    }

    /// Reads records that the file's start does not stand before. Channels have to be declared before their messages, and
    /// chunks have to be whole.
    pub fn of_records(records: Box<dyn Read + Send>) -> Self {
        Self::new(records, LinearReaderOptions::default().with_skip_start_magic(true).with_prevalidate_chunk_crcs(true))
    }

    fn new(source: Box<dyn Read + Send>, options: LinearReaderOptions) -> Self {
        let options = options.with_validate_chunk_crcs(true).with_record_length_limit(RECORD_MAX);
        Self { source, reader: MessageReader::new_with_options(options), ended_early: false }
    }

    /// The next message. `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn next_message(&mut self) -> Result<Option<Message<'static>>, ReadError> {
        while let Some(event) = self.reader.next_event() {
            match event {
                Ok(MessageReadEvent::ReadRequest(wanted)) => {
                    let read = loop {
                        match self.source.read(self.reader.insert(wanted)) {
                            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                            read => break read?,
                        }
                    };
                    self.reader.notify_read(read);
                }
                Ok(MessageReadEvent::Message(message)) => return Ok(Some(message)),
                Err(McapError::UnexpectedEof) => self.ended_early = true,
                Err(error) => return Err(ReadError::Mcap(error)),
            }
        }
        Ok(None)
    }

    /// Whether the file has no end: it was not finished.
    pub fn ended_early(&self) -> bool {
        self.ended_early
    }
}

/// Reads one camera of a recording.
pub struct Reader {
    messages: Messages,
    topics: Topics,
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path, topics: Topics) -> Result<Self, ReadError> {
        Ok(Self { messages: Messages::open(path)?, topics })
    }

    /// Reads records, as [`Messages::of_records`].
    pub fn of_records(records: Box<dyn Read + Send>, topics: Topics) -> Self {
        Self { messages: Messages::of_records(records), topics }
    }

    /// The next message of the camera with its time, which is its own, or the log's where it tells none. `None` at the
    /// end.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn next_entry(&mut self) -> Result<Option<(u64, Entry)>, ReadError> {
        while let Some(message) = self.messages.next_message()? {
            if let Some(entry) = self.entry(&message)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Whether the file has no end: it was not finished.
    pub fn ended_early(&self) -> bool {
        self.messages.ended_early()
    }

    fn entry(&self, message: &Message<'_>) -> Result<Option<(u64, Entry)>, ReadError> {
        let channel = &message.channel;
        let schema = channel.schema.as_ref().map_or("", |schema| schema.name.as_str());
        let time = |timestamp: Option<&prost_types::Timestamp>| {
            timestamp.and_then(nanoseconds).filter(|time| *time != 0).unwrap_or(message.log_time)
        };
        let failed = |schema| {
            move |source| ReadError::Message { topic: channel.topic.clone(), time: message.log_time, schema, source }
        };
        Ok(match (channel.message_encoding.as_str(), schema) {
            (PROTOBUF, name) if name == COMPRESSED_VIDEO.name && channel.topic == self.topics.video => {
                let video = CompressedVideo::decode(&*message.data).map_err(failed(COMPRESSED_VIDEO.name))?;
                Some((time(video.timestamp.as_ref()), Entry::Video(video)))
            }
            (PROTOBUF, name) if name == DEPTH_MAP.name && channel.topic == self.topics.depth => {
                let depth = DepthMap::decode(&*message.data).map_err(failed(DEPTH_MAP.name))?;
                Some((time(depth.timestamp.as_ref()), Entry::Depth(depth)))
            }
            (BODY_ENCODING, _) if channel.topic == self.topics.body => {
                Some((message.log_time, Entry::Body(message.data.to_vec())))
            }
            _ => None,
        })
    }
}

/// Looks whether a file begins as MCAP does.
///
/// # Errors
/// When it does not, or cannot be read.
pub fn check_magic(path: &Path) -> Result<(), ReadError> {
    let mut magic = [0; MAGIC.len()];
    match File::open(path)?.read_exact(&mut magic) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error.into()),
        _ if magic != MAGIC => Err(ReadError::Mcap(McapError::BadMagic)),
        _ => Ok(()),
    }
}

/// The summary at a file's end; none of a file that was not finished.
///
/// # Errors
/// When the file cannot be read, or the summary is damaged.
pub fn summary(path: &Path) -> Result<Option<Summary>, ReadError> {
    let mut file = File::open(path)?;
    let options =
        SummaryReaderOptions::default().with_file_size(file.metadata()?.len()).with_record_length_limit(RECORD_MAX);
    let mut reader = SummaryReader::new_with_options(options);
    while let Some(event) = reader.next_event() {
        match event {
            Ok(SummaryReadEvent::ReadRequest(wanted)) => {
                let read = loop {
                    match file.read(reader.insert(wanted)) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        read => break read?,
                    }
                };
                reader.notify_read(read);
            }
            Ok(SummaryReadEvent::SeekRequest(to)) => {
                let at = file.seek(to)?;
                reader.notify_seeked(at);
            }
            Err(McapError::UnexpectedEof | McapError::BadMagic) => return Ok(None),
            Err(error) => return Err(ReadError::Mcap(error)),
        }
    }
    Ok(reader.finish())
}
