//! AVCDecoderConfigurationRecord (14496-15 5.3.3.1).

use std::ops::Range;

use super::{
    fault::{Cursor, Fault},
    hevc_config::record_nal,
    nal::{self, avc},
    warnings::Warnings,
};

pub struct AvcConfig {
    pub length_size: usize,
    /// Parameter sets in the record's order.
    pub nals: Vec<Range<usize>>,
}

pub fn parse(body: &[u8], start: usize, warnings: &mut Warnings) -> Result<AvcConfig, Fault> {
    let mut cursor = Cursor::new(body, start);
    if cursor.u8("avcC configurationVersion")? != 1 {
        return Err(Fault::new(start, "avcC configurationVersion has to be 1"));
    }
    let profile = cursor.bytes(3, "avcC profile and level")?;
    let at = cursor.position();
    let packed = cursor.u8("avcC lengthSizeMinusOne")?;
    if packed & 0xfc != 0xfc {
        return Err(Fault::new(at, "the reserved bits before avcC lengthSizeMinusOne have to be ones"));
    }
    let length_size = usize::from(packed & 3) + 1;
    if length_size == 3 {
        return Err(Fault::new(at, "avcC lengthSizeMinusOne is 2, which 14496-15 does not allow"));
    }
    let at = cursor.position();
    let packed = cursor.u8("avcC numOfSequenceParameterSets")?;
    if packed & 0xe0 != 0xe0 {
        return Err(Fault::new(at, "the reserved bits before avcC numOfSequenceParameterSets have to be ones"));
    }
    let mut nals = Vec::new();
    parameter_sets(&mut cursor, body, packed & 0x1f, at, avc::SPS, &mut nals)?;
    let first_sps = nals[0].clone();
    let at = cursor.position();
    let count = cursor.u8("avcC numOfPictureParameterSets")?;
    parameter_sets(&mut cursor, body, count, at, avc::PPS, &mut nals)?;
    high_profile_extension(&mut cursor, profile[0])?;
    if body[first_sps].get(1..4) != Some(profile) {
        warnings.add("profile-differs", "avcC profile and level differ from those of its SPS");
    }
    Ok(AvcConfig { length_size, nals })
}

fn parameter_sets(
    cursor: &mut Cursor<'_>,
    body: &[u8],
    count: u8,
    count_offset: usize,
    kind: u8,
    nals: &mut Vec<Range<usize>>,
) -> Result<(), Fault> {
    let name = if kind == avc::SPS { "SPS" } else { "PPS" };
    if count == 0 {
        return Err(Fault::new(count_offset, format!("the avcC has no {name}")));
    }
    for _ in 0..count {
        let nal = record_nal(cursor)?;
        let found = nal::avc_kind(body, &nal)?;
        if found != kind {
            return Err(Fault::new(nal.start, format!("a NAL unit of type {found} where the avcC has its {name}")));
        }
        nals.push(nal);
    }
    Ok(())
}

/// Four more fields that writers add, or leave out, for the High profiles.
fn high_profile_extension(cursor: &mut Cursor<'_>, profile: u8) -> Result<(), Fault> {
    if cursor.remaining() == 0 {
        return Ok(());
    }
    if matches!(profile, 66 | 77 | 88) {
        return Err(Fault::new(
            cursor.position(),
            format!(
                "{} bytes behind the end of the avcC: profile {profile} has no extension there",
                cursor.remaining()
            ),
        ));
    }
    cursor.bytes(3, "avcC chroma format and bit depths")?;
    let count = cursor.u8("avcC numOfSequenceParameterSetExt")?;
    for _ in 0..count {
        record_nal(cursor)?;
    }
    if cursor.remaining() > 0 {
        return Err(Fault::new(cursor.position(), format!("{} bytes behind the end of the avcC", cursor.remaining())));
    }
    Ok(())
}
