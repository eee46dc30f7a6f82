//! The tags that announce streams: file header, onMetaData, sequence headers, color.

use super::{
    audio::aac_sequence_header,
    color::color_info,
    file_facts::FileFacts,
    metadata,
    tag::{self, BodyTooLarge, TagType},
    track::{AudioConfig, VideoConfig},
    video::{FIRST_TRACK, TrackId},
};

/// Which kinds of stream the element has pads for: what the file header announces.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    pub audio: bool,
    pub video: bool,
}

/// Tags to send before a frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// These open the stream, rather than change it.
    pub first: bool,
    /// What goes into the stream here: everything at its start, later only what changed.
    pub in_band: Vec<Vec<u8>>,
    /// What a reader needs that joins here.
    pub stream: Vec<Vec<u8>>,
}

/// A stream as it is announced, and as it was before.
#[derive(Clone, Copy)]
pub struct Change<'a, C> {
    pub now: Option<&'a C>,
    pub before: Option<&'a C>,
}

/// What onMetaData tells of the video tracks.
pub fn pictures(videos: &[(TrackId, Change<VideoConfig>)]) -> Vec<(TrackId, metadata::VideoInfo)> {
    videos.iter().filter_map(|(track, video)| Some((*track, video.now?.info))).collect()
}

impl Headers {
    /// `file` is told in the first onMetaData of a file.
    pub fn new(
        first: bool,
        declared: Declared,
        timestamp: u32,
        videos: &[(TrackId, Change<VideoConfig>)],
        audio: Change<AudioConfig>,
        file: Option<&FileFacts>,
    ) -> Result<Self, BodyTooLarge> {
        let mut headers = Self { first, ..Self::default() };
        headers.add(tag::file_header(declared.audio, declared.video).to_vec(), first);
        let pictures = pictures(videos);
        let metadata = metadata::on_metadata(&pictures, audio.now.map(|config| &config.info), file);
        headers.add(tag::whole_tag(TagType::Script, timestamp, &metadata)?, true);
        for (track, video) in videos {
            if let Some(now) = video.now {
                let body = now.info.format.sequence_header(*track, &now.record);
                let is_new = video.before.is_none_or(|before| before.record != now.record);
                headers.add(tag::whole_tag(TagType::Video, timestamp, &body)?, is_new);
                if *track == FIRST_TRACK {
                    headers.add_color(now, video.before, timestamp)?;
                }
            }
        }
        if let Some(now) = audio.now {
            let body = aac_sequence_header(&now.audio_specific_config);
            let is_new = audio.before.is_none_or(|before| before.audio_specific_config != now.audio_specific_config);
            headers.add(tag::whole_tag(TagType::Audio, timestamp, &body)?, is_new);
        }
        Ok(headers)
    }

    fn add(&mut self, header: Vec<u8>, is_new: bool) {
        if is_new {
            self.in_band.push(header.clone());
        }
        self.stream.push(header);
    }

    /// Color is told behind the sequence header, as FFmpeg does, and taken back when it ends.
    fn add_color(
        &mut self,
        now: &VideoConfig,
        before: Option<&VideoConfig>,
        timestamp: u32,
    ) -> Result<(), BodyTooLarge> {
        let before = before.and_then(|before| before.color);
        if now.color.is_none() && before.is_none() {
            return Ok(());
        }
        let Some(body) = now.info.format.metadata_packet(&color_info(now.color.as_ref())) else {
            return Ok(());
        };
        let header = tag::whole_tag(TagType::Video, timestamp, &body)?;
        if now.color.is_some() {
            self.add(header, before != now.color);
        } else {
            self.in_band.push(header);
        }
        Ok(())
    }
}
