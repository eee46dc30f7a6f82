//! From messages to frames: what has one capture time belongs together.

use std::collections::VecDeque;

use tools_mcap::{
    camera::{Entry, Reader},
    reader::ReadError,
    schema::{cvmmap_streamer::DepthMap, foxglove::CompressedVideo},
};

/// Depth pictures and body-tracking packets that wait for their frame at most.
const WAITING_MAX: usize = 64;
/// Body-tracking packets from one access unit to the next at most: minutes of them.
const BODIES_MAX: usize = 4096;

/// A frame of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Capture time.
    pub timestamp_ns: u64,
    /// Its access unit.
    pub video: CompressedVideo,
    /// Its depth.
    pub depth: Option<DepthMap>,
    /// Body-tracking packets of its time, and of none since the frame before.
    pub bodies: Vec<Vec<u8>>,
    /// Packets before it that were too many without a frame.
    pub bodies_dropped: u64,
}

/// Frames of a recording, in the order of their access units.
pub struct Frames {
    reader: Reader,
    /// The frame whose depth may come yet.
    next: Option<Recorded>,
    /// Depth before its access unit.
    depths: VecDeque<(u64, DepthMap)>,
    /// Packets whose frame comes yet.
    bodies: VecDeque<(u64, Vec<u8>)>,
    bodies_dropped: u64,
}

impl Frames {
    /// The frames that a reader finds.
    pub fn new(reader: Reader) -> Self {
        Self { reader, next: None, depths: VecDeque::new(), bodies: VecDeque::new(), bodies_dropped: 0 }
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn next_frame(&mut self) -> Result<Option<Recorded>, ReadError> {
        while let Some((timestamp_ns, entry)) = self.reader.next_entry()? {
            match entry {
                Entry::Body(packet) => {
                    if self.bodies.len() == BODIES_MAX {
                        self.bodies.pop_front();
                        self.bodies_dropped += 1;
                    }
                    self.bodies.push_back((timestamp_ns, packet));
                }
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
                    let next = Recorded { timestamp_ns, video, depth, bodies: Vec::new(), bodies_dropped: 0 };
                    if let Some(frame) = self.next.replace(next) {
                        return Ok(Some(self.with_bodies(frame, Some(timestamp_ns))));
                    }
                }
            }
        }
        let last = self.next.take();
        Ok(last.map(|frame| self.with_bodies(frame, None)))
    }

    /// Gives a frame the packets that are not of the next one's time, which may have been written before its access unit.
    fn with_bodies(&mut self, frame: Recorded, next_ns: Option<u64>) -> Recorded {
        let surplus = self.bodies.len().saturating_sub(WAITING_MAX);
        let waits = |nth: usize, time: u64| {
            nth >= surplus && next_ns.is_some_and(|next| next > frame.timestamp_ns && time >= next)
        };
        let (mut bodies, mut waiting) = (Vec::new(), VecDeque::new());
        for (nth, (time, packet)) in std::mem::take(&mut self.bodies).into_iter().enumerate() {
            if waits(nth, time) {
                waiting.push_back((time, packet));
            } else {
                bodies.push(packet);
            }
        }
        self.bodies = waiting;
        Recorded { bodies, bodies_dropped: std::mem::take(&mut self.bodies_dropped), ..frame }
    }

    /// Whether the file has no end: it was not finished.
    pub fn ended_early(&self) -> bool {
        self.reader.ended_early()
    }
}

#[cfg(test)]
mod tests {
    use tools_mcap::writer::Topics;

    use super::*;
    use crate::index::tests::{BODY, DELTA, KEY, recording};

    #[test]
    fn bodies_go_with_the_frame_of_their_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mcap");
        let bodies = |messages: &[(u64, &[u8])]| {
            recording(&path, messages);
            let mut frames = Frames::new(Reader::open(&path, Topics::of("camera")).unwrap());
            let frames = std::iter::from_fn(|| frames.next_frame().unwrap());
            frames.map(|frame| frame.bodies.len()).collect::<Vec<_>>()
        };
        // Before the first frame, after and before its own, late, and of a time that no frame has.
        assert_eq!(
            bodies(&[(9, BODY), (10, KEY), (10, BODY), (20, BODY), (20, DELTA), (30, DELTA), (20, BODY), (99, BODY)]),
            [2, 1, 2]
        );
        // Time that goes back keeps none waiting.
        assert_eq!(bodies(&[(90, KEY), (90, BODY), (10, KEY), (20, BODY), (20, DELTA)]), [1, 0, 1]);
        let early = [vec![(10, KEY)], vec![(50, BODY); WAITING_MAX + 3], vec![(20, DELTA)]].concat();
        assert_eq!(bodies(&early), [3, WAITING_MAX]);
        let flood = [vec![(10, KEY)], vec![(10, BODY); BODIES_MAX + 3], vec![(20, DELTA)]].concat();
        assert_eq!(bodies(&flood), [BODIES_MAX, 0]);
    }
}
