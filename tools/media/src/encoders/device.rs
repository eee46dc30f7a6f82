//! What encodes, as the programs are told it.

use clap::ValueEnum;

use super::candidate::Kind;

/// `--encoder-device`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// NVENC, Jetson, VA-API or software: the first that works
    Auto,
    /// NVENC or nothing
    Nvidia,
    /// The encoder of an NVIDIA Jetson or nothing
    Jetson,
    /// VA-API (Intel, AMD) or nothing
    Vaapi,
    /// x264, OpenH264 or x265
    Software,
}

/// What to install where there is none in software.
pub(super) const SOFTWARE: &str =
    "install x264enc (Debian: gstreamer1.0-plugins-ugly) or x265enc (gstreamer1.0-plugins-bad)";

impl Device {
    /// Whether an encoder of this kind may be taken.
    pub(super) fn allows(self, kind: Kind) -> bool {
        match self {
            Self::Auto => true,
            Self::Nvidia => kind == Kind::Nvenc,
            Self::Jetson => kind == Kind::Jetson,
            Self::Vaapi => kind == Kind::Vaapi,
            Self::Software => kind == Kind::Software,
        }
    }

    /// The flag, and what to do when nothing that it allows works.
    pub(super) fn in_vain(self, passed_over: &str) -> String {
        let (flag, remedy) = match self {
            Self::Auto => ("auto", SOFTWARE),
            Self::Software => ("software", SOFTWARE),
            Self::Nvidia => ("nvidia", "install the NVIDIA driver and GStreamer's nvcodec plugin"),
            Self::Jetson => ("jetson", "install NVIDIA's L4T GStreamer plugins (nvidia-l4t-gstreamer)"),
            Self::Vaapi => ("vaapi", "install the card's VA-API driver and GStreamer's va plugin"),
        };
        let otherwise = match self {
            Self::Auto | Self::Software => "",
            _ => ", or take --encoder-device auto or software",
        };
        format!("--encoder-device {flag}: {passed_over}; {remedy}{otherwise}")
    }
}
