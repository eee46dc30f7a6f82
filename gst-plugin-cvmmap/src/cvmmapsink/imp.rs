use std::{
    sync::{Arc, LazyLock, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use cvmmap::{Frame, Permissions, PlaneImage, PlaneKind, PublishError, Publisher, nats::proto::source_flags};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::prelude::*;
use gst_video::prelude::*;

use super::{Abi, link::Link, planes::Riding};
use crate::{
    address::AddressSettings,
    body, controls,
    lock::lock,
    nats::NatsSettings,
    picture::{CAPTURE_TIME_CAPS, template_caps, wire_format},
};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("cvmmapsink", gst::DebugColorFlags::empty(), Some("cv-mmap video sink")));

/// Lock order: `producer`, then `link` or `published`; no two of the others at once.
#[derive(Default)]
pub struct CvmmapSink {
    settings: Mutex<Settings>,
    producer: Mutex<Option<Producer>>,
    published: Mutex<Published>,
    /// What the sink says over NATS.
    link: Mutex<Option<Arc<Link>>>,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    address: AddressSettings,
    abi: Abi,
    /// Mode of the segment; 0 is by the umask.
    perms: u32,
    nats: NatsSettings,
    source_info: Option<gst::Structure>,
    camera_controls: Option<gst::Structure>,
    playlist: Option<gst::Structure>,
}

struct Producer {
    publisher: Publisher,
    abi: cvmmap::Abi,
    info: Option<gst_video::VideoInfo>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Published {
    pub(super) frames: u64,
    bytes: u64,
    planes_unusable: u64,
    bodies: u64,
    bodies_unsent: u64,
    /// The last frame.
    pub(super) frame_id: u32,
    pub(super) timestamp_ns: u64,
    /// What is known of the source by its frames. Source: cv-mmap IPC contract, GetSourceInfoResponse.
    pub(super) flags: u32,
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
            specs.extend(NatsSettings::param_specs());
            specs.extend([
                glib::ParamSpecEnum::builder_with_default("abi", Settings::default().abi)
                    .nick("ABI")
                    .blurb("Layout of the metadata")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("perms")
                    .nick("Permissions")
                    .blurb(
                        "Mode of the segment, 0600 to 0666 whatever the umask; whoever may read it may connect to the \
                         socket (0 = 0644, less the umask)",
                    )
                    .maximum(0o666)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("source-info")
                    .nick("Source info")
                    .blurb("What requests for source info are answered with: kind, can-seek, start, end")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("camera-controls")
                    .nick("Camera controls")
                    .blurb("What the camera has and stands at: exposure=(int)40, auto-analog-gain-range=(int)<0, 30>, and so on")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("playlist")
                    .nick("Playlist")
                    .blurb("What is played: paths (an array of strings), current-index, sort-by-recording-time")
                    .mutable_playing()
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

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            let seek = glib::subclass::Signal::builder("seek-source")
                .param_types([u64::static_type()])
                .return_type::<Option<gst::Structure>>()
                .run_last();
            let set = glib::subclass::Signal::builder("set-camera-control")
                .param_types([String::static_type(), gst::Structure::static_type()])
                .return_type::<Option<gst::Structure>>()
                .run_last();
            let apply = glib::subclass::Signal::builder("apply-playlist")
                .param_types([gst::Structure::static_type()])
                .return_type::<Option<gst::Structure>>()
                .run_last();
            vec![seek.build(), set.build(), apply.build()]
        });
        &SIGNALS
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        match pspec.name() {
            "abi" => settings.abi = value.get().expect("checked by GObject"),
            "perms" => settings.perms = value.get().expect("checked by GObject"),
            "source-info" => settings.source_info = value.get().expect("checked by GObject"),
            "camera-controls" => settings.camera_controls = value.get().expect("checked by GObject"),
            "playlist" => settings.playlist = value.get().expect("checked by GObject"),
            name => {
                let known = settings.address.set(name, value) || settings.nats.set(name, value);
                debug_assert!(known, "property {name} has no setter");
            }
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "abi" => lock(&self.settings).abi.to_value(),
            "perms" => lock(&self.settings).perms.to_value(),
            "stats" => {
                let published = *lock(&self.published);
                let mut structure = gst::Structure::builder("application/x-cvmmapsink-stats")
                    .field("frames-published", published.frames)
                    .field("bytes-published", published.bytes)
                    .field("planes-unusable", published.planes_unusable)
                    .field("bodies-published", published.bodies)
                    .field("bodies-unsent", published.bodies_unsent)
                    .build();
                if let Some(link) = self.link() {
                    link.count_into(&mut structure);
                }
                structure.to_value()
            }
            "source-info" => lock(&self.settings).source_info.to_value(),
            "camera-controls" => lock(&self.settings).camera_controls.to_value(),
            "playlist" => lock(&self.settings).playlist.to_value(),
            name => {
                let mut settings = lock(&self.settings);
                let Settings { address, nats, .. } = &mut *settings;
                address.get(name).or_else(|| nats.get(name)).expect("every property has a getter")
            }
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
            Abi::V2Sparse => cvmmap::Abi::V2 { minor: 1 },
        };
        let permissions = match settings.perms {
            0 => Permissions::default(),
            mode => Permissions::new(mode)
                .map_err(|error| gst::error_msg!(gst::ResourceError::Settings, ("perms: {error}")))?,
        };
        let client = settings.nats.connect(&element)?;
        let publisher = Publisher::create_for(&address, abi, permissions).map_err(|error| match error {
            PublishError::Busy(_) | PublishError::Taken { .. } => {
                gst::error_msg!(gst::ResourceError::Busy, ("{error}"))
            }
            PublishError::NoLabel => gst::error_msg!(gst::ResourceError::Settings, ("{error}; set label")),
            _ => gst::error_msg!(gst::ResourceError::OpenWrite, ("{error}")),
        })?;
        gst::info!(CAT, imp = self, "publishing in {} by {}", address.shm_name(), address.zmq_endpoint());
        *lock(&self.published) = Published::default();
        *lock(&self.producer) = Some(Producer { publisher, abi, info: None });
        let link = client.and_then(|client| Link::start(client, &address, &self.obj()));
        *lock(&self.link) = link.map(Arc::new);
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let producer = lock(&self.producer).take();
        drop(producer);
        let link = lock(&self.link).take();
        drop(link);
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

    fn event(&self, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::FlushStop {
            self.start_over();
        }
        self.parent_event(event)
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
        let riding = Riding::of(buffer, producer.abi);
        let planes = std::iter::once(plane).chain(riding.images()).collect::<Vec<_>>();
        let (depth_unit, encoded) = (riding.depth_unit, riding.encoded);
        let published = producer.publisher.publish(&Frame { timestamp_ns, planes: &planes, depth_unit, encoded });
        let bytes = planes.iter().map(|plane| plane.data.len() as u64).sum::<u64>();
        match published {
            Ok(frame_id) => {
                gst::log!(CAT, imp = self, "frame {frame_id} captured at {timestamp_ns}");
                // After the announcement: what goes over NATS delays no frame.
                let body = body::packet_of(buffer)
                    .map(|packet| self.link().is_some_and(|link| link.publish_body(packet, frame_id, timestamp_ns)));
                let mut published = lock(&self.published);
                published.frames += 1;
                published.bytes += bytes;
                published.planes_unusable += riding.unusable;
                published.bodies += u64::from(body == Some(true));
                published.bodies_unsent += u64::from(body == Some(false));
                (published.frame_id, published.timestamp_ns) = (frame_id, timestamp_ns);
                if riding.has(PlaneKind::Depth) {
                    published.flags |= source_flags::HAS_DEPTH;
                }
                if body.is_some() {
                    published.flags |= source_flags::HAS_BODY;
                }
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
    fn link(&self) -> Option<Arc<Link>> {
        lock(&self.link).clone()
    }

    /// The last frame, and what was published so far.
    pub(super) fn last_published(&self) -> Published {
        *lock(&self.published)
    }

    /// Counts the frames from 0 again, and tells consumers.
    pub(super) fn start_over(&self) {
        if let Some(producer) = &mut *lock(&self.producer) {
            producer.publisher.start_over();
        }
        if let Some(link) = self.link() {
            link.stream_reset();
        }
    }

    /// Takes over the settings of the camera that a structure has a field for.
    pub(super) fn update_camera_controls(&self, changed: &gst::StructureRef) {
        if let Some(controls) = &mut lock(&self.settings).camera_controls {
            for setting in controls::settings_of(changed) {
                if let Ok(value) = changed.value(setting.word()) {
                    controls.set_value(setting.word(), value.clone());
                }
            }
        }
        self.obj().notify("camera-controls");
    }

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
