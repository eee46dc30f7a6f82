//! High dynamic range is told where there is any.

use crate::{
    ffmpeg,
    flv::{Amf, Packet},
    pipeline::{Recording, run},
};
use std::collections::BTreeMap;

const DISPLAY: &str = "34000:16000:13250:34500:7500:3000:15635:16450:10000000:50";

fn mux(raw: &str, h265: &str, packaging: &str, sink: &str) -> Recording {
    run(&format!(
        "videotestsrc num-buffers=3 ! video/x-raw,format=I420_10LE,width=320,height=240,framerate=25/1{raw} ! \
         x265enc speed-preset=ultrafast tune=zerolatency option-string=info=0 ! h265parse ! {h265} flvhevcmux name=mux hevc-packaging={packaging} ! {sink}"
    ))
}

fn numbers<const N: usize>(entries: [(&str, f64); N]) -> Amf {
    Amf::Object(entries.map(|(key, number)| (key.to_owned(), Amf::Number(number))).into())
}

fn objects<const N: usize>(entries: [(&str, Amf); N]) -> Amf {
    Amf::Object(entries.map(|(key, object)| (key.to_owned(), object)).into())
}

fn config(primaries: f64, transfer: f64, matrix: f64) -> Amf {
    numbers([
        ("bitDepth", 10.0),
        ("colorPrimaries", primaries),
        ("transferCharacteristics", transfer),
        ("matrixCoefficients", matrix),
    ])
}

/// Where the packet stands among the tags, and what it says.
fn color(recording: &Recording) -> Vec<(usize, Amf)> {
    let packets = recording.tags().into_iter().map(|tag| tag.packet()).enumerate();
    packets
        .filter_map(|(position, packet)| match packet {
            Packet::Color(info) => Some((position, info)),
            _ => None,
        })
        .collect()
}

#[test]
fn transfer_of_pq_and_hlg_is_told_once_behind_the_sequence_header() {
    for (colorimetry, transfer) in [("bt2100-pq", 16.0), ("bt2100-hlg", 18.0)] {
        let recording = mux(&format!(",colorimetry={colorimetry}"), "", "enhanced", "fakesink");
        let expected = objects([("colorConfig", config(9.0, transfer, 9.0))]);
        assert_eq!(color(&recording), [(2, expected)], "{colorimetry}");
        assert_eq!(crate::pipeline::stream_headers(&recording.caps[0]).len(), 4);
    }
}

#[test]
fn ordinary_color_and_other_packagings_have_no_packet() {
    for (colorimetry, packaging) in [("bt709", "enhanced"), ("bt601", "enhanced"), ("bt2100-pq", "domestic")] {
        let recording = mux(&format!(",colorimetry={colorimetry}"), "", packaging, "fakesink");
        assert_eq!(color(&recording), [], "{colorimetry}, {packaging}");
    }
}

/// The picture itself says nothing of it, so FFmpeg has it from the packet.
#[test]
fn light_and_mastering_display_reach_ffmpeg() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hdr.flv");
    let setter = format!(
        "capssetter caps=\"video/x-h265,colorimetry=(string)bt2100-pq,mastering-display-info=(string){DISPLAY},content-light-level=(string)1000:400\" !"
    );
    let recording = mux("", &setter, "enhanced", &format!("filesink location={}", file.display()));
    let expected = objects([
        ("colorConfig", config(9.0, 16.0, 9.0)),
        ("hdrCll", numbers([("maxCLL", 1000.0), ("maxFall", 400.0)])),
        (
            "hdrMdcv",
            Amf::Object(BTreeMap::from(
                [
                    ("redX", 0.68),
                    ("redY", 0.32),
                    ("greenX", 0.265),
                    ("greenY", 0.69),
                    ("blueX", 0.15),
                    ("blueY", 0.06),
                    ("whitePointX", 0.3127),
                    ("whitePointY", 0.329),
                    ("maxLuminance", 1000.0),
                    ("minLuminance", 0.005),
                ]
                .map(|(key, number)| (key.to_owned(), Amf::Number(number))),
            )),
        ),
    ]);
    assert_eq!(color(&recording), [(2, expected)]);

    let said = ffmpeg::describe(&file);
    for fact in ["MaxCLL=1000, MaxFALL=400", "r(0.6800,0.3200)", "wp(0.3127", "max_luminance=1000"] {
        assert!(said.contains(fact), "no {fact} in: {said}");
    }
}
