//! The pictures of a recording as they are stored, read a second time in the order of the index.

use std::{fs::File, io, ops::RangeInclusive, sync::Arc};

use tools_mcap::walk::Walk;

use super::{
    index::{self, Index},
    payload::{self, Payload},
};
use crate::entries::Entry;

/// Reads what can be shown of a range of pictures.
#[derive(Debug)]
pub struct Reader {
    walk: Walk,
    index: Arc<Index>,
    range: RangeInclusive<usize>,
    at: usize,
}

/// A picture as it is stored.
#[derive(Debug)]
pub struct Stored {
    pub entry: Entry,
    pub message: Vec<u8>,
    pub payload: Payload,
}

impl Reader {
    /// Begins at the first picture of the range.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn new(file: File, index: Arc<Index>, range: RangeInclusive<usize>) -> io::Result<Self> {
        Ok(Self { walk: Walk::new(file)?, index, range, at: 0 })
    }

    /// The next picture that can be shown.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next(&mut self) -> io::Result<Option<Stored>> {
        while self.at <= *self.range.end() {
            let Some(message) = self.walk.next_message()? else {
                break;
            };
            if !index::is_picture(&message) {
                continue;
            }
            let entries = &self.index.entries;
            let Some(at) = (self.at..entries.len()).find(|&at| entries[at].stored) else {
                break;
            };
            self.at = at + 1;
            let entry = entries[at];
            // A file that somebody still writes to may have changed since it was looked through.
            if !entry.whole || !self.range.contains(&at) || message.log_time != entry.timestamp {
                continue;
            }
            if let Some(payload) = payload::parse(message.data, Some(self.index.compression)) {
                return Ok(Some(Stored { entry, message: message.data.to_vec(), payload }));
            }
        }
        Ok(None)
    }
}
