//! `turns.rs` in the orders that its threads can come in: loom runs the very file, with a socket, lookouts and a follower
//! of its own around it.
//!
//! No wait of this world ends by itself, but for the one that it is about: a wake-up that is lost is a deadlock, which loom
//! reports. What the kernel does is written from epoll(7) and epoll_ctl(2): a lookout that is told of something stays told
//! for as long as there is something; of those who wait exclusively for one descriptor the first is told and woken, and
//! those behind it are not even told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use loom::thread;

use self::{
    follower::{Failure, Follower, Shared},
    frame_queue::FrameQueue,
    meeting::{Lookout, Socket},
    turns::{Popped, Turns},
};

// The source compiles it with the real things around it.
#[allow(clippy::duplicate_mod)]
#[path = "turns.rs"]
mod turns;

/// What comes to the socket.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    /// The announcement of a frame.
    Frame(u32),
    /// The producer closed the connection; it is made anew when the follower looks again.
    Gone,
}

mod meeting {
    use std::{collections::VecDeque, io, mem, sync::Arc, time::Duration};

    use loom::sync::{Condvar, MutexGuard};
    pub(super) use loom::sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    };

    use super::Event;

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    pub(super) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
        mutex.try_lock().ok()
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Seen {
        Change,
        Woken,
        Nothing,
    }

    /// What the kernel knows.
    #[derive(Default)]
    struct Kernel {
        unread: VecDeque<Event>,
        /// What waits for the next connection, while this one is closed.
        next_connection: Option<VecDeque<Event>>,
        places: [Place; 2],
    }

    /// A lookout, as the kernel knows it.
    #[derive(Clone, Copy, Default)]
    struct Place {
        /// The socket is on its list of what is ready.
        is_told: bool,
        /// Somebody waits there for what comes.
        is_waited_at: bool,
        is_woken: bool,
    }

    /// The socket, and whom it wakes.
    pub(super) struct Socket {
        kernel: Mutex<Kernel>,
        changed: [Condvar; 2],
    }

    impl Socket {
        pub(super) fn new() -> Arc<Self> {
            Arc::new(Self { kernel: Mutex::default(), changed: [Condvar::new(), Condvar::new()] })
        }

        /// Something comes.
        pub(super) fn receive(&self, event: Event) {
            let mut kernel = lock(&self.kernel);
            if let Some(later) = &mut kernel.next_connection {
                later.push_back(event);
                return;
            }
            kernel.unread.push_back(event);
            if event == Event::Gone {
                kernel.next_connection = Some(VecDeque::new());
            }
            for (place, changed) in kernel.places.iter_mut().zip(&self.changed) {
                place.is_told = true;
                if mem::take(&mut place.is_waited_at) {
                    changed.notify_one();
                    break;
                }
            }
        }

        /// Everything that came so far.
        pub(super) fn read_all(&self) -> Vec<Event> {
            lock(&self.kernel).unread.drain(..).collect()
        }

        pub(super) fn has_unread(&self) -> bool {
            !lock(&self.kernel).unread.is_empty()
        }

        /// Connects anew: what is watched is looked at when it is added.
        pub(super) fn connect(&self) {
            let mut kernel = lock(&self.kernel);
            kernel.unread = kernel.next_connection.take().unwrap_or_default();
            let is_ready = !kernel.unread.is_empty();
            for (place, changed) in kernel.places.iter_mut().zip(&self.changed) {
                place.is_told = is_ready;
                if is_ready && mem::take(&mut place.is_waited_at) {
                    changed.notify_one();
                }
            }
        }
    }

    pub(super) struct Lookout {
        socket: Arc<Socket>,
        at: usize,
    }

    pub(super) struct Waker<'a>(&'a Lookout);

    impl Lookout {
        pub(super) fn new(socket: &Arc<Socket>, at: usize) -> Arc<Self> {
            Arc::new(Self { socket: Arc::clone(socket), at })
        }

        pub(super) fn waker(&self) -> Waker<'_> {
            Waker(self)
        }

        /// A time that is near comes at once, one that is far never.
        pub(super) fn wait(&self, longest: Option<Duration>) -> io::Result<Seen> {
            let mut kernel = lock(&self.socket.kernel);
            loop {
                let is_ready = !kernel.unread.is_empty();
                let place = &mut kernel.places[self.at];
                place.is_told &= is_ready;
                if place.is_told {
                    return Ok(Seen::Change);
                }
                if mem::take(&mut place.is_woken) {
                    return Ok(Seen::Woken);
                }
                if longest.is_some_and(|longest| longest < super::FAR / 2) {
                    return Ok(Seen::Nothing);
                }
                place.is_waited_at = true;
                kernel = self.socket.changed[self.at].wait(kernel).unwrap();
                kernel.places[self.at].is_waited_at = false;
            }
        }

        pub(super) fn stand_aside(&self, _longest: Option<Duration>) -> io::Result<Seen> {
            let mut kernel = lock(&self.socket.kernel);
            while !mem::take(&mut kernel.places[self.at].is_woken) {
                kernel = self.socket.changed[self.at].wait(kernel).unwrap();
            }
            Ok(Seen::Woken)
        }
    }

    impl Waker<'_> {
        pub(super) fn wake(&self) {
            let mut kernel = lock(&self.0.socket.kernel);
            kernel.places[self.0.at].is_woken = true;
            self.0.socket.changed[self.0.at].notify_one();
        }
    }
}

/// A time that does not come.
const FAR: Duration = Duration::from_secs(1 << 20);

mod follower {
    use super::{Arc, Event, Instant, frame_queue::FrameQueue, meeting::Socket};

    pub(super) type Captured = u32;

    #[derive(Clone, Debug)]
    pub(super) enum Failure {
        Ingest(String),
    }

    impl Failure {
        pub(super) fn waiting(error: std::io::Error) -> Self {
            Self::Ingest(error.to_string())
        }
    }

    pub(super) struct Shared {
        pub(super) queue: FrameQueue<Captured, Failure>,
    }

    /// Takes the newest frame of those that came, as the real one does.
    pub(super) struct Follower {
        pub(super) shared: Arc<Shared>,
        pub(super) subscriber: Subscriber,
        pub(super) last: u32,
    }

    pub(super) struct Subscriber {
        pub(super) socket: Arc<Socket>,
        pub(super) began: Instant,
        /// That time, or one that does not come.
        pub(super) look_again_at: Instant,
    }

    impl Follower {
        pub(super) fn look_again_at(&self) -> Instant {
            self.subscriber.look_again_at
        }

        pub(super) fn follow(&mut self) -> Result<bool, Failure> {
            let subscriber = &mut self.subscriber;
            if subscriber.look_again_at == subscriber.began {
                subscriber.look_again_at += super::FAR;
                subscriber.socket.connect();
            }
            let mut newest = None;
            for event in subscriber.socket.read_all() {
                match event {
                    Event::Frame(frame) => newest = Some(frame),
                    Event::Gone => subscriber.look_again_at = subscriber.began,
                }
            }
            if let Some(frame) = newest {
                assert!(frame > self.last, "frame {frame} was taken again");
                self.last = frame;
                self.shared.queue.push(frame);
            }
            Ok(subscriber.socket.has_unread())
        }
    }
}

mod frame_queue {
    use super::meeting::{Mutex, lock};

    #[derive(Debug, PartialEq, Eq)]
    #[allow(dead_code)]
    pub(super) enum Next<T, E> {
        Frame(T),
        Nothing,
        Paused,
        Flushing,
        Failed(E),
    }

    /// Room for one, and the newest wins.
    pub(super) struct FrameQueue<T, E>(Mutex<(Option<T>, bool, Option<E>)>);

    impl<T, E: Clone> FrameQueue<T, E> {
        pub(super) fn new() -> Self {
            Self(Mutex::new((None, false, None)))
        }

        pub(super) fn push(&self, frame: T) {
            lock(&self.0).0 = Some(frame);
        }

        pub(super) fn pop(&self) -> Next<T, E> {
            let (frame, is_flushing, failure) = &mut *lock(&self.0);
            if *is_flushing {
                return Next::Flushing;
            }
            match (frame.take(), failure) {
                (Some(frame), _) => Next::Frame(frame),
                (None, Some(failure)) => Next::Failed(failure.clone()),
                (None, None) => Next::Nothing,
            }
        }

        pub(super) fn has_frames(&self) -> bool {
            lock(&self.0).0.is_some()
        }

        pub(super) fn set_flushing(&self) {
            lock(&self.0).1 = true;
        }

        pub(super) fn fail(&self, why: E) {
            lock(&self.0).2.get_or_insert(why);
        }
    }
}

/// Two threads that follow by turns.
fn turns(socket: &Arc<Socket>) -> Arc<Turns> {
    let shared = Arc::new(Shared { queue: FrameQueue::<u32, Failure>::new() });
    let began = Instant::now();
    let subscriber = follower::Subscriber { socket: Arc::clone(socket), began, look_again_at: began + FAR };
    let follower = Follower { shared: Arc::clone(&shared), subscriber, last: 0 };
    Arc::new(Turns::new(shared, follower, Lookout::new(socket, 0), Lookout::new(socket, 1)))
}

/// The orders to run them in: those in which at most three times a thread has to stop where it could go on. Every one there is
/// takes hours; `turns_states.rs` goes through them without the file itself.
fn model() -> loom::model::Builder {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(3));
    model
}

/// Runs the threads in every order: these events come, and `create()` asks for frames until it has the last.
fn explore(events: &'static [Event]) {
    let last = events.iter().filter(|event| matches!(event, Event::Frame(_))).count() as u32;
    model().check(move || {
        let socket = Socket::new();
        let turns = turns(&socket);
        let behind = thread::spawn({
            let turns = Arc::clone(&turns);
            move || turns.run()
        });
        let producer = thread::spawn(move || events.iter().for_each(|event| socket.receive(*event)));
        let mut before = 0;
        while before < last {
            let frame = match turns.wait(None, FrameQueue::pop) {
                Popped::Frame(frame) => frame,
                Popped::Failed(Failure::Ingest(why)) => panic!("{why}"),
                other => panic!("{other:?}"),
            };
            assert!(frame > before, "frame {frame} after {before}");
            before = frame;
        }
        turns.end();
        producer.join().unwrap();
        behind.join().unwrap();
    });
}

#[test]
fn the_newest_frame_comes_and_none_comes_twice() {
    explore(&[Event::Frame(1)]);
    explore(&[Event::Frame(1), Event::Frame(2)]);
}

#[test]
fn a_connection_that_is_lost_is_made_anew() {
    explore(&[Event::Gone, Event::Frame(1)]);
}

#[test]
fn a_flush_ends_a_wait_while_frames_come() {
    model().check(|| {
        let socket = Socket::new();
        let turns = turns(&socket);
        let behind = thread::spawn({
            let turns = Arc::clone(&turns);
            move || turns.run()
        });
        let flush = thread::spawn({
            let turns = Arc::clone(&turns);
            move || {
                socket.receive(Event::Frame(1));
                turns.shared().queue.set_flushing();
                turns.wake_create();
            }
        });
        while let Popped::Frame(_) = turns.wait(None, FrameQueue::pop) {}
        turns.end();
        flush.join().unwrap();
        behind.join().unwrap();
    });
}
