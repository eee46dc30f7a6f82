//! The onMetaData script tag (FLV E.5, with the codec numbers of E-RTMP).

use super::{
    amf0::{self, Properties, Value},
    audio::AAC_CODEC_ID,
    file_facts::FileFacts,
    video::{FIRST_TRACK, TrackId, VideoFormat},
};

const ENCODER: &str = concat!("flvhevcmux ", env!("CARGO_PKG_VERSION"));
/// AAC decodes to 16-bit samples as far as FLV is concerned.
const AUDIO_SAMPLE_SIZE: f64 = 16.0;

/// What is said about the picture. Unknown values are left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VideoInfo {
    pub format: VideoFormat,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub frame_rate: Option<f64>,
}

/// What is said about the sound. Unknown values are left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AudioInfo {
    pub sample_rate: Option<u32>,
    pub channels: Option<u32>,
}

impl VideoInfo {
    /// Nanoseconds of a frame.
    pub fn frame_time(&self) -> Option<u64> {
        self.frame_rate.filter(|rate| *rate > 0.0).map(|rate| (1e9 / rate) as u64)
    }
}

impl AudioInfo {
    /// Nanoseconds of a frame of 1024 samples.
    pub fn frame_time(&self) -> Option<u64> {
        self.sample_rate.filter(|rate| *rate > 0).map(|rate| 1_024_000_000_000 / u64::from(rate))
    }
}

fn add(properties: &mut Properties, key: &'static str, value: Option<f64>) {
    properties.extend(value.map(|value| (key, Value::Number(value))));
}

fn picture(video: &VideoInfo) -> Properties {
    let mut properties = Vec::new();
    add(&mut properties, "width", video.width.map(f64::from));
    add(&mut properties, "height", video.height.map(f64::from));
    add(&mut properties, "framerate", video.frame_rate);
    add(&mut properties, "videocodecid", Some(video.format.codec_id()));
    properties
}

/// Body of the script tag. The first track stands at the top, the others in a map of their own. `file` is about the file as
/// a whole; a stream has none.
pub fn on_metadata(videos: &[(TrackId, VideoInfo)], audio: Option<&AudioInfo>, file: Option<&FileFacts>) -> Vec<u8> {
    let mut properties = file.map(FileFacts::properties).unwrap_or_default();
    let (first, others): (Vec<_>, Vec<_>) = videos.iter().partition(|(track, _)| *track == FIRST_TRACK);
    properties.extend(first.iter().flat_map(|(_, video)| picture(video)));
    if !others.is_empty() {
        let others = others.iter().map(|(track, video)| (*track, picture(video))).collect();
        properties.push(("videoTrackIdInfoMap", Value::Numbered(others)));
    }
    if let Some(audio) = audio {
        add(&mut properties, "audiocodecid", Some(AAC_CODEC_ID));
        add(&mut properties, "audiosamplerate", audio.sample_rate.map(f64::from));
        add(&mut properties, "audiosamplesize", Some(AUDIO_SAMPLE_SIZE));
        let stereo = audio.channels.map(|channels| channels > 1);
        properties.extend(stereo.map(|stereo| ("stereo", Value::Boolean(stereo))));
    }
    properties.push(("encoder", Value::String(ENCODER)));
    amf0::named("onMetaData", &Value::EcmaArray(properties))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_matches_what_is_known() {
        let full = VideoInfo {
            format: VideoFormat::EnhancedHevc,
            width: Some(1280),
            height: Some(720),
            frame_rate: Some(25.0),
        };
        let bare = VideoInfo { width: None, height: None, frame_rate: None, ..full };
        let audio = AudioInfo { sample_rate: Some(48_000), channels: Some(2) };
        // Behind the name: marker 08, then the count.
        let count = |body: Vec<u8>| u32::from_be_bytes(*body[14..].first_chunk().unwrap());
        assert_eq!(count(on_metadata(&[(0, full)], Some(&audio), None)), 9);
        assert_eq!(count(on_metadata(&[(0, full)], None, None)), 5);
        assert_eq!(count(on_metadata(&[(0, bare)], None, None)), 2);
        assert_eq!(count(on_metadata(&[], Some(&audio), None)), 5);
        assert_eq!(count(on_metadata(&[(0, full), (1, bare), (2, full)], None, None)), 6, "tracks are nested");
    }
}
