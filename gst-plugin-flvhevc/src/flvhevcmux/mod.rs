//! # flvhevcmux
//!
//! Muxes H.264 or H.265 video and AAC audio into FLV, for files and for RTMP through `rtmp2sink`. H.265 is packaged either
//! way that the world understands:
//!
//! | `hevc-packaging` | H.265 in the stream | for |
//! | --- | --- | --- |
//! | `enhanced` (default) | Enhanced RTMP, FourCC `hvc1` | FFmpeg 6.1 or newer, SRS, ZLMediaKit, MediaMTX |
//! | `domestic` | codec-id 12 in the shape of H.264's codec-id 7 | Chinese CDNs and players, FFmpeg 8.0 or newer, SRS, ZLMediaKit |
//!
//! H.264 is codec-id 7 in both, which every reader takes.
//!
//! Why beside `flvmux` and `eflvmux`: `flvmux` has no H.265. `eflvmux` came with GStreamer 1.28, writes FourCCs only and needs
//! a pad property for that: without it H.265 becomes a stream of codec-id 8 that nobody reads. It states the FourCC in
//! onMetaData with its bytes in the wrong order, and an array count that includes what is nested. Neither writes codec-id 12,
//! waits for a keyframe, keeps negative composition times (both raise them to 0) or refuses frames beyond the 24 bits of a
//! tag's size. What else both write is the same, byte for byte, but for a longer onMetaData, its repetition when an encoder
//! tells another bitrate, and an end-of-sequence tag.
//!
//! ## Examples
//!
//! H.265 recorded as Enhanced RTMP, as codec-id 12, and H.264:
//!
//! ```text
//! gst-launch-1.0 videotestsrc num-buffers=125 ! video/x-raw,format=I420 ! x265enc key-int-max=25 ! h265parse ! flvhevcmux ! filesink location=enhanced.flv
//! gst-launch-1.0 videotestsrc num-buffers=125 ! video/x-raw,format=I420 ! x265enc key-int-max=25 ! h265parse ! flvhevcmux hevc-packaging=domestic ! filesink location=domestic.flv
//! gst-launch-1.0 videotestsrc num-buffers=125 ! video/x-raw,format=I420 ! x264enc key-int-max=25 ! h264parse ! flvhevcmux ! filesink location=avc.flv
//! ```
//!
//! With sound:
//!
//! ```text
//! gst-launch-1.0 flvhevcmux name=mux ! filesink location=both.flv videotestsrc num-buffers=125 ! video/x-raw,format=I420,framerate=25/1 ! x265enc key-int-max=25 ! h265parse ! queue ! mux.video audiotestsrc num-buffers=235 ! audio/x-raw,rate=48000 ! avenc_aac ! aacparse ! queue ! mux.audio
//! ```
//!
//! Pushed live to a server on this machine:
//!
//! ```text
//! gst-launch-1.0 videotestsrc is-live=true ! video/x-raw,format=I420,framerate=25/1 ! x265enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! h265parse ! flvhevcmux ! rtmp2sink location=rtmp://127.0.0.1/live/stream
//! ```
//!
//! ## Pads
//!
//! | pad | caps |
//! | --- | --- |
//! | `video` (request) | `video/x-h264,stream-format=avc,alignment=au` or `video/x-h265,stream-format=hvc1,alignment=au` |
//! | `audio` (request) | `audio/mpeg,mpegversion=4,stream-format=raw` |
//! | `src` | `video/x-flv`, with `streamheader` once the stream has begun |
//!
//! Both kinds need `codec_data`; `h264parse`, `h265parse` and `aacparse` make it.
//!
//! ## Properties
//!
//! | property | type, default | |
//! | --- | --- | --- |
//! | `hevc-packaging` | enum, `enhanced` | how H.265 is packaged; set before PAUSED |
//! | `stats` | structure, read-only | counters since the element was started, below |
//! | `latency` | ns, 0 | from GstAggregator: how much longer a live stream waits for the other one |
//! | `min-upstream-latency`, `start-time`, `start-time-selection`, `emit-signals` | | from GstAggregator |
//!
//! | `stats` field (`guint64`) | counts |
//! | --- | --- |
//! | `tags` | tags pushed, headers included |
//! | `bytes` | bytes pushed |
//! | `header-changes` | times that streams were announced anew after the beginning |
//! | `timestamps-raised` | frames that came after their turn and got the latest timestamp |
//! | `dropped-before-keyframe` | video frames dropped while waiting for a keyframe |
//! | `dropped-oversize` | frames whose tag would exceed 2^24 - 1 bytes |
//! | `dropped-malformed` | frames with NAL unit lengths that do not add up, absurd composition times, unreadable memory |
//!
//! ## Behaviour
//!
//! - Every buffer is one whole tag with its PreviousTagSize, as `rtmp2sink` needs it; the first is the 13-byte file header.
//!   The headers (file header, onMetaData, sequence headers) are flagged HEADER, go in-band and stand in `streamheader`.
//! - Timestamps start at 0, are floored to milliseconds and never go back; all 32 bits are used (they wrap after 49.7 days).
//! - Video starts at a keyframe. Earlier frames are dropped and upstream is asked for a keyframe, once. So it is after a
//!   frame had to be dropped, for those that follow refer to it. Drops are told by QoS and warning messages.
//! - New `codec_data` takes effect at the next keyframe: onMetaData and the new sequence header go right before it, at its
//!   timestamp. The codec itself cannot change within a stream.
//! - H.265 in enhanced mode with high dynamic range has a metadata packet `colorInfo` behind its sequence header: when caps
//!   have a PQ or HLG `colorimetry`, `mastering-display-info` or `content-light-level`, which h265parse takes from the stream.
//!   Ordinary pictures have none, for some readers stumble at it; when a stream turns ordinary it is taken back.
//! - Live, a stream that is late is waited for until `latency` has passed; one that never began is waited for once. A second
//!   stream that begins late joins with its own header.
//! - There is no end-of-sequence tag: it is optional and some servers reject it.

mod buffers;
mod caps;
mod color;
mod imp;
mod output;
mod report;
mod settings;
mod sinks;
mod stats;

pub use settings::HevcPackaging;

use gst::{glib, prelude::*};

glib::wrapper! {
    /// The `flvhevcmux` element.
    pub struct FlvHevcMux(ObjectSubclass<imp::FlvHevcMux>)
        @extends gst_base::Aggregator, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "flvhevcmux", gst::Rank::NONE, FlvHevcMux::static_type())
}
