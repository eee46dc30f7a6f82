//! Tags out of a stream's buffers.

use super::backlog::{Kind, Weight};
use crate::rtmp::tag::{self, Item, Role, Tag, VideoPackaging};

/// Headers that are kept of a stream whose caps have none.
const HEADERS_MAX: usize = 16;

/// A tag, in the buffer that it came in.
#[derive(Clone, Debug)]
pub struct Entry {
    pub buffer: gst::Buffer,
    pub tag: Tag,
    pub kind: Kind,
    /// Only servers that know tracks understand it.
    pub is_multitrack: bool,
    /// The body begins with a nanosecond offset, and with this byte without it.
    pub plain_first: Option<u8>,
}

impl Entry {
    pub fn weight(&self) -> Weight {
        Weight { kind: self.kind, bytes: self.tag.body_size, timestamp: self.tag.timestamp }
    }

    /// Whether both have the same body. Only headers are compared, which are small.
    pub fn is_same(&self, other: &Self) -> bool {
        let body = |entry: &Self| {
            let mut body = vec![0; entry.tag.body_size];
            entry.buffer.copy_to_slice(entry.tag.body_at, &mut body).map(|()| body)
        };
        self.tag.type_id == other.tag.type_id
            && self.tag.body_size == other.tag.body_size
            && body(self).is_ok_and(|body_here| body(other) == Ok(body_here))
    }
}

/// What is known of the stream.
#[derive(Debug, Default)]
pub struct Intake {
    has_video: bool,
    pub packaging: Option<VideoPackaging>,
    /// What goes before the first tag on each connection.
    headers: Vec<Entry>,
    caps_have_headers: bool,
    last_was_header: bool,
}

impl Intake {
    pub fn headers(&self) -> &[Entry] {
        &self.headers
    }

    /// Takes the headers of new caps.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn set_caps(&mut self, caps: &gst::CapsRef) -> Result<(), &'static str> {
        let headers = caps.structure(0).and_then(|structure| structure.get::<gst::ArrayRef>("streamheader").ok());
        let headers = headers.as_ref().map(|headers| headers.as_slice()).unwrap_or_default();
        let mut entries = Vec::new();
        for buffer in headers.iter().filter_map(|header| header.get::<gst::Buffer>().ok()) {
            self.entries(&buffer, |entry| entries.push(entry))?;
        }
        self.caps_have_headers = !entries.is_empty();
        if self.caps_have_headers {
            self.headers = entries;
        }
        Ok(())
    }

    /// Takes the tags out of a buffer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take(&mut self, buffer: &gst::Buffer, mut each: impl FnMut(Entry)) -> Result<(), &'static str> {
        let mut entries = Vec::new();
        self.entries(buffer, |entry| entries.push(entry))?;
        for entry in entries {
            let is_header = entry.kind == Kind::Header;
            if is_header && !self.caps_have_headers {
                if !self.last_was_header {
                    self.headers.clear();
                }
                if self.headers.len() < HEADERS_MAX {
                    self.headers.push(entry.clone());
                }
            }
            self.last_was_header = is_header;
            each(entry);
        }
        Ok(())
    }

    fn entries(&mut self, buffer: &gst::Buffer, mut each: impl FnMut(Entry)) -> Result<(), &'static str> {
        let size = buffer.size();
        let mut at = 0;
        while at < size {
            let mut look = [0; tag::LOOK];
            let look = &mut look[..tag::LOOK.min(size - at)];
            buffer.copy_to_slice(at, look).map_err(|_| "a buffer cannot be read")?;
            let item = tag::read(look, at, size)?;
            at = item.next();
            let Item::Tag(tag) = item else {
                continue;
            };
            let body = look.get_mut(tag::HEAD..).unwrap_or_default();
            let seen = body.len().min(tag.body_size);
            let body = &mut body[..seen];
            let plain_at = tag::take_nanoseconds(tag.type_id, body);
            let body = &body[plain_at..];
            let plain_first = body.first().copied().filter(|_| plain_at > 0);
            if tag.type_id == 9 {
                self.has_video = true;
                self.packaging = tag::video_packaging(body).or(self.packaging);
            }
            let kind = match tag::role(tag.type_id, body) {
                Role::Header => Kind::Header,
                Role::Keyframe => Kind::Keyframe,
                Role::Frame => Kind::Frame,
                // Sound alone can begin anywhere.
                Role::Sound if self.has_video => Kind::Frame,
                Role::Sound => Kind::Keyframe,
            };
            let is_multitrack = tag::is_multitrack(tag.type_id, body);
            each(Entry { buffer: buffer.clone(), tag, kind, is_multitrack, plain_first });
        }
        Ok(())
    }
}
