//! What waits to be written: encoders look ahead, each for itself, and the file has the order of time.

use std::collections::VecDeque;

use prost::Message as _;
use tools_mcap::schema::{
    cvmmap_streamer::{BundleManifest, DepthMap},
    foxglove::PoseInFrame,
};

/// What is written together.
#[derive(Debug)]
pub struct Entry {
    pub manifest: Option<(u64, BundleManifest)>,
    pub moments: Vec<Moment>,
}

/// A picture of a camera.
#[derive(Debug)]
pub struct Moment {
    pub camera: usize,
    pub timestamp: u64,
    pub depth: Option<DepthMap>,
    pub pose: Option<PoseInFrame>,
    /// Its access unit, when the encoder has given it.
    pub unit: Option<Vec<u8>>,
}

/// Entries in their order, and what each camera's encoder still has to give for them.
#[derive(Debug)]
pub struct Queue {
    entries: VecDeque<Entry>,
    /// Entries that were taken out.
    gone: usize,
    /// For each camera, the numbers of the entries that wait for an access unit of it.
    owed: Vec<VecDeque<usize>>,
    bytes: usize,
}

impl Queue {
    pub fn new(cameras: usize) -> Self {
        Self { entries: VecDeque::new(), gone: 0, owed: vec![VecDeque::new(); cameras], bytes: 0 }
    }

    /// Adds an entry whose pictures are with their encoders.
    pub fn push(&mut self, entry: Entry) {
        let number = self.gone + self.entries.len();
        for moment in &entry.moments {
            self.owed[moment.camera].push_back(number);
            self.bytes += depth_size(moment);
        }
        self.entries.push_back(entry);
    }

    /// When a camera's oldest picture was taken that lacks an access unit.
    pub fn due(&self, camera: usize) -> Option<u64> {
        let number = *self.owed[camera].front()?;
        let moments = &self.entries[number - self.gone].moments;
        moments.iter().find(|moment| moment.camera == camera).map(|moment| moment.timestamp)
    }

    /// Takes the access unit of a camera's oldest picture that lacks one. None when that is of another time.
    #[must_use]
    pub fn fill(&mut self, camera: usize, timestamp: u64, unit: Vec<u8>) -> Option<()> {
        if self.due(camera)? != timestamp {
            return None;
        }
        let number = *self.owed[camera].front()?;
        let entry = &mut self.entries[number - self.gone];
        let moment = entry.moments.iter_mut().find(|moment| moment.camera == camera)?;
        self.bytes += unit.len();
        moment.unit = Some(unit);
        self.owed[camera].pop_front();
        Some(())
    }

    /// The oldest entry, when it lacks nothing.
    pub fn pop(&mut self) -> Option<Entry> {
        if self.entries.front()?.moments.iter().any(|moment| moment.unit.is_none()) {
            return None;
        }
        let entry = self.entries.pop_front()?;
        self.gone += 1;
        for moment in &entry.moments {
            self.bytes -= depth_size(moment) + moment.unit.as_ref().map_or(0, Vec::len);
        }
        Some(entry)
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The camera that the oldest entry waits for.
    pub fn waits_for(&self) -> Option<usize> {
        Some(self.entries.front()?.moments.iter().find(|moment| moment.unit.is_none())?.camera)
    }

    /// Whether an encoder has pictures that it has given nothing for.
    pub fn is_owed_by(&self, camera: usize) -> bool {
        !self.owed[camera].is_empty()
    }
}

fn depth_size(moment: &Moment) -> usize {
    moment.depth.as_ref().map_or(0, DepthMap::encoded_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(cameras: &[usize], timestamp: u64) -> Entry {
        let moment = |camera: &usize| Moment { camera: *camera, timestamp, depth: None, pose: None, unit: None };
        Entry { manifest: None, moments: cameras.iter().map(moment).collect() }
    }

    #[test]
    fn entries_come_out_in_their_order_when_they_are_whole() {
        let mut queue = Queue::new(2);
        queue.push(entry(&[0, 1], 10));
        queue.push(entry(&[1], 20));
        queue.push(entry(&[], 30));
        assert!(queue.fill(1, 10, vec![1; 5]).is_some() && queue.fill(1, 20, vec![2; 5]).is_some());
        assert!(queue.pop().is_none());
        assert_eq!((queue.waits_for(), queue.bytes(), queue.is_owed_by(1)), (Some(0), 10, false));
        assert!(queue.fill(0, 10, vec![3; 5]).is_some());
        let times: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|entry| entry.moments.len()).collect();
        assert_eq!((times, queue.bytes(), queue.waits_for()), (vec![2, 1, 0], 0, None));
    }

    #[test]
    fn an_access_unit_of_no_picture_is_none_of_ours() {
        let mut queue = Queue::new(1);
        assert!(queue.fill(0, 10, vec![]).is_none());
        queue.push(entry(&[0], 10));
        assert!(queue.fill(0, 20, vec![]).is_none() && queue.is_owed_by(0) && queue.due(0) == Some(10));
    }
}
