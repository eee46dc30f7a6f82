//! The way of a frame from its announcement to `create()`.

pub(super) mod follower;
pub(super) mod frame_queue;
mod meeting;
pub(super) mod sequence;
mod stall;
pub(super) mod turns;
#[cfg(test)]
mod turns_model;
#[cfg(test)]
mod turns_states;

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use cvmmap::{Address, Coherence};

use self::{
    follower::{Captured, Failure, Follower, Shared},
    frame_queue::FrameQueue,
    turns::{Popped, Turns},
};
use super::{buffers::canvas::Canvases, planes::plane::PlaneSettings, stats::Stats};

/// A producer that is followed; dropping it ends that.
pub(crate) struct Ingest {
    turns: Arc<Turns>,
    thread: Option<JoinHandle<()>>,
}

impl Ingest {
    /// Connects to the producer and starts to follow it, paused.
    pub(crate) fn start(
        address: &Address,
        coherence: Coherence,
        queue_size: u32,
        planes: PlaneSettings,
        stall_timeout: Option<Duration>,
        stats: Arc<Stats>,
        element: &gst::Element,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(stats));
        let told = Arc::clone(&shared);
        let follower = Follower::start(address, coherence, queue_size, planes, stall_timeout, told, element)?;
        let (create, behind) = (follower.subscriber.front(), follower.subscriber.behind());
        let turns = Arc::new(Turns::new(shared, follower, create, behind));
        let behind = Arc::clone(&turns);
        let thread = thread::Builder::new().name("cvmmap-ingest".to_owned()).spawn(move || behind.run())?;
        Ok(Self { turns, thread: Some(thread) })
    }

    /// The next frame. It is waited for as long as `timeout` says, or for ever, but not while paused.
    pub(crate) fn pop(&self, timeout: Option<Duration>) -> Popped<Captured> {
        self.turns.wait(timeout, FrameQueue::pop)
    }

    /// Like [`Ingest::pop`], and looks at the frame only.
    pub(crate) fn peek<R>(&self, timeout: Option<Duration>, look: impl Fn(&Captured) -> R) -> Popped<R> {
        self.turns.wait(timeout, |queue| queue.peek(&look))
    }

    /// Whether a frame is of the session that plays now.
    pub(crate) fn is_current(&self, frame: &Captured) -> bool {
        self.turns.shared().queue.session() == Some(frame.session)
    }

    /// Where pictures are put.
    pub(crate) fn canvases(&self) -> &Canvases {
        &self.turns.shared().canvases
    }

    /// While flushing, [`Ingest::pop`] does not wait.
    pub(crate) fn set_flushing(&self, flushing: bool) {
        self.turns.shared().queue.set_flushing(flushing);
        self.turns.wake_create();
    }

    /// Throws away the frames that wait; see [`FrameQueue::discard`].
    pub(crate) fn discard(&self) {
        self.turns.shared().queue.discard();
    }

    /// Ends the stream behind the frames that wait.
    pub(crate) fn end(&self) {
        self.turns.shared().queue.fail(Failure::Left);
        self.turns.wake_create();
    }

    /// Frames are copied only while playing; see [`FrameQueue::set_playing`].
    pub(crate) fn set_playing(&self, playing: bool) {
        self.turns.shared().queue.set_playing(playing);
        self.turns.wake_create();
        // It is the one that looks whether nothing comes.
        self.turns.wake_behind();
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.turns.end();
        if let Some(thread) = self.thread.take() {
            // Its panic was caught and reported already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use gst::prelude::*;

    use super::*;

    /// Follows a producer that does not come.
    fn waiting(playing: bool) -> Ingest {
        gst::init().unwrap();
        let address = Address::new("nobody", "ipc://@nobody", None).unwrap();
        let element = gst::Pipeline::new().upcast::<gst::Element>();
        let planes = PlaneSettings::default();
        let ingest = Ingest::start(&address, Coherence::Metadata, 1, planes, None, Arc::default(), &element).unwrap();
        ingest.set_playing(playing);
        ingest
    }

    /// What a wait gives, when something is done while it lasts or right before.
    fn popped(ingest: &Ingest, timeout: Option<Duration>, meanwhile: impl FnOnce()) -> Popped<Captured> {
        thread::scope(|scope| {
            let (starting, started) = std::sync::mpsc::channel();
            let waiter = scope.spawn(move || {
                starting.send(()).unwrap();
                ingest.pop(timeout)
            });
            started.recv().unwrap();
            thread::yield_now();
            meanwhile();
            waiter.join().unwrap()
        })
    }

    #[test]
    fn flushing_ends_a_wait() {
        let ingest = waiting(true);
        assert!(matches!(popped(&ingest, None, || ingest.set_flushing(true)), Popped::Flushing));
        assert!(matches!(ingest.pop(None), Popped::Flushing), "until it is taken back");
        ingest.set_flushing(false);
        assert!(matches!(ingest.pop(Some(Duration::from_millis(1))), Popped::TimedOut));
    }

    #[test]
    fn the_end_ends_a_wait() {
        let ingest = waiting(true);
        assert!(matches!(popped(&ingest, None, || ingest.end()), Popped::Failed(Failure::Left)));
    }

    #[test]
    fn a_pause_ends_a_wait() {
        let ingest = waiting(true);
        assert!(matches!(popped(&ingest, None, || ingest.set_playing(false)), Popped::Paused));
        assert!(matches!(ingest.pop(Some(Duration::ZERO)), Popped::Paused), "and does not count as one");
    }

    #[test]
    fn a_panic_is_told_as_a_failure_and_ends_the_following() {
        let ingest = waiting(true);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let caught = ingest.turns.guarded(|| panic!("in the middle of a frame"));
        std::panic::set_hook(hook);
        assert!(!caught);
        let Popped::Failed(Failure::Ingest(why)) = ingest.pop(None) else { panic!("not told") };
        assert!(why.contains("panicked"), "{why}");
    }
}
