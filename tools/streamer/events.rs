//! What the main loop hears: signals, timers, and what pipelines say.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use gst::{glib, prelude::*};

/// SIGINT and SIGTERM. Source: signal(7).
const SIGNALS: [i32; 2] = [2, 15];

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
    signals: Vec<glib::SourceId>,
}

type Heard = Rc<RefCell<VecDeque<Event>>>;

impl Events {
    /// Hears signals from now on.
    pub fn new() -> Self {
        let heard = Heard::default();
        let signals = SIGNALS
            .map(|signal| {
                let heard = Rc::clone(&heard);
                glib_unix::unix_signal_add_local(signal, move || {
                    heard.borrow_mut().push_back(Event::Signal);
                    glib::ControlFlow::Continue
                })
            })
            .into();
        Self { heard, signals }
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
