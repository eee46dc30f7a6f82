//! A video file as pictures, decoded by GStreamer.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use gst::prelude::*;
use gst_video::prelude::*;
use tools_cli::failure::Failure;

/// Decoded pictures that wait to be looked at.
const QUEUE: u32 = 4;

/// A decoder that gives nothing for this long will not go on.
const STALL: Duration = Duration::from_secs(30);

/// How often to look for errors while there is no picture.
const LOOK_EVERY: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// What the demuxer found: whether there is video to wait for.
const UNKNOWN: u8 = 0;
const VIDEO: u8 = 1;
const NO_VIDEO: u8 = 2;

pub struct Decoder {
    path: PathBuf,
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    found: Arc<AtomicU8>,
    size: Option<(u32, u32)>,
}

/// One picture: 8-bit 4:2:0, BT.709 range and matrix whatever the file had, so that files compare.
pub struct Picture {
    pub sample: gst::Sample,
    pub width: u32,
    pub height: u32,
    /// The luma plane without padding.
    pub luma: Vec<u8>,
}

impl Decoder {
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let metadata = std::fs::metadata(path)
            .map_err(|error| Failure::Configuration(format!("{} cannot be read: {error}", path.display())))?;
        if !metadata.is_file() {
            return Err(Failure::Configuration(format!("{} is not a plain file", path.display())));
        }
        let source = make("filesrc")?;
        source.set_property("location", path);
        let decode = make("decodebin")?;
        let convert = make("videoconvert")?;
        let sink = gst_app::AppSink::builder()
            .caps(&gst::Caps::builder("video/x-raw").field("format", "I420").field("colorimetry", "bt709").build())
            .sync(false)
            .max_buffers(QUEUE)
            .build();
        let pipeline = gst::Pipeline::new();
        let broken = |error: &dyn std::fmt::Display| Failure::Pipeline(format!("decoding cannot be started: {error}"));
        pipeline.add_many([&source, &decode, &convert, sink.upcast_ref()]).map_err(|error| broken(&error))?;
        source.link(&decode).map_err(|error| broken(&error))?;
        convert.link(&sink).map_err(|error| broken(&error))?;

        let found = Arc::new(AtomicU8::new(UNKNOWN));
        let video = Arc::clone(&found);
        let target = convert.downgrade();
        decode.connect_pad_added(move |_, pad| {
            let is_video = pad
                .current_caps()
                .and_then(|caps| Some(caps.structure(0)?.name().starts_with("video/")))
                .unwrap_or(false);
            if let Some(sink_pad) = target.upgrade().and_then(|e| e.static_pad("sink"))
                && is_video
                && !sink_pad.is_linked()
                && pad.link(&sink_pad).is_ok()
            {
                video.store(VIDEO, Ordering::Release);
            }
        });
        let done = Arc::clone(&found);
        decode.connect_no_more_pads(move |_| {
            let _ = done.compare_exchange(UNKNOWN, NO_VIDEO, Ordering::AcqRel, Ordering::Acquire);
        });
        let decoder = Self { path: path.to_owned(), pipeline, sink, found, size: None };
        // What goes wrong is on the bus, with more words.
        let _ = decoder.pipeline.set_state(gst::State::Playing);
        Ok(decoder)
    }

    /// The next picture; `None` at the end. All have the size of the first.
    pub fn next_picture(&mut self) -> Result<Option<Picture>, Failure> {
        let Some(sample) = self.next_sample()? else {
            return Ok(None);
        };
        let picture = picture(sample).ok_or_else(|| self.undecodable("a decoded picture cannot be read"))?;
        let size = (picture.width, picture.height);
        let first = *self.size.get_or_insert(size);
        if first != size {
            return Err(
                self.undecodable(&format!("the size changes from {}x{} to {}x{}", first.0, first.1, size.0, size.1))
            );
        }
        Ok(Some(picture))
    }

    fn next_sample(&mut self) -> Result<Option<gst::Sample>, Failure> {
        let started = Instant::now();
        loop {
            if let Some(sample) = self.sink.try_pull_sample(LOOK_EVERY) {
                return Ok(Some(sample));
            }
            if self.found.load(Ordering::Acquire) == NO_VIDEO {
                return Err(self.undecodable("there is no video in it"));
            }
            if let Some(failure) = self.error_on_bus() {
                return Err(failure);
            }
            if self.sink.is_eos() {
                return Ok(None);
            }
            if started.elapsed() > STALL {
                return Err(self.undecodable("the decoder gives nothing any more"));
            }
        }
    }

    fn error_on_bus(&self) -> Option<Failure> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        let gst::MessageView::Error(error) = message.view() else {
            return None;
        };
        let text = error.error();
        if text.matches(gst::CoreError::MissingPlugin) {
            return Some(Failure::Pipeline(format!("{} cannot be decoded: {text}", self.path.display())));
        }
        Some(self.undecodable(&text.to_string()))
    }

    fn undecodable(&self, text: &str) -> Failure {
        Failure::Protocol(format!("{} cannot be decoded: {text}", self.path.display()))
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn picture(sample: gst::Sample) -> Option<Picture> {
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let (width, height) = (info.width(), info.height());
    let luma = {
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
        let stride = usize::try_from(*frame.plane_stride().first()?).ok()?;
        let plane = frame.plane_data(0).ok()?;
        plane
            .chunks(stride)
            .take(height as usize)
            .flat_map(|row| row.iter().take(width as usize).copied())
            .collect::<Vec<u8>>()
    };
    (luma.len() == width as usize * height as usize).then_some(Picture { sample, width, height, luma })
}

fn make(factory: &str) -> Result<gst::Element, Failure> {
    gst::ElementFactory::make(factory)
        .build()
        .map_err(|_| Failure::Pipeline(format!("there is no GStreamer element {factory}")))
}
