//! A GStreamer pipeline that decodes, asked for one picture after the other.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use gst::prelude::*;
use tools_cli::{failure::Failure, interrupt};
use tools_media::elements;

use super::stall::{self, Watch};

/// Decoded pictures that wait to be asked for,
const PICTURES_WAITING: u32 = 3;
/// and what waits to be decoded. A decoder of many threads holds more by itself.
const UNITS_WAITING: u64 = 8;

/// Decodes a stream in its own threads, a few pictures ahead.
#[derive(Debug)]
pub struct Decoder {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    watch: Watch,
    /// Why there was no more to decode.
    feed_failure: Arc<Mutex<Option<Failure>>>,
}

impl Decoder {
    /// Decodes what `feed` gives, in a thread of its own, until it gives none.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when GStreamer lacks an element.
    pub fn fed<F>(caps: &gst::Caps, mut feed: F) -> Result<Self, Failure>
    where
        F: FnMut() -> Result<Option<gst::Buffer>, Failure> + Send + 'static,
    {
        let source: gst_app::AppSrc = elements::make_app("appsrc")?;
        source.set_caps(Some(caps));
        source.set_format(gst::Format::Time);
        source.set_max_bytes(0);
        source.set_max_buffers(UNITS_WAITING);
        source.set_block(true);
        let decoder = Self::new(source.upcast_ref(), "decodebin", is_raw)?;
        let failure = Arc::clone(&decoder.feed_failure);
        thread::spawn(move || {
            loop {
                match feed() {
                    Ok(Some(buffer)) => {
                        // Refused by a pipeline that is being stopped, or broke: its message says so.
                        if source.push_buffer(buffer).is_err() {
                            break;
                        }
                    }
                    Ok(None) => break,
                    Err(failed) => {
                        *failure.lock().expect("nobody panics with it") = Some(failed);
                        break;
                    }
                }
            }
            let _ = source.end_of_stream();
        });
        decoder.play()
    }

    /// Decodes the first video of a file.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when GStreamer lacks an element.
    pub fn file(path: &Path) -> Result<Self, Failure> {
        Self::new(&file_source(path)?, "decodebin", is_raw)?.play()
    }

    /// The first video of a file as it is stored.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when GStreamer lacks an element.
    pub fn units_of(path: &Path) -> Result<Self, Failure> {
        Self::new(&file_source(path)?, "parsebin", is_picture)?.play()
    }

    fn new(source: &gst::Element, bin: &str, is_wanted: fn(&gst::StructureRef) -> bool) -> Result<Self, Failure> {
        let decode = elements::make(bin)?;
        let sink: gst_app::AppSink = elements::make_app("appsink")?;
        sink.set_max_buffers(PICTURES_WAITING);
        sink.set_property("sync", false);
        if bin == "decodebin" {
            sink.set_caps(Some(&gst::Caps::new_empty_simple("video/x-raw")));
        }
        let pipeline = gst::Pipeline::new();
        elements::add_chain(&pipeline, &[source, &decode])?;
        pipeline.add(&sink).map_err(|error| Failure::Pipeline(format!("the pipeline cannot be assembled: {error}")))?;
        let to = elements::pad(sink.upcast_ref(), "sink");
        decode.connect_pad_added(move |_, pad| {
            // The first video; of anything else, there is nothing to show.
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            if !to.is_linked() && caps.structure(0).is_some_and(is_wanted) {
                let _ = pad.link(&to);
            }
        });
        pipeline.connect_deep_element_added(|_, _, element| {
            // Pictures that the decoder still looks at would be copied into fresh memory each: the kernel clears it first.
            if element.find_property("direct-rendering").is_some() {
                element.set_property("direct-rendering", false);
            }
            // Pictures that cannot be decoded are counted by whoever misses them.
            if element.find_property("max-errors").is_some_and(|property| property.value_type() == i32::static_type()) {
                element.set_property("max-errors", -1);
            }
        });
        let watch = Watch::default();
        watch.over(&elements::pad(source, "src"));
        watch.over(&elements::pad(sink.upcast_ref(), "sink"));
        Ok(Self { pipeline, sink, watch, feed_failure: Arc::default() })
    }

    fn play(self) -> Result<Self, Failure> {
        if self.pipeline.set_state(gst::State::Playing).is_err() {
            let said = self.bus().pop_filtered(&[gst::MessageType::Error]);
            return Err(match said.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Error(error)) => complaint(error),
                _ => Failure::Pipeline("it cannot be decoded: the decoder does not start".to_owned()),
            });
        }
        Ok(self)
    }

    fn bus(&self) -> gst::Bus {
        self.pipeline.bus().expect("a pipeline has a bus")
    }

    /// The next picture; none at the end.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when the stream cannot be decoded, what the feed failed with, or [`Failure::Interrupted`].
    pub fn next(&mut self) -> Result<Option<gst::Sample>, Failure> {
        loop {
            let tick = gst::ClockTime::from_mseconds(interrupt::TICK.as_millis() as u64);
            if let Some(sample) = self.sink.try_pull_sample(tick) {
                return Ok(Some(sample));
            }
            interrupt::check()?;
            if let Some(failure) = self.feed_failure.lock().expect("nobody panics with it").take() {
                return Err(failure);
            }
            match self
                .bus()
                .pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos])
                .as_ref()
                .map(|it| it.view())
            {
                Some(gst::MessageView::Error(error)) => return Err(complaint(error)),
                Some(_) => return Ok(None),
                None if self.sink.is_eos() => return Ok(None),
                None if self.watch.stands(&self.pipeline) => {
                    return Err(Failure::Pipeline("it cannot be decoded: the decoder stands still".to_owned()));
                }
                None => {}
            }
        }
    }

    /// What the file says of itself and has been read.
    pub fn tags(&self) -> Vec<gst::TagList> {
        let pad = elements::pad(self.sink.upcast_ref(), "sink");
        (0..).map_while(|at| pad.sticky_event::<gst::event::Tag>(at)).map(|event| event.tag_owned()).collect()
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        stall::stop(&self.pipeline);
    }
}

fn file_source(path: &Path) -> Result<gst::Element, Failure> {
    let source = elements::make("filesrc")?;
    source.set_property("location", path);
    Ok(source)
}

/// In the computer's own memory.
fn is_raw(form: &gst::StructureRef) -> bool {
    form.name() == "video/x-raw"
}

fn is_picture(form: &gst::StructureRef) -> bool {
    form.name().starts_with("video/") || form.name().starts_with("image/")
}

fn complaint(error: &gst::message::Error) -> Failure {
    let why = error.error();
    let advice = match why.kind::<gst::CoreError>() {
        Some(gst::CoreError::MissingPlugin) => "; install a decoder for it (Debian: gstreamer1.0-libav)",
        _ => "",
    };
    Failure::Pipeline(format!("it cannot be decoded: {}{advice}", why.message()))
}
