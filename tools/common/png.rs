//! Pictures as PNG, by GStreamer's encoder.

use gst::prelude::*;

use super::{elements, failure::Failure};

/// A picture that takes longer than this is not encoded.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// Pixels of packed rows.
#[derive(Clone, Copy, Debug)]
pub enum Pixels<'a> {
    /// Red, green and blue.
    Rgb(&'a [u8]),
    /// Grey of 16 bits.
    Gray16(&'a [u16]),
}

/// The PNG file of a picture.
///
/// # Errors
/// [`Failure::Pipeline`] when there is no encoder, or it refuses the picture.
pub fn encode(width: usize, height: usize, pixels: Pixels<'_>) -> Result<Vec<u8>, Failure> {
    let failed = |text: &dyn std::fmt::Display| Failure::Pipeline(format!("a PNG picture cannot be made: {text}"));
    let (format, row_bytes, packed) = match pixels {
        Pixels::Rgb(pixels) => (gst_video::VideoFormat::Rgb, width * 3, pixels.to_vec()),
        Pixels::Gray16(pixels) => {
            (gst_video::VideoFormat::Gray16Be, width * 2, pixels.iter().flat_map(|pixel| pixel.to_be_bytes()).collect())
        }
    };
    let side = |length: usize| u32::try_from(length).map_err(|error| failed(&error));
    let info = gst_video::VideoInfo::builder(format, side(width)?, side(height)?)
        .fps(gst::Fraction::new(1, 1))
        .build()
        .map_err(|error| failed(&error))?;
    let stride = info.stride()[0].unsigned_abs() as usize;
    let mut rows = vec![0; info.size()];
    for (row, pixels) in rows.chunks_mut(stride).zip(packed.chunks(row_bytes.max(1))) {
        row[..pixels.len()].copy_from_slice(pixels);
    }
    let source = elements::make_app::<gst_app::AppSrc>("appsrc")?;
    source.set_caps(Some(&info.to_caps().map_err(|error| failed(&error))?));
    source.set_format(gst::Format::Time);
    let encoder = elements::make("pngenc")?;
    encoder.set_property("snapshot", true);
    let sink = elements::make_app::<gst_app::AppSink>("appsink")?;
    sink.set_property("sync", false);
    let pipeline = gst::Pipeline::new();
    elements::add_chain(&pipeline, &[source.upcast_ref(), &encoder, sink.upcast_ref()])?;
    let mut buffer = gst::Buffer::from_mut_slice(rows);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::ZERO);
    }
    // What goes wrong is on the bus, with more words.
    let _ = pipeline.set_state(gst::State::Playing);
    let _ = source.push_buffer(buffer);
    let _ = source.end_of_stream();
    let sample = sink.try_pull_sample(PATIENCE);
    let error = pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
    let _ = pipeline.set_state(gst::State::Null);
    let encoded = sample.as_ref().and_then(|sample| sample.buffer()).and_then(|buffer| buffer.map_readable().ok());
    match (encoded, error.as_ref().map(|error| error.view())) {
        (Some(encoded), _) => Ok(encoded.to_vec()),
        (None, Some(gst::MessageView::Error(error))) => Err(failed(&error.error())),
        (None, _) => Err(failed(&"the encoder did not end")),
    }
}
