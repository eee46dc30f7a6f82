//! What to do when a server does not read what is sent.

use crate::rtmp::{session::Server, tag::VideoPackaging};

/// Further tracks are held back.
pub const NO_TRACKS: &str = "the server does not say that it knows tracks (Enhanced RTMP's capsEx): only the first one is sent; \
                             tracks=always sends all the same";

/// What to say when a server lists codecs and does not have the stream's.
pub fn unknown_codec(packaging: VideoPackaging, server: &Server) -> Option<String> {
    const DOMESTIC: u8 = 12;
    let listed = || server.four_ccs.join(", ");
    match packaging {
        VideoPackaging::FourCc(four_cc) => {
            let name = String::from_utf8_lossy(&four_cc).into_owned();
            let advice =
                if name == "hvc1" { ": hevc-packaging=domestic is the other way to package H.265" } else { "" };
            server.lacks(&name).then(|| format!("the server lists the codecs {} and not {name}{advice}", listed()))
        }
        VideoPackaging::CodecId(DOMESTIC) if server.four_ccs.iter().any(|known| known == "hvc1" || known == "*") => {
            Some(format!(
                "the server lists the codecs {}, and codec-id 12 is none of them: hevc-packaging=enhanced is the other \
                 way to package H.265",
                listed()
            ))
        }
        VideoPackaging::CodecId(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_that_the_server_does_not_list_is_told_with_the_other_way() {
        let server = |four_ccs: &[&str]| Server {
            four_ccs: four_ccs.iter().map(|four_cc| (*four_cc).to_owned()).collect(),
            caps_ex: None,
        };
        let said = |packaging, codecs: &[&str]| unknown_codec(packaging, &server(codecs));
        let [hevc, av1] = [*b"hvc1", *b"av01"].map(VideoPackaging::FourCc);
        assert!(
            said(hevc, &["av01", "vp09"])
                .unwrap()
                .ends_with("hevc-packaging=domestic is the other way to package H.265")
        );
        assert_eq!(said(av1, &["hvc1"]).unwrap(), "the server lists the codecs hvc1 and not av01");
        assert!(said(VideoPackaging::CodecId(12), &["hvc1"]).unwrap().contains("hevc-packaging=enhanced"));
        for (packaging, codecs) in [
            (hevc, &["hvc1"][..]),
            (hevc, &["*"]),
            (hevc, &[]),
            (VideoPackaging::CodecId(7), &["hvc1"]),
            (VideoPackaging::CodecId(12), &[]),
        ] {
            assert_eq!(said(packaging, codecs), None, "{packaging:?} {codecs:?}");
        }
    }
}
