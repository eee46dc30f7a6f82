//! From messages to frames: what has one capture time belongs together.

use std::collections::VecDeque;

use crate::recorder::mcap::{
    reader::{Entry, ReadError, Reader},
    schema::{cvmmap_streamer::DepthMap, foxglove::CompressedVideo},
};

/// Depth pictures that wait for their access unit at most.
const WAITING_MAX: usize = 64;

/// A frame of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Capture time.
    pub timestamp_ns: u64,
    /// Its access unit.
    pub video: CompressedVideo,
    /// Its depth.
    pub depth: Option<DepthMap>,
    /// Body-tracking packets that came with it, or since the frame before.
    pub bodies: Vec<Vec<u8>>,
}

/// Frames of a recording, in the order of their access units.
pub struct Frames {
    reader: Reader,
    /// The frame whose depth may come yet.
    next: Option<Recorded>,
    /// Depth before its access unit.
    depths: VecDeque<(u64, DepthMap)>,
    bodies: Vec<Vec<u8>>,
}

impl Frames {
    /// The frames that a reader finds.
    pub fn new(reader: Reader) -> Self {
        Self { reader, next: None, depths: VecDeque::new(), bodies: Vec::new() }
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn next_frame(&mut self) -> Result<Option<Recorded>, ReadError> {
        while let Some((timestamp_ns, entry)) = self.reader.next_entry()? {
            match entry {
                Entry::Body(packet) => self.bodies.push(packet),
                Entry::Depth(depth) => match &mut self.next {
                    Some(frame) if frame.timestamp_ns == timestamp_ns && frame.depth.is_none() => {
                        frame.depth = Some(depth);
                    }
                    _ => {
                        if self.depths.len() == WAITING_MAX {
                            self.depths.pop_front();
                        }
                        self.depths.push_back((timestamp_ns, depth));
                    }
                },
                Entry::Video(video) => {
                    let index = self.depths.iter().position(|(time, _)| *time == timestamp_ns);
                    let depth = index.and_then(|index| self.depths.remove(index)).map(|(_, depth)| depth);
                    let bodies = std::mem::take(&mut self.bodies);
                    let next = Recorded { timestamp_ns, video, depth, bodies: Vec::new() };
                    if let Some(mut frame) = self.next.replace(next) {
                        frame.bodies = bodies;
                        return Ok(Some(frame));
                    }
                    self.bodies = bodies;
                }
            }
        }
        let last = self.next.take();
        Ok(last.map(|frame| Recorded { bodies: std::mem::take(&mut self.bodies), ..frame }))
    }

    /// Whether the file has no end: it was not finished.
    pub fn ended_early(&self) -> bool {
        self.reader.ended_early()
    }
}
