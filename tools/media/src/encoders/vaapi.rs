//! VA-API, on Intel's and AMD's cards. The elements of the older gstreamer-vaapi are left out: GStreamer's own replace them
//! since 1.22, the oldest release that the programs run on.

use cvmmap::Codec;

use super::{
    candidate::{Candidate, Kind, ProfileBy, Settings},
    live::Live,
    stored::Stored,
};

pub(super) const fn candidate(factory: &'static str, codec: Codec) -> Candidate {
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
        counts_time: true,
        live,
        stored,
    }
}

/// `usage` is from 1, the best picture, to 7, the fastest.
fn common(gop: u32, usage: String, b_frames: u32) -> Settings {
    vec![
        ("target-usage", usage),
        ("aud", "false".into()),
        ("key-int-max", gop.to_string()),
        ("b-frames", b_frames.to_string()),
    ]
}

fn quantizer(quality: impl ToString) -> Settings {
    let mut settings = vec![("rate-control", "cqp".into())];
    settings.extend(["qpi", "qpp", "qpb"].map(|name| (name, quality.to_string())));
    settings
}

fn live(asked: &Live) -> Settings {
    let mut settings = common(asked.gop, asked.word("6", ["7", "4", "1"]), asked.b_frames);
    settings.extend(match (asked.quality, asked.kbit) {
        (None, _) => vec![("rate-control", "cbr".into())],
        (Some(quality), Some(_)) => vec![("rate-control", "vbr".into()), ("min-qp", quality.to_string())],
        (Some(quality), None) => quantizer(quality),
    });
    settings
}

fn stored(asked: &Stored) -> Settings {
    // In another order than they are shown, access units could not be given their pictures' times again.
    let mut settings = common(asked.gop, asked.word(["6", "4", "1"]), 0);
    settings.extend(quantizer(asked.quality));
    settings
}
