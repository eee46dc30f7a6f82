//! The encoders that are known, the one to try first before the others, and how each is told what low latency is.
//!
//! Names and properties are those of GStreamer 1.22's elements; of the Jetson ones, which no GStreamer release holds, those
//! of NVIDIA's "Accelerated GStreamer" guide for Jetson Linux. The VA-API elements of the older gstreamer-vaapi are left
//! out: GStreamer's own replace them since 1.22, the oldest release that this program runs on.

use super::super::{
    options::{Codec, EncoderPreset, Profile},
    plan::Encoding,
};

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
    /// The property that bounds the rate of a constant quality.
    pub(super) ceiling: &'static str,
    /// Whether it keeps to a bit rate that is changed while it runs, and is allowed to be. Others are replaced.
    pub(super) changes_rate: bool,
    /// How a profile is asked for.
    pub(super) profile: ProfileBy,
    /// Whether it can make B-frames.
    pub(super) b_frames: bool,
    /// Properties; those that an installed release does not have are left out.
    pub(super) settings: fn(&Encoding) -> Vec<(&'static str, String)>,
}

/// How a profile is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProfileBy {
    /// In the caps of what it gives.
    Caps,
    /// In its settings.
    Setting,
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

/// Without a ceiling, an encoder that has to have one gets this, in kbit/s.
const NO_CEILING: u32 = 100_000;

/// An encoder's word for `--encoder-preset`: its lowest latency, or one of fast, balanced and quality.
fn preset(encoding: &Encoding, default: &str, [fast, balanced, quality]: [&str; 3]) -> String {
    match encoding.preset {
        None => default,
        Some(EncoderPreset::Fast) => fast,
        Some(EncoderPreset::Balanced) => balanced,
        Some(EncoderPreset::Quality) => quality,
    }
    .to_owned()
}

const fn nvenc(factory: &'static str, codec: Codec) -> Candidate {
    Candidate {
        factory,
        kind: Kind::Nvenc,
        codec,
        format: "NV12",
        upload: None,
        bitrate_per_kbit: 1,
        ceiling: "max-bitrate",
        changes_rate: true,
        profile: ProfileBy::Caps,
        b_frames: true,
        settings: |encoding| {
            let Encoding { gop, b_frames, .. } = encoding;
            let mut settings = vec![
                ("preset", preset(encoding, "low-latency-hq", ["low-latency-hp", "low-latency", "low-latency-hq"])),
                ("zerolatency", "true".into()),
                ("strict-gop", "true".into()),
                ("gop-size", gop.to_string()),
                // One name of the older elements, one of the newer.
                ("bframes", b_frames.to_string()),
                ("b-frames", b_frames.to_string()),
            ];
            settings.extend(match encoding.quality {
                None => vec![("rc-mode", "cbr".into())],
                // A bit rate of its own would take the place of the quality.
                Some(quality) => {
                    vec![("rc-mode", "vbr".into()), ("const-quality", quality.to_string()), ("bitrate", "0".into())]
                }
            });
            settings
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
        ceiling: "bitrate",
        changes_rate: true,
        profile: ProfileBy::Setting,
        b_frames,
        settings: |encoding| {
            let Encoding { gop, b_frames, .. } = encoding;
            let level = preset(encoding, "UltraFastPreset", ["UltraFastPreset", "MediumPreset", "SlowPreset"]);
            let mut settings = vec![
                ("preset-level", level),
                ("maxperf-enable", "true".into()),
                ("insert-sps-pps", "true".into()),
                ("iframeinterval", gop.to_string()),
                ("idrinterval", gop.to_string()),
                ("num-B-Frames", b_frames.to_string()),
            ];
            settings.extend(match encoding.quality {
                None => vec![("control-rate", "constant_bitrate".into())],
                // Quantizers of P-, I- and B-frames.
                Some(quality) => vec![
                    ("control-rate", "variable_bitrate".into()),
                    ("qp-range", format!("{quality},51:{quality},51:{quality},51")),
                    ("bitrate", (encoding.kbit.unwrap_or(NO_CEILING) * 1000).to_string()),
                ],
            });
            settings.extend(encoding.profile.map(|profile| {
                let number = match profile {
                    Profile::ConstrainedBaseline => 0,
                    Profile::Main => 2,
                    Profile::High => 4,
                };
                ("profile", number.to_string())
            }));
            settings
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
        ceiling: "bitrate",
        changes_rate: true,
        profile: ProfileBy::Caps,
        b_frames: true,
        settings: |encoding| {
            let Encoding { gop, b_frames, .. } = encoding;
            let mut settings = vec![
                // From 1, the best picture, to 7, the fastest.
                ("target-usage", preset(encoding, "6", ["7", "4", "1"])),
                ("aud", "false".into()),
                ("key-int-max", gop.to_string()),
                ("b-frames", b_frames.to_string()),
            ];
            settings.extend(match (encoding.quality, encoding.kbit) {
                (None, _) => vec![("rate-control", "cbr".into())],
                (Some(quality), Some(_)) => vec![("rate-control", "vbr".into()), ("min-qp", quality.to_string())],
                (Some(quality), None) => {
                    let mut settings = vec![("rate-control", "cqp".into())];
                    settings.extend(["qpi", "qpp", "qpb"].map(|name| (name, quality.to_string())));
                    settings
                }
            });
            settings
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
    ceiling: "bitrate",
    changes_rate: true,
    profile: ProfileBy::Caps,
    b_frames: true,
    settings: |encoding| {
        let Encoding { gop, b_frames, .. } = encoding;
        // Without them a stream is of a lower profile than its caps promise.
        let tools = match encoding.profile {
            None | Some(Profile::ConstrainedBaseline) => "",
            Some(Profile::Main) => ":cabac=1",
            Some(Profile::High) => ":cabac=1:8x8dct=1",
        };
        let mut settings = vec![
            ("tune", "zerolatency".into()),
            ("speed-preset", preset(encoding, "superfast", ["ultrafast", "veryfast", "medium"])),
            ("key-int-max", gop.to_string()),
            ("bframes", b_frames.to_string()),
            ("b-adapt", "false".into()),
            // Access unit delimiters are of no use in RTP and FLV, which frame the units themselves.
            ("aud", "false".into()),
            // A keyframe exactly every --gop frames, and no other.
            ("option-string", format!("scenecut=0:open-gop=0{tools}")),
        ];
        if let Some(quality) = encoding.quality {
            settings.extend([("pass", "qual".into()), ("quantizer", quality.to_string())]);
            // Its bit rate bounds the quality by this buffer.
            settings.extend(encoding.kbit.is_none().then(|| ("vbv-buf-capacity", "0".into())));
        }
        settings
    },
};

const OPENH264: Candidate = Candidate {
    factory: "openh264enc",
    kind: Kind::Software,
    codec: Codec::H264,
    format: "I420",
    upload: None,
    bitrate_per_kbit: 1000,
    ceiling: "bitrate",
    changes_rate: true,
    profile: ProfileBy::Caps,
    b_frames: false,
    settings: |encoding| {
        let mut settings = vec![
            ("rate-control", "bitrate".into()),
            ("complexity", preset(encoding, "low", ["low", "medium", "high"])),
            ("scene-change-detection", "false".into()),
            ("gop-size", encoding.gop.to_string()),
        ];
        // With it the rate stays a fifth below what is asked for.
        settings.extend(encoding.kbit.map(|_| ("background-detection", "false".into())));
        if let Some(quality) = encoding.quality {
            let ceiling = encoding.kbit.unwrap_or(NO_CEILING) * 1000;
            settings.extend([("qp-min", quality.to_string()), ("bitrate", ceiling.to_string())]);
        }
        settings
    },
};

const X265: Candidate = Candidate {
    factory: "x265enc",
    kind: Kind::Software,
    codec: Codec::H265,
    format: "I420",
    upload: None,
    bitrate_per_kbit: 1,
    ceiling: "bitrate",
    // It takes a new rate and keeps the buffer model of the old one.
    changes_rate: false,
    profile: ProfileBy::Caps,
    b_frames: true,
    settings: |encoding| {
        let Encoding { gop, b_frames, .. } = encoding;
        // B-frames need a look ahead of their own number and one; without any there is none.
        let lookahead = if *b_frames == 0 { 0 } else { b_frames + 1 };
        // x264enc tells where colour lies by its caps; x265enc has to be told: in the middle of four pixels.
        let mut options = format!(
            "bframes={b_frames}:b-adapt=0:rc-lookahead={lookahead}:min-keyint={gop}:scenecut=0:open-gop=0:\
             repeat-headers=1:info=0:chromaloc=1"
        );
        if let Some(quality) = encoding.quality {
            options += &format!(":crf={quality}");
        }
        // Without a buffer model it is a tenth to a fifth above the rate asked for.
        if let Some(kbit) = encoding.kbit {
            options += &format!(":vbv-maxrate={kbit}:vbv-bufsize={}", kbit / 2);
        }
        vec![
            ("tune", "zerolatency".into()),
            ("speed-preset", preset(encoding, "ultrafast", ["ultrafast", "superfast", "fast"])),
            ("key-int-max", gop.to_string()),
            ("option-string", options),
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
