//! What frames hold.

use cvmmap::Codec;
use tools_media::codec;

use super::parameter_sets;

/// What frames hold that one pipeline can take. Encoders are made anew for another picture, for not all of them get
/// through a change: x265 gives broken NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// Pictures of one size and format, the so manieth since the beginning.
    Raw(u64),
    /// Access units with these parameter sets, by their digest.
    Encoded(Codec, u64),
}

impl Media {
    /// Whether the producer encodes.
    pub fn is_encoded(self) -> bool {
        matches!(self, Self::Encoded(..))
    }
}

/// Tells what frames hold.
#[derive(Debug, Default)]
pub struct Watch {
    last: Option<(gst::Caps, Media)>,
    pictures: u64,
}

impl Watch {
    /// What a frame holds.
    pub fn media(&mut self, sample: &gst::SampleRef) -> Option<Media> {
        let caps = sample.caps()?;
        let same_caps = self.last.as_ref().filter(|(last, _)| last.as_ref() == caps).map(|(_, media)| *media);
        let Some(codec) = codec::of_media_type(caps.structure(0)?.name()) else {
            return Some(same_caps.unwrap_or_else(|| {
                let media = self.another_picture();
                self.keep(caps, media)
            }));
        };
        let keyframe = sample.buffer().filter(|unit| !unit.flags().contains(gst::BufferFlags::DELTA_UNIT));
        let digest = keyframe.and_then(|unit| parameter_sets::digest(codec, &unit.map_readable().ok()?));
        Some(match (digest, same_caps) {
            (None, Some(media)) => media,
            (digest, _) => self.keep(caps, Media::Encoded(codec, digest.unwrap_or_default())),
        })
    }

    /// Pictures of another size or format than all before.
    pub fn another_picture(&mut self) -> Media {
        let media = Media::Raw(self.pictures);
        self.pictures += 1;
        media
    }

    /// Size of the last picture; 0 where none is told.
    pub fn size(&self) -> (i32, i32) {
        let caps = self.last.as_ref().and_then(|(caps, _)| caps.structure(0));
        let side = |name| caps.and_then(|caps| caps.get::<i32>(name).ok()).unwrap_or_default();
        (side("width"), side("height"))
    }

    fn keep(&mut self, caps: &gst::CapsRef, media: Media) -> Media {
        self.last = Some((caps.to_owned(), media));
        media
    }
}
