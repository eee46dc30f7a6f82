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
//! tag's size. What else both write is the same, byte for byte, but for a longer onMetaData and its repetition when an
//! encoder tells another bitrate.
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
//! A recording that knows its duration, its size and where its keyframes are (`flvmux` calls this `streamable=false` too):
//!
//! ```text
//! gst-launch-1.0 videotestsrc num-buffers=125 ! video/x-raw,format=I420,framerate=25/1 ! x265enc key-int-max=25 ! h265parse ! flvhevcmux streamable=false ! filesink location=file.flv
//! ```
//!
//! Sound that now and then arrives late; what comes after its turn is left out:
//!
//! ```text
//! gst-launch-1.0 flvhevcmux name=mux skip-backwards-streams=true ! filesink location=skipping.flv videotestsrc num-buffers=125 ! video/x-raw,format=I420,framerate=25/1 ! x265enc key-int-max=25 ! h265parse ! queue ! mux.video audiotestsrc num-buffers=235 ! audio/x-raw,rate=48000 ! avenc_aac ! aacparse ! queue ! mux.audio
//! ```
//!
//! Two pictures in one stream, which FFmpeg 9 lists as two video streams:
//!
//! ```text
//! gst-launch-1.0 flvhevcmux name=mux ! filesink location=two.flv videotestsrc num-buffers=125 ! video/x-raw,format=I420,framerate=25/1 ! x265enc key-int-max=25 ! h265parse ! queue ! mux.video videotestsrc num-buffers=125 pattern=ball ! video/x-raw,format=I420,framerate=25/1 ! x265enc key-int-max=25 ! h265parse ! queue ! mux.video_1
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
//! | `video_1` to `video_255` (request) | as `video`: further tracks, see below |
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
//! | `streamable` | boolean, `true` | `false` completes a file when it ends, below; set before PAUSED |
//! | `skip-backwards-streams` | boolean, `false` | drop frames that come after their turn, and a picture's until its next keyframe; else they get the latest timestamp |
//! | `nanosecond-timestamps` | boolean, `false` | tell presentation times to the nanosecond, below; may be set at any time |
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
//! | `dropped-backwards` | frames dropped by `skip-backwards-streams` |
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
//! - The end of the stream is an end-of-sequence tag for each video track, as flvmux writes it for H.264. Who hangs up in
//!   place of ending the stream sends none.
//! - After a flush that resets time (a seek upstream) buffers have running time from 0 on, as from flvmux, and video goes on
//!   with a keyframe. The timestamps in the tags go on where they were, for a server sees one stream.
//! - With `streamable=false` the first onMetaData has `duration` (s), `filesize` (bytes) and `keyframes` (`times` in s and
//!   `filepositions`), all 0 and empty until the end; then they are written in place. `padding` keeps the room: 9 KB, for 512
//!   keyframes; of a longer recording every second, fourth and so on is listed. The sink has to be able to seek, as filesink
//!   is; if it is not, a warning tells. A file whose writer was killed is read like a stream.
//! - Further video tracks are those of Enhanced RTMP v2 (multitrack packets with one track each): H.265 as `hvc1`, H.264 as
//!   `avc1`, told in onMetaData's `videoTrackIdInfoMap`. `video` is track 0 and written as if it were alone, so that readers
//!   which know no tracks are not disturbed. Others are extra: reading starts at keyframes of `video`, and high dynamic range
//!   is told of `video` alone. Codec-id 12 has no tracks: `hevc-packaging=domestic` refuses their caps.
//! - With `nanosecond-timestamps` what milliseconds leave of a presentation time stands in a ModEx prefix
//!   (TimestampOffsetNano); the tags' timestamps are the same. Codec-ids 7 and 12 have no place for it. MediaMTX 1.20 closes the
//!   connection at one, so it is for servers that ask for it in their answer to connect (`capsEx`).

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
    HevcPackaging::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(Some(plugin), "flvhevcmux", gst::Rank::NONE, FlvHevcMux::static_type())
}
