//! A pipeline `cvmmapsrc ! sink` by a clock that the test sets: what a sink waits for comes when the test says so.

use std::cell::RefCell;

use gst::{glib, prelude::*};

use super::{PATIENCE, init, place::Place, producer::Producer, until};

pub struct Stage {
    pub place: Place,
    pub producer: Producer,
    pub pipeline: gst::Pipeline,
    pub src: gst::Element,
    clock: gst_check::TestClock,
    warnings: RefCell<Vec<glib::Error>>,
}

impl Stage {
    /// A stage that plays, and whose source is known to the producer.
    pub fn new(src_properties: &[(&str, &str)], sink: gst::Element) -> Self {
        init();
        let place = Place::new();
        let producer = Producer::new(&place);
        let src = gst::ElementFactory::make("cvmmapsrc").property("uri", place.uri()).build().unwrap();
        // The producer publishes when told to: there is no cadence to go by.
        for (name, value) in [("coherence", "metadata")].iter().chain(src_properties) {
            src.set_property_from_str(name, value);
        }
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([&src, &sink]).unwrap();
        src.link(&sink).unwrap();
        let clock = gst_check::TestClock::new();
        pipeline.use_clock(Some(&clock));
        pipeline.set_state(gst::State::Playing).unwrap();
        producer.await_subscriber();
        Self { place, producer, pipeline, src, clock, warnings: RefCell::default() }
    }

    /// Has time pass until then, if it is not later already, and wakes who waits for that.
    pub fn set_time(&self, time: gst::ClockTime) {
        self.clock.set_time(time.max(self.clock.time()));
        while self.clock.process_next_clock_id().is_some() {}
    }

    /// Publishes a frame and waits until the source has copied it. What it says of its latency goes round meanwhile.
    pub fn pass(&self, publish: impl FnOnce(&Producer)) {
        let received = self.stat("frames-received");
        publish(&self.producer);
        until("the frame was copied", || self.stat("frames-received") > received);
        self.redistribute_latency();
    }

    /// What an application does about latency messages. Warnings are kept.
    pub fn redistribute_latency(&self) {
        let bus = self.pipeline.bus().unwrap();
        while let Some(message) = bus.pop_filtered(&[gst::MessageType::Latency, gst::MessageType::Warning]) {
            match message.view() {
                gst::MessageView::Warning(warning) => self.warnings.borrow_mut().push(warning.error()),
                _ => self.pipeline.recalculate_latency().unwrap(),
            }
        }
    }

    pub fn warnings(&self) -> Vec<glib::Error> {
        self.warnings.borrow().clone()
    }

    pub fn stat(&self, name: &str) -> u64 {
        self.src.property::<gst::Structure>("stats").get(name).unwrap()
    }

    /// Lets time pass until the source has pushed so many frames.
    pub fn drain(&self, pushed: u64) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.stat("frames-pushed") < pushed {
            assert!(std::time::Instant::now() < deadline, "{:?}", self.src.property::<gst::Structure>("stats"));
            self.set_time(self.clock.time() + gst::ClockTime::from_mseconds(10));
            std::thread::yield_now();
        }
    }

    /// Least and most latency of the source.
    pub fn latency(&self) -> (gst::ClockTime, Option<gst::ClockTime>) {
        let mut query = gst::query::Latency::new();
        assert!(self.src.query(&mut query));
        let (live, least, most) = query.result();
        assert!(live);
        (least, most)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
