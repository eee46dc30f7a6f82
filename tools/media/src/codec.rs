//! A codec as flags call it, and as GStreamer does.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use cvmmap::Codec;

/// Reads a codec from a command line: `#[arg(long, value_parser = codec::flag())]`.
pub fn flag() -> impl TypedValueParser<Value = Codec> {
    let values = [(Codec::H264, "avc", "H.264 / AVC"), (Codec::H265, "hevc", "H.265 / HEVC")];
    let possible = values.map(|(codec, alias, help)| PossibleValue::new(codec.name()).alias(alias).help(help));
    PossibleValuesParser::new(possible).map(|text| match &*text {
        "h264" | "avc" => Codec::H264,
        _ => Codec::H265,
    })
}

/// Name of its caps.
pub fn media_type(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "video/x-h264",
        Codec::H265 => "video/x-h265",
    }
}

/// The codec of caps of this name.
pub fn of_media_type(name: &str) -> Option<Codec> {
    [Codec::H264, Codec::H265].into_iter().find(|codec| media_type(*codec) == name)
}

/// The element that parses it.
pub fn parser(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264parse",
        Codec::H265 => "h265parse",
    }
}

/// FFmpeg's element that decodes it in software.
pub fn decoder(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "avdec_h264",
        Codec::H265 => "avdec_h265",
    }
}

/// Caps of whole access units in Annex B.
pub fn byte_stream(codec: Codec) -> gst::Caps {
    gst::Caps::builder(media_type(codec)).field("stream-format", "byte-stream").field("alignment", "au").build()
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    #[test]
    fn a_flag_knows_both_codecs_by_both_names_and_no_other() {
        let given = |text: &str| {
            let command = Command::new("test").arg(Arg::new("codec").long("codec").value_parser(flag()));
            let matches = command.try_get_matches_from(["test", "--codec", text]);
            matches.ok().and_then(|matches| matches.get_one::<Codec>("codec").copied())
        };
        for (text, codec) in [("h264", Codec::H264), ("avc", Codec::H264), ("h265", Codec::H265), ("hevc", Codec::H265)]
        {
            assert_eq!(given(text), Some(codec), "{text}");
        }
        for wrong in ["", "H.264", "av1", "h26"] {
            assert_eq!(given(wrong), None, "{wrong}");
        }
    }
}
