//! The encoders that are known, the one to try first before the others, and how each is told what low latency is.
//!
//! Names and properties are those of GStreamer 1.22's elements; of the Jetson ones, which no GStreamer release holds, those
//! of NVIDIA's "Accelerated GStreamer" guide for Jetson Linux. The VA-API elements of the older gstreamer-vaapi are left
//! out: GStreamer's own replace them since 1.22, the oldest release that this program runs on.

use super::super::{options::Codec, plan::Encoding};

/// An encoder element.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) factory: &'static str,
    pub(super) kind: Kind,
    pub(super) codec: Codec,
    /// Raw format that it is fed with.
    pub(super) format: &'static str,
    /// How pictures get into memory that it can read, where that is not the computer's own.
    pub(super) upload: Option<Upload>,
    /// Its property `bitrate` for each kbit/s: 1, or 1000 for those that count bits.
    pub(super) bitrate_per_kbit: u32,
    /// Whether it can make B-frames.
    pub(super) b_frames: bool,
    /// Properties; those that an installed release does not have are left out.
    pub(super) settings: fn(&Encoding) -> Vec<(&'static str, String)>,
}

/// What an encoder runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nvenc,
    Jetson,
    Vaapi,
    Software,
}

/// The element before an encoder that copies pictures into its memory.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) element: &'static str,
    /// Caps feature of that memory.
    pub(super) memory: &'static str,
}

const fn nvenc(factory: &'static str, codec: Codec) -> Candidate {
    Candidate {
        factory,
        kind: Kind::Nvenc,
        codec,
        format: "NV12",
        upload: None,
        bitrate_per_kbit: 1,
        b_frames: true,
        settings: |Encoding { gop, b_frames, .. }| {
            vec![
                ("preset", "low-latency-hq".into()),
                ("zerolatency", "true".into()),
                ("rc-mode", "cbr".into()),
                ("strict-gop", "true".into()),
                ("gop-size", gop.to_string()),
                // One name of the older elements, one of the newer.
                ("bframes", b_frames.to_string()),
                ("b-frames", b_frames.to_string()),
            ]
        },
    }
}

const fn jetson(factory: &'static str, codec: Codec, b_frames: bool) -> Candidate {
    Candidate {
        factory,
        kind: Kind::Jetson,
        codec,
        format: "NV12",
        upload: Some(Upload { element: "nvvidconv", memory: "memory:NVMM" }),
        bitrate_per_kbit: 1000,
        b_frames,
        settings: |Encoding { gop, b_frames, .. }| {
            vec![
                ("control-rate", "constant_bitrate".into()),
                ("preset-level", "UltraFastPreset".into()),
                ("maxperf-enable", "true".into()),
                ("insert-sps-pps", "true".into()),
                ("iframeinterval", gop.to_string()),
                ("idrinterval", gop.to_string()),
                ("num-B-Frames", b_frames.to_string()),
            ]
        },
    }
}

const fn vaapi(factory: &'static str, codec: Codec) -> Candidate {
    Candidate {
        factory,
        kind: Kind::Vaapi,
        codec,
        format: "NV12",
        upload: None,
        bitrate_per_kbit: 1,
        b_frames: true,
        settings: |Encoding { gop, b_frames, .. }| {
            vec![
                ("rate-control", "cbr".into()),
                // From 1, the best picture, to 7, the fastest.
                ("target-usage", "6".into()),
                ("aud", "false".into()),
                ("key-int-max", gop.to_string()),
                ("b-frames", b_frames.to_string()),
            ]
        },
    }
}

const X264: Candidate = Candidate {
    factory: "x264enc",
    kind: Kind::Software,
    codec: Codec::H264,
    format: "I420",
    upload: None,
    bitrate_per_kbit: 1,
    b_frames: true,
    settings: |Encoding { gop, b_frames, .. }| {
        vec![
            ("tune", "zerolatency".into()),
            ("speed-preset", "superfast".into()),
            ("key-int-max", gop.to_string()),
            ("bframes", b_frames.to_string()),
            ("b-adapt", "false".into()),
            // Access unit delimiters are of no use in RTP and FLV, which frame the units themselves.
            ("aud", "false".into()),
            // A keyframe exactly every --gop frames, and no other.
            ("option-string", "scenecut=0:open-gop=0".into()),
        ]
    },
};

const OPENH264: Candidate = Candidate {
    factory: "openh264enc",
    kind: Kind::Software,
    codec: Codec::H264,
    format: "I420",
    upload: None,
    bitrate_per_kbit: 1000,
    b_frames: false,
    settings: |Encoding { gop, .. }| {
        vec![
            ("rate-control", "bitrate".into()),
            ("complexity", "low".into()),
            ("scene-change-detection", "false".into()),
            ("gop-size", gop.to_string()),
        ]
    },
};

const X265: Candidate = Candidate {
    factory: "x265enc",
    kind: Kind::Software,
    codec: Codec::H265,
    format: "I420",
    upload: None,
    bitrate_per_kbit: 1,
    b_frames: true,
    settings: |Encoding { gop, b_frames, .. }| {
        // B-frames need a look ahead of their own number and one; without any there is none.
        let lookahead = if *b_frames == 0 { 0 } else { b_frames + 1 };
        vec![
            ("tune", "zerolatency".into()),
            ("speed-preset", "ultrafast".into()),
            ("key-int-max", gop.to_string()),
            // x264enc tells where colour lies by its caps; x265enc has to be told: in the middle of four pixels.
            (
                "option-string",
                format!(
                    "bframes={b_frames}:b-adapt=0:rc-lookahead={lookahead}:min-keyint={gop}:scenecut=0:open-gop=0:\
                     repeat-headers=1:info=0:chromaloc=1"
                ),
            ),
        ]
    },
};

/// A card of its own comes before one in the processor, and each before software. VA's low-power encoders are the only
/// ones on some cards and the poorer ones on others.
pub(super) static CANDIDATES: [Candidate; 11] = [
    nvenc("nvh264enc", Codec::H264),
    nvenc("nvh265enc", Codec::H265),
    jetson("nvv4l2h264enc", Codec::H264, true),
    jetson("nvv4l2h265enc", Codec::H265, false),
    vaapi("vah264enc", Codec::H264),
    vaapi("vah264lpenc", Codec::H264),
    vaapi("vah265enc", Codec::H265),
    vaapi("vah265lpenc", Codec::H265),
    X264,
    OPENH264,
    X265,
];
