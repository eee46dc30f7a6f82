//! `info`, `reset` and `seek`.

use std::time::Duration;

use cvmmap::{
    Target,
    nats::{
        Client, Control, ControlError, Subjects,
        proto::{ErrorCode, source_flags},
    },
};
use serde::Serialize;
use tools_cli::{failure::Failure, report};

use super::{
    args::{Moment, Options},
    failure, output,
};

#[derive(Serialize)]
struct Info {
    kind: &'static str,
    timestamp_domain: &'static str,
    can_seek: bool,
    loops: bool,
    loop_emits_reset: bool,
    has_depth: bool,
    has_body: bool,
    can_record: bool,
    timeline_start_ns: u64,
    timeline_end_ns: u64,
    duration_ns: u64,
    current_timestamp_ns: u64,
    current_frame_count: u32,
}

pub(super) fn control(client: Client, target: &Target) -> Control {
    Control::new(client, Subjects::from(target))
}

/// What a producer is.
///
/// # Errors
/// When it does not answer.
pub fn info(client: Client, target: &Target, options: &Options) -> Result<(), Failure> {
    let told = control(client, target).source_info(options.timeout()).map_err(failure)?;
    let has = |flag| told.flags & flag != 0;
    let info = Info {
        kind: lower(told.source_kind().as_str_name(), "SOURCE_KIND_"),
        timestamp_domain: match told.timestamp_domain() {
            cvmmap::nats::proto::TimestampDomain::UnixEpochNs => "unix",
            cvmmap::nats::proto::TimestampDomain::MediaTimeNs => "media",
            cvmmap::nats::proto::TimestampDomain::Unknown => "unknown",
        },
        can_seek: has(source_flags::CAN_SEEK),
        loops: has(source_flags::AUTO_LOOP),
        loop_emits_reset: has(source_flags::LOOP_EMITS_RESET),
        has_depth: has(source_flags::HAS_DEPTH),
        has_body: has(source_flags::HAS_BODY),
        can_record: has(source_flags::CAN_RECORD),
        timeline_start_ns: told.timeline_start_ns,
        timeline_end_ns: told.timeline_end_ns,
        duration_ns: told.duration_ns,
        current_timestamp_ns: told.current_timestamp_ns,
        current_frame_count: told.current_frame_count,
    };
    report::print(&info, options.json, || {
        let flags = [
            ("seek", info.can_seek),
            ("loop", info.loops),
            ("loop-reset", info.loop_emits_reset),
            ("depth", info.has_depth),
            ("body", info.has_body),
            ("record", info.can_record),
        ];
        let flags: Vec<_> = flags.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        output::fields(&[
            ("producer", target.to_string()),
            ("kind", info.kind.to_owned()),
            ("timestamps", info.timestamp_domain.to_owned()),
            ("offers", flags.join(" ")),
            ("timeline", format!("{} to {} ns", info.timeline_start_ns, info.timeline_end_ns)),
            ("duration", format!("{:.3} s", info.duration_ns as f64 / 1e9)),
            ("now", format!("{} ns, frame {}", info.current_timestamp_ns, info.current_frame_count)),
        ])
    })?;
    Ok(())
}

fn lower(name: &'static str, prefix: &str) -> &'static str {
    match name.trim_start_matches(prefix) {
        "LIVE" => "live",
        "FINITE" => "finite",
        _ => "unknown",
    }
}

/// Starts a producer's frame count over.
///
/// # Errors
/// When it does not answer, or refuses.
pub fn reset(client: Client, target: &Target, options: &Options) -> Result<(), Failure> {
    control(client, target).reset(options.timeout()).map_err(failure)?;
    report::print(&serde_json::json!({ "reset": true }), options.json, || "the frame count starts over\n".to_owned())?;
    Ok(())
}

/// The timestamp of a moment.
///
/// # Errors
/// When the producer has to be asked, and does not answer or has no timeline.
pub fn timestamp(client: &Client, target: &Target, moment: Moment, options: &Options) -> Result<u64, Failure> {
    let after = match moment {
        Moment::At(timestamp_ns) => return Ok(timestamp_ns),
        Moment::FromStart(after) => after,
    };
    let told = control(client.clone(), target).source_info(options.timeout()).map_err(failure)?;
    if told.timeline_end_ns == 0 {
        return Err(Failure::Configuration(format!("{target} has no timeline that +SECONDS could count in")));
    }
    Ok(told.timeline_start_ns.saturating_add(after.as_nanos() as u64))
}

/// Goes on from another moment.
///
/// # Errors
/// When the producer does not answer, or refuses.
pub fn seek(client: Client, target: &Target, timestamp_ns: u64, options: &Options) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Landed {
        requested_timestamp_ns: u64,
        landed_timestamp_ns: u64,
        landed_frame_count: u32,
        exact_match: bool,
    }
    let control = control(client, target);
    let told = control.seek(timestamp_ns, options.timeout());
    let told = told.map_err(|error| with_range(&control, error, options.timeout()))?;
    let landed = Landed {
        requested_timestamp_ns: told.requested_timestamp_ns,
        landed_timestamp_ns: told.landed_timestamp_ns,
        landed_frame_count: told.landed_frame_count,
        exact_match: told.exact_match,
    };
    report::print(&landed, options.json, || {
        let how = if landed.exact_match { "exactly" } else { "nearest" };
        format!("at {} ns, frame {} ({how})\n", landed.landed_timestamp_ns, landed.landed_frame_count)
    })?;
    Ok(())
}

/// Why a seek did not work; out of range, with the range when the producer tells it.
fn with_range(control: &Control, error: ControlError, timeout: Duration) -> Failure {
    let is_out = matches!(error, ControlError::Refused { code: ErrorCode::OutOfRange, .. });
    let info = if is_out { control.source_info(timeout).ok() } else { None };
    match (failure(error), info) {
        (Failure::Configuration(why), Some(info)) if info.timeline_end_ns > info.timeline_start_ns => {
            Failure::Configuration(format!(
                "{why}; the source goes from {} to {} ns",
                info.timeline_start_ns, info.timeline_end_ns
            ))
        }
        (failure, _) => failure,
    }
}
