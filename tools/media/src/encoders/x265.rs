//! x265.

use cvmmap::Codec;

use super::{
    candidate::{Candidate, Kind, ProfileBy, Settings},
    live::Live,
    stored::{LOOKAHEAD, Purpose, Stored},
};

pub(super) const X265: Candidate = Candidate {
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
    counts_time: false,
    live,
    stored,
};

fn live(asked: &Live) -> Settings {
    let Live { gop, b_frames, .. } = asked;
    // B-frames need a look ahead of their own number and one; without any there is none.
    let lookahead = if *b_frames == 0 { 0 } else { b_frames + 1 };
    // x264enc tells where colour lies by its caps; x265enc has to be told: in the middle of four pixels.
    let mut options = format!(
        "bframes={b_frames}:b-adapt=0:rc-lookahead={lookahead}:min-keyint={gop}:scenecut=0:open-gop=0:\
         repeat-headers=1:info=0:chromaloc=1"
    );
    if let Some(quality) = asked.quality {
        options += &format!(":crf={quality}");
    }
    // Without a buffer model it is a tenth to a fifth above the rate asked for.
    if let Some(kbit) = asked.kbit {
        options += &format!(":vbv-maxrate={kbit}:vbv-bufsize={}", kbit / 2);
    }
    vec![
        ("tune", "zerolatency".into()),
        ("speed-preset", asked.word("ultrafast", ["ultrafast", "superfast", "fast"])),
        ("key-int-max", gop.to_string()),
        ("option-string", options),
    ]
}

fn stored(asked: &Stored) -> Settings {
    let mut options = format!("crf={}:info=0", asked.quality);
    if asked.purpose == Purpose::Messages {
        options += &format!(":bframes=0:open-gop=0:rc-lookahead={LOOKAHEAD}:repeat-headers=1");
    }
    vec![
        ("speed-preset", asked.word(["veryfast", "fast", "slow"])),
        ("key-int-max", asked.gop.to_string()),
        ("option-string", options),
    ]
}
