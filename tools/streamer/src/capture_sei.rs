//! The capture time in the bit stream itself: a message of supplemental enhancement information before the first slice of an
//! access unit. Source: ITU-T H.264, 7.3.2.3, D.1.7 and D.2.7; ITU-T H.265, 7.3.2.4, D.2.7 and D.3.7.

use cvmmap::Codec;
use tools_media::{annex_b, capture_time, codec};

/// Names our `user_data_unregistered`: behind it stand the nanoseconds since the Unix epoch, 8 bytes, big-endian.
pub const UUID: [u8; 16] =
    [0xc4, 0xd9, 0xa5, 0xb2, 0x6f, 0x0e, 0x4d, 0x0a, 0x9e, 0x57, 0x7a, 0x1c, 0xf0, 0xc1, 0xd3, 0xe8];

/// `sample` with its capture time in the access unit; as it is, when it has none or is not understood.
pub fn stamp(sample: gst::Sample) -> gst::Sample {
    stamped(&sample).unwrap_or(sample)
}

fn stamped(sample: &gst::Sample) -> Option<gst::Sample> {
    let (buffer, caps) = (sample.buffer()?, sample.caps_owned()?);
    let codec = codec::of_media_type(caps.structure(0)?.name())?;
    let unit = insert(codec, &buffer.map_readable().ok()?, capture_time::of(buffer)?)?;
    let mut stamped = gst::Buffer::from_mut_slice(unit);
    let flags = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::META;
    buffer.copy_into(stamped.get_mut()?, flags, ..).ok()?;
    let mut builder = gst::Sample::builder().buffer(&stamped).caps(&caps);
    if let Some(segment) = sample.segment() {
        builder = builder.segment(segment);
    }
    Some(builder.build())
}

/// An access unit of NAL units with lengths before them, with the message before its first slice. `None` when it has no slice.
fn insert(codec: Codec, unit: &[u8], capture_ns: u64) -> Option<Vec<u8>> {
    const LENGTH_SIZE: usize = 4;
    let mut place = 0;
    for nal in annex_b::nal_units(unit) {
        let nal = nal?;
        if is_slice(codec, *nal.first()?) {
            let message = message(codec, capture_ns);
            let length = u32::try_from(message.len()).ok()?.to_be_bytes();
            let (before, behind) = unit.split_at_checked(place)?;
            return Some([before, &length, &message, behind].concat());
        }
        place += LENGTH_SIZE + nal.len();
    }
    None
}

/// Source: ITU-T H.264 table 7-1, H.265 table 7-1.
fn is_slice(codec: Codec, first: u8) -> bool {
    match codec {
        Codec::H264 => matches!(first & 0x1f, 1..=5),
        Codec::H265 => first >> 1 & 0x3f < 32,
    }
}

/// The NAL unit.
fn message(codec: Codec, capture_ns: u64) -> Vec<u8> {
    const USER_DATA_UNREGISTERED: u8 = 5;
    const STOP_BIT: u8 = 0x80;
    let mut nal = match codec {
        Codec::H264 => vec![6],
        // PREFIX_SEI_NUT of the base layer.
        Codec::H265 => vec![39 << 1, 1],
    };
    let payload = [&UUID[..], &capture_ns.to_be_bytes()].concat();
    let body = [&[USER_DATA_UNREGISTERED, payload.len() as u8][..], &payload, &[STOP_BIT]].concat();
    let mut zeros = 0;
    for byte in body {
        if zeros >= 2 && byte <= 3 {
            nal.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        nal.push(byte);
    }
    nal
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A NAL unit's bytes as they were before emulation prevention.
    fn unescaped(nal: &[u8]) -> Vec<u8> {
        let (mut plain, mut zeros) = (Vec::new(), 0);
        for byte in nal {
            if *byte == 3 && zeros == 2 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            plain.push(*byte);
        }
        plain
    }

    #[test]
    fn no_time_looks_like_a_start_code() {
        for codec in [Codec::H264, Codec::H265] {
            for time in [0, 1, 3, 0x0000_0300_0001_0000, 0x0100_0000_0000_0000, u64::MAX, 1_790_000_000_123_456_789] {
                let nal = message(codec, time);
                assert!(!nal.windows(3).any(|bytes| bytes[..2] == [0, 0] && bytes[2] < 3), "{nal:x?}");
                let plain = unescaped(&nal);
                let (head, body) = plain.split_at(plain.len() - 27);
                assert_eq!(head.len(), if codec == Codec::H264 { 1 } else { 2 });
                assert_eq!(body, [&[5, 24][..], &UUID, &time.to_be_bytes(), &[0x80]].concat());
            }
        }
    }

    #[test]
    fn the_message_stands_before_the_first_slice() {
        let unit = [0, 0, 0, 2, 0x67, 1, 0, 0, 0, 1, 0x68, 0, 0, 0, 2, 0x65, 9, 0, 0, 0, 1, 0x65];
        let stamped = insert(Codec::H264, &unit, 7).unwrap();
        let kinds = annex_b::nal_units(&stamped).map(|nal| nal.unwrap()[0] & 0x1f).collect::<Vec<_>>();
        assert_eq!(kinds, [7, 8, 6, 5, 5]);
        let unit = [0, 0, 0, 3, 0x40, 1, 0, 0, 0, 0, 3, 0x26, 1, 9];
        let stamped = insert(Codec::H265, &unit, 7).unwrap();
        let kinds = annex_b::nal_units(&stamped).map(|nal| nal.unwrap()[0] >> 1).collect::<Vec<_>>();
        assert_eq!(kinds, [32, 39, 19]);
    }

    #[test]
    fn what_is_damaged_stays_as_it_is() {
        for unit in [&[][..], &[0, 0, 0], &[0, 0, 0, 0, 1], &[0, 0, 0, 9, 0x65], &[0, 0, 0, 1, 0x67]] {
            assert_eq!(insert(Codec::H264, unit, 7), None, "{unit:?}");
        }
    }
}
