//! Camera controls: their names and values, and who answers for them. Source: cv-mmap IPC contract, section 4.

use std::{fmt, str::FromStr};

use prost::Message as _;

use super::{
    proto::{
        CameraControlSetting, CameraControlState, CameraControlValueKind, CameraControlWriteMode, ErrorCode,
        GetCameraControlCapabilitiesRequest, GetCameraControlCapabilitiesResponse, GetCameraControlRequest,
        GetCameraControlResponse, SetCameraControlRangeRequest, SetCameraControlRangeResponse, SetCameraControlRequest,
        SetCameraControlResponse,
    },
    refusal::{Refusal, not_a_message},
};

/// The requests, as they stand behind `camera_control.` in a subject.
pub(super) const VERBS: [&str; 4] = ["capabilities", "get", "set", "set_range"];

impl CameraControlSetting {
    /// Every setting that the contract names.
    pub const ALL: [Self; 12] = [
        Self::Exposure,
        Self::Gain,
        Self::AecAgc,
        Self::WhitebalanceTemperature,
        Self::WhitebalanceAuto,
        Self::LedStatus,
        Self::ExposureTime,
        Self::AnalogGain,
        Self::DigitalGain,
        Self::AutoExposureTimeRange,
        Self::AutoAnalogGainRange,
        Self::AutoDigitalGainRange,
    ];

    /// The contract's name in lower case with dashes: `exposure`, `aec-agc`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Exposure => "exposure",
            Self::Gain => "gain",
            Self::AecAgc => "aec-agc",
            Self::WhitebalanceTemperature => "whitebalance-temperature",
            Self::WhitebalanceAuto => "whitebalance-auto",
            Self::LedStatus => "led-status",
            Self::ExposureTime => "exposure-time",
            Self::AnalogGain => "analog-gain",
            Self::DigitalGain => "digital-gain",
            Self::AutoExposureTimeRange => "auto-exposure-time-range",
            Self::AutoAnalogGainRange => "auto-analog-gain-range",
            Self::AutoDigitalGainRange => "auto-digital-gain-range",
        }
    }

    /// What its values are: one number, or two.
    pub fn kind(self) -> CameraControlValueKind {
        match self {
            Self::Unknown => CameraControlValueKind::Unknown,
            Self::AutoExposureTimeRange | Self::AutoAnalogGainRange | Self::AutoDigitalGainRange => {
                CameraControlValueKind::Range
            }
            _ => CameraControlValueKind::Single,
        }
    }
}

impl fmt::Display for CameraControlSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A text that names no setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no camera setting has this name; known are {}", CameraControlSetting::ALL.map(CameraControlSetting::word).join(", "))]
pub struct UnknownSetting;

/// By [`word`](CameraControlSetting::word), or as the contract writes it; capitals do not matter.
impl FromStr for CameraControlSetting {
    type Err = UnknownSetting;

    fn from_str(text: &str) -> Result<Self, UnknownSetting> {
        let word = text.to_ascii_lowercase().replace('_', "-");
        Self::ALL.into_iter().find(|setting| setting.word() == word).ok_or(UnknownSetting)
    }
}

/// What a setting stands at. Units are the camera's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameraControlValue {
    /// One number.
    Single(i32),
    /// From the lower number to the upper one, both included.
    Range {
        /// The lower one.
        min: i32,
        /// The upper one.
        max: i32,
    },
}

impl CameraControlValue {
    fn kind(self) -> CameraControlValueKind {
        match self {
            Self::Single(_) => CameraControlValueKind::Single,
            Self::Range { .. } => CameraControlValueKind::Range,
        }
    }

    /// A setting's value on the wire. A kind that is not the setting's is none.
    fn to_state(self, setting: CameraControlSetting) -> Option<CameraControlState> {
        let (value, (min_value, max_value)) = match self {
            Self::Single(value) => (value, (0, 0)),
            Self::Range { min, max } => (0, (min, max)),
        };
        let state =
            CameraControlState { setting: setting.into(), kind: self.kind().into(), value, min_value, max_value };
        (self.kind() == setting.kind()).then_some(state)
    }

    /// The value of a setting in a reply, when the reply is about that setting.
    pub(super) fn from_state(state: Option<CameraControlState>, setting: CameraControlSetting) -> Option<Self> {
        let state = state.filter(|state| state.setting() == setting)?;
        match state.kind() {
            CameraControlValueKind::Single => Some(Self::Single(state.value)),
            CameraControlValueKind::Range => Some(Self::Range { min: state.min_value, max: state.max_value }),
            CameraControlValueKind::Unknown => None,
        }
    }
}

/// As a person writes it: `40`, `0 to 100`.
impl fmt::Display for CameraControlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(value) => write!(f, "{value}"),
            Self::Range { min, max } => write!(f, "{min} to {max}"),
        }
    }
}

/// What a setting is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameraControlChange {
    /// The camera's own choice.
    Auto,
    /// One number.
    Manual(i32),
    /// From one number to another.
    Range {
        /// The lower one.
        min: i32,
        /// The upper one.
        max: i32,
    },
}

/// The camera behind a source; called from threads of the client, and may block. Requests that are no messages, name no
/// setting, or do not fit the setting's kind are refused before they come here.
pub trait Camera: Send + Sync {
    /// The settings that it has.
    ///
    /// # Errors
    /// When it cannot tell.
    fn settings(&self) -> Result<Vec<CameraControlSetting>, Refusal>;

    /// What a setting stands at.
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`] when it has no such setting.
    fn value(&self, setting: CameraControlSetting) -> Result<CameraControlValue, Refusal>;

    /// Changes a setting; what it stands at then.
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`] when it has no such setting or no automatic for it, [`ErrorCode::OutOfRange`].
    fn change(&self, setting: CameraControlSetting, change: CameraControlChange)
    -> Result<CameraControlValue, Refusal>;
}

/// The reply to one of [`VERBS`].
pub(super) fn answer(camera: Option<&dyn Camera>, verb: &str, request: &[u8]) -> Vec<u8> {
    match verb {
        "capabilities" => capabilities(camera, request).encode_to_vec(),
        "get" => {
            let (error, control, error_message) = reply(get(camera, request));
            GetCameraControlResponse { error, control, error_message }.encode_to_vec()
        }
        "set" => {
            let (error, control, error_message) = reply(set(camera, request));
            SetCameraControlResponse { error, control, error_message }.encode_to_vec()
        }
        _ => {
            let (error, control, error_message) = reply(set_range(camera, request));
            SetCameraControlRangeResponse { error, control, error_message }.encode_to_vec()
        }
    }
}

type Answer = Result<CameraControlState, Refusal>;

fn reply(answer: Answer) -> (i32, Option<CameraControlState>, String) {
    match answer {
        Ok(control) => (ErrorCode::Ok.into(), Some(control), String::new()),
        Err(refusal) => {
            let (error, message) = refusal.fields();
            (error, None, message)
        }
    }
}

/// A source without a camera supports none, which is no error.
fn capabilities(camera: Option<&dyn Camera>, request: &[u8]) -> GetCameraControlCapabilitiesResponse {
    let settings = match GetCameraControlCapabilitiesRequest::decode(request) {
        Ok(_) => camera.map_or(Ok(Vec::new()), Camera::settings),
        Err(_) => Err(not_a_message("GetCameraControlCapabilitiesRequest")),
    };
    match settings {
        Ok(settings) => GetCameraControlCapabilitiesResponse {
            supported: !settings.is_empty(),
            supported_settings: settings.into_iter().map(i32::from).collect(),
            ..Default::default()
        },
        Err(refusal) => {
            let (error, error_message) = refusal.fields();
            GetCameraControlCapabilitiesResponse { error, error_message, ..Default::default() }
        }
    }
}

fn get(camera: Option<&dyn Camera>, request: &[u8]) -> Answer {
    let request = GetCameraControlRequest::decode(request).map_err(|_| not_a_message("GetCameraControlRequest"))?;
    let setting = known(request.setting)?;
    state(setting, present(camera)?.value(setting)?)
}

fn set(camera: Option<&dyn Camera>, request: &[u8]) -> Answer {
    let request = SetCameraControlRequest::decode(request).map_err(|_| not_a_message("SetCameraControlRequest"))?;
    let setting = known(request.setting)?;
    let change = match request.mode() {
        CameraControlWriteMode::Auto => CameraControlChange::Auto,
        CameraControlWriteMode::Manual => CameraControlChange::Manual(request.value),
        CameraControlWriteMode::Unknown => return Err(invalid("no mode, MANUAL or AUTO, is given".to_owned())),
    };
    if setting.kind() == CameraControlValueKind::Range {
        return Err(invalid(format!("{setting} is a range: ask for set_range")));
    }
    state(setting, present(camera)?.change(setting, change)?)
}

fn set_range(camera: Option<&dyn Camera>, request: &[u8]) -> Answer {
    let request =
        SetCameraControlRangeRequest::decode(request).map_err(|_| not_a_message("SetCameraControlRangeRequest"))?;
    let setting = known(request.setting)?;
    let (min, max) = (request.min_value, request.max_value);
    if setting.kind() != CameraControlValueKind::Range {
        return Err(invalid(format!("{setting} is one value: ask for set")));
    }
    if min > max {
        return Err(invalid(format!("the range {min} to {max} is empty")));
    }
    state(setting, present(camera)?.change(setting, CameraControlChange::Range { min, max })?)
}

fn invalid(message: String) -> Refusal {
    Refusal::new(ErrorCode::InvalidPayload, message)
}

/// The setting of a number. A newer client may know more of them.
fn known(setting: i32) -> Result<CameraControlSetting, Refusal> {
    match CameraControlSetting::try_from(setting) {
        Ok(CameraControlSetting::Unknown) => Err(invalid("no setting is given".to_owned())),
        Ok(setting) => Ok(setting),
        Err(_) => Err(Refusal::new(ErrorCode::Unsupported, format!("setting {setting} is not known"))),
    }
}

fn present(camera: Option<&dyn Camera>) -> Result<&dyn Camera, Refusal> {
    camera.ok_or_else(|| Refusal::new(ErrorCode::Unsupported, "this source has no camera controls"))
}

fn state(setting: CameraControlSetting, value: CameraControlValue) -> Answer {
    value
        .to_state(setting)
        .ok_or_else(|| Refusal::new(ErrorCode::Error, format!("the camera gives {setting} a value of another kind")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has one number and one range, both of which take anything.
    struct Any;

    impl Camera for Any {
        fn settings(&self) -> Result<Vec<CameraControlSetting>, Refusal> {
            Ok(vec![CameraControlSetting::Gain])
        }

        fn value(&self, _: CameraControlSetting) -> Result<CameraControlValue, Refusal> {
            Ok(CameraControlValue::Single(-1))
        }

        fn change(
            &self,
            setting: CameraControlSetting,
            change: CameraControlChange,
        ) -> Result<CameraControlValue, Refusal> {
            match change {
                CameraControlChange::Auto => Err(ErrorCode::Ok.into()),
                CameraControlChange::Manual(value) => Ok(CameraControlValue::Single(value)),
                CameraControlChange::Range { min, max } if setting == CameraControlSetting::AutoAnalogGainRange => {
                    Ok(CameraControlValue::Range { min, max })
                }
                CameraControlChange::Range { min, .. } => Ok(CameraControlValue::Single(min)),
            }
        }
    }

    fn code(verb: &str, request: &[u8]) -> ErrorCode {
        GetCameraControlResponse::decode(&*answer(Some(&Any), verb, request)).unwrap().error()
    }

    #[test]
    fn values_are_zigzag_on_the_wire() {
        // Setting 2, mode 1, value -3, which zigzag makes 5.
        let reply = answer(Some(&Any), "set", &[0x08, 2, 0x10, 1, 0x18, 5]);
        assert_eq!(reply, [0x12, 6, 0x08, 2, 0x10, 1, 0x18, 5]);
        // Setting 11 from -1 to 2.
        let reply = answer(Some(&Any), "set_range", &[0x08, 11, 0x10, 1, 0x18, 4]);
        assert_eq!(reply, [0x12, 8, 0x08, 11, 0x10, 2, 0x20, 1, 0x28, 4]);
    }

    #[test]
    fn what_does_not_fit_is_refused_before_the_camera_sees_it() {
        let garbage: &[u8] = &[0x08];
        for verb in VERBS {
            assert_eq!(code(verb, garbage), ErrorCode::InvalidPayload, "{verb}");
        }
        for verb in &VERBS[1..] {
            assert_eq!(code(verb, &[]), ErrorCode::InvalidPayload, "{verb}: no setting");
            assert_eq!(code(verb, &[0x08, 99, 0x10, 1]), ErrorCode::Unsupported, "{verb}: a setting of the future");
        }
        assert_eq!(code("set", &[0x08, 2]), ErrorCode::InvalidPayload, "no mode");
        assert_eq!(code("set", &[0x08, 2, 0x10, 7]), ErrorCode::InvalidPayload, "mode 7");
        assert_eq!(code("set", &[0x08, 11, 0x10, 1]), ErrorCode::InvalidPayload, "one value for a range");
        assert_eq!(code("set_range", &[0x08, 2]), ErrorCode::InvalidPayload, "a range for one value");
        assert_eq!(code("set_range", &[0x08, 11, 0x10, 2]), ErrorCode::InvalidPayload, "1 to 0");
    }

    #[test]
    fn a_camera_that_contradicts_itself_is_an_error() {
        assert_eq!(code("set", &[0x08, 2, 0x10, 2]), ErrorCode::Error, "a refusal that says OK");
        assert_eq!(code("get", &[0x08, 11]), ErrorCode::Error, "one value of a range");
        assert_eq!(code("set_range", &[0x08, 10]), ErrorCode::Error, "one value for a range");
    }

    #[test]
    fn a_source_without_a_camera_says_so() {
        let told = GetCameraControlCapabilitiesResponse::decode(&*answer(None, "capabilities", &[])).unwrap();
        assert_eq!((told.error(), told.supported), (ErrorCode::Ok, false));
        for verb in ["get", "set"] {
            let told = GetCameraControlResponse::decode(&*answer(None, verb, &[0x08, 1, 0x10, 1])).unwrap();
            assert_eq!((told.error(), told.control), (ErrorCode::Unsupported, None), "{verb}");
            assert!(told.error_message.contains("no camera controls"), "{told:?}");
        }
    }

    #[test]
    fn settings_are_found_by_either_spelling() {
        for setting in CameraControlSetting::ALL {
            assert_eq!(setting.word().parse(), Ok(setting));
            let name = setting.as_str_name().trim_start_matches("CAMERA_CONTROL_SETTING_");
            assert_eq!(name.parse(), Ok(setting));
        }
        for wrong in ["", "unknown", "exposures", "1"] {
            assert_eq!(wrong.parse::<CameraControlSetting>(), Err(UnknownSetting), "{wrong}");
        }
    }
}
