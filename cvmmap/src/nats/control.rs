//! Requests to a producer, in whichever family of subjects it answers.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    camera::{CameraControlChange, CameraControlValue},
    client::Client,
    client_error::RequestError,
    discovery::{SERVICE_PRODUCER, discover},
    proto::{
        ApplyPlaylistRequest, ApplyPlaylistResponse, CameraControlSetting, CameraControlState, CameraControlWriteMode,
        CapabilitiesRequest, CapabilitiesResponse, ErrorCode, GetCameraControlCapabilitiesRequest,
        GetCameraControlCapabilitiesResponse, GetCameraControlRequest, GetCameraControlResponse,
        GetPlaylistInfoRequest, GetPlaylistInfoResponse, GetSourceInfoRequest, GetSourceInfoResponse, PlaylistInfo,
        Reply, ResetFrameCountRequest, ResetFrameCountResponse, SeekTimestampRequest, SeekTimestampResponse,
        SetCameraControlRangeRequest, SetCameraControlRangeResponse, SetCameraControlRequest, SetCameraControlResponse,
    },
    subjects::{Family, Subjects},
};

/// Discovery gets this part of a request's time.
const DISCOVERY_SHARE: u32 = 4;

/// Requests to one producer.
#[derive(Clone)]
pub struct Control {
    client: Client,
    subjects: Subjects,
    /// What the producer's request subjects begin with, once it is known.
    prefix: Arc<Mutex<Option<String>>>,
}

/// Why a request did not work: there is no answer, it is a no, or it is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// No answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The producer says no.
    #[error("refused: {}{}", .code.name(), said(.message))]
    Refused {
        /// Its code.
        code: ErrorCode,
        /// Its words, if any.
        message: String,
    },
    /// The answer is none.
    #[error("{0}: the answer is not the protobuf message that the contract says")]
    Garbage(String),
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl Control {
    /// Requests to the producer of these subjects.
    pub fn new(client: Client, subjects: Subjects) -> Self {
        Self { client, subjects, prefix: Arc::default() }
    }

    /// What the producer is, and where it stands.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn source_info(&self, timeout: Duration) -> Result<GetSourceInfoResponse, ControlError> {
        self.ask("source.info", &GetSourceInfoRequest {}, timeout)
    }

    /// What the producer can do.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn capabilities(&self, timeout: Duration) -> Result<CapabilitiesResponse, ControlError> {
        self.ask("source.capabilities", &CapabilitiesRequest {}, timeout)
    }

    /// Starts the frame count over.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn reset(&self, timeout: Duration) -> Result<ResetFrameCountResponse, ControlError> {
        self.ask("source.reset", &ResetFrameCountRequest {}, timeout)
    }

    /// Goes on from another time of the source.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn seek(&self, target_timestamp_ns: u64, timeout: Duration) -> Result<SeekTimestampResponse, ControlError> {
        self.ask("source.seek", &SeekTimestampRequest { target_timestamp_ns }, timeout)
    }

    /// The settings that the producer's camera has; none without a camera. Settings of a newer contract are left out.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn camera_settings(&self, timeout: Duration) -> Result<Vec<CameraControlSetting>, ControlError> {
        let told: GetCameraControlCapabilitiesResponse =
            self.ask("camera_control.capabilities", &GetCameraControlCapabilitiesRequest {}, timeout)?;
        let known = |setting: &CameraControlSetting| *setting != CameraControlSetting::Unknown;
        // The iterator skips numbers that are not known.
        Ok(if told.supported { told.supported_settings().filter(known).collect() } else { Vec::new() })
    }

    /// What a setting of the producer's camera stands at.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn camera_control(
        &self,
        setting: CameraControlSetting,
        timeout: Duration,
    ) -> Result<CameraControlValue, ControlError> {
        const PATH: &str = "camera_control.get";
        let request = GetCameraControlRequest { setting: setting.into() };
        let told: GetCameraControlResponse = self.ask(PATH, &request, timeout)?;
        value_of(PATH, told.control, setting)
    }

    /// Changes a setting of the producer's camera; what it stands at then.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn set_camera_control(
        &self,
        setting: CameraControlSetting,
        change: CameraControlChange,
        timeout: Duration,
    ) -> Result<CameraControlValue, ControlError> {
        let (mode, value) = match change {
            CameraControlChange::Range { min, max } => {
                const PATH: &str = "camera_control.set_range";
                let request = SetCameraControlRangeRequest { setting: setting.into(), min_value: min, max_value: max };
                let told: SetCameraControlRangeResponse = self.ask(PATH, &request, timeout)?;
                return value_of(PATH, told.control, setting);
            }
            CameraControlChange::Auto => (CameraControlWriteMode::Auto, 0),
            CameraControlChange::Manual(value) => (CameraControlWriteMode::Manual, value),
        };
        const PATH: &str = "camera_control.set";
        let request = SetCameraControlRequest { setting: setting.into(), mode: mode.into(), value };
        let told: SetCameraControlResponse = self.ask(PATH, &request, timeout)?;
        value_of(PATH, told.control, setting)
    }

    /// Which recordings the producer plays. `has_playlist` is false when it plays none of a list.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn playlist(&self, timeout: Duration) -> Result<PlaylistInfo, ControlError> {
        const PATH: &str = "source.playlist.info";
        let told: GetPlaylistInfoResponse = self.ask(PATH, &GetPlaylistInfoRequest {}, timeout)?;
        told.playlist_info.ok_or_else(|| ControlError::Garbage(PATH.to_owned()))
    }

    /// Plays other recordings, from the first one on; what is played then. Paths are the producer's.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn apply_playlist(
        &self,
        paths: Vec<String>,
        sort_by_recording_time: bool,
        timeout: Duration,
    ) -> Result<PlaylistInfo, ControlError> {
        const PATH: &str = "source.playlist.apply";
        let request = ApplyPlaylistRequest { paths, sort_by_recording_time };
        let told: ApplyPlaylistResponse = self.ask(PATH, &request, timeout)?;
        told.playlist_info.ok_or_else(|| ControlError::Garbage(PATH.to_owned()))
    }

    /// Sends a request to the subject behind the producer's family, `source.info` for one.
    fn send(&self, path: &str, payload: Vec<u8>, timeout: Duration) -> Result<Vec<u8>, ControlError> {
        let deadline = Instant::now() + timeout;
        let left = || deadline.saturating_duration_since(Instant::now());
        let send = |prefix: &str| self.client.request(&format!("{prefix}.{path}"), payload.clone(), left());
        let known = self.prefix.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(prefix) = known {
            match send(&prefix) {
                // Another producer may have taken its place.
                Err(RequestError::NoResponders(_)) => self.remember(None),
                answer => return Ok(answer?),
            }
        }
        if let Some(prefix) = self.discovered(timeout / DISCOVERY_SHARE)? {
            let answer = send(&prefix);
            if answer.is_ok() {
                self.remember(Some(prefix));
            }
            return Ok(answer?);
        }
        let newer = self.subjects.prefix(Family::Producer);
        let older = self.subjects.prefix(Family::Control);
        match send(&newer) {
            Err(RequestError::NoResponders(_)) => {
                let answer = send(&older)?;
                self.remember(Some(older));
                Ok(answer)
            }
            answer => {
                if answer.is_ok() {
                    self.remember(Some(newer));
                }
                Ok(answer?)
            }
        }
    }

    fn remember(&self, prefix: Option<String>) {
        *self.prefix.lock().unwrap_or_else(PoisonError::into_inner) = prefix;
    }

    fn discovered(&self, timeout: Duration) -> Result<Option<String>, RequestError> {
        let found = match discover(&self.client, SERVICE_PRODUCER, timeout) {
            // Who may ask a producer need not be allowed to look for others.
            Err(RequestError::Denied { .. }) => return Ok(None),
            found => found?,
        };
        let own = found.iter().find(|service| service.key() == Some(self.subjects.key()));
        Ok(own.and_then(|service| service.control_subject_prefix()).map(str::to_owned))
    }

    fn ask<R: Reply>(&self, path: &str, request: &impl prost::Message, timeout: Duration) -> Result<R, ControlError> {
        let answer = self.send(path, request.encode_to_vec(), timeout)?;
        checked(path, &answer)
    }
}

/// The value in a reply, which has to be of the setting that was asked for.
fn value_of(
    path: &str,
    state: Option<CameraControlState>,
    setting: CameraControlSetting,
) -> Result<CameraControlValue, ControlError> {
    CameraControlValue::from_state(state, setting).ok_or_else(|| ControlError::Garbage(path.to_owned()))
}

/// The reply in an answer, when it is one and says that the request worked.
///
/// # Errors
/// [`ControlError::Garbage`] and [`ControlError::Refused`].
pub(super) fn checked<R: Reply>(path: &str, answer: &[u8]) -> Result<R, ControlError> {
    let reply = R::decode(answer).map_err(|_| ControlError::Garbage(path.to_owned()))?;
    match reply.code() {
        ErrorCode::Ok => Ok(reply),
        code => {
            let message = reply.message().chars().filter(|c| !c.is_control()).take(300).collect();
            Err(ControlError::Refused { code, message })
        }
    }
}

/// One request with a typed reply to any subject, as the recorder's are.
impl Client {
    /// Asks with one protobuf message for another.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn ask<R: Reply>(
        &self,
        subject: &str,
        request: &impl prost::Message,
        timeout: Duration,
    ) -> Result<R, ControlError> {
        let answer = self.request(subject, request.encode_to_vec(), timeout)?;
        checked(subject, &answer)
    }
}
