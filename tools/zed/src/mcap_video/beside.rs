//! What a recording holds of the same moments as its pictures. Each kind is looked for on its own, so that one message of
//! it is kept, however far it is from its picture in the file.

use std::{io, sync::Arc};

use prost_types::Timestamp;
use tools_mcap::{
    schema::{Schema, own_time},
    walk::Walk,
};

use super::index::Index;

/// Messages of a topic, asked for by the timestamps of pictures.
#[derive(Debug)]
pub struct Beside<M> {
    walk: Walk,
    index: Arc<Index>,
    topic: String,
    schema: Schema,
    timestamp: fn(&M) -> Option<&Timestamp>,
    /// The next one with its timestamp.
    next: Option<(u64, M)>,
}

impl<M: prost::Message + Default> Beside<M> {
    pub fn new(
        walk: Walk,
        index: Arc<Index>,
        topic: String,
        schema: Schema,
        timestamp: fn(&M) -> Option<&Timestamp>,
    ) -> Self {
        Self { walk, index, topic, schema, timestamp, next: None }
    }

    /// The message of a picture. Timestamps rise from one time to the next.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn at(&mut self, timestamp: u64) -> io::Result<Option<M>> {
        while self.next.as_ref().is_none_or(|(time, _)| *time < timestamp) {
            self.next = self.read()?;
            if self.next.is_none() {
                return Ok(None);
            }
        }
        Ok(self.next.take_if(|(time, _)| *time == timestamp).map(|(_, message)| message))
    }

    fn read(&mut self) -> io::Result<Option<(u64, M)>> {
        while let Some(message) = self.walk.next_message()? {
            if message.suspect || message.channel.topic != self.topic || !message.channel.holds(self.schema) {
                continue;
            }
            let Ok(decoded) = M::decode(message.data) else {
                continue;
            };
            let time = own_time((self.timestamp)(&decoded), message.log_time);
            // One of no picture's time would hide all that are behind it.
            if self.index.entries.binary_search_by_key(&time, |entry| entry.timestamp).is_ok() {
                return Ok(Some((time, decoded)));
            }
        }
        Ok(None)
    }
}
