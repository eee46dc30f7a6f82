//! What the main loop of a camera hears: that it is to end, timers, and what pipelines say. Each camera has a loop of its own.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use gst::{glib, prelude::*};

use super::log;

/// The stream is looked after this often.
pub const TICK_MS: u32 = 20;

/// How often it is looked whether work beside the loop is done.
const LOOK: Duration = Duration::from_millis(10);

/// Something that was heard.
#[derive(Debug)]
pub enum Event {
    /// To end.
    Signal,
    /// The time for goodbyes is over.
    GoodbyeOver,
    /// Time to look after the stream.
    Tick,
    /// Time to look at the end of a simulated stream.
    TailTick,
    /// What a pipeline says.
    Message(Role, gst::Message),
}

/// Which pipeline says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The simulated producer.
    Simulator,
    /// The reading of a producer's frames.
    Ingest,
}

/// Events in their order.
#[derive(Clone, Debug)]
pub struct Events {
    context: glib::MainContext,
    heard: Heard,
    /// How often it was told to end.
    told_to_end: Arc<AtomicU32>,
    /// Rounds of the loop so far.
    rounds: Arc<AtomicU64>,
}

impl Events {
    /// Nothing was heard yet.
    pub fn new() -> Self {
        Self {
            context: glib::MainContext::new(),
            heard: Heard::default(),
            told_to_end: Arc::default(),
            rounds: Arc::default(),
        }
    }

    /// Tells the run to end, from any thread; in haste when told again.
    pub fn end(&self) {
        self.told_to_end.fetch_add(1, Ordering::SeqCst);
        self.heard.push(Event::Signal);
        self.context.wakeup();
    }

    /// Rounds of the loop so far: one that lives goes round many times a second.
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Runs `work`, in which pipelines and timers speak to this loop. `None` when it runs already.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        self.context.with_thread_default(work).ok()
    }

    /// Does something that may take long, in a thread of its own, while signals are heard. `patience` is asked how much
    /// longer it is waited for, after so many signals; `None` when that was not enough. The work is left to itself then.
    pub fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        patience: impl Fn(u32) -> Duration,
    ) -> Option<T> {
        let (tell, told) = mpsc::channel();
        let work = log::carried(work);
        // Nobody listens to what comes too late.
        thread::spawn(move || drop(tell.send(work())));
        let _looks = self.timer(LOOK, || {});
        let signals_now = || self.told_to_end.load(Ordering::SeqCst);
        let mut signals = signals_now();
        let mut until = Instant::now() + patience(signals);
        loop {
            match told.try_recv() {
                Ok(done) => return Some(done),
                Err(mpsc::TryRecvError::Disconnected) => return None,
                Err(mpsc::TryRecvError::Empty) => {}
            }
            if signals_now() != signals {
                signals = signals_now();
                until = Instant::now() + patience(signals);
            }
            if Instant::now() >= until {
                return None;
            }
            self.go_round();
        }
    }

    /// Waits for the next one.
    pub fn next(&self) -> Event {
        loop {
            let event = self.heard.queue().pop_front();
            match event {
                Some(event) => return event,
                None => self.go_round(),
            }
        }
    }

    /// Ticks, until what it returns is dropped.
    pub fn tick(&self, interval: Duration) -> Ticks {
        let heard = self.heard.clone();
        self.timer(interval, move || heard.push(Event::Tick))
    }

    /// One event, after a while.
    pub fn after(&self, time: Duration, event: fn() -> Event) {
        let heard = self.heard.clone();
        let hear = move || {
            heard.push(event());
            glib::ControlFlow::Break
        };
        glib::timeout_source_new(time, None, glib::Priority::DEFAULT, hear).attach(Some(&self.context));
    }

    /// Hears a pipeline, until what it returns is dropped.
    pub fn watch(&self, role: Role, pipeline: &gst::Pipeline) -> Option<gst::bus::BusWatchGuard> {
        let heard = self.heard.clone();
        pipeline
            .bus()?
            .add_watch_local(move |_, message| {
                heard.push(Event::Message(role, message.clone()));
                glib::ControlFlow::Continue
            })
            .ok()
    }

    fn timer(&self, interval: Duration, mut ring: impl FnMut() + Send + 'static) -> Ticks {
        let ring = move || {
            ring();
            glib::ControlFlow::Continue
        };
        let source = glib::timeout_source_new(interval, None, glib::Priority::DEFAULT, ring);
        source.attach(Some(&self.context));
        Ticks(source)
    }

    fn go_round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.context.iteration(true);
    }
}

/// What was heard and not looked at yet. Timers hold this, and not the loop, which would then never be freed.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<VecDeque<Event>>>);

impl Heard {
    fn push(&self, event: Event) {
        self.queue().push_back(event);
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A timer that ends with its owner.
#[derive(Debug)]
pub struct Ticks(glib::Source);

impl Drop for Ticks {
    fn drop(&mut self) {
        self.0.destroy();
    }
}
