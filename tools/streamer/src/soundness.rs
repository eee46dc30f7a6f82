//! Whether an access unit can be recorded. A damaged one would end a file that is sound up to it.

use tools_media::annex_b;

/// Whether it is what its caps say, with a time: NAL units whose lengths add up, and the parameter sets that a file begins with.
pub fn is_sound(sample: &gst::SampleRef) -> bool {
    let Some((caps, structure)) = sample.caps().and_then(|caps| Some((caps, caps.structure(0)?))) else {
        return false;
    };
    let Some((_, is_stream)) = annex_b::codec(caps) else {
        return false;
    };
    let has_size = ["width", "height"].into_iter().all(|side| structure.get::<i32>(side).is_ok_and(|side| side > 0));
    // Parsers leave the time out of what they find behind damage.
    let timed = sample.buffer().filter(|unit| unit.pts().is_some());
    let Some(unit) = timed.and_then(|unit| unit.map_readable().ok()).filter(|unit| !unit.is_empty()) else {
        return false;
    };
    let is_whole = is_stream || annex_b::nal_units(&unit).all(|nal| nal.is_some_and(|nal| !nal.is_empty()));
    has_size && is_whole && (is_stream || structure.has_field("codec_data"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(caps: &str, unit: &[u8]) -> bool {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::from_slice(unit.to_vec());
        let untimed = gst::Sample::builder().buffer(&buffer).caps(&caps.parse().unwrap()).build();
        assert!(!is_sound(&untimed));
        buffer.make_mut().set_pts(gst::ClockTime::ZERO);
        let sample = gst::Sample::builder().buffer(&buffer).caps(&caps.parse().unwrap()).build();
        is_sound(&sample)
    }

    #[test]
    fn damage_is_seen() {
        let caps = "video/x-h264,stream-format=avc,width=8,height=8,codec_data=(buffer)01640028";
        assert!(sound(caps, &[0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 9]));
        for damaged in [&[][..], &[0, 0, 0, 9, 0x65], &[0, 0, 0, 0], &[0, 0, 1], &[0xFF; 9]] {
            assert!(!sound(caps, damaged), "{damaged:?}");
        }
        assert!(!sound("video/x-h264,stream-format=avc,width=8,height=8", &[0, 0, 0, 1, 0x65]));
        assert!(!sound("video/x-h264,stream-format=avc,codec_data=(buffer)01640028", &[0, 0, 0, 1, 0x65]));
        assert!(!sound("video/x-raw", &[0, 0, 0, 1, 0x65]));
        assert!(sound("video/x-h265,stream-format=byte-stream,width=8,height=8", &[0, 0, 1, 0x26, 1]));
    }
}
