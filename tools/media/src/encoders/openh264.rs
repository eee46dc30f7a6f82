//! OpenH264.

use cvmmap::Codec;

use super::{
    candidate::{Candidate, Kind, NO_CEILING, ProfileBy, Settings},
    live::Live,
    stored::Stored,
};

pub(super) const OPENH264: Candidate = Candidate {
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
    counts_time: false,
    live,
    stored,
};

fn live(asked: &Live) -> Settings {
    let mut settings = vec![
        ("rate-control", "bitrate".into()),
        ("complexity", asked.word("low", ["low", "medium", "high"])),
        ("scene-change-detection", "false".into()),
        ("gop-size", asked.gop.to_string()),
    ];
    // With it the rate stays a fifth below what is asked for.
    settings.extend(asked.kbit.map(|_| ("background-detection", "false".into())));
    if let Some(quality) = asked.quality {
        let ceiling = asked.kbit.unwrap_or(NO_CEILING) * 1000;
        settings.extend([("qp-min", quality.to_string()), ("bitrate", ceiling.to_string())]);
    }
    settings
}

fn stored(asked: &Stored) -> Settings {
    // Of 0 it makes the quantizers that it likes.
    let quantizer = asked.quality.max(1).to_string();
    vec![
        ("rate-control", "bitrate".into()),
        ("bitrate", (NO_CEILING * 1000).to_string()),
        ("complexity", asked.word(["low", "medium", "high"])),
        ("gop-size", asked.gop.to_string()),
        ("qp-min", quantizer.clone()),
        ("qp-max", quantizer),
    ]
}
