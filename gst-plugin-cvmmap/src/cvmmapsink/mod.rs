//! `cvmmapsink`: any pipeline as a cv-mmap producer.

mod imp;
mod link;
mod planes;

use gst::{glib, prelude::*};

glib::wrapper! {
    /// Publishes raw video as a cv-mmap producer: shared memory and ZeroMQ announcements.
    ///
    /// ```sh
    /// gst-launch-1.0 videotestsrc is-live=true ! video/x-raw,format=BGR,width=1280,height=720,framerate=30/1 ! cvmmapsink uri=cvmmap://cam0
    /// gst-launch-1.0 v4l2src ! videoconvert ! cvmmapsink name=cam0 abi=v1
    /// gst-launch-1.0 filesrc location=clip.mp4 ! decodebin ! videoconvert ! cvmmapsink shm-name=seg zmq-endpoint=ipc:///tmp/seg_sync label=clip
    /// ```
    ///
    /// The segment and the endpoint are made when the element starts and removed when it stops. A name or an endpoint
    /// that a live producer has is refused (`RESOURCE/BUSY`); what a dead one left is replaced. A frame is stamped with
    /// the Unix time of its capture: the buffer's `timestamp/x-unix` reference timestamp when it has one, else the wall
    /// clock at its running time.
    ///
    /// Depth, confidence and encoded planes that ride on a picture as `GstCvmmapPlanesMeta` (see `attach-planes` of
    /// `cvmmapsrc`) are published with it, access units and planes that are not on every frame with `abi=v2.1` alone. A
    /// body-tracking packet that rides on it as `GstCvmmapBodyMeta` is published over NATS under that frame's id.
    ///
    /// Over NATS the sink says when it starts, leaves and starts over, and answers requests for source info,
    /// capabilities, reset and seek. A reset, a flush or a seek starts the frame ids over. Seeks are the application's:
    /// it sets `source-info` to a structure with `kind` (`live` or `finite`), `can-seek` (boolean), `start` and `end`
    /// (`uint64`, the timestamps of the timeline), and answers the signal `seek-source` (`uint64` target timestamp) with a
    /// structure that has `landed-timestamp` (`uint64`), or none when it cannot.
    ///
    /// Camera controls are the application's, too: it sets `camera-controls` to a structure with a field for each setting
    /// that its camera has, named as in docs/nats.md, which is what the setting stands at: an `int`, or an array of two for
    /// a range. It answers the signal `set-camera-control` (the setting's name, and a structure whose `mode` is `auto`,
    /// `manual` with `value`, or `range` with `min` and `max`) with a structure of all settings that changed, one with
    /// `error` (`OUT_OF_RANGE` and so on) and `message` when it refuses, or none when it cannot. So are playlists: it sets
    /// `playlist` to a structure with `paths` (an array of strings), `current-index` (`uint`) and `sort-by-recording-time`
    /// (boolean), and answers the signal `apply-playlist` (such a structure) with what it plays from now on; then frame ids
    /// start over. Handlers run in a thread of the NATS client.
    ///
    /// # Properties
    ///
    /// | name | meaning | default |
    /// | --- | --- | --- |
    /// | `uri` | `cvmmap://INSTANCE[@/PREFIX][?namespace=NAMESPACE]` | |
    /// | `instance`, `namespace`, `prefix` | the same, part by part | the element's name if one was given, `cvmmap`, `/tmp` |
    /// | `shm-name`, `zmq-endpoint`, `label` | outside the naming convention; the label has at most 24 bytes | |
    /// | `abi` | `v2`, `v2.1` or `v1` metadata | `v2` |
    /// | `perms` | mode of the segment, as `0640`, exact whatever the umask; whoever may read the segment may connect to the socket, too. 0: 0644, less the umask | 0 |
    /// | `nats-url` | NATS server, `nats://[USER:PASSWORD@]HOST[:PORT]` or `tls://...`; empty: none | `nats://localhost:4222` |
    /// | `nats-credentials`, `nats-ca`, `nats-cert`, `nats-key` | credentials file; PEM files of the server's authority, of a client certificate and of its key | |
    /// | `source-info` | what requests for source info are answered with, see above | |
    /// | `camera-controls` | settings of the camera and what they stand at, see above | none: there is no camera |
    /// | `playlist` | what is played, see above | none: nothing is played |
    /// | `stats` | counters, read-only: `frames-published`, `bytes-published`, `planes-unusable`, `bodies-published`, `bodies-unsent` (`uint64`), `nats-connected` (boolean) | |
    pub struct CvmmapSink(ObjectSubclass<imp::CvmmapSink>)
        @extends gst_base::BaseSink, gst::Element, gst::Object,
        @implements gst::URIHandler;
}

/// Layout of the metadata that `cvmmapsink` writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCvmmapSinkAbi")]
pub enum Abi {
    /// v1: one packed picture.
    #[enum_value(name = "ABI v1: one packed picture", nick = "v1")]
    V1,
    /// v2: planes with strides.
    #[default]
    #[enum_value(name = "ABI v2: planes with strides", nick = "v2")]
    V2,
    /// v2.1: planes that may be left out, and access units.
    #[enum_value(name = "ABI v2.1: planes that may be left out, and access units", nick = "v2.1")]
    V2Sparse,
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    Abi::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(Some(plugin), "cvmmapsink", gst::Rank::NONE, CvmmapSink::static_type())
}
