//! The bounded queue between the stream and a recording: the stream never waits for a disk.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::moment::Moment;

/// Access units that wait for the disk at most: half a minute of a usual stream.
const VIDEO_BYTES_MAX: usize = 32 << 20;
/// Depth that waits at most: half a second and more of the largest cameras.
const DEPTH_BYTES_MAX: usize = 192 << 20;
/// Body-tracking packets that wait at most.
const BODY_BYTES_MAX: usize = 16 << 20;

/// What is recorded next.
#[derive(Clone, Debug)]
pub enum Item {
    /// An access unit with what belongs to it.
    Moment(Moment),
    /// A body-tracking packet.
    Body(Vec<u8>),
}

/// The queue's answer to the recording.
#[derive(Debug)]
pub enum Taken {
    /// The oldest item.
    Item(Item),
    /// Nothing came for the time given.
    Nothing,
    /// Nothing more will come.
    End,
}

/// The queue's answer to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All is well.
    Fine,
    /// To go on it needs a keyframe.
    WantsKeyframe,
    /// Nothing more is taken in.
    Closed,
}

/// What was not recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Access units that were damaged.
    pub damaged: u64,
    /// Other access units, depth with them.
    pub video: u64,
    /// Depth pictures of access units that did.
    pub depth: u64,
    /// Body-tracking packets.
    pub body: u64,
}

impl Losses {
    /// Both.
    pub fn plus(self, more: Self) -> Self {
        Self {
            damaged: self.damaged + more.damaged,
            video: self.video + more.video,
            depth: self.depth + more.depth,
            body: self.body + more.body,
        }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub struct Intake {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    phase: Phase,
    video_bytes: usize,
    depth_bytes: usize,
    body_bytes: usize,
    losses: Losses,
    ended: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Before the first keyframe; nothing is lost by that.
    #[default]
    Beginning,
    Flowing,
    /// Access units were lost: none is kept until there is room, and then a keyframe is.
    Behind,
    AwaitingKeyframe,
}

impl Intake {
    /// The queue of a recording that has its keyframe already, and `flows`, or lost what came behind it.
    pub fn begun(flows: bool) -> Self {
        let phase = if flows { Phase::Flowing } else { Phase::Behind };
        Self { state: Mutex::new(State { phase, ..State::default() }), filled: Condvar::new() }
    }

    /// Takes in an access unit, or counts it as lost.
    pub fn offer(&self, mut moment: Moment) -> Answer {
        let mut state = self.lock();
        if state.ended {
            return Answer::Closed;
        }
        let (bytes, is_keyframe) = (moment.bytes(), moment.is_keyframe());
        let fits = state.video_bytes + bytes <= VIDEO_BYTES_MAX;
        let has_room = state.video_bytes + bytes <= VIDEO_BYTES_MAX / 2;
        let (phase, taken) = match state.phase {
            Phase::Beginning if !is_keyframe => return Answer::Fine,
            Phase::Beginning | Phase::Flowing if fits => (Phase::Flowing, true),
            Phase::Behind | Phase::AwaitingKeyframe if has_room && is_keyframe => (Phase::Flowing, true),
            Phase::Behind | Phase::AwaitingKeyframe if has_room => (Phase::AwaitingKeyframe, false),
            _ => (Phase::Behind, false),
        };
        let asks = phase == Phase::AwaitingKeyframe && state.phase == Phase::Behind;
        state.phase = phase;
        if !taken {
            state.losses.video += 1;
            return if asks { Answer::WantsKeyframe } else { Answer::Fine };
        }
        if let Some(depth) = &moment.depth {
            if state.depth_bytes + depth.bytes() > DEPTH_BYTES_MAX {
                moment.depth = None;
                state.losses.depth += 1;
            } else {
                state.depth_bytes += depth.bytes();
            }
        }
        state.video_bytes += bytes;
        state.items.push_back(Item::Moment(moment));
        self.filled.notify_one();
        Answer::Fine
    }

    /// An access unit that cannot be recorded: what follows it needs it.
    pub fn skip(&self) -> Answer {
        let mut state = self.lock();
        if state.ended {
            return Answer::Closed;
        }
        state.losses.damaged += 1;
        if state.phase != Phase::Beginning {
            state.phase = Phase::Behind;
        }
        Answer::Fine
    }

    /// Takes in a body-tracking packet, or counts it as lost. They begin with the video.
    pub fn body(&self, packet: &[u8]) {
        let mut state = self.lock();
        if state.ended || state.phase == Phase::Beginning {
            return;
        }
        if state.body_bytes + packet.len() > BODY_BYTES_MAX {
            state.losses.body += 1;
            return;
        }
        state.body_bytes += packet.len();
        state.items.push_back(Item::Body(packet.to_vec()));
        self.filled.notify_one();
    }

    /// The oldest item, or what there is to say after `patience` without one.
    pub fn take(&self, patience: Duration) -> Taken {
        let state = self.lock();
        let idle = |state: &mut State| state.items.is_empty() && !state.ended;
        let waited = self.filled.wait_timeout_while(state, patience, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.items.pop_front() {
            Some(item) => {
                match &item {
                    Item::Moment(moment) => {
                        state.video_bytes -= moment.bytes();
                        state.depth_bytes -= moment.depth_bytes();
                    }
                    Item::Body(packet) => state.body_bytes -= packet.len(),
                }
                Taken::Item(item)
            }
            None if state.ended => Taken::End,
            None => Taken::Nothing,
        }
    }

    /// Nothing more is taken in; what waits is still to be recorded.
    pub fn end(&self) {
        self.lock().ended = true;
        self.filled.notify_one();
    }

    /// Nothing more is taken in, and what waits is lost.
    pub fn close(&self) {
        let mut state = self.lock();
        state.ended = true;
        for item in std::mem::take(&mut state.items) {
            match item {
                Item::Moment(_) => state.losses.video += 1,
                Item::Body(_) => state.losses.body += 1,
            }
        }
    }

    /// What did not get through so far.
    pub fn losses(&self) -> Losses {
        self.lock().losses
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tools_mcap::{depth::DepthPlane, schema::cvmmap_streamer::depth_map::DepthUnit};

    use super::*;
    use crate::recorder::moment::Depth;

    const NOW: Duration = Duration::ZERO;

    fn taken_bytes(intake: &Intake) -> Option<usize> {
        match intake.take(NOW) {
            Taken::Item(Item::Moment(moment)) => Some(moment.bytes()),
            Taken::Item(Item::Body(packet)) => Some(packet.len()),
            Taken::Nothing | Taken::End => None,
        }
    }

    #[test]
    fn a_recording_begins_with_a_keyframe() {
        let intake = Intake::default();
        intake.body(&[0; 9]);
        assert_eq!(intake.offer(Moment::of_bytes(false, 1)), Answer::Fine);
        assert_eq!(intake.offer(Moment::of_bytes(true, 2)), Answer::Fine);
        assert_eq!(intake.offer(Moment::of_bytes(false, 3)), Answer::Fine);
        intake.body(&[0; 4]);
        assert_eq!([(); 4].map(|()| taken_bytes(&intake)), [Some(2), Some(3), Some(4), None]);
        assert_eq!(intake.losses(), Losses::default());
    }

    #[test]
    fn what_does_not_fit_is_lost_up_to_a_keyframe_that_is_asked_for_once() {
        let intake = Intake::default();
        let third = VIDEO_BYTES_MAX / 3;
        for _ in 0..3 {
            assert_eq!(intake.offer(Moment::of_bytes(true, third)), Answer::Fine);
        }
        assert_eq!(intake.offer(Moment::of_bytes(false, third)), Answer::Fine);
        // There is room for the next ones, and they need the one that was lost.
        assert!(taken_bytes(&intake).is_some());
        assert_eq!(intake.offer(Moment::of_bytes(false, 1)), Answer::Fine);
        assert_eq!(intake.offer(Moment::of_bytes(true, 1)), Answer::Fine);
        assert!(taken_bytes(&intake).is_some());
        assert_eq!(intake.offer(Moment::of_bytes(false, 1)), Answer::WantsKeyframe);
        assert_eq!(intake.offer(Moment::of_bytes(false, 1)), Answer::Fine);
        assert_eq!(intake.offer(Moment::of_bytes(true, 5)), Answer::Fine);
        assert_eq!(intake.offer(Moment::of_bytes(false, 6)), Answer::Fine);
        assert_eq!([(); 4].map(|()| taken_bytes(&intake)), [Some(third), Some(5), Some(6), None]);
        assert_eq!(intake.losses(), Losses { video: 5, ..Losses::default() });
    }

    #[test]
    fn what_follows_a_lost_access_unit_waits_for_a_keyframe() {
        let intake = Intake::default();
        intake.skip();
        assert_eq!(intake.offer(Moment::of_bytes(true, 1)), Answer::Fine);
        intake.skip();
        assert_eq!(intake.offer(Moment::of_bytes(false, 2)), Answer::WantsKeyframe);
        assert_eq!(intake.offer(Moment::of_bytes(true, 3)), Answer::Fine);
        assert_eq!([(); 3].map(|()| taken_bytes(&intake)), [Some(1), Some(3), None]);
        assert_eq!(intake.losses(), Losses { damaged: 2, video: 1, ..Losses::default() });
    }

    #[test]
    fn depth_that_does_not_fit_costs_no_video() {
        gst::init().unwrap();
        let intake = Intake::default();
        let half = DEPTH_BYTES_MAX / 2;
        for _ in 0..3 {
            let buffer = gst::Buffer::with_size(half).unwrap();
            let depth = DepthPlane::new(buffer, half as u32 / 4, 1, DepthUnit::Meter).map(Depth::Plane);
            assert_eq!(intake.offer(Moment { depth, ..Moment::of_bytes(true, 1) }), Answer::Fine);
        }
        assert_eq!([(); 3].map(|()| taken_bytes(&intake)), [Some(1); 3]);
        assert_eq!(intake.losses(), Losses { depth: 1, ..Losses::default() });
    }

    #[test]
    fn bodies_are_bounded() {
        let intake = Intake::default();
        intake.offer(Moment::of_bytes(true, 1));
        intake.body(&vec![0; BODY_BYTES_MAX]);
        intake.body(&[0]);
        assert_eq!(intake.losses(), Losses { body: 1, ..Losses::default() });
    }

    #[test]
    fn what_waits_goes_before_the_end() {
        let intake = Intake::default();
        intake.offer(Moment::of_bytes(true, 1));
        intake.end();
        assert_eq!(intake.offer(Moment::of_bytes(true, 2)), Answer::Closed);
        assert_eq!(taken_bytes(&intake), Some(1));
        assert!(matches!(intake.take(Duration::MAX), Taken::End));
        let intake = Intake::default();
        intake.offer(Moment::of_bytes(true, 1));
        intake.close();
        assert!(matches!(intake.take(Duration::MAX), Taken::End));
        assert_eq!(intake.losses(), Losses { video: 1, ..Losses::default() });
    }
}
