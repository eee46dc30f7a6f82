//! The encoder of an NVIDIA Jetson. No GStreamer release holds its elements: names and properties are those of NVIDIA's
//! "Accelerated GStreamer" guide for Jetson Linux.

use cvmmap::Codec;

use super::{
    candidate::{Candidate, Kind, NO_CEILING, ProfileBy, Settings, Upload},
    live::{Live, Profile},
    stored::Stored,
};

pub(super) const fn candidate(factory: &'static str, codec: Codec, b_frames: bool) -> Candidate {
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
        counts_time: false,
        live,
        stored,
    }
}

fn common(gop: u32, level: String, b_frames: u32) -> Settings {
    vec![
        ("preset-level", level),
        ("maxperf-enable", "true".into()),
        ("insert-sps-pps", "true".into()),
        ("iframeinterval", gop.to_string()),
        ("idrinterval", gop.to_string()),
        ("num-B-Frames", b_frames.to_string()),
    ]
}

fn live(asked: &Live) -> Settings {
    let level = asked.word("UltraFastPreset", ["UltraFastPreset", "MediumPreset", "SlowPreset"]);
    let mut settings = common(asked.gop, level, asked.b_frames);
    settings.extend(match asked.quality {
        None => vec![("control-rate", "constant_bitrate".into())],
        // Quantizers of P-, I- and B-frames.
        Some(quality) => vec![
            ("control-rate", "variable_bitrate".into()),
            ("qp-range", format!("{quality},51:{quality},51:{quality},51")),
            ("bitrate", (asked.kbit.unwrap_or(NO_CEILING) * 1000).to_string()),
        ],
    });
    settings.extend(asked.profile.map(|profile| {
        let number = match profile {
            Profile::ConstrainedBaseline => 0,
            Profile::Main => 2,
            Profile::High => 4,
        };
        ("profile", number.to_string())
    }));
    settings
}

fn stored(asked: &Stored) -> Settings {
    // Its H.265 encoder makes no B-frames, and its H.264 encoder none without being asked.
    let mut settings = common(asked.gop, asked.word(["FastPreset", "MediumPreset", "SlowPreset"]), 0);
    settings.push(("ratecontrol-enable", "false".into()));
    settings.extend(["quant-i-frames", "quant-p-frames"].map(|name| (name, asked.quality.to_string())));
    settings
}
