//! Flags of further outputs, and of the time of capture in all of them.

use std::{convert::Infallible, fmt, path::PathBuf, str::FromStr};

use clap::Args;

/// Further ways out, and the time of capture in them.
#[derive(Args, Clone, Debug, Default)]
pub struct OutputArgs {
    /// Send MPEG-TS over SRT: srt://HOST:PORT?mode=caller|listener&latency=MS&passphrase=TEXT. A listener without a host is
    /// reached from this machine alone. Several times for several ways
    #[arg(long, value_name = "URL", help_heading = "Output")]
    pub srt_url: Vec<String>,
    /// Serve the camera to players at rtsp://HOST:PORT/CAMERA. Without a host, and without a password, for this machine alone
    #[arg(long, value_name = "[HOST]:PORT", help_heading = "Players")]
    pub rtsp: Option<String>,
    /// Who may watch by RTSP, by digest authentication
    #[arg(long, value_name = "NAME", requires = "rtsp_password_file", help_heading = "Players")]
    pub rtsp_user: Option<String>,
    /// The file whose first line is the password of --rtsp-user
    #[arg(long, value_name = "FILE", requires = "rtsp_user", help_heading = "Players")]
    pub rtsp_password_file: Option<PathBuf>,
    /// Serve picture, depth and skeletons to Foxglove at ws://HOST:PORT, as --mcap records them. Without a host for this
    /// machine alone
    #[arg(long, value_name = "[HOST]:PORT", help_heading = "Foxglove")]
    pub foxglove: Option<String>,
    /// Name of the camera in topics: /LABEL/video and so on [default: the topics of --mcap]
    #[arg(long, value_name = "LABEL", help_heading = "Foxglove")]
    pub foxglove_label: Option<String>,
    /// Serve any address and pages of any host: whoever reaches it may watch
    #[arg(long, help_heading = "Foxglove")]
    pub foxglove_insecure: bool,
    /// Served by the RTSP server of all cameras, which no flag says
    #[arg(skip)]
    pub rtsp_of_all: bool,
    /// Put each frame's time of capture into a header extension of its RTP packets (urn:ietf:params:rtp-hdrext:ntp-64)
    #[arg(long, help_heading = "Output")]
    pub rtp_capture_time: bool,
    /// Put each frame's time of capture into the bit stream (SEI user_data_unregistered), for every output and recording
    #[arg(long, help_heading = "Output")]
    pub timestamp_sei: bool,
    /// What outputs and recordings show while the producer is away: nothing, its last picture darkened, black, or a PNG file;
    /// with the time of its last frame
    #[arg(long, value_name = "none|freeze|black|FILE.png", default_value_t, help_heading = "Output")]
    pub slate: Slate,
}

/// `--slate`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Slate {
    /// Outputs stand still.
    #[default]
    None,
    /// The last picture, darkened.
    Freeze,
    /// Black.
    Black,
    /// A PNG file.
    Image(PathBuf),
}

impl FromStr for Slate {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "none" => Self::None,
            "freeze" => Self::Freeze,
            "black" => Self::Black,
            path => Self::Image(path.into()),
        })
    }
}

impl fmt::Display for Slate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Freeze => f.write_str("freeze"),
            Self::Black => f.write_str("black"),
            Self::Image(path) => write!(f, "{}", path.display()),
        }
    }
}
