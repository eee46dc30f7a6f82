//! A pipeline `cvmmapsrc ! appsink`.

use gst::{glib, prelude::*};
use gst_video::prelude::*;

use super::{PATIENCE, init, place::Place, until};

pub struct Player {
    pub pipeline: gst::Pipeline,
    pub src: gst::Element,
    pub sink: gst_app::AppSink,
}

/// A buffer that came out, taken apart.
#[derive(Debug)]
pub struct Got {
    pub id: u64,
    pub pts: u64,
    pub discont: bool,
    /// The producer's timestamp.
    pub stamp: Option<u64>,
    pub info: gst_video::VideoInfo,
    pub rows: Vec<Vec<u8>>,
    pub buffer: gst::Buffer,
    pub caps: gst::Caps,
}

impl Player {
    pub fn new(place: &Place) -> Self {
        Self::with(place, &[])
    }

    /// A player whose source has more properties set.
    pub fn with(place: &Place, properties: &[(&str, u64)]) -> Self {
        init();
        let src = gst::ElementFactory::make("cvmmapsrc").property("uri", place.uri()).build().unwrap();
        for (name, value) in properties {
            src.set_property_from_str(name, &value.to_string());
        }
        Self::of(src, &gst::Caps::new_any())
    }

    /// A player of one plane, with more properties set.
    pub fn of_plane(place: &Place, plane: &str, properties: &[(&str, &str)]) -> Self {
        init();
        let src = gst::ElementFactory::make("cvmmapsrc").property("uri", place.uri()).build().unwrap();
        for (name, value) in [("plane", plane)].iter().chain(properties) {
            src.set_property_from_str(name, value);
        }
        Self::of(src, &gst::Caps::new_any())
    }

    /// A player of this source, with a caps filter.
    pub fn of(src: gst::Element, filter: &gst::Caps) -> Self {
        // The producers of these tests publish when told to: there is no cadence to go by.
        src.set_property_from_str("coherence", "metadata");
        let pipeline = gst::Pipeline::new();
        let filter = gst::ElementFactory::make("capsfilter").property("caps", filter).build().unwrap();
        let sink = gst_app::AppSink::builder().sync(false).async_(false).build();
        pipeline.add_many([&src, &filter, sink.upcast_ref()]).unwrap();
        gst::Element::link_many([&src, &filter, sink.upcast_ref()]).unwrap();
        Self { pipeline, src, sink }
    }

    pub fn play(&self) {
        self.pipeline.set_state(gst::State::Playing).unwrap();
    }

    pub fn pause(&self) {
        self.pipeline.set_state(gst::State::Paused).unwrap();
    }

    pub fn pull(&self) -> Got {
        let timeout = gst::ClockTime::try_from(PATIENCE).unwrap();
        match self.sink.try_pull_sample(timeout) {
            Some(sample) => Got::of(&sample),
            None => {
                panic!("no frame; bus: {:?}; {:?}", self.bus().pop_filtered(&[gst::MessageType::Error]), self.stats())
            }
        }
    }

    /// The next sample, whatever it holds.
    pub fn sample(&self) -> gst::Sample {
        let timeout = gst::ClockTime::try_from(PATIENCE).unwrap();
        self.sink.try_pull_sample(timeout).unwrap_or_else(|| {
            panic!("no buffer; bus: {:?}; {:?}", self.bus().pop_filtered(&[gst::MessageType::Error]), self.stats())
        })
    }

    pub fn bus(&self) -> gst::Bus {
        self.pipeline.bus().unwrap()
    }

    /// The first message of a type.
    pub fn message(&self, kind: gst::MessageType) -> gst::Message {
        let timeout = gst::ClockTime::try_from(PATIENCE).unwrap();
        let message = self.bus().timed_pop_filtered(timeout, &[kind, gst::MessageType::Error]);
        let message = message.unwrap_or_else(|| panic!("no {kind:?} message came; {:?}", self.stats()));
        assert_eq!(message.type_(), kind, "{message:?}");
        message
    }

    /// The first error on the bus.
    pub fn error(&self) -> glib::Error {
        match self.message(gst::MessageType::Error).view() {
            gst::MessageView::Error(error) => error.error(),
            _ => unreachable!(),
        }
    }

    /// Asserts that nothing went wrong so far.
    pub fn assert_no_error(&self) {
        let error = self.bus().pop_filtered(&[gst::MessageType::Error]);
        assert!(error.is_none(), "{error:?}");
    }

    pub fn stats(&self) -> gst::Structure {
        self.src.property("stats")
    }

    pub fn stat(&self, name: &str) -> u64 {
        self.stats().get(name).unwrap()
    }

    pub fn wait_stat(&self, name: &str, value: u64) {
        until(&format!("{name} = {value}, {:?}", self.stats()), || self.stat(name) >= value);
        assert_eq!(self.stat(name), value, "{name}");
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Got {
    pub fn of(sample: &gst::Sample) -> Self {
        let buffer = sample.buffer_owned().unwrap();
        let caps = sample.caps_owned().unwrap();
        let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &info).unwrap();
        let stride = frame.plane_stride()[0] as usize;
        let row = info.width() as usize * info.comp_pstride(0) as usize;
        let rows = frame.plane_data(0).unwrap().chunks(stride).take(info.height() as usize);
        let rows = rows.map(|line| line[..row].to_vec()).collect();
        drop(frame);
        let unix = gst::Caps::new_empty_simple("timestamp/x-unix");
        let stamp = buffer.iter_meta::<gst::ReferenceTimestampMeta>().find(|meta| meta.reference() == &*unix);
        Self {
            id: buffer.offset(),
            pts: buffer.pts().unwrap().nseconds(),
            discont: buffer.flags().contains(gst::BufferFlags::DISCONT),
            stamp: stamp.map(|meta| meta.timestamp().nseconds()),
            info,
            rows,
            buffer,
            caps,
        }
    }

    pub fn size(&self) -> (u32, u32) {
        (self.info.width(), self.info.height())
    }
}
