//! One connection to an RTMP server, from its first byte to its end.

use std::sync::Arc;

use cvmmap::Codec;
use gst::prelude::*;
use tools_cli::failure::Failure;
use tools_media::elements;

use super::silence;
use crate::{
    options::{RtmpAudio, RtmpDepth, RtmpMode},
    outlet::{feed::Feed, line::Line, meter::Part, publisher},
    plan::Rtmp,
};

/// Seconds that a server may take. Longer than what `Publisher` allows, so that it decides.
const TIMEOUT: u32 = 30;

/// A pipeline that publishes.
#[derive(Debug)]
pub struct Connection {
    line: Line,
    /// The head of what goes beside the picture.
    beside: Option<gst_app::AppSrc>,
    sink: gst::Element,
}

impl Connection {
    /// Makes the pipeline; the server is asked when it starts.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when an element is missing.
    pub fn new(codec: Codec, plan: &Rtmp, feed: &Arc<Feed>) -> Result<Self, Failure> {
        let source = feed.source()?;
        let muxer = muxer(codec, plan.mode, plan.depth.is_some())?;
        let sink = elements::make("ertmpsink")?;
        sink.set_property("location", plan.url.reveal());
        sink.set_property("tls-ca-file", plan.ca_file.as_ref().map(|file| file.display().to_string()));
        sink.set_property("sync", false);
        sink.set_property("async", false);
        sink.set_property("timeout", TIMEOUT);
        if plan.depth == Some(RtmpDepth::Always) {
            sink.set_property_from_str("tracks", "always");
        }
        // The feed has the backlog.
        sink.set_property("max-backlog-time", 0u64);

        let pipeline = gst::Pipeline::new();
        elements::add_chain(&pipeline, &[&muxer, &sink])?;
        elements::add_chain(&pipeline, &[source.upcast_ref()])?;
        let cannot = || Failure::Pipeline("the RTMP output cannot be assembled".to_owned());
        let video = muxer.request_pad_simple("video").ok_or_else(cannot)?;
        elements::pad(source.upcast_ref(), "src").link(&video).map_err(|_| cannot())?;
        let beside = feed.companion().map(Feed::source).transpose()?;
        if let Some(beside) = &beside {
            elements::add_chain(&pipeline, &[beside.upcast_ref()])?;
            join_when_it_begins(beside, &muxer);
        }
        if plan.audio == RtmpAudio::Silence {
            silence::add(&pipeline, &muxer, &video)?;
        }
        feed.meter().watch(&sink, part_of_unit);
        Ok(Self { line: Line::new(pipeline, source), beside, sink })
    }

    /// Begins to connect.
    ///
    /// # Errors
    /// What an element complains of.
    pub fn start(&self) -> Result<(), Failure> {
        self.line.start()
    }
}

impl publisher::Connection for Connection {
    fn line(&self) -> &Line {
        &self.line
    }

    fn beside(&self) -> Option<&gst_app::AppSrc> {
        self.beside.as_ref()
    }

    fn is_accepted(&self) -> bool {
        let stats = self.sink.property::<gst::Structure>("stats");
        stats.get::<&str>("state").is_ok_and(|state| state == "publishing")
    }

    fn stop(self: Box<Self>) {
        self.line.stop();
    }
}

/// Gives `muxer` a further track as soon as there is something for it: the picture waits for no track that never comes.
fn join_when_it_begins(source: &gst_app::AppSrc, muxer: &gst::Element) {
    let muxer = muxer.downgrade();
    elements::pad(source.upcast_ref(), "src").add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        if info.event().is_some_and(|event| event.type_() == gst::EventType::Caps)
            && !pad.is_linked()
            && let Some(track) = muxer.upgrade().and_then(|muxer| muxer.request_pad_simple("video_1"))
        {
            // Both are new, and made for each other.
            let _ = pad.link(&track);
        }
        gst::PadProbeReturn::Ok
    });
}

fn muxer(codec: Codec, mode: Option<RtmpMode>, has_tracks: bool) -> Result<gst::Element, Failure> {
    match codec {
        // flvmux has no tracks.
        Codec::H264 if has_tracks => elements::make("flvhevcmux"),
        Codec::H264 => {
            let muxer = elements::make("flvmux")?;
            muxer.set_property("streamable", true);
            Ok(muxer)
        }
        Codec::H265 => {
            let muxer = elements::make("flvhevcmux")?;
            let packaging = match mode {
                Some(RtmpMode::Domestic) => "domestic",
                Some(RtmpMode::Enhanced) | None => "enhanced",
            };
            muxer.set_property_from_str("hevc-packaging", packaging);
            // The sink keeps them from servers that did not ask for them.
            muxer.set_property("nanosecond-timestamps", true);
            Ok(muxer)
        }
    }
}

/// Each access unit is one tag; others hold metadata, parameter sets or the end of the stream.
/// Source: Adobe Flash Video File Format 10.1, E.4.3; Enhanced RTMP v2, "Enhanced Video".
fn part_of_unit(tag: &gst::BufferRef) -> Part {
    const TAG_HEADER: usize = 11;
    const MOD_EX: u8 = 7;
    // A ModEx prefix of a nanosecond offset has six bytes, the last of which tells the packet's own type.
    let mut head = [0; TAG_HEADER + 6];
    let size = tag.size().min(head.len());
    if size < TAG_HEADER + 2 || tag.copy_to_slice(0, &mut head[..size]).is_err() || head[0] != 9 {
        return Part::None;
    }
    let [first, second, .., last] = head[TAG_HEADER..] else {
        return Part::None;
    };
    let holds_unit = if first & 0x80 != 0 {
        // PacketTypeCodedFrames and PacketTypeCodedFramesX. Further tracks have packets of another type, and are not metered.
        let packet_type = if first & 0x0f == MOD_EX { last & 0x0f } else { first & 0x0f };
        matches!(packet_type, 1 | 3)
    } else {
        // One or more NAL units.
        second == 1
    };
    if holds_unit { Part::Last } else { Part::None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_behind_nanoseconds_and_in_short_tags() {
        gst::init().unwrap();
        let part = |body: &[u8]| part_of_unit(&gst::Buffer::from_slice([&[9; 11], body].concat()));
        for (body, expected) in [
            (b"\x17\x01\0\0\0x".as_slice(), Part::Last),
            (b"\x17\x02\0\0\0", Part::None),
            (b"\x17", Part::None),
            (b"", Part::None),
            (b"\xA3hvc1x", Part::Last),
            (b"\x90hvc1x", Part::None),
            (b"\xA7\x02\0\0\x01\x03hvc1x", Part::Last),
            (b"\xA7\x02\0\0\x01\x06\x01hvc1\x01x", Part::None),
            (b"\x96\x01hvc1\x01x", Part::None),
        ] {
            assert_eq!(part(body), expected, "{body:?}");
        }
    }
}
