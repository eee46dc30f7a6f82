//! The first bytes of a video tag: frame type, packaging, packet type, composition time.

use super::{
    fault::{Cursor, Fault},
    mode::Mode,
    warnings::Warnings,
};

/// Codecs with a FourCC (E-RTMP, "Defining additional video codecs").
const HVC1: &[u8; 4] = b"hvc1";
const AVC1: &[u8; 4] = b"avc1";

/// PacketType of E-RTMP.
const METADATA: u8 = 4;
const MULTITRACK: u8 = 6;
const MOD_EX: u8 = 7;

/// Composition times beyond this are taken for a unit or sign mistake; readers drop them.
const MAX_COMPOSITION_MS: i32 = 15 * 60 * 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameType {
    Key,
    Inter,
    /// 0, which some servers write towards players. What it is, the NAL units tell.
    Unset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet {
    SequenceHeader,
    Frame {
        frame_type: FrameType,
        composition_ms: i32,
    },
    EndOfSequence,
    /// E-RTMP's colour information.
    Metadata,
    /// A command to the player, without a picture.
    Command,
}

/// How NAL units and configuration records are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    H264,
    H265,
}

#[derive(Debug)]
pub struct VideoHeader {
    /// 0 is what a reader sees that knows no tracks.
    pub track: u8,
    pub codec: Codec,
    /// What a ModEx adds to the presentation time.
    pub nanoseconds: Option<u32>,
    pub packet: Packet,
    /// Where the packet's data begins in the body.
    pub data: usize,
}

pub fn parse(body: &[u8], mode: Mode, warnings: &mut Warnings) -> Result<VideoHeader, Fault> {
    let mut cursor = Cursor::new(body, 0);
    let first = cursor.u8("a video tag")?;
    let is_enhanced = first & 0x80 != 0;
    match (mode, is_enhanced) {
        (Mode::H265Enhanced, true) => enhanced(cursor, first, warnings),
        (Mode::H264, true) if is_multitrack(body) => enhanced(cursor, first, warnings),
        (Mode::H265Enhanced, false) => Err(Fault::wrong_packaging(
            0,
            format!(
                "a legacy video header with {}, where {mode} wants an enhanced one with FourCC hvc1",
                codec_name(first & 0x0f)
            ),
        )),
        (Mode::H264 | Mode::H265Domestic, true) => Err(Fault::wrong_packaging(
            0,
            format!(
                "an enhanced video header{}, where {mode} wants {}",
                fourcc_after(body),
                codec_name(mode.codec_id())
            ),
        )),
        (Mode::H264 | Mode::H265Domestic, false) => legacy(cursor, first, mode, warnings),
    }
}

/// FLV E.4.3.1 VIDEODATA and AVCVIDEOPACKET; the domestic form differs in the codec id only.
fn legacy(mut cursor: Cursor<'_>, first: u8, mode: Mode, warnings: &mut Warnings) -> Result<VideoHeader, Fault> {
    const AVC_END_OF_SEQUENCE: &[u8] = &[2, 0, 0, 0];
    let codec = first & 0x0f;
    if codec != mode.codec_id() {
        let mut rest = cursor.clone();
        if mode == Mode::H265Domestic
            && codec == Mode::H264.codec_id()
            && rest.remaining() == 4
            && rest.bytes(4, "an end of sequence")? == AVC_END_OF_SEQUENCE
        {
            warnings.add(
                "avc-end-of-sequence",
                "the end of sequence is in the H.264 form, as patched old FFmpegs write it",
            );
            return Ok(VideoHeader {
                track: 0,
                codec: Codec::H265,
                nanoseconds: None,
                packet: Packet::EndOfSequence,
                data: 5,
            });
        }
        return Err(Fault::wrong_packaging(
            0,
            format!("{}, where {mode} wants {}", codec_name(codec), codec_name(mode.codec_id())),
        ));
    }
    let frame_type = first >> 4;
    let read_as = if mode == Mode::H264 { Codec::H264 } else { Codec::H265 };
    if frame_type == 5 {
        cursor.u8("a video command")?;
        return command(&cursor, read_as, warnings);
    }
    let packet_type = cursor.u8("the packet type")?;
    let composition_ms = signed_24(cursor.u24("the composition time")?);
    let data = cursor.position();
    if packet_type != 1 && composition_ms != 0 {
        return Err(Fault::new(2, "the composition time of a sequence header or end has to be 0"));
    }
    let packet = match packet_type {
        0 => {
            sequence_header_frame_type(frame_type, warnings)?;
            Packet::SequenceHeader
        }
        1 => Packet::Frame {
            frame_type: coded_frame_type(frame_type, warnings)?,
            composition_ms: check_composition(composition_ms, 2, warnings)?,
        },
        2 => {
            end_has_no_data(&cursor)?;
            Packet::EndOfSequence
        }
        other => {
            return Err(Fault::new(
                1,
                format!("packet type {other}: there are 0 (sequence header), 1 (NAL units) and 2 (end)"),
            ));
        }
    };
    Ok(VideoHeader { track: 0, codec: read_as, nanoseconds: None, packet, data })
}

/// Whether a packet is of a track that has a number. Whoever reads no further than the packet type cannot know.
fn is_multitrack(body: &[u8]) -> bool {
    let mut cursor = Cursor::new(body, 0);
    let Ok(first) = cursor.u8("a video tag") else {
        return false;
    };
    matches!(mod_ex(&mut cursor, first & 0x0f), Ok((MULTITRACK, _, _)))
}

/// Reads the prefixes in front of a packet (E-RTMP, "ModEx"): what type the packet has, where that stands, and the offset in
/// nanoseconds.
fn mod_ex(cursor: &mut Cursor<'_>, first_type: u8) -> Result<(u8, usize, Option<u32>), Fault> {
    const TIMESTAMP_OFFSET_NANO: u8 = 0;
    const NANO_MAX: u32 = 999_999;
    let mut packet_type = first_type;
    let mut packet_type_offset = 0;
    let mut nanoseconds = None;
    while packet_type == MOD_EX {
        let mut size = usize::from(cursor.u8("the ModEx data size")?) + 1;
        if size == 256 {
            size = usize::from(cursor.u16("the ModEx data size")?) + 1;
        }
        let data_offset = cursor.position();
        let data = cursor.bytes(size, "the ModEx data")?;
        packet_type_offset = cursor.position();
        let next = cursor.u8("the packet type behind ModEx")?;
        packet_type = next & 0x0f;
        if next >> 4 == TIMESTAMP_OFFSET_NANO {
            let Some(offset) = data.first_chunk::<3>() else {
                return Err(Fault::new(data_offset, format!("an offset in nanoseconds has 3 bytes, here are {size}")));
            };
            let offset = offset.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
            if offset > NANO_MAX {
                return Err(Fault::new(data_offset, format!("an offset of {offset} ns: {NANO_MAX} is the most")));
            }
            nanoseconds = Some(offset);
        }
    }
    Ok((packet_type, packet_type_offset, nanoseconds))
}

/// E-RTMP, "ExVideoTagHeader".
fn enhanced(mut cursor: Cursor<'_>, first: u8, warnings: &mut Warnings) -> Result<VideoHeader, Fault> {
    let frame_type = first >> 4 & 7;
    let (mut packet_type, mut packet_type_offset, nanoseconds) = mod_ex(&mut cursor, first & 0x0f)?;
    if first & 0x0f == MOD_EX {
        warnings.add("mod-ex", "a ModEx prefix: few servers and players understand it");
    }
    if frame_type == 5 && packet_type != METADATA {
        cursor.u8("a video command")?;
        return command(&cursor, Codec::H265, warnings);
    }
    let multitrack = packet_type == MULTITRACK;
    if multitrack {
        packet_type_offset = cursor.position();
        let next = cursor.u8("the multitrack type")?;
        if next >> 4 != 0 {
            return Err(Fault::new(
                packet_type_offset,
                format!("multitrack type {}: publishers write one track a packet (0)", next >> 4),
            ));
        }
        packet_type = next & 0x0f;
    }
    let fourcc_offset = cursor.position();
    let fourcc = cursor.bytes(4, "the FourCC")?;
    let codec = match fourcc {
        fourcc if fourcc == HVC1 => Codec::H265,
        fourcc if fourcc == AVC1 && multitrack => Codec::H264,
        _ => {
            return Err(Fault::wrong_packaging(
                fourcc_offset,
                format!("FourCC {}, where hvc1 is wanted", printable(fourcc)),
            ));
        }
    };
    let mut track = 0;
    if multitrack {
        let at = cursor.position();
        track = cursor.u8("the track's number")?;
        if track == 0 {
            return Err(Fault::wrong_packaging(
                at,
                "track 0 in a multitrack packet (type 6), which readers without tracks do not understand",
            ));
        }
    }
    let packet = match packet_type {
        0 => {
            sequence_header_frame_type(frame_type, warnings)?;
            Packet::SequenceHeader
        }
        1 => {
            let offset = cursor.position();
            let composition_ms = signed_24(cursor.u24("the composition time")?);
            Packet::Frame {
                frame_type: coded_frame_type(frame_type, warnings)?,
                composition_ms: check_composition(composition_ms, offset, warnings)?,
            }
        }
        2 => {
            end_has_no_data(&cursor)?;
            Packet::EndOfSequence
        }
        3 => Packet::Frame { frame_type: coded_frame_type(frame_type, warnings)?, composition_ms: 0 },
        METADATA => Packet::Metadata,
        other => {
            return Err(Fault::new(
                packet_type_offset,
                format!(
                    "packet type {other}: hvc1 and avc1 have 0 (sequence start), 1 and 3 (coded frames), 2 (end) and 4 (metadata)"
                ),
            ));
        }
    };
    Ok(VideoHeader { track, codec, nanoseconds, packet, data: cursor.position() })
}

fn command(cursor: &Cursor<'_>, codec: Codec, warnings: &mut Warnings) -> Result<VideoHeader, Fault> {
    if cursor.remaining() > 0 {
        return Err(Fault::new(cursor.position(), "a video command is one byte long"));
    }
    warnings.add("command", "a command frame: a publisher has no use for it");
    Ok(VideoHeader { track: 0, codec, nanoseconds: None, packet: Packet::Command, data: cursor.position() })
}

fn end_has_no_data(cursor: &Cursor<'_>) -> Result<(), Fault> {
    if cursor.remaining() == 0 {
        Ok(())
    } else {
        Err(Fault::new(cursor.position(), format!("{} bytes behind an end of sequence", cursor.remaining())))
    }
}

fn sequence_header_frame_type(frame_type: u8, warnings: &mut Warnings) -> Result<(), Fault> {
    match frame_type {
        1 => Ok(()),
        0 => {
            unset_frame_type(warnings);
            Ok(())
        }
        other => Err(Fault::new(0, format!("frame type {other} of a sequence header: servers want 1 (key)"))),
    }
}

fn coded_frame_type(frame_type: u8, warnings: &mut Warnings) -> Result<FrameType, Fault> {
    match frame_type {
        0 => {
            unset_frame_type(warnings);
            Ok(FrameType::Unset)
        }
        1 => Ok(FrameType::Key),
        2 => Ok(FrameType::Inter),
        other => Err(Fault::new(
            0,
            format!("frame type {other}: a publisher's H.264 and H.265 frames are 1 (key) or 2 (inter)"),
        )),
    }
}

fn unset_frame_type(warnings: &mut Warnings) {
    warnings.add("frame-type-unset", "frame type 0: servers that look at it see no key frame");
}

fn check_composition(milliseconds: i32, offset: usize, warnings: &mut Warnings) -> Result<i32, Fault> {
    if milliseconds.abs() >= MAX_COMPOSITION_MS {
        return Err(Fault::new(
            offset,
            format!("a composition time of {milliseconds} ms: 15 minutes and more are taken for a mistake"),
        ));
    }
    if milliseconds < 0 {
        warnings.add(
            "negative-composition-time",
            "a negative composition time: servers that read it unsigned see 4.6 hours",
        );
    }
    Ok(milliseconds)
}

fn signed_24(value: u32) -> i32 {
    (value << 8).cast_signed() >> 8
}

/// FLV E.4.3.1, and codec id 12 of the domestic amendment.
fn codec_name(id: u8) -> String {
    let name = match id {
        2 => "Sorenson H.263",
        3 | 6 => "Screen video",
        4 | 5 => "VP6",
        7 => "H.264",
        12 => "domestic H.265",
        _ => "not assigned to H.264 or H.265",
    };
    format!("codec id {id} ({name})")
}

fn fourcc_after(body: &[u8]) -> String {
    match body.get(1..5) {
        Some(fourcc) => format!(" with FourCC {}", printable(fourcc)),
        None => String::new(),
    }
}

fn printable(fourcc: &[u8]) -> String {
    if fourcc.iter().all(u8::is_ascii_graphic) {
        fourcc.iter().map(|byte| char::from(*byte)).collect()
    } else {
        fourcc.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
