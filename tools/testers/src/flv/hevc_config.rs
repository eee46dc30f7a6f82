//! HEVCDecoderConfigurationRecord (14496-15 8.3.3.1).

use std::ops::Range;

use super::{
    fault::{Cursor, Fault},
    nal::{self, HevcNal, hevc},
    warnings::Warnings,
};

pub struct HevcConfig {
    pub length_size: usize,
    /// Parameter sets and SEI, in the record's order.
    pub nals: Vec<Range<usize>>,
    /// Each of the three kinds of parameter set is said to be complete here.
    pub complete: bool,
}

pub fn parse(body: &[u8], start: usize, warnings: &mut Warnings) -> Result<HevcConfig, Fault> {
    let mut cursor = Cursor::new(body, start);
    let version = cursor.u8("hvcC configurationVersion")?;
    if version != 1 {
        return Err(Fault::new(start, "hvcC configurationVersion has to be 1"));
    }
    let profile = cursor.bytes(12, "hvcC profile, tier and level")?;
    if profile[0] & 0x1f == 0 {
        warnings.add("profile-zero", "hvcC general_profile_idc is 0: some players refuse it");
    }
    reserved_ones(&mut cursor, 2, 0xf0, "min_spatial_segmentation_idc")?;
    reserved_ones(&mut cursor, 1, 0xfc, "parallelismType")?;
    reserved_ones(&mut cursor, 1, 0xfc, "chroma_format_idc")?;
    reserved_ones(&mut cursor, 1, 0xf8, "bit_depth_luma_minus8")?;
    reserved_ones(&mut cursor, 1, 0xf8, "bit_depth_chroma_minus8")?;
    cursor.u16("hvcC avgFrameRate")?;

    let packed_offset = cursor.position();
    let length_size = usize::from(cursor.u8("hvcC lengthSizeMinusOne")? & 3) + 1;
    if length_size == 3 {
        return Err(Fault::new(packed_offset, "hvcC lengthSizeMinusOne is 2, which 14496-15 does not allow"));
    }
    if length_size != 4 {
        warnings.add("length-size", "NAL unit lengths are not 4 bytes wide: some servers and players refuse that");
    }

    let mut config = HevcConfig { length_size, nals: Vec::new(), complete: true };
    let mut first_of: [Option<Range<usize>>; 64] = [const { None }; 64];
    let arrays = cursor.u8("hvcC numOfArrays")?;
    for _ in 0..arrays {
        let header_offset = cursor.position();
        let header = cursor.u8("an hvcC array header")?;
        let kind = header & 0x3f;
        if header & 0x40 != 0 {
            return Err(Fault::new(header_offset, "the reserved bit of an hvcC array header has to be 0"));
        }
        if !matches!(kind, hevc::VPS | hevc::SPS | hevc::PPS | hevc::PREFIX_SEI | hevc::SUFFIX_SEI) {
            return Err(Fault::new(header_offset, format!("NAL unit type {kind} has no place in an hvcC")));
        }
        let is_parameter_set = matches!(kind, hevc::VPS | hevc::SPS | hevc::PPS);
        config.complete &= !is_parameter_set || header & 0x80 != 0;
        let count = cursor.u16("hvcC numNalus")?;
        if is_parameter_set && count > 1 {
            warnings.add(
                "several-parameter-sets",
                "an hvcC array holds several parameter sets: some servers take the first one only",
            );
        }
        for _ in 0..count {
            let nal = record_nal(&mut cursor)?;
            let header = HevcNal::parse(body, &nal)?;
            if header.kind != kind {
                return Err(Fault::new(
                    nal.start,
                    format!("a NAL unit of type {} in the hvcC array of type {kind}", header.kind),
                ));
            }
            first_of[usize::from(kind)].get_or_insert(nal.clone());
            config.nals.push(nal);
        }
    }
    for (kind, name) in [(hevc::VPS, "VPS"), (hevc::SPS, "SPS"), (hevc::PPS, "PPS")] {
        if first_of[usize::from(kind)].is_none() {
            return Err(Fault::new(
                cursor.position().min(body.len().saturating_sub(1)),
                format!("the hvcC has no {name}: hvc1 wants VPS, SPS and PPS in the record"),
            ));
        }
    }
    if cursor.remaining() > 0 {
        return Err(Fault::new(cursor.position(), format!("{} bytes behind the end of the hvcC", cursor.remaining())));
    }
    if let Some(sps) = &first_of[usize::from(hevc::SPS)] {
        // H.265 7.3.2.2.1: two bytes of NAL header and one of ids come before profile_tier_level.
        let plain = nal::unescape(&body[sps.clone()]);
        if plain.get(3..15) != Some(profile) {
            warnings.add("profile-differs", "hvcC profile, tier and level differ from those of its SPS");
        }
    }
    Ok(config)
}

/// A NAL unit behind its 16-bit length.
pub fn record_nal(cursor: &mut Cursor<'_>) -> Result<Range<usize>, Fault> {
    let at = cursor.position();
    let length = usize::from(cursor.u16("a parameter set's length")?);
    if length == 0 {
        return Err(Fault::new(at, "a parameter set's length of 0"));
    }
    let from = cursor.position();
    cursor.bytes(length, "a parameter set")?;
    Ok(from..from + length)
}

fn reserved_ones(cursor: &mut Cursor<'_>, width: usize, mask: u8, field: &str) -> Result<(), Fault> {
    let at = cursor.position();
    let first = cursor.bytes(width, &format!("hvcC {field}"))?[0];
    if first & mask == mask {
        Ok(())
    } else {
        Err(Fault::new(at, format!("the reserved bits before hvcC {field} have to be ones")))
    }
}
