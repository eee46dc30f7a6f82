//! The encoders that are known, the one to try first before the others. Names and properties are those of GStreamer 1.22's
//! elements.

use cvmmap::Codec;

use super::{candidate::Candidate, jetson, nvenc, openh264::OPENH264, vaapi, x264::X264, x265::X265};

/// A card of its own comes before one in the processor, and each before software. VA's low-power encoders are the only
/// ones on some cards and the poorer ones on others.
pub(super) static CANDIDATES: [Candidate; 11] = [
    nvenc::candidate("nvh264enc", Codec::H264),
    nvenc::candidate("nvh265enc", Codec::H265),
    jetson::candidate("nvv4l2h264enc", Codec::H264, true),
    jetson::candidate("nvv4l2h265enc", Codec::H265, false),
    vaapi::candidate("vah264enc", Codec::H264),
    vaapi::candidate("vah264lpenc", Codec::H264),
    vaapi::candidate("vah265enc", Codec::H265),
    vaapi::candidate("vah265lpenc", Codec::H265),
    X264,
    OPENH264,
    X265,
];
