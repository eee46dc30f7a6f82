//! Reading one camera of a recording, in the order of the file. The file may be unfinished: what is there is read.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use mcap::{
    McapError, Message,
    sans_io::{
        linear_reader::LinearReaderOptions,
        message_reader::{MessageReadEvent, MessageReader},
    },
};
use prost::Message as _;

use super::{
    BODY_ENCODING, Topics,
    schema::{
        COMPRESSED_VIDEO, DEPTH_MAP, PROTOBUF, cvmmap_streamer::DepthMap, foxglove::CompressedVideo, nanoseconds,
    },
};

/// Largest record or chunk that is read; a damaged length must not take all memory.
const RECORD_MAX: usize = 1 << 28;

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

/// Reads a file once, from its start.
pub struct Reader {
    file: File,
    messages: MessageReader,
    topics: Topics,
    ended_early: bool,
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path, topics: Topics) -> Result<Self, ReadError> {
        let options =
            LinearReaderOptions::default().with_validate_chunk_crcs(true).with_record_length_limit(RECORD_MAX);
        let messages = MessageReader::new_with_options(options);
        Ok(Self { file: File::open(path)?, messages, topics, ended_early: false })
    }

    /// The next message of the camera with its time, which is its own, or the log's where it tells none. `None` at the
    /// end.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn next_entry(&mut self) -> Result<Option<(u64, Entry)>, ReadError> {
        while let Some(event) = self.messages.next_event() {
            match event {
                Ok(MessageReadEvent::ReadRequest(wanted)) => {
                    let read = loop {
                        match self.file.read(self.messages.insert(wanted)) {
                            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                            read => break read?,
                        }
                    };
                    self.messages.notify_read(read);
                }
                Ok(MessageReadEvent::Message(message)) => {
                    if let Some(entry) = self.entry(&message)? {
                        return Ok(Some(entry));
                    }
                }
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
