//! x264.

use cvmmap::Codec;

use super::{
    candidate::{Candidate, Kind, ProfileBy, Settings},
    live::{Live, Profile},
    stored::{LOOKAHEAD, Purpose, Stored},
};

pub(super) const X264: Candidate = Candidate {
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
    counts_time: false,
    live,
    stored,
};

fn live(asked: &Live) -> Settings {
    // Without them a stream is of a lower profile than its caps promise.
    let tools = match asked.profile {
        None | Some(Profile::ConstrainedBaseline) => "",
        Some(Profile::Main) => ":cabac=1",
        Some(Profile::High) => ":cabac=1:8x8dct=1",
    };
    let mut settings = vec![
        ("tune", "zerolatency".into()),
        ("speed-preset", asked.word("superfast", ["ultrafast", "veryfast", "medium"])),
        ("key-int-max", asked.gop.to_string()),
        ("bframes", asked.b_frames.to_string()),
        ("b-adapt", "false".into()),
        // Access unit delimiters are of no use in RTP and FLV, which frame the units themselves.
        ("aud", "false".into()),
        // A keyframe exactly every --gop frames, and no other.
        ("option-string", format!("scenecut=0:open-gop=0{tools}")),
    ];
    if let Some(quality) = asked.quality {
        settings.extend([("pass", "qual".into()), ("quantizer", quality.to_string())]);
        // Its bit rate bounds the quality by this buffer.
        settings.extend(asked.kbit.is_none().then(|| ("vbv-buf-capacity", "0".into())));
    }
    settings
}

fn stored(asked: &Stored) -> Settings {
    let mut settings = vec![
        ("speed-preset", asked.word(["veryfast", "fast", "slow"])),
        ("key-int-max", asked.gop.to_string()),
        ("pass", "qual".into()),
        ("quantizer", asked.quality.to_string()),
        // The element's bit rate would bound the quality else.
        ("vbv-buf-capacity", "0".into()),
    ];
    if asked.purpose == Purpose::Messages {
        settings.extend([("bframes", "0".into()), ("rc-lookahead", LOOKAHEAD.to_string())]);
    }
    settings
}
