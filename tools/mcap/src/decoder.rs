//! The picture of each access unit, by GStreamer.

use cvmmap::Codec;
use gst_video::prelude::*;
use tools_cli::failure::Failure;
use tools_media::{codec, elements};

use crate::schema::foxglove::CompressedVideo;

/// A decoder that takes longer than this for a picture gives none.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// The codec that a recording calls so.
pub fn codec_named(format: &str) -> Option<Codec> {
    // Some recorders have FFmpeg's name.
    let name = if format == "hevc" { Codec::H265.name() } else { format };
    [Codec::H264, Codec::H265].into_iter().find(|codec| codec.name() == name)
}

/// The codec of an access unit; what cannot be decoded either way counts as H.265.
pub fn codec_of(video: &CompressedVideo) -> Codec {
    codec_named(&video.format).unwrap_or(Codec::H265)
}

/// A decoded picture in BGR.
#[derive(Debug)]
pub struct Picture {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row to the next.
    pub stride: u32,
    /// The rows.
    pub frame: gst_video::VideoFrame<gst_video::video_frame::Readable>,
}

/// Decodes one access unit after the other.
#[derive(Debug)]
pub struct Decoder {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
    fed: u64,
}

impl Decoder {
    /// A decoder for `h264` or `h265`.
    ///
    /// # Errors
    /// [`Failure::Protocol`] for another format, [`Failure::Pipeline`] when there is no decoder.
    pub fn new(format: &str) -> Result<Self, Failure> {
        let unknown = || Failure::Protocol(format!("video of format '{format}' cannot be decoded"));
        let codec = codec_named(format).ok_or_else(unknown)?;
        let wrong = |what| move |_| Failure::Pipeline(format!("the element '{what}' is not GStreamer's"));
        let source = elements::make("appsrc")?.downcast::<gst_app::AppSrc>().map_err(wrong("appsrc"))?;
        source.set_caps(Some(&codec::byte_stream(codec)));
        source.set_format(gst::Format::Time);
        let (parser, decoder) = (elements::make(codec::parser(codec))?, elements::make(codec::decoder(codec))?);
        // More threads keep frames back.
        decoder.set_property("max-threads", 1);
        let convert = elements::make("videoconvert")?;
        let sink = elements::make("appsink")?.downcast::<gst_app::AppSink>().map_err(wrong("appsink"))?;
        sink.set_caps(Some(&gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::Bgr).build()));
        sink.set_property("sync", false);
        let pipeline = gst::Pipeline::new();
        elements::add_chain(&pipeline, &[source.upcast_ref(), &parser, &decoder, &convert, sink.upcast_ref()])?;
        pipeline
            .set_state(gst::State::Playing)
            .map_err(|refused| Failure::Pipeline(format!("the decoder does not start: {refused}")))?;
        Ok(Self { pipeline, source, sink, fed: 0 })
    }

    /// The picture of the next access unit, which every one has to give at once: recordings hold no B-frames.
    ///
    /// # Errors
    /// [`Failure::Protocol`] when it gives none.
    pub fn decode(&mut self, unit: Vec<u8>) -> Result<Picture, Failure> {
        let mut buffer = gst::Buffer::from_mut_slice(unit);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_mseconds(self.fed));
        }
        self.fed += 1;
        // Refused by a decoder that is broken: it gives no picture then.
        let _ = self.source.push_buffer(buffer);
        let no_picture = || {
            let error = self.pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
            let why = error.as_ref().map(|error| match error.view() {
                gst::MessageView::Error(error) => error.error().to_string(),
                _ => String::new(),
            });
            let why = why.unwrap_or_else(|| "it is damaged, or the recording has B-frames".to_owned());
            Failure::Protocol(format!("access unit {} gives no picture: {why}", self.fed))
        };
        let sample = self.sink.try_pull_sample(PATIENCE).ok_or_else(no_picture)?;
        let info = sample.caps().and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok()).ok_or_else(no_picture)?;
        let buffer = sample.buffer_owned().ok_or_else(no_picture)?;
        let frame = gst_video::VideoFrame::from_buffer_readable(buffer, &info).map_err(|_| no_picture())?;
        let stride = u32::try_from(frame.plane_stride()[0]).map_err(|_| no_picture())?;
        Ok(Picture { width: info.width(), height: info.height(), stride, frame })
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // Nothing is left to be told a failure to stop.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
