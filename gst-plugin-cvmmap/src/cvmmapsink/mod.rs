//! `cvmmapsink`: any pipeline as a cv-mmap producer.

mod imp;

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
    /// # Properties
    ///
    /// | name | meaning | default |
    /// | --- | --- | --- |
    /// | `uri` | `cvmmap://INSTANCE[@/PREFIX][?namespace=NAMESPACE]` | |
    /// | `instance`, `namespace`, `prefix` | the same, part by part | the element's name if one was given, `cvmmap`, `/tmp` |
    /// | `shm-name`, `zmq-endpoint`, `label` | outside the naming convention; the label has at most 24 bytes | |
    /// | `abi` | `v2` or `v1` metadata | `v2` |
    /// | `stats` | counters, read-only: `frames-published`, `bytes-published` (both `uint64`) | |
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
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "cvmmapsink", gst::Rank::NONE, CvmmapSink::static_type())
}
