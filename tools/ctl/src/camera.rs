//! `camera`: the settings of a producer's camera.

use cvmmap::nats::{CameraControlChange, CameraControlValue, Client, ControlError, proto::CameraControlSetting};
use serde::Serialize;
use tools_cli::{failure::Failure, report};

use super::{
    args::{Camera, Options},
    failure, output,
    source::control,
};

/// A setting and what it stands at; of a range, `min` and `max`.
#[derive(Default, Serialize)]
struct Row {
    setting: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<i32>,
    /// Why a setting of a list could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Row {
    fn new(setting: CameraControlSetting, value: CameraControlValue) -> Self {
        let setting = setting.word();
        match value {
            CameraControlValue::Single(value) => {
                Self { setting, kind: "single", value: Some(value), ..Self::default() }
            }
            CameraControlValue::Range { min, max } => {
                Self { setting, kind: "range", min: Some(min), max: Some(max), ..Self::default() }
            }
        }
    }

    fn unreadable(setting: CameraControlSetting, error: &ControlError) -> Self {
        Self { setting: setting.word(), kind: "unknown", error: Some(error.to_string()), ..Self::default() }
    }

    fn text(&self) -> String {
        match (self.value, self.min.zip(self.max), &self.error) {
            (Some(value), _, _) => value.to_string(),
            (_, Some((min, max)), _) => format!("{min} to {max}"),
            (_, _, error) => error.clone().unwrap_or_default(),
        }
    }
}

/// Reads and changes settings.
///
/// # Errors
/// When the producer does not answer, or refuses.
pub fn run(client: Client, verb: &Camera, options: &Options) -> Result<(), Failure> {
    let timeout = options.timeout();
    match verb {
        Camera::List(producer) => {
            let control = control(client, &producer.target);
            let settings = control.camera_settings(timeout).map_err(failure)?;
            let mut rows = Vec::new();
            for setting in settings {
                rows.push(match control.camera_control(setting, timeout) {
                    Ok(value) => Row::new(setting, value),
                    // One that cannot be read hides none of the others.
                    Err(error @ (ControlError::Refused { .. } | ControlError::Garbage(_))) => {
                        Row::unreadable(setting, &error)
                    }
                    Err(error) => return Err(failure(error)),
                });
            }
            report::print(&rows, options.json, || {
                if rows.is_empty() {
                    return "the producer has no camera controls\n".to_owned();
                }
                let rows = rows.iter().map(|row| [row.setting.to_owned(), row.kind.to_owned(), row.text()]);
                output::table(["SETTING", "KIND", "VALUE"], &rows.collect::<Vec<_>>())
            })?;
            Ok(())
        }
        Camera::Get { producer, setting } => {
            let value = control(client, &producer.target).camera_control(*setting, timeout);
            tell(*setting, value, options)
        }
        Camera::Set { producer, setting, value } => {
            let value = control(client, &producer.target).set_camera_control(*setting, *value, timeout);
            tell(*setting, value, options)
        }
        Camera::SetRange { producer, setting, min, max } => {
            let change = CameraControlChange::Range { min: *min, max: *max };
            let value = control(client, &producer.target).set_camera_control(*setting, change, timeout);
            tell(*setting, value, options)
        }
    }
}

fn tell(
    setting: CameraControlSetting,
    value: Result<CameraControlValue, ControlError>,
    options: &Options,
) -> Result<(), Failure> {
    let row = Row::new(setting, value.map_err(failure)?);
    report::print(&row, options.json, || output::fields(&[(row.setting, row.text())]))?;
    Ok(())
}
