//! Camera controls and playlists as structures: what applications of `cvmmapsink` tell and are asked, and what
//! `cvmmapsrc` answers.

use cvmmap::nats::{
    CameraControlChange, CameraControlValue, Refusal,
    proto::{CameraControlSetting, ErrorCode, PlaylistInfo},
};
use gst::prelude::*;

/// The settings that a structure has a field for, by their names.
pub(crate) fn settings_of(controls: &gst::StructureRef) -> Vec<CameraControlSetting> {
    CameraControlSetting::ALL.into_iter().filter(|setting| controls.has_field(setting.word())).collect()
}

/// What a setting stands at: an `int`, or `< int, int >` for a range.
pub(crate) fn value_of(controls: &gst::StructureRef, setting: CameraControlSetting) -> Option<CameraControlValue> {
    let field = controls.value(setting.word()).ok()?;
    if let Ok(value) = field.get::<i32>() {
        return Some(CameraControlValue::Single(value));
    }
    let bounds = field.get::<gst::Array>().ok()?;
    let [min, max] = bounds.as_slice() else {
        return None;
    };
    Some(CameraControlValue::Range { min: min.get().ok()?, max: max.get().ok()? })
}

/// The structure with a setting's value in the fields `value`, or `min` and `max`.
pub(crate) fn with_value(structure: gst::structure::Builder, value: CameraControlValue) -> gst::structure::Builder {
    match value {
        CameraControlValue::Single(value) => structure.field("value", value),
        CameraControlValue::Range { min, max } => structure.field("min", min).field("max", max),
    }
}

/// A change, as an application is asked for it: `mode` is `auto`, `manual` (with `value`) or `range` (with `min`, `max`).
pub(crate) fn describe_change(change: CameraControlChange) -> gst::Structure {
    let structure = gst::Structure::builder("camera-control");
    match change {
        CameraControlChange::Auto => structure.field("mode", "auto"),
        CameraControlChange::Manual(value) => structure.field("mode", "manual").field("value", value),
        CameraControlChange::Range { min, max } => structure.field("mode", "range").field("min", min).field("max", max),
    }
    .build()
}

/// A playlist from its structure: `paths` (an array of strings), `current-index`, `sort-by-recording-time`.
pub(crate) fn playlist_of(structure: &gst::StructureRef) -> PlaylistInfo {
    let paths = structure.get::<gst::Array>("paths").ok();
    let paths: Vec<String> = paths.iter().flat_map(|paths| paths.iter()).filter_map(|path| path.get().ok()).collect();
    let current_index = structure.get("current-index").unwrap_or_default();
    PlaylistInfo {
        has_playlist: !paths.is_empty(),
        current_path: paths.get(current_index as usize).cloned().unwrap_or_default(),
        paths,
        sort_by_recording_time: structure.get("sort-by-recording-time").unwrap_or_default(),
        current_index,
    }
}

/// The structure with a playlist's fields.
pub(crate) fn with_playlist(structure: gst::structure::Builder, info: &PlaylistInfo) -> gst::structure::Builder {
    structure
        .field("paths", gst::Array::from_values(info.paths.iter().map(|path| plain(path).to_send_value())))
        .field("sort-by-recording-time", info.sort_by_recording_time)
        .field("current-index", info.current_index)
}

/// A text from another program without what GObject's strings cannot hold.
pub(crate) fn plain(text: &str) -> String {
    text.replace('\0', "")
}

/// What an application's handler answered: nothing is a refusal, as is a structure with an `error` that is not `OK`.
pub(crate) fn granted(answer: Option<gst::Structure>) -> Result<gst::Structure, Refusal> {
    let answer = answer.ok_or(ErrorCode::Unsupported)?;
    let Ok(error) = answer.get::<&str>("error") else {
        return Ok(answer);
    };
    match ErrorCode::from_str_name(&format!("ERROR_CODE_{error}")) {
        Some(ErrorCode::Ok) => Ok(answer),
        code => {
            let message = answer.get::<&str>("message").unwrap_or_default();
            Err(Refusal::new(code.unwrap_or(ErrorCode::Error), message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_read_as_they_can_be_typed() {
        gst::init().unwrap();
        let controls: gst::Structure =
            "camera, exposure=40, aec-agc=(int)1, auto-analog-gain-range=(int)<0, 30>, gain=(string)x, other=1"
                .parse()
                .unwrap();
        let value = |setting| value_of(&controls, setting);
        assert_eq!(value(CameraControlSetting::Exposure), Some(CameraControlValue::Single(40)));
        assert_eq!(
            value(CameraControlSetting::AutoAnalogGainRange),
            Some(CameraControlValue::Range { min: 0, max: 30 })
        );
        assert_eq!(value(CameraControlSetting::Gain), None, "no number");
        assert_eq!(value(CameraControlSetting::LedStatus), None, "not there");
        assert_eq!(settings_of(&controls).len(), 4);
    }

    #[test]
    fn an_answer_grants_or_refuses() {
        gst::init().unwrap();
        let answer = |text: &str| granted(Some(text.parse().unwrap()));
        assert!(answer("a, gain=1").is_ok() && answer("a, error=OK").is_ok());
        assert_eq!(granted(None), Err(ErrorCode::Unsupported.into()));
        assert_eq!(
            answer("a, error=OUT_OF_RANGE, message=\"0 to 9\""),
            Err(Refusal::new(ErrorCode::OutOfRange, "0 to 9"))
        );
        assert_eq!(answer("a, error=nonsense"), Err(ErrorCode::Error.into()));
    }

    #[test]
    fn a_playlist_there_and_back() {
        gst::init().unwrap();
        let structure: gst::Structure =
            "playlist, paths=(string)<\"/a\", \"/b\">, current-index=(uint)1".parse().unwrap();
        let info = playlist_of(&structure);
        assert_eq!((info.has_playlist, info.current_path.as_str()), (true, "/b"));
        assert_eq!(playlist_of(&with_playlist(gst::Structure::builder("playlist"), &info).build()), info);
        let lost: gst::Structure = "playlist, paths=(string)<\"/a\">, current-index=(uint)9".parse().unwrap();
        assert_eq!(playlist_of(&lost).current_path, "");
        assert!(!playlist_of(&gst::Structure::new_empty("playlist")).has_playlist);
    }
}
