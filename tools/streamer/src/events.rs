//! What the main loop hears: signals, timers, and what pipelines say.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use gst::{glib, prelude::*};
use tools_cli::signals;

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

/// Events in their order. Signals are heard from its making on.
#[derive(Debug)]
pub struct Events {
    heard: Heard,
    /// Signals so far.
    told_to_end: Rc<Cell<u32>>,
    signals: Vec<glib::SourceId>,
}

type Heard = Rc<RefCell<VecDeque<Event>>>;

impl Events {
    /// Hears signals from now on.
    pub fn new() -> Self {
        let heard = Heard::default();
        let told_to_end = Rc::<Cell<u32>>::default();
        let hear = |signal| {
            let (heard, told_to_end) = (Rc::clone(&heard), Rc::clone(&told_to_end));
            glib_unix::unix_signal_add_local(signal, move || {
                told_to_end.set(told_to_end.get().saturating_add(1));
                heard.borrow_mut().push_back(Event::Signal);
                glib::ControlFlow::Continue
            })
        };
        let signals = signals::ending().into_iter().map(hear).collect();
        Self { heard, told_to_end, signals }
    }

    /// Does something that may take long, in a thread of its own, while signals are heard. `patience` is asked how much
    /// longer it is waited for, after so many signals; `None` when that was not enough. The work is left to itself then.
    pub fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        patience: impl Fn(u32) -> Duration,
    ) -> Option<T> {
        let (tell, told) = mpsc::channel();
        // Nobody listens to what comes too late.
        thread::spawn(move || drop(tell.send(work())));
        let context = glib::MainContext::default();
        let _looks = Ticks(Some(glib::timeout_add_local(LOOK, || glib::ControlFlow::Continue)));
        let mut signals = self.told_to_end.get();
        let mut until = Instant::now() + patience(signals);
        loop {
            match told.try_recv() {
                Ok(done) => return Some(done),
                Err(mpsc::TryRecvError::Disconnected) => return None,
                Err(mpsc::TryRecvError::Empty) => {}
            }
            if self.told_to_end.get() != signals {
                signals = self.told_to_end.get();
                until = Instant::now() + patience(signals);
            }
            if Instant::now() >= until {
                return None;
            }
            context.iteration(true);
        }
    }

    /// Waits for the next one.
    pub fn next(&self) -> Event {
        let context = glib::MainContext::default();
        loop {
            let event = self.heard.borrow_mut().pop_front();
            match event {
                Some(event) => return event,
                None => context.iteration(true),
            };
        }
    }

    /// Ticks, until what it returns is dropped.
    pub fn tick(&self, interval: Duration) -> Ticks {
        let heard = Rc::clone(&self.heard);
        Ticks(Some(glib::timeout_add_local(interval, move || {
            heard.borrow_mut().push_back(Event::Tick);
            glib::ControlFlow::Continue
        })))
    }

    /// One event, after a while.
    pub fn after(&self, time: Duration, event: fn() -> Event) {
        let heard = Rc::clone(&self.heard);
        glib::timeout_add_local_once(time, move || heard.borrow_mut().push_back(event()));
    }

    /// Hears a pipeline, until what it returns is dropped.
    pub fn watch(&self, role: Role, pipeline: &gst::Pipeline) -> Option<gst::bus::BusWatchGuard> {
        let heard = Rc::clone(&self.heard);
        pipeline
            .bus()?
            .add_watch_local(move |_, message| {
                heard.borrow_mut().push_back(Event::Message(role, message.clone()));
                glib::ControlFlow::Continue
            })
            .ok()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        for signal in self.signals.drain(..) {
            signal.remove();
        }
    }
}

/// A timer that ends with its owner.
#[derive(Debug)]
pub struct Ticks(Option<glib::SourceId>);

impl Drop for Ticks {
    fn drop(&mut self) {
        if let Some(source) = self.0.take() {
            source.remove();
        }
    }
}
