//! The messages of one camera, in the order of the file.

use std::{ops::Range, path::Path, sync::Arc};

use prost::Message as _;

use super::{
    index::{Index, Stored},
    reader::{Messages, ReadError},
    schema::{COMPRESSED_VIDEO, DEPTH_MAP, PROTOBUF, cvmmap_streamer::DepthMap, foxglove::CompressedVideo, own_time},
    topics::{BODY_ENCODING, Declared},
    writer::Topics,
};

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

/// Reads one camera of a recording.
pub struct Reader {
    source: Source,
    topics: Topics,
}

enum Source {
    /// From the start, finished or not.
    File(Box<Messages>),
    /// Segment after segment.
    Segments { index: Arc<Index>, next: Range<usize>, loaded: std::vec::IntoIter<Stored> },
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path, topics: Topics) -> Result<Self, ReadError> {
        Ok(Self { source: Source::File(Box::new(Messages::open(path)?)), topics })
    }

    /// Reads these segments of a file, which have to be whole.
    pub fn of_segments(index: Arc<Index>, segments: Range<usize>, topics: Topics) -> Self {
        Self { source: Source::Segments { index, next: segments, loaded: Vec::new().into_iter() }, topics }
    }

    /// The next message of the camera with its time, which is its own, or the log's where it tells none. `None` at the
    /// end.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn next_entry(&mut self) -> Result<Option<(u64, Entry)>, ReadError> {
        loop {
            let found = match &mut self.source {
                Source::File(messages) => match messages.next_message()? {
                    Some(message) => entry(&self.topics, (&*message.channel).into(), message.log_time, &message.data)?,
                    None => return Ok(None),
                },
                Source::Segments { index, next, loaded } => match (loaded.next(), next.start < next.end) {
                    (Some(Stored { channel, log_time, data, .. }), _) => {
                        entry(&self.topics, channel.declared(), log_time, &data)?
                    }
                    (None, true) => {
                        *loaded = index.load(next.start)?.into_iter();
                        next.start += 1;
                        None
                    }
                    (None, false) => return Ok(None),
                },
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Whether the file has no end: it was not finished.
    pub fn ended_early(&self) -> bool {
        match &self.source {
            Source::File(messages) => messages.ended_early(),
            Source::Segments { .. } => false,
        }
    }
}

fn entry(
    topics: &Topics,
    channel: Declared<'_>,
    log_time: u64,
    data: &[u8],
) -> Result<Option<(u64, Entry)>, ReadError> {
    let Declared { topic, schema, message_encoding } = channel;
    let failed = |schema| move |source| ReadError::Message { topic: topic.to_owned(), time: log_time, schema, source };
    Ok(match (message_encoding, schema) {
        (PROTOBUF, name) if name == COMPRESSED_VIDEO.name && topic == topics.video => {
            let video = CompressedVideo::decode(data).map_err(failed(COMPRESSED_VIDEO.name))?;
            Some((own_time(video.timestamp.as_ref(), log_time), Entry::Video(video)))
        }
        (PROTOBUF, name) if name == DEPTH_MAP.name && topic == topics.depth => {
            let depth = DepthMap::decode(data).map_err(failed(DEPTH_MAP.name))?;
            Some((own_time(depth.timestamp.as_ref(), log_time), Entry::Depth(depth)))
        }
        (BODY_ENCODING, _) if topic == topics.body => Some((log_time, Entry::Body(data.to_vec()))),
        _ => None,
    })
}
