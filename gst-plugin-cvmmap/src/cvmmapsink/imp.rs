use std::{
    sync::{LazyLock, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use cvmmap::{DepthUnit, Frame, PlaneImage, PlaneKind, PublishError, Publisher};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::prelude::*;
use gst_video::prelude::*;

use super::Abi;
use crate::{
    address::AddressSettings,
    lock::lock,
    picture::{CAPTURE_TIME_CAPS, template_caps, wire_format},
};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("cvmmapsink", gst::DebugColorFlags::empty(), Some("cv-mmap video sink")));

/// Lock order: one at a time.
#[derive(Default)]
pub struct CvmmapSink {
    settings: Mutex<Settings>,
    producer: Mutex<Option<Producer>>,
    published: Mutex<Published>,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    address: AddressSettings,
    abi: Abi,
}

struct Producer {
    publisher: Publisher,
    info: Option<gst_video::VideoInfo>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Published {
    frames: u64,
    bytes: u64,
}

#[glib::object_subclass]
impl ObjectSubclass for CvmmapSink {
    const NAME: &'static str = "GstCvmmapSink";
    type Type = super::CvmmapSink;
    type ParentType = gst_base::BaseSink;
    type Interfaces = (gst::URIHandler,);
}

impl ObjectImpl for CvmmapSink {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut specs = AddressSettings::param_specs();
            specs.extend([
                glib::ParamSpecEnum::builder_with_default("abi", Settings::default().abi)
                    .nick("ABI")
                    .blurb("Layout of the metadata")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("Counters of frames and bytes published")
                    .read_only()
                    .build(),
            ]);
            specs
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        match pspec.name() {
            "abi" => settings.abi = value.get().expect("checked by GObject"),
            name => {
                let known = settings.address.set(name, value);
                debug_assert!(known, "property {name} has no setter");
            }
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "abi" => lock(&self.settings).abi.to_value(),
            "stats" => {
                let Published { frames, bytes } = *lock(&self.published);
                gst::Structure::builder("application/x-cvmmapsink-stats")
                    .field("frames-published", frames)
                    .field("bytes-published", bytes)
                    .build()
                    .to_value()
            }
            name => lock(&self.settings).address.get(name).expect("every property has a getter"),
        }
    }
}

impl GstObjectImpl for CvmmapSink {}

impl ElementImpl for CvmmapSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "cv-mmap sink",
                "Sink/Video",
                "Publishes raw video as a cv-mmap producer",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template =
                gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &template_caps());
            vec![template.expect("caps of a fixed table")]
        });
        &TEMPLATES
    }
}

impl BaseSinkImpl for CvmmapSink {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let element = self.obj().clone().upcast::<gst::Element>();
        let address = settings
            .address
            .address(&element)
            .map_err(|error| gst::error_msg!(gst::ResourceError::Settings, ("{error}")))?;
        let abi = match settings.abi {
            Abi::V1 => cvmmap::Abi::V1,
            Abi::V2 => cvmmap::Abi::V2 { minor: 0 },
        };
        let publisher = Publisher::create(&address, abi).map_err(|error| match error {
            PublishError::Busy(_) => gst::error_msg!(gst::ResourceError::Busy, ("{error}")),
            PublishError::NoLabel => gst::error_msg!(gst::ResourceError::Settings, ("{error}; set label")),
            _ => gst::error_msg!(gst::ResourceError::OpenWrite, ("{error}")),
        })?;
        gst::info!(CAT, imp = self, "publishing in {} by {}", address.shm_name(), address.zmq_endpoint());
        *lock(&self.published) = Published::default();
        *lock(&self.producer) = Some(Producer { publisher, info: None });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let producer = lock(&self.producer).take();
        drop(producer);
        gst::info!(CAT, imp = self, "stopped: {:?}", *lock(&self.published));
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info =
            gst_video::VideoInfo::from_caps(caps).map_err(|_| gst::loggable_error!(CAT, "not raw video: {caps}"))?;
        if let Some(producer) = &mut *lock(&self.producer) {
            producer.info = Some(info);
        }
        Ok(())
    }

    fn propose_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        self.parent_propose_allocation(query)
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let timestamp_ns = self.capture_time(buffer);
        let mut producer = lock(&self.producer);
        let producer = producer.as_mut().ok_or(gst::FlowError::Flushing)?;
        let info = producer.info.as_ref().ok_or(gst::FlowError::NotNegotiated)?;
        let (pixel_format, depth) = wire_format(info.format()).ok_or(gst::FlowError::NotNegotiated)?;
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).map_err(|_| {
            gst::element_imp_error!(self, gst::StreamError::Format, ("a buffer does not hold the picture of its caps"));
            gst::FlowError::Error
        })?;
        let plane = PlaneImage {
            kind: PlaneKind::Left,
            pixel_format,
            depth,
            width: frame.width(),
            height: frame.height(),
            stride: u32::try_from(frame.plane_stride()[0]).map_err(|_| gst::FlowError::NotSupported)?,
            data: frame.plane_data(0).map_err(|_| gst::FlowError::Error)?,
        };
        let published = producer.publisher.publish(&Frame {
            timestamp_ns,
            planes: &[plane],
            depth_unit: DepthUnit::Unknown,
            encoded: None,
        });
        let bytes = plane.data.len() as u64;
        match published {
            Ok(frame_id) => {
                gst::log!(CAT, imp = self, "frame {frame_id} captured at {timestamp_ns}");
                let mut published = lock(&self.published);
                published.frames += 1;
                published.bytes += bytes;
                Ok(gst::FlowSuccess::Ok)
            }
            Err(error) => {
                gst::element_imp_error!(self, gst::ResourceError::Write, ("{error}"));
                Err(gst::FlowError::Error)
            }
        }
    }
}

impl URIHandlerImpl for CvmmapSink {
    const URI_TYPE: gst::URIType = gst::URIType::Sink;

    fn protocols() -> &'static [&'static str] {
        &[cvmmap::SCHEME]
    }

    fn uri(&self) -> Option<String> {
        lock(&self.settings).address.uri()
    }

    fn set_uri(&self, uri: &str) -> Result<(), glib::Error> {
        let runs = lock(&self.producer).is_some();
        lock(&self.settings).address.set_uri(uri, runs)?;
        self.obj().notify("uri");
        Ok(())
    }
}

impl CvmmapSink {
    /// Unix time of a buffer's capture in nanoseconds.
    fn capture_time(&self, buffer: &gst::BufferRef) -> u64 {
        let carried = buffer
            .iter_meta::<gst::ReferenceTimestampMeta>()
            .find(|meta| meta.reference().is_subset(&CAPTURE_TIME_CAPS));
        if let Some(meta) = carried {
            return meta.timestamp().nseconds();
        }
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let segment = self.obj().segment();
        let captured =
            segment.downcast_ref::<gst::ClockTime>().and_then(|segment| segment.to_running_time(buffer.pts()?));
        match (self.obj().current_running_time(), captured) {
            (Some(now), Some(captured)) => unix.saturating_sub(now.saturating_sub(captured).nseconds()),
            _ => unix,
        }
    }
}
