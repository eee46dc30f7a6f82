//! `cvmmapsrc`: live video from a cv-mmap producer.

mod attached;
mod cadence;
mod copy;
mod depth;
mod encoded;
mod frame_queue;
mod imp;
mod ingest;
mod media;
mod plane;
mod reused;
mod sequence;
mod settings;
mod stats;
mod timeline;

use gst::{glib, prelude::*};

glib::wrapper! {
    /// Live video from a cv-mmap producer's shared memory.
    ///
    /// ```sh
    /// gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 ! videoconvert ! autovideosink
    /// gst-launch-1.0 cvmmapsrc name=cam0 ! videoconvert ! x264enc tune=zerolatency ! rtph264pay ! udpsink host=127.0.0.1 port=5004
    /// gst-launch-1.0 cvmmapsrc shm-name=seg zmq-endpoint=ipc:///tmp/seg_sync max-frames=100 ! videoconvert ! pngenc ! multifilesink location=frame%03d.png
    /// gst-launch-1.0 uridecodebin uri=cvmmap://cam0 ! videoconvert ! autovideosink
    /// ```
    ///
    /// The producer need not run yet, and may come and go: the element waits and follows. Each announced frame is
    /// copied once, into a buffer of downstream's pool. When downstream is slower than the producer, the oldest waiting
    /// frame is dropped (`queue-size` frames may wait). A frame that the producer changed while it was copied is
    /// dropped too, and so is one whose pixels it may have changed while its metadata did not show it: the reference
    /// producer overwrites the pixels first, so by default the copy has to end before the next frame can have begun by
    /// the producer's cadence. That costs the first three frames of such a producer. After any loss, and when the picture changes, the next buffer is flagged `DISCONT`; a loss is also
    /// told in a QoS message. No frame passes while paused, and none from before or during a pause passes after it.
    ///
    /// A buffer's PTS is the running time at which its frame was captured, its `OFFSET` the producer's frame id; the
    /// producer's own timestamp rides along as a reference timestamp meta of caps `timestamp/x-unix`.
    ///
    /// The frame rate in the caps is the one that the producer's first two frames show, or another one that downstream
    /// insists on; it is nominal, the timestamps are what counts. A producer of less than four frames a second has 0/1.
    ///
    /// # Properties
    ///
    /// | name | meaning | default |
    /// | --- | --- | --- |
    /// | `uri` | `cvmmap://INSTANCE[@/PREFIX][?namespace=NAMESPACE]` | |
    /// | `instance`, `namespace`, `prefix` | the same, part by part | the element's name if one was given, `cvmmap`, `/tmp` |
    /// | `shm-name`, `zmq-endpoint`, `label` | a producer outside the naming convention | any label |
    /// | `coherence` | `cadence`: as above; `metadata`: equal metadata before and after the copy are enough | `cadence` |
    /// | `queue-size` | frames that may wait for downstream | 1 |
    /// | `idle-timeout` | end of stream after so many milliseconds of playing without a frame; 0: wait for ever | 0 |
    /// | `max-frames` | end of stream after so many frames; 0: no limit | 0 |
    /// | `stats` | counters, read-only | |
    ///
    /// # Statistics
    ///
    /// `stats` is a structure `application/x-cvmmapsrc-stats` of `uint64` fields: `frames-announced` (sync messages),
    /// `frames-received` (whole snapshots), `frames-pushed`, `frames-dropped` (downstream was slow), `frames-torn` (changed
    /// under the copy), `frames-late` (may have changed under the copy, see `coherence`), `frames-skipped` (gaps in the frame ids), `frames-repeated` (announced twice), `frames-invalid`
    /// (metadata or segment unusable), `frames-unavailable` (no segment), `messages-foreign` and `source-restarts`.
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

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    attached::register();
    gst::Element::register(Some(plugin), "cvmmapsrc", gst::Rank::NONE, CvmmapSrc::static_type())
}
