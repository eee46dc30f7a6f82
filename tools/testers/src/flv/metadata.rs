//! Script tags: `onMetaData` and its `videocodecid`.

use std::collections::BTreeSet;

use super::{
    amf0::{Entry, Reader, Value},
    fault::Fault,
    mode::Mode,
    warnings::Warnings,
};

/// The FourCC `hvc1`, written with its bytes in the wrong order, as GStreamer 1.28's `eflvmux` does.
const HVC1_SWAPPED: f64 = 828_601_960.0;

/// Checks a script tag. True when it is an `onMetaData` that names the mode's codec; `tracks` takes the further tracks that
/// it names.
pub fn check(body: &[u8], mode: Mode, tracks: &mut BTreeSet<u8>, warnings: &mut Warnings) -> Result<bool, Fault> {
    let mut reader = Reader::new(body, 0);
    if reader.string("a script tag's name")? != "onMetaData" {
        return Ok(false);
    }
    let value_offset = reader.position();
    let value = reader.value()?;
    if let Value::EcmaArray { declared, entries } = &value
        && usize::try_from(*declared) != Ok(entries.len())
    {
        warnings.add("ecma-count", "onMetaData's ECMA array does not hold as many entries as it says");
    }
    if value.entries().is_none() {
        return Err(Fault::new(
            value_offset,
            format!("onMetaData has to be an ECMA array or an object, it is {}", value.kind()),
        ));
    }
    if !reader.at_end() {
        warnings.add("metadata-tail", "bytes behind the end of onMetaData's value");
    }
    if let Some(map) = value.entry("videoTrackIdInfoMap") {
        further_tracks(map, tracks)?;
    }
    let Some(entry) = value.entry("videocodecid") else {
        return Ok(false);
    };
    let Some(number) = entry.value.as_number() else {
        return Err(Fault::new(entry.offset, format!("videocodecid has to be a number, it is {}", entry.value.kind())));
    };
    // These are whole numbers far below 2^53: equal or not is meant exactly.
    #[expect(clippy::float_cmp)]
    if number == mode.metadata_codec() {
        Ok(true)
    } else if mode == Mode::H265Enhanced && number == HVC1_SWAPPED {
        warnings.add("videocodecid-swapped", "videocodecid holds the FourCC hvc1 with its bytes in the wrong order");
        Ok(true)
    } else {
        Err(Fault::wrong_packaging(
            // Behind the type byte.
            entry.offset + 1,
            format!("videocodecid is {number}{}, where {mode} wants {}", meaning(number), mode.metadata_codec()),
        ))
    }
}

/// Tracks beside the first, by their numbers (E-RTMP, "Multitrack metadata").
fn further_tracks(map: &Entry, tracks: &mut BTreeSet<u8>) -> Result<(), Fault> {
    let Some(entries) = map.value.entries() else {
        return Err(Fault::new(
            map.offset,
            format!("videoTrackIdInfoMap has to be an object, it is {}", map.value.kind()),
        ));
    };
    for entry in entries {
        match entry.key.parse() {
            Ok(track @ 1..) if entry.value.entries().is_some() => tracks.insert(track),
            _ => {
                return Err(Fault::new(
                    entry.offset,
                    format!(
                        "videoTrackIdInfoMap has objects by the numbers 1 to 255, here {} is {}",
                        entry.key,
                        entry.value.kind()
                    ),
                ));
            }
        };
    }
    Ok(())
}

/// What other publishers mean by a number that is wrong here.
fn meaning(number: f64) -> &'static str {
    match number {
        7.0 => " (H.264)",
        12.0 => " (domestic H.265)",
        1_635_148_593.0 => " (FourCC avc1)",
        1_752_589_105.0 => " (FourCC hvc1)",
        HVC1_SWAPPED => " (FourCC hvc1 with its bytes in the wrong order)",
        _ => "",
    }
}

/// Checks an enhanced Metadata packet: a name and a value (E-RTMP, "Metadata Frame").
pub fn check_colour(body: &[u8], start: usize, warnings: &mut Warnings) -> Result<(), Fault> {
    let mut reader = Reader::new(body, start);
    reader.string("a metadata packet's name")?;
    reader.value()?;
    warnings.add("metadata-packet", "a video metadata packet: mpegts.js stops there");
    Ok(())
}
