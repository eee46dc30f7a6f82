//! `cvmmapsrc`: live video from a cv-mmap producer.

mod body;
mod buffers;
mod category;
mod control;
mod imp;
mod ingest;
mod link;
mod negotiation;
mod planes;
mod settings;
mod stats;
mod stream;
mod time;
mod waiting;

pub use link::STATUS_MESSAGE;

use gst::{glib, prelude::*};

glib::wrapper! {
    /// Live video from a cv-mmap producer's shared memory.
    ///
    /// ```sh
    /// gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 ! videoconvert ! autovideosink
    /// gst-launch-1.0 cvmmapsrc name=cam0 ! x264enc tune=zerolatency ! rtph264pay ! udpsink host=127.0.0.1 port=5004
    /// gst-launch-1.0 cvmmapsrc shm-name=seg zmq-endpoint=ipc:///tmp/seg_sync max-frames=100 ! videoconvert ! pngenc ! multifilesink location=frame%03d.png
    /// gst-launch-1.0 uridecodebin uri=cvmmap://cam0 ! videoconvert ! autovideosink
    /// gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 plane=depth ! videoconvert ! autovideosink
    /// gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 plane=depth max-frames=100 ! videoconvert ! video/x-raw,format=GRAY16_BE ! pngenc ! multifilesink location=depth%03d.png
    /// gst-launch-1.0 -e cvmmapsrc uri=cvmmap://cam0 plane=encoded max-frames=300 ! h264parse ! mp4mux ! filesink location=cam0.mp4
    /// gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 plane=encoded ! h264parse config-interval=-1 ! rtph264pay aggregate-mode=zero-latency ! udpsink host=127.0.0.1 port=5004
    /// gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 plane=auto ! decodebin ! videoconvert ! autovideosink
    /// ```
    ///
    /// The producer need not run yet, and may come and go: the element waits and follows. Each announced frame is copied
    /// once, into a buffer of downstream's pool; only the bytes of the wanted plane are read. When downstream is slower
    /// than the producer, the oldest waiting frame is dropped (`queue-size` frames may wait). After any loss, and when the
    /// picture changes, the next buffer is flagged `DISCONT`; a loss is also told in a QoS message. No frame passes while
    /// paused, and none from before or during a pause passes after it.
    ///
    /// A frame that the producer changed while it was copied is dropped, and so is one whose pixels it may have changed
    /// while its metadata did not show it. The reference producer overwrites the pixels first; so by default the copy has
    /// to end before the next frame can have begun by the producer's cadence. That costs the first eight frames of such a
    /// producer, and none of `cvmmapsink`'s.
    ///
    /// A buffer's PTS is the running time at which its frame was captured, its `OFFSET` the producer's frame id; the
    /// producer's own timestamp rides along as a reference timestamp meta of caps `timestamp/x-unix`.
    ///
    /// PTS rise strictly. A frame for which there is no such time, because it was captured before running time began or
    /// before the one that was given last, gets a later one: the PTS of such frames rise by half of the time that passes,
    /// until they have met the capture times. A camera whose frames come 150 ms after their capture has its first frame at 0
    /// and keeps its capture times from 300 ms on.
    ///
    /// The least latency is the age of the frames when they have been copied, in steps of 10 ms (until eight frames have
    /// been seen, at least a frame at 30 a second). The most is the age of the youngest and the time of the frames that there
    /// is room for, at the frame rate in the caps: the one that downstream has, and `queue-size` frames or 60 access units that
    /// wait. There is none without a frame rate, or before eight frames have been seen. A sink that holds frames for
    /// longer loses some, and makes the pipeline warn that buffering is too small. Time that frames wait for downstream is no
    /// latency of the source.
    ///
    /// A flush throws away what waits. One that resets time starts running time over: PTS begin at 0.
    ///
    /// The frame rate in the caps is the one that the producer's first two frames show, or another one that downstream
    /// insists on; it is nominal, the timestamps are what counts. A producer of less than four frames a second has 0/1.
    ///
    /// # Planes
    ///
    /// `plane` says which plane of a frame to give:
    ///
    /// | `plane` | caps | |
    /// | --- | --- | --- |
    /// | `left` | `video/x-raw` | the picture, as it is or as an encoder takes it, see below |
    /// | `depth` | `video/x-raw`, `GRAY16_LE` | millimetres: rounded to nearest; NaN (no measurement), what is negative and -infinity are 0, what is beyond 65535 and +infinity are 65535. A unit that is not told is taken for millimetres, and the log says so |
    /// | `depth` with `depth-format=float32` | `application/x-cvmmap-float32` | the producer's 32-bit floats, little-endian, bit for bit. Fields: `width`, `height`, `stride` (bytes from row to row, 4 * width), `unit` (`millimeter`, `meter` or `unknown`), and `framerate` when it is known |
    /// | `confidence` | `video/x-raw`, `GRAY8` | in the producer's own scale (0 to 100 with ZED cameras): bytes as they are, floats rounded to nearest and held within 0 to 255, NaN is 0 |
    /// | `encoded` | `video/x-h264` or `video/x-h265`, `byte-stream`, `au` | the producer's access units, as they are. `width` and `height` are those of the left plane, `framerate` is what the producer tells, or its timestamps do |
    /// | `auto` | those of `encoded` or of `left` | access units of a producer that has them, pictures of one that has none on 10 frames in a row (or cannot have any, before v2.1). It follows a producer that changes, with new caps; pictures go on until the first keyframe |
    ///
    /// The caps offer the camera's own format first, then I420 and NV12. Whoever takes the first gets the picture as it is; for
    /// an encoder that takes none but the others it is converted as it is copied. Matrix and range are those that downstream
    /// asks for (`colorimetry`), else BT.601 up to 576 rows and BT.709 above, limited. Colour lies in the middle of four
    /// pixels (`chroma-site=jpeg`), that of YUYV in its columns (`mpeg2`). Measurements are not converted.
    ///
    /// A frame that lacks the plane is dropped and counted, and the element goes on waiting for one that has it; after 30
    /// such frames in a row it says so once, in a warning on the bus.
    ///
    /// A stream of access units starts at a keyframe. Behind a lost one (a gap in the frame ids, a torn or late frame, a
    /// pause, a source that starts over) nothing can be decoded until the next keyframe: what comes before that is dropped
    /// and counted, and the keyframe is flagged `DISCONT`. Units other than keyframes are flagged `DELTA_UNIT`. Frames
    /// without a unit between units are no loss. Up to 60 units (or 256 MiB, attached planes included) wait for a slow
    /// downstream, whatever `queue-size` is; when there are more, the oldest go, up to the next keyframe.
    ///
    /// With `attach-planes` the other planes of the same frame, copied in the same snapshot, ride along as a custom meta
    /// `GstCvmmapPlanesMeta` (`gst_buffer_get_custom_meta()`). Its structure has `frame-id` (uint), `timestamp` (uint64, the
    /// producer's capture time in nanoseconds), and for each plane that the frame has besides the buffer's own a structure
    /// named after it (`left`, `depth`, `confidence`, `encoded`): `buffer` (GstBuffer, rows without padding); `pixel-format`
    /// (`BGR`, `GRAY`, ...), `sample` (`u8`, `f32`, ...), `width`, `height` and `stride` (uint); for depth `unit`, as above.
    /// That of an access unit has `buffer`, `codec` (`h264` or `h265`) and `keyframe` (boolean) alone.
    ///
    /// # NATS
    ///
    /// A producer says over NATS when it starts, leaves and starts over, and which bodies it sees; it answers requests. The
    /// element connects in the background for as long as it runs: no frame and no change of state waits for a server.
    ///
    /// Status events are element messages `cvmmap-status` (`status`: `online`, `offline` or `stream-reset`). When the source
    /// starts over, timestamps that jump backwards go on from where they are. Body-tracking packets are element messages
    /// `cvmmap-body`, and ride as `GstCvmmapBodyMeta` of the same fields on the frame that they are of; one that comes after
    /// its frame left rides on the next. Action signals ask the producer, wait `control-timeout` at most and return a
    /// structure with `error`, which is `OK` or says why not: `source-info`, `source-capabilities`, `reset-source`,
    /// `seek-source`, `camera-settings`, `get-camera-control`, `set-camera-control`, `set-camera-control-auto`,
    /// `set-camera-control-range`, `playlist` and `apply-playlist`. docs/nats.md has their arguments and all fields.
    ///
    /// # Properties
    ///
    /// | name | meaning | default |
    /// | --- | --- | --- |
    /// | `uri` | `cvmmap://INSTANCE[@/PREFIX][?namespace=NAMESPACE]` | |
    /// | `instance`, `namespace`, `prefix` | the same, part by part | the element's name if one was given, `cvmmap`, `/tmp` |
    /// | `shm-name`, `zmq-endpoint`, `label` | a producer outside the naming convention | any label |
    /// | `coherence` | `cadence`: as above; `metadata`: equal metadata before and after the copy are enough | `cadence` |
    /// | `timestamp-mode` | `auto`: capture time, by the wall clock when the producer's timestamps are Unix time, else from the first arrival on; `capture`: the timestamps are Unix time, however old; `arrival`: when the announcement came | `auto` |
    /// | `plane` | `left`, `depth`, `confidence`, `encoded` or `auto` | `left` |
    /// | `depth-format` | `gray16` or `float32` | `gray16` |
    /// | `attach-planes` | the other planes of the frame ride along, from the next frame on | false |
    /// | `queue-size` | pictures that may wait for downstream | 1 |
    /// | `idle-timeout` | end of stream after so many milliseconds of playing without a frame; 0: wait for ever | 0 |
    /// | `stall-timeout` | milliseconds of playing without a frame after which a warning on the bus says why, see below; 0: never | 5000 |
    /// | `max-frames` | end of stream after so many frames; 0: no limit | 0 |
    /// | `nats-url` | NATS server, `nats://[USER:PASSWORD@]HOST[:PORT]` or `tls://...`; empty: none. It is read back without credentials | `nats://localhost:4222` |
    /// | `nats-credentials`, `nats-ca`, `nats-cert`, `nats-key` | credentials file; PEM files of the server's authority, of a client certificate and of its key | from `NATS_CREDS` and so on |
    /// | `eos-on-offline` | end of stream when the producer says that it leaves; else wait for the next one | false |
    /// | `control-timeout` | milliseconds that an action signal waits | 1000 |
    /// | `stats` | counters, read-only | |
    ///
    /// # When nothing comes
    ///
    /// A source whose producer is not there waits. When no frame has come for `stall-timeout`, a warning on the bus
    /// (`GST_RESOURCE_ERROR_READ`) names segment, endpoint and the reason, with what to do; it comes again after twice the
    /// time and so on, at most every five minutes, and stands in `stats` until the next frame. It tells apart: a segment
    /// that is not there (and which are), may not be read, is no plain file or has another content; a socket that is not
    /// there, may not be connected to, has nobody behind it or somebody else; a producer of another label; frames of which
    /// none can be taken; and a producer that stands still.
    ///
    /// # Statistics
    ///
    /// `stats` is a structure `application/x-cvmmapsrc-stats` of `uint64` fields: `frames-announced` (sync messages),
    /// `frames-received` (whole snapshots), `frames-pushed`, `frames-dropped` (downstream was slow, or took another format meanwhile), `frames-torn` (changed
    /// under the copy), `frames-late` (may have changed under the copy, see `coherence`), `frames-skipped` (gaps in the frame ids), `frames-repeated` (announced twice), `frames-invalid`
    /// (metadata or segment unusable), `frames-unavailable` (no segment), `frames-without-plane`,
    /// `frames-undecodable` (access units behind a lost one), `messages-foreign` and `source-restarts`, and of `stall` (string), why no frame comes, empty while they do. While the element runs with a
    /// `nats-url` also `status-received`, `bodies-received`, `bodies-attached`, `bodies-passed` (no frame carried them),
    /// `messages-garbage`, `messages-overrun` (came faster than they were taken), `nats-connections`, and `nats-connected`
    /// (boolean).
    pub struct CvmmapSrc(ObjectSubclass<imp::CvmmapSrc>)
        @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object,
        @implements gst::URIHandler;
}

/// What a copied frame has to show to pass for whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCvmmapSrcCoherence")]
pub enum Coherence {
    /// Equal metadata, and a copy that ended before the next write can have begun.
    #[default]
    #[enum_value(name = "Equal metadata, and in time by the producer's cadence", nick = "cadence")]
    Cadence,
    /// Equal metadata before and after the copy.
    #[enum_value(name = "Equal metadata before and after the copy", nick = "metadata")]
    Metadata,
}

/// What the timestamps of the buffers are made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCvmmapSrcTimestampMode")]
pub enum TimestampMode {
    /// The producer's timestamps, in whatever domain they are.
    #[default]
    #[enum_value(name = "Capture time, whatever clock the producer stamps with", nick = "auto")]
    Auto,
    /// The producer's timestamps, which are Unix time.
    #[enum_value(name = "Capture time, stamped in Unix time however old", nick = "capture")]
    Capture,
    /// The arrival of the announcement.
    #[enum_value(name = "Arrival of the announcement", nick = "arrival")]
    Arrival,
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    for kind in [
        Coherence::static_type(),
        TimestampMode::static_type(),
        planes::plane::Plane::static_type(),
        planes::plane::DepthFormat::static_type(),
    ] {
        kind.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
    crate::planes_meta::register();
    crate::body::register();
    gst::Element::register(Some(plugin), "cvmmapsrc", gst::Rank::NONE, CvmmapSrc::static_type())
}
