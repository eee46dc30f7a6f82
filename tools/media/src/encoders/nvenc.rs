//! NVENC, on NVIDIA's cards.

use cvmmap::Codec;

use super::{
    candidate::{Candidate, Kind, ProfileBy, Settings},
    live::Live,
    stored::{Purpose, Stored},
};

pub(super) const fn candidate(factory: &'static str, codec: Codec) -> Candidate {
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
        counts_time: false,
        live,
        stored,
    }
}

/// One name of the older elements, one of the newer.
fn b_frames(count: u32) -> Settings {
    vec![("bframes", count.to_string()), ("b-frames", count.to_string())]
}

fn live(asked: &Live) -> Settings {
    let mut settings = vec![
        ("preset", asked.word("low-latency-hq", ["low-latency-hp", "low-latency", "low-latency-hq"])),
        ("zerolatency", "true".into()),
        ("strict-gop", "true".into()),
        ("gop-size", asked.gop.to_string()),
    ];
    settings.extend(b_frames(asked.b_frames));
    settings.extend(match asked.quality {
        None => vec![("rc-mode", "cbr".into())],
        // A bit rate of its own would take the place of the quality.
        Some(quality) => {
            vec![("rc-mode", "vbr".into()), ("const-quality", quality.to_string()), ("bitrate", "0".into())]
        }
    });
    settings
}

fn stored(asked: &Stored) -> Settings {
    let mut settings = vec![
        // The names of the older elements, and of the newer.
        ("preset", asked.word(["hp", "default", "hq"])),
        ("preset", asked.word(["p2", "p4", "p7"])),
        ("rc-mode", "constqp".into()),
    ];
    settings.extend(["qp-const", "qp-i", "qp-p", "qp-b"].map(|name| (name, asked.quality.to_string())));
    settings.push(("gop-size", asked.gop.to_string()));
    if asked.purpose == Purpose::Messages {
        settings.extend(b_frames(0));
    }
    settings
}
