//! RTP headers (RFC 3550 section 5.1) and the RTCP packets that may share their port (RFC 5761).

const HEADER_LENGTH: usize = 12;

#[derive(Debug, PartialEq, Eq)]
pub struct RtpHeader {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Bytes of payload, without header and padding.
    pub payload_length: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Datagram {
    Rtp(RtpHeader),
    /// An RTCP compound packet; the sources that it says leave.
    Rtcp {
        goodbye: Vec<u32>,
    },
}

/// # Errors
/// A sentence about the field that is wrong.
pub fn parse(bytes: &[u8]) -> Result<Datagram, String> {
    let Some(second) = bytes.get(1) else {
        return Err(format!("a datagram of {} bytes is no RTP packet", bytes.len()));
    };
    let version = bytes[0] >> 6;
    if version != 2 {
        return Err(format!("byte 0 says RTP version {version}, it has to be 2"));
    }
    // RFC 5761 section 4: these values are RTCP packet types; as RTP they would be payload types 64 to 95.
    if (192..=223).contains(second) {
        return rtcp(bytes);
    }
    rtp(bytes).map(Datagram::Rtp)
}

fn rtp(bytes: &[u8]) -> Result<RtpHeader, String> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
        return Err(format!("a datagram of {} bytes is shorter than an RTP header of {HEADER_LENGTH}", bytes.len()));
    };
    let contributing = usize::from(header[0] & 0x0f) * 4;
    let mut payload = rest
        .get(contributing..)
        .ok_or_else(|| format!("byte 0 says {} contributing sources, the packet ends within them", contributing / 4))?;
    if header[0] & 0x10 != 0 {
        let words = match payload.split_first_chunk::<4>() {
            Some((extension, _)) => usize::from(u16::from_be_bytes([extension[2], extension[3]])),
            None => return Err("the packet ends within its header extension".into()),
        };
        payload = payload
            .get(4 + words * 4..)
            .ok_or_else(|| format!("a header extension of {words} words, the packet ends within it"))?;
    }
    let mut payload_length = payload.len();
    if header[0] & 0x20 != 0 {
        let padding = usize::from(payload.last().copied().unwrap_or(0));
        if padding == 0 || padding > payload_length {
            return Err(format!("the last byte says {padding} bytes of padding, {payload_length} bytes are there"));
        }
        payload_length -= padding;
    }
    Ok(RtpHeader {
        payload_type: header[1] & 0x7f,
        marker: header[1] & 0x80 != 0,
        sequence: u16::from_be_bytes([header[2], header[3]]),
        timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        payload_length,
    })
}

/// The eight bytes that the header extension of this number holds, in its one-byte form (RFC 8285 section 4.2).
pub fn extension(bytes: &[u8], number: u8) -> Option<[u8; 8]> {
    const PROFILE: [u8; 2] = [0xbe, 0xde];
    let (header, rest) = bytes.split_first_chunk::<HEADER_LENGTH>()?;
    if header[0] & 0x10 == 0 {
        return None;
    }
    let (head, rest) = rest.get(usize::from(header[0] & 0x0f) * 4..)?.split_first_chunk::<4>()?;
    let mut elements = rest.get(..usize::from(u16::from_be_bytes([head[2], head[3]])) * 4)?;
    if head[..2] != PROFILE {
        return None;
    }
    while let Some((first, behind)) = elements.split_first() {
        if *first == 0 {
            elements = behind;
            continue;
        }
        let (data, behind) = behind.split_at_checked(usize::from(first & 0x0f) + 1)?;
        if first >> 4 == number {
            return data.try_into().ok();
        }
        elements = behind;
    }
    None
}

fn rtcp(bytes: &[u8]) -> Result<Datagram, String> {
    const BYE: u8 = 203;
    let mut goodbye = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(header) = rest.first_chunk::<4>() else {
            return Err("an RTCP packet ends within its header".into());
        };
        if header[0] >> 6 != 2 {
            return Err(format!("an RTCP packet of version {}, it has to be 2", header[0] >> 6));
        }
        let length = (usize::from(u16::from_be_bytes([header[2], header[3]])) + 1) * 4;
        let (packet, behind) = rest
            .split_at_checked(length)
            .ok_or_else(|| format!("an RTCP packet of {length} bytes, {} are there", rest.len()))?;
        rest = behind;
        if header[1] == BYE {
            let sources = packet[header.len()..].chunks_exact(4).take(usize::from(header[0] & 0x1f));
            goodbye.extend(sources.map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])));
        }
    }
    Ok(Datagram::Rtcp { goodbye })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: [u8; 14] = [0x80, 0xe0, 0x12, 0x34, 0, 0, 0, 9, 1, 2, 3, 4, 0xaa, 0xbb];

    #[test]
    fn a_plain_packet() {
        assert_eq!(
            parse(&PLAIN),
            Ok(Datagram::Rtp(RtpHeader {
                payload_type: 96,
                marker: true,
                sequence: 0x1234,
                timestamp: 9,
                ssrc: 0x0102_0304,
                payload_length: 2,
            }))
        );
    }

    #[test]
    fn contributing_sources_extension_and_padding_are_taken_off() {
        let mut packet = vec![0xb2, 96, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4];
        packet.extend([0; 8]); // two contributing sources
        packet.extend([0xbe, 0xde, 0, 1, 0, 0, 0, 0]); // an extension of one word
        packet.extend([7, 7, 7, 0, 2]); // three bytes of payload, two of padding
        let Ok(Datagram::Rtp(header)) = parse(&packet) else {
            panic!("no RTP");
        };
        assert_eq!(header.payload_length, 3);
        for length in 0..packet.len() {
            // Nothing shorter may be read beyond its end.
            let _ = parse(&packet[..length]);
        }
    }

    #[test]
    fn broken_headers_are_named() {
        let with = |changes: &[(usize, u8)]| {
            let mut packet = PLAIN;
            for (at, value) in changes {
                packet[*at] = *value;
            }
            parse(&packet).unwrap_err()
        };
        assert!(with(&[(0, 0x40)]).contains("version 1"));
        assert!(with(&[(0, 0x81)]).contains("contributing"));
        assert!(with(&[(0, 0x90)]).contains("extension"));
        assert!(with(&[(0, 0xa0)]).contains("187 bytes of padding"));
        assert!(with(&[(0, 0xa0), (13, 0)]).contains("0 bytes of padding"));
        assert!(parse(&PLAIN[..11]).unwrap_err().contains("shorter"));
        assert!(parse(&[]).is_err());
    }

    #[test]
    fn extensions_are_found_by_their_number() {
        let mut packet = vec![0x91, 96, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 0, 0, 0, 0];
        packet.extend([0xbe, 0xde, 0, 3, 0x10, 7, 0, 0x37]);
        packet.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(extension(&packet, 3), Some([1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!((extension(&packet, 1), extension(&packet, 2)), (None, None));
        for length in 0..packet.len() {
            assert_eq!(extension(&packet[..length], 3), None);
        }
        packet[16] = 0x10;
        assert_eq!((extension(&packet, 3), extension(&PLAIN, 3)), (None, None));
    }

    #[test]
    fn goodbye_is_found_in_a_compound_packet() {
        let report = [0x80, 201, 0, 1, 1, 2, 3, 4];
        let goodbye = [0x81, 203, 0, 1, 1, 2, 3, 4];
        assert_eq!(parse(&report), Ok(Datagram::Rtcp { goodbye: vec![] }));
        assert_eq!(parse(&[report, goodbye].concat()), Ok(Datagram::Rtcp { goodbye: vec![0x0102_0304] }));
        assert!(parse(&report[..6]).unwrap_err().contains("8 bytes, 6"));
    }
}
