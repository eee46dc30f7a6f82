//! From caps to decoder configurations, and back to the caps of the stream.

use super::{color::color_info, settings::HevcPackaging};
use crate::flv::{
    audio, avcc, hvcc,
    metadata::{AudioInfo, VideoInfo},
    tag,
    track::{AudioConfig, VideoConfig},
    video::{FIRST_TRACK, MAX_PREFIX_SIZE, TrackId, VideoFormat},
};

/// Codecs' own header bytes stand in front of it in the tag's body.
const MAX_CODEC_DATA: usize = tag::MAX_BODY_SIZE - MAX_PREFIX_SIZE;

pub const H264: &str = "video/x-h264";
pub const H265: &str = "video/x-h265";
pub const AAC: &str = "audio/mpeg";

pub fn video_template() -> gst::Caps {
    gst::Caps::builder_full()
        .structure(gst::Structure::builder(H264).field("stream-format", "avc").field("alignment", "au").build())
        .structure(gst::Structure::builder(H265).field("stream-format", "hvc1").field("alignment", "au").build())
        .build()
}

pub fn audio_template() -> gst::Caps {
    gst::Caps::builder(AAC).field("mpegversion", 4).field("stream-format", "raw").build()
}

/// Caps of the stream, with what a reader that joins now must have.
pub fn stream_caps(headers: impl Iterator<Item = gst::Buffer>) -> gst::Caps {
    gst::Caps::builder("video/x-flv").field("streamheader", gst::Array::new(headers)).build()
}

pub fn stream_template() -> gst::Caps {
    gst::Caps::new_empty_simple("video/x-flv")
}

/// Reads caps of a video pad. The error tells what to do.
pub fn video_config(caps: &gst::CapsRef, track: TrackId, packaging: HevcPackaging) -> Result<VideoConfig, String> {
    if track != FIRST_TRACK && packaging == HevcPackaging::Domestic {
        return Err("codec-id 12 has one video track: set hevc-packaging=enhanced, or give the pad back".to_owned());
    }
    let structure = caps.structure(0).ok_or("caps are empty")?;
    let (format, stream_format, parser) = match structure.name().as_str() {
        H264 if track == FIRST_TRACK => (VideoFormat::Avc, "avc", "h264parse"),
        H264 => (VideoFormat::EnhancedAvc, "avc", "h264parse"),
        H265 => (packaging.format(), "hvc1", "h265parse"),
        other => {
            return Err(format!("a video pad takes {H264} and {H265}, not {other}: insert an encoder and its parser"));
        }
    };
    for (field, wanted) in [("stream-format", stream_format), ("alignment", "au")] {
        let found = structure.get_optional::<&str>(field).unwrap_or(None);
        if found != Some(wanted) {
            return Err(format!(
                "{} needs {field}={wanted}, not {}: insert {parser}",
                structure.name(),
                found.unwrap_or("none"),
            ));
        }
    }
    let record = codec_data(structure, parser)?;
    let nal_length_size = if format.is_hevc() {
        hvcc::nal_length_size(&record).map_err(|error| error.to_string())
    } else {
        avcc::nal_length_size(&record).map_err(|error| error.to_string())
    }
    .map_err(|error| format!("bad codec_data: {error}; let {parser} make it from the stream"))?;
    let frame_rate = structure
        .get::<gst::Fraction>("framerate")
        .ok()
        .filter(|rate| rate.numer() > 0 && rate.denom() > 0)
        .map(|rate| f64::from(rate.numer()) / f64::from(rate.denom()));
    Ok(VideoConfig {
        info: VideoInfo {
            format,
            width: positive(structure, "width"),
            height: positive(structure, "height"),
            frame_rate,
        },
        record,
        nal_length_size,
        color: color_info(caps),
    })
}

/// Reads caps of the `audio` pad. The error tells what to do.
pub fn audio_config(caps: &gst::CapsRef) -> Result<AudioConfig, String> {
    let structure = caps.structure(0).ok_or("caps are empty")?;
    let version = structure.get::<i32>("mpegversion").ok();
    if structure.name() != AAC || version != Some(4) {
        return Err(format!(
            "the audio pad takes AAC ({AAC}, mpegversion=4), not {structure}: insert an AAC encoder such as avenc_aac"
        ));
    }
    let found = structure.get_optional::<&str>("stream-format").unwrap_or(None);
    if found != Some("raw") {
        return Err(format!("AAC needs stream-format=raw, not {}: insert aacparse", found.unwrap_or("none")));
    }
    let audio_specific_config = codec_data(structure, "aacparse")?;
    audio::check_audio_specific_config(&audio_specific_config)
        .map_err(|error| format!("bad codec_data: {error}; let aacparse make it"))?;
    Ok(AudioConfig {
        info: AudioInfo { sample_rate: positive(structure, "rate"), channels: positive(structure, "channels") },
        audio_specific_config,
    })
}

fn codec_data(structure: &gst::StructureRef, parser: &str) -> Result<Vec<u8>, String> {
    let buffer = structure
        .get::<gst::Buffer>("codec_data")
        .map_err(|_| format!("{} has no codec_data: insert {parser}", structure.name()))?;
    if buffer.size() > MAX_CODEC_DATA {
        return Err(format!("codec_data of {} bytes does not fit an FLV tag; let {parser} make it", buffer.size()));
    }
    let map = buffer.map_readable().map_err(|error| format!("codec_data cannot be read: {error}"))?;
    Ok(map.to_vec())
}

fn positive(structure: &gst::StructureRef, field: &str) -> Option<u32> {
    let value = structure.get::<i32>(field).ok()?;
    u32::try_from(value).ok().filter(|value| *value > 0)
}
