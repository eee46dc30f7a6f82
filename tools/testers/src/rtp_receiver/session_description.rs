//! What an SDP file says about the one video stream (RFC 8866, RFC 6184 section 8.2, RFC 7798 section 7).

use std::{
    fs::File,
    io::Read as _,
    path::Path,
    time::{Duration, Instant},
};

use tools_cli::failure::Failure;

use super::{args::Codec, delay, flow::CLOCK_RATE};

/// Real files have some hundreds of bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// How often to look for a file that is not there yet.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, PartialEq, Eq)]
pub struct VideoStream {
    pub port: u16,
    pub payload_type: u8,
    pub codec: Codec,
    /// Parameter sets that come in the description, as fields of the RTP caps.
    pub parameter_sets: Vec<(&'static str, String)>,
    /// Number of the header extension that tells when a picture was captured.
    pub capture_extension: Option<u8>,
}

/// Waits for the file and for it to be whole: its writer may be at it.
pub fn wait_for(path: &Path, deadline: Instant) -> Result<VideoStream, Failure> {
    loop {
        let found = read(path);
        let left = deadline.saturating_duration_since(Instant::now());
        match found {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(text))) if left.is_zero() => {
                return Err(Failure::Protocol(format!("{}: {text}", path.display())));
            }
            Ok(None) if left.is_zero() => {
                return Err(Failure::Timeout(format!("{} did not appear in time", path.display())));
            }
            Err(text) => {
                return Err(Failure::Configuration(format!("{}: {text}", path.display())));
            }
            Ok(_) => std::thread::sleep(LOOK_EVERY.min(left)),
        }
    }
}

/// `None`: there is no file yet. The inner error may pass when the file is written to its end, the outer not.
fn read(path: &Path) -> Result<Option<Result<VideoStream, String>>, String> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    // A pipe or device would block, or never end.
    if !metadata.is_file() {
        return Err("is not a plain file".into());
    }
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("is larger than {MAX_BYTES} bytes"));
    }
    Ok(Some(parse(&text)))
}

fn parse(text: &[u8]) -> Result<VideoStream, String> {
    let text = std::str::from_utf8(text).map_err(|_| "the SDP is not UTF-8".to_owned())?;
    if text.contains('\0') {
        return Err("the SDP holds a zero byte".into());
    }
    if !text.starts_with("v=0") {
        return Err("an SDP begins with v=0".into());
    }
    let message =
        gst_sdp::SDPMessage::parse_buffer(text.as_bytes()).map_err(|_| "the SDP cannot be parsed".to_owned())?;
    let mut videos = message.medias().filter(|media| media.media() == Some("video"));
    let media = videos.next().ok_or("the SDP has no m=video line")?;
    if videos.next().is_some() {
        return Err("the SDP has several m=video lines, one is expected".into());
    }
    let port = u16::try_from(media.port())
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("m=video has the port {}", media.port()))?;
    if media.proto() != Some("RTP/AVP") {
        return Err(format!("m=video has the protocol {}, RTP/AVP is expected", media.proto().unwrap_or("")));
    }
    if media.formats_len() != 1 {
        return Err(format!("m=video has {} payload types, one is expected", media.formats_len()));
    }
    let payload_type = media
        .format(0)
        .and_then(|format| format.parse::<u8>().ok())
        .filter(|number| (96..=127).contains(number))
        .ok_or("the payload type of m=video has to be a number from 96 to 127")?;
    let caps = media
        .caps_from_media(i32::from(payload_type))
        .ok_or_else(|| format!("the SDP has no usable a=rtpmap for payload type {payload_type}"))?;
    let structure = caps.structure(0).ok_or("the SDP describes nothing")?;
    if structure.get::<i32>("clock-rate").ok() != i32::try_from(CLOCK_RATE).ok() {
        return Err(format!("the clock rate in a=rtpmap has to be {CLOCK_RATE}"));
    }
    let encoding = structure.get::<&str>("encoding-name").unwrap_or_default();
    let codec = Codec::from_encoding_name(encoding)
        .ok_or_else(|| format!("a=rtpmap says {encoding:?}, H264 or H265 is expected"))?;
    let parameter_sets = codec
        .parameter_set_fields()
        .iter()
        .filter_map(|field| {
            let value = structure.get::<&str>(*field).ok()?;
            Some((*field, value.to_owned()))
        })
        .collect();
    // `a=extmap:<number>["/"<direction>] <URI>` (RFC 8285 section 8).
    let capture_extension = media.attributes().filter(|attribute| attribute.key() == "extmap").find_map(|attribute| {
        let (number, uri) = attribute.value()?.split_once(' ')?;
        let number = number.split('/').next()?.parse().ok()?;
        (uri.split(' ').next() == Some(delay::URI)).then_some(number)
    });
    Ok(VideoStream { port, payload_type, codec, parameter_sets, capture_extension })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        m=video 5004 RTP/AVP 97\r\na=rtpmap:97 H265/90000\r\n\
        a=fmtp:97 sprop-vps=QAEMAf;sprop-sps=QgEB;sprop-pps=RAHA\r\n";

    fn parse_text(text: &str) -> Result<VideoStream, String> {
        gst::init().unwrap();
        parse(text.as_bytes())
    }

    #[test]
    fn a_whole_description() {
        let stream = parse_text(GOOD).unwrap();
        assert_eq!((stream.port, stream.payload_type), (5004, 97));
        assert_eq!(stream.codec, Codec::H265);
        assert_eq!(
            stream.parameter_sets,
            [("sprop-vps", "QAEMAf".to_owned()), ("sprop-sps", "QgEB".to_owned()), ("sprop-pps", "RAHA".to_owned()),]
        );
    }

    #[test]
    fn the_number_of_the_capture_time() {
        assert_eq!(parse_text(GOOD).unwrap().capture_extension, None);
        for number in ["5", "5/sendonly"] {
            let text = format!("{GOOD}a=extmap:1 urn:other\r\na=extmap:{number} {}\r\n", delay::URI);
            assert_eq!(parse_text(&text).unwrap().capture_extension, Some(5));
        }
    }

    #[test]
    fn hostile_descriptions_are_refused() {
        for (from, to, said) in [
            ("v=0", "v=1", "begins with"),
            ("m=video", "m=audio", "no m=video"),
            ("video 5004", "video 0", "port"),
            ("video 5004", "video 99999", "port"),
            ("AVP 97", "AVP 12", "payload type"),
            ("AVP 97", "AVP x", "payload type"),
            ("AVP 97", "AVP 97 98", "2 payload types"),
            ("RTP/AVP", "UDP", "protocol UDP"),
            ("H265/90000", "VP8/90000", "VP8"),
            ("H265/90000", "H265/8000", "clock rate"),
            ("a=rtpmap:97", "a=rtpmap:98", "97"),
            ("camera", "cam\0era", "zero byte"),
        ] {
            let text = GOOD.replace(from, to);
            let error = parse_text(&text).unwrap_err();
            assert!(error.contains(said), "{from} -> {to}: {error}");
        }
    }

    #[test]
    fn no_cut_description_passes_for_another() {
        let whole = parse_text(GOOD).unwrap();
        for length in 0..GOOD.len() {
            if let Ok(stream) = parse_text(&GOOD[..length]) {
                assert_eq!((stream.port, stream.codec), (whole.port, whole.codec));
            }
        }
    }
}
