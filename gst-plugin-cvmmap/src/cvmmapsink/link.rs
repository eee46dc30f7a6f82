//! What the sink says and answers over NATS.

use std::{
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use cvmmap::{
    Address,
    body::Packet,
    nats::{
        Camera, CameraControlChange, CameraControlValue, Client, Identity, Player, Producer, Refusal, Source,
        SourceState,
        proto::{
            CameraControlSetting, ErrorCode, PlaylistInfo, SeekTimestampResponse, SourceKind, TimestampDomain,
            source_flags,
        },
    },
};
use gst::{glib, prelude::*, subclass::prelude::*};

use crate::{controls, lock::lock};

/// Where a body packet's fields stand that a publisher fills in. Source: cv-mmap IPC contract, "Body-tracking packet".
const FRAME: std::ops::Range<usize> = 4..8;
const TIMESTAMP: std::ops::Range<usize> = 8..16;
const LABEL: std::ops::Range<usize> = 40..64;

/// The producer's side of a running sink; dropping it says goodbye.
pub(super) struct Link {
    producer: Producer,
    label: String,
}

impl Link {
    /// Answers, and says that the producer is online as soon as there is a server. None when the segment's name cannot
    /// stand in a subject.
    pub(super) fn start(client: Client, address: &Address, element: &super::CvmmapSink) -> Option<Self> {
        let identity = Identity::new(address, "cvmmapsink")?;
        let source = Arc::new(Answers { element: element.downgrade(), changing: Mutex::new(()) });
        let label = address.label().unwrap_or_default().to_owned();
        Some(Self { producer: Producer::start(client, identity, source), label })
    }

    /// Tells consumers that the source starts over.
    pub(super) fn stream_reset(&self) {
        self.producer.stream_reset();
    }

    /// Publishes a packet under the frame that it rode on. False when it is none, or did not get out.
    pub(super) fn publish_body(&self, mut bytes: Vec<u8>, frame_id: u32, timestamp_ns: u64) -> bool {
        if Packet::parse(&bytes).is_err() {
            return false;
        }
        bytes[FRAME].copy_from_slice(&frame_id.to_le_bytes());
        bytes[TIMESTAMP].copy_from_slice(&timestamp_ns.to_le_bytes());
        let label = &mut bytes[LABEL];
        label.fill(0);
        label.iter_mut().zip(self.label.bytes()).for_each(|(place, byte)| *place = byte);
        self.producer.publish_body_bytes(bytes)
    }

    /// Adds the connection to the element's counters.
    pub(super) fn count_into(&self, structure: &mut gst::StructureRef) {
        structure.set("nats-connected", self.producer.client().is_connected());
    }
}

struct Answers {
    element: glib::WeakRef<super::CvmmapSink>,
    /// Held while the application makes a change, so that what it says then is what it stands at.
    changing: Mutex<()>,
}

impl Source for Answers {
    fn state(&self) -> SourceState {
        let Some(element) = self.element.upgrade() else {
            return SourceState { error: ErrorCode::Error.into(), ..SourceState::default() };
        };
        let last = element.imp().last_published();
        let told = element.property::<Option<gst::Structure>>("source-info");
        let field = |name: &str| told.as_ref().and_then(|told| told.get::<u64>(name).ok());
        let kind = told.as_ref().and_then(|told| told.get::<&str>("kind").ok());
        let finite = kind == Some("finite");
        let mut flags = last.flags;
        if told.as_ref().is_some_and(|told| told.get("can-seek") == Ok(true)) {
            flags |= source_flags::CAN_SEEK;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let (start, end) = (field("start").unwrap_or_default(), field("end").unwrap_or_default());
        SourceState {
            error: ErrorCode::Ok.into(),
            source_kind: if finite { SourceKind::Finite } else { SourceKind::Live }.into(),
            timestamp_domain: TimestampDomain::UnixEpochNs.into(),
            flags,
            timeline_start_ns: start,
            timeline_end_ns: end,
            duration_ns: end.saturating_sub(start),
            current_timestamp_ns: if last.frames > 0 { last.timestamp_ns } else { now },
            current_frame_count: last.frame_id,
        }
    }

    fn reset(&self) -> Result<(), ErrorCode> {
        self.element()?.imp().start_over();
        Ok(())
    }

    fn seek(&self, target: u64) -> Result<SeekTimestampResponse, ErrorCode> {
        let element = self.element()?;
        let told = element.property::<Option<gst::Structure>>("source-info").ok_or(ErrorCode::Unsupported)?;
        if told.get("can-seek") != Ok(true) {
            return Err(ErrorCode::Unsupported);
        }
        let bound = |name, default| told.get::<u64>(name).unwrap_or(default);
        if target < bound("start", 0) || target > bound("end", u64::MAX) {
            return Err(ErrorCode::OutOfRange);
        }
        let landed = element.emit_by_name::<Option<gst::Structure>>("seek-source", &[&target]);
        let landed = landed.ok_or(ErrorCode::Unsupported)?;
        element.imp().start_over();
        let landed_timestamp_ns = landed.get("landed-timestamp").unwrap_or(target);
        Ok(SeekTimestampResponse {
            error: ErrorCode::Ok.into(),
            requested_timestamp_ns: target,
            landed_timestamp_ns,
            landed_frame_count: 0,
            exact_match: landed_timestamp_ns == target,
        })
    }

    fn camera(&self) -> Option<&dyn Camera> {
        self.told("camera-controls").is_ok().then_some(self)
    }

    fn player(&self) -> Option<&dyn Player> {
        self.told("playlist").is_ok().then_some(self)
    }
}

impl Answers {
    fn element(&self) -> Result<super::CvmmapSink, ErrorCode> {
        self.element.upgrade().ok_or(ErrorCode::Error)
    }

    /// What the application has told by a property.
    fn told(&self, property: &str) -> Result<gst::Structure, ErrorCode> {
        self.element()?.property::<Option<gst::Structure>>(property).ok_or(ErrorCode::Unsupported)
    }
}

fn lacks(setting: CameraControlSetting) -> Refusal {
    Refusal::new(ErrorCode::Unsupported, format!("this camera has no setting {setting}"))
}

/// The application says by `camera-controls` what its camera has, and changes it when it is asked by
/// `set-camera-control`.
impl Camera for Answers {
    fn settings(&self) -> Result<Vec<CameraControlSetting>, Refusal> {
        let told = self.told("camera-controls")?;
        Ok(controls::settings_of(&told))
    }

    fn value(&self, setting: CameraControlSetting) -> Result<CameraControlValue, Refusal> {
        let told = self.told("camera-controls")?;
        controls::value_of(&told, setting).ok_or_else(|| lacks(setting))
    }

    fn change(
        &self,
        setting: CameraControlSetting,
        change: CameraControlChange,
    ) -> Result<CameraControlValue, Refusal> {
        let _one_at_a_time = lock(&self.changing);
        self.value(setting)?;
        let (element, wanted) = (self.element()?, controls::describe_change(change));
        let answer = element.emit_by_name::<Option<gst::Structure>>("set-camera-control", &[&setting.word(), &wanted]);
        let changed = controls::granted(answer)?;
        element.imp().update_camera_controls(&changed);
        self.value(setting)
    }
}

/// The application says by `playlist` what it plays, and plays something else when it is asked by `apply-playlist`.
impl Player for Answers {
    fn playlist(&self) -> Result<PlaylistInfo, Refusal> {
        let told = self.told("playlist")?;
        Ok(controls::playlist_of(&told))
    }

    fn apply(&self, paths: Vec<String>, sort_by_recording_time: bool) -> Result<PlaylistInfo, Refusal> {
        let _one_at_a_time = lock(&self.changing);
        let element = self.element()?;
        let wanted = PlaylistInfo { paths, sort_by_recording_time, ..PlaylistInfo::default() };
        let wanted = controls::with_playlist(gst::Structure::builder("playlist"), &wanted).build();
        let answer = element.emit_by_name::<Option<gst::Structure>>("apply-playlist", &[&wanted]);
        let playlist = controls::granted(answer)?;
        let info = controls::playlist_of(&playlist);
        element.set_property("playlist", playlist);
        element.imp().start_over();
        Ok(info)
    }
}
