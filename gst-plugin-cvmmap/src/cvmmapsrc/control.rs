//! The action signals: requests to the producer, answered by a structure.

use std::time::Duration;

use cvmmap::nats::{
    Control, ControlError, RequestError,
    proto::{GetSourceInfoResponse, SourceKind, TimestampDomain, source_flags},
};
use gst::{glib, glib::subclass::Signal, prelude::*, subclass::prelude::*};

use super::imp::CvmmapSrc;

/// Name of every answer.
const REPLY: &str = "cvmmap-reply";

type Answer = Result<gst::Structure, ControlError>;

/// The signals of the element.
pub(super) fn signals() -> Vec<Signal> {
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
        raw("camera-control", "camera_control"),
        raw("playlist", "source.playlist"),
    ]
}

/// A request of messages whose fields the contract does not have: a verb, and bytes for bytes.
fn raw(name: &'static str, group: &'static str) -> Signal {
    action(name, &[String::static_type(), glib::Bytes::static_type()], move |control, arguments, timeout| {
        let verb = arguments[0].get::<Option<String>>().expect("checked by GObject").unwrap_or_default();
        let payload = arguments[1].get::<Option<glib::Bytes>>().expect("checked by GObject");
        let payload = payload.map(|bytes| bytes.to_vec()).unwrap_or_default();
        if verb.is_empty() || !verb.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return Err(ControlError::Request(RequestError::Failed {
                subject: group.to_owned(),
                why: "no such verb".to_owned(),
            }));
        }
        let answer = control.raw(&format!("{group}.{verb}"), payload, timeout)?;
        Ok(worked().field("payload", glib::Bytes::from_owned(answer)).build())
    })
}

fn action(
    name: &'static str,
    arguments: &[glib::Type],
    ask: impl Fn(&Control, &[glib::Value], Duration) -> Answer + Send + Sync + 'static,
) -> Signal {
    Signal::builder(name)
        .param_types(arguments.iter().copied())
        .return_type::<gst::Structure>()
        .action()
        .class_handler(move |values| {
            let element = values[0].get::<super::CvmmapSrc>().expect("checked by GObject");
            let imp: &CvmmapSrc = element.imp();
            let timeout = Duration::from_millis(element.property::<u32>("control-timeout").into());
            let reply = match imp.control() {
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
