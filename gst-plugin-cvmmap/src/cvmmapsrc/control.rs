//! The action signals: requests to the producer, answered by a structure.

use std::time::Duration;

use cvmmap::nats::{
    CameraControlChange, CameraControlValue, Control, ControlError, RequestError, UnknownSetting,
    proto::{
        CameraControlSetting, ErrorCode, GetSourceInfoResponse, PlaylistInfo, SourceKind, TimestampDomain, source_flags,
    },
};
use gst::{glib, glib::subclass::Signal, prelude::*};

use super::CvmmapSrc;
use crate::controls;

/// Name of every answer.
const REPLY: &str = "cvmmap-reply";

type Answer = Result<gst::Structure, ControlError>;

/// Asks the producer: the arguments of the signal, and how long an answer is waited for.
type Ask = fn(&Control, &[glib::Value], Duration) -> Answer;
/// Requests to an element's producer, while the element runs.
type ControlOf = fn(&CvmmapSrc) -> Option<Control>;

/// The signals of the element.
pub(super) fn signals(control_of: ControlOf) -> Vec<Signal> {
    let action = |name, arguments: &[glib::Type], ask| action(name, arguments, ask, control_of);
    let (text, int) = (String::static_type(), i32::static_type());
    vec![
        action("source-info", &[], |control, _, timeout| Ok(describe_info(&control.source_info(timeout)?))),
        action("source-capabilities", &[], |control, _, timeout| {
            let told = control.capabilities(timeout)?;
            Ok(worked().field("can-seek", told.can_seek).build())
        }),
        action("reset-source", &[], |control, _, timeout| control.reset(timeout).map(|_| worked().build())),
        action("seek-source", &[u64::static_type()], |control, arguments, timeout| {
            let landed = control.seek(arguments[0].get().expect("checked by GObject"), timeout)?;
            let reply = worked()
                .field("requested-timestamp", landed.requested_timestamp_ns)
                .field("landed-timestamp", landed.landed_timestamp_ns)
                .field("landed-frame-id", landed.landed_frame_count)
                .field("exact", landed.exact_match);
            Ok(reply.build())
        }),
        action("camera-settings", &[], |control, _, timeout| {
            let settings = control.camera_settings(timeout)?;
            let words = settings.iter().map(|setting| setting.word().to_send_value());
            Ok(worked().field("settings", gst::Array::from_values(words)).build())
        }),
        action("get-camera-control", &[text], |control, arguments, timeout| {
            let setting = setting_of(&arguments[0])?;
            Ok(describe_control(setting, control.camera_control(setting, timeout)?))
        }),
        action("set-camera-control", &[text, int], |control, arguments, timeout| {
            let value = arguments[1].get().expect("checked by GObject");
            change(control, &arguments[0], CameraControlChange::Manual(value), timeout)
        }),
        action("set-camera-control-auto", &[text], |control, arguments, timeout| {
            change(control, &arguments[0], CameraControlChange::Auto, timeout)
        }),
        action("set-camera-control-range", &[text, int, int], |control, arguments, timeout| {
            let [min, max] = [1, 2].map(|at: usize| arguments[at].get().expect("checked by GObject"));
            change(control, &arguments[0], CameraControlChange::Range { min, max }, timeout)
        }),
        action("playlist", &[], |control, _, timeout| Ok(describe_playlist(&control.playlist(timeout)?))),
        action(
            "apply-playlist",
            &[<Vec<String>>::static_type(), bool::static_type()],
            |control, arguments, timeout| {
                let paths = arguments[0].get::<Vec<String>>().unwrap_or_default();
                let sort = arguments[1].get().expect("checked by GObject");
                Ok(describe_playlist(&control.apply_playlist(paths, sort, timeout)?))
            },
        ),
    ]
}

fn setting_of(name: &glib::Value) -> Result<CameraControlSetting, ControlError> {
    let name = name.get::<Option<String>>().expect("checked by GObject").unwrap_or_default();
    name.parse().map_err(|error: UnknownSetting| ControlError::Refused {
        code: ErrorCode::InvalidPayload,
        message: error.to_string(),
    })
}

fn change(control: &Control, name: &glib::Value, change: CameraControlChange, timeout: Duration) -> Answer {
    let setting = setting_of(name)?;
    Ok(describe_control(setting, control.set_camera_control(setting, change, timeout)?))
}

fn describe_control(setting: CameraControlSetting, value: CameraControlValue) -> gst::Structure {
    controls::with_value(worked().field("setting", setting.word()), value).build()
}

fn describe_playlist(info: &PlaylistInfo) -> gst::Structure {
    controls::with_playlist(worked().field("has-playlist", info.has_playlist), info)
        .field("current-path", controls::plain(&info.current_path))
        .build()
}

fn action(name: &'static str, arguments: &[glib::Type], ask: Ask, control_of: ControlOf) -> Signal {
    Signal::builder(name)
        .param_types(arguments.iter().copied())
        .return_type::<gst::Structure>()
        .action()
        .class_handler(move |values| {
            let element = values[0].get::<CvmmapSrc>().expect("checked by GObject");
            let timeout = Duration::from_millis(element.property::<u32>("control-timeout").into());
            let reply = match control_of(&element) {
                Some(control) => ask(&control, &values[1..], timeout).unwrap_or_else(|error| refused(&error)),
                None => failed("NOT_CONNECTED", "the element does not run, or has no nats-url"),
            };
            Some(reply.to_value())
        })
        .build()
}

fn worked() -> gst::structure::Builder {
    gst::Structure::builder(REPLY).field("error", "OK")
}

fn failed(code: &str, message: &str) -> gst::Structure {
    gst::Structure::builder(REPLY).field("error", code).field("message", message).build()
}

fn refused(error: &ControlError) -> gst::Structure {
    let code = match error {
        ControlError::Refused { code, .. } => code.name(),
        ControlError::Garbage(_) => "GARBAGE",
        ControlError::Request(RequestError::TimedOut(_)) => "TIMEOUT",
        ControlError::Request(RequestError::NoResponders(_)) => "NO_RESPONDERS",
        ControlError::Request(RequestError::NotConnected { .. }) => "NOT_CONNECTED",
        ControlError::Request(_) => "ERROR",
    };
    failed(code, &error.to_string())
}

fn describe_info(info: &GetSourceInfoResponse) -> gst::Structure {
    let has = |flag| info.flags & flag != 0;
    worked()
        .field(
            "kind",
            match info.source_kind() {
                SourceKind::Unknown => "unknown",
                SourceKind::Live => "live",
                SourceKind::Finite => "finite",
            },
        )
        .field(
            "timestamp-domain",
            match info.timestamp_domain() {
                TimestampDomain::Unknown => "unknown",
                TimestampDomain::UnixEpochNs => "unix",
                TimestampDomain::MediaTimeNs => "media",
            },
        )
        .field("can-seek", has(source_flags::CAN_SEEK))
        .field("loops", has(source_flags::AUTO_LOOP))
        .field("has-depth", has(source_flags::HAS_DEPTH))
        .field("has-body", has(source_flags::HAS_BODY))
        .field("can-record", has(source_flags::CAN_RECORD))
        .field("start", info.timeline_start_ns)
        .field("end", info.timeline_end_ns)
        .field("duration", info.duration_ns)
        .field("timestamp", info.current_timestamp_ns)
        .field("frame-id", info.current_frame_count)
        .build()
}
