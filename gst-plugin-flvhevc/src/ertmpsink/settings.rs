//! The element's properties.

use std::{path::PathBuf, time::Duration};

use gst::glib;

use super::failure::{Failure, Kind};
use crate::rtmp::location::{Credentials, Location};

/// Time limit of a command where none is set.
const COMMAND_MAX: Duration = Duration::from_secs(30);

/// Which servers further tracks are sent to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstErtmpSinkTracks")]
pub enum Tracks {
    #[default]
    #[enum_value(name = "To servers that say that they know them", nick = "negotiated")]
    Negotiated,
    #[enum_value(name = "To every server", nick = "always")]
    Always,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub location: Option<String>,
    pub username: Option<String>,
    pub password: Option<String>,
    /// Seconds; 0 for no limit to a stall.
    pub timeout: u32,
    pub tls_ca_file: Option<PathBuf>,
    pub max_backlog_time: gst::ClockTime,
    /// Bytes; 0 for a tenth of a second of the stream.
    pub send_buffer: u32,
    pub tracks: Tracks,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            location: None,
            username: None,
            password: None,
            timeout: 5,
            tls_ca_file: None,
            max_backlog_time: gst::ClockTime::SECOND,
            send_buffer: 0,
            tracks: Tracks::default(),
        }
    }
}

impl Settings {
    /// Where to publish, and as whom.
    pub fn destination(&self) -> Result<Location, Failure> {
        let failed = |why: &str| Failure::new(Kind::Settings, why);
        let url = self.location.as_deref().ok_or_else(|| failed("no location is set: rtmp[s]://HOST/APP/STREAM"))?;
        let mut location = Location::parse(url).map_err(failed)?;
        if let Some(user) = &self.username {
            let password = self.password.clone().unwrap_or_default();
            location.credentials = Some(Credentials { user: user.clone(), password });
        }
        Ok(location)
    }

    /// Longest that a command may take.
    pub fn command_limit(&self) -> Duration {
        if self.timeout == 0 { COMMAND_MAX } else { Duration::from_secs(self.timeout.into()) }
    }

    /// Longest that a server may take nothing.
    pub fn stall_limit(&self) -> Option<Duration> {
        (self.timeout > 0).then(|| Duration::from_secs(self.timeout.into()))
    }
}
