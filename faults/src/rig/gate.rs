//! What a careful receiver lets through to its decoder: access units that came whole, and after a loss none before the next
//! keyframe. Stock `rtph264depay` takes a keyframe that lost a slice for one, even with wait-for-keyframe.

/// NAL unit types. Source: ITU-T H.264 table 7-1; RFC 6184 table 1.
const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// The header fields that tell packets apart. Source: RFC 3550 section 5.1.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    /// Holds a slice of a keyframe.
    is_key: bool,
    /// Holds the parameter sets with which each keyframe begins.
    begins_key: bool,
}

impl Header {
    /// None: not an RTP packet with a payload, as our sender makes them.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let (&[_, marker, s0, s1, t0, t1, t2, t3, ..], payload) = packet.split_first_chunk::<12>()?;
        let inner = match payload.first()? & 0x1F {
            // The fragment's own header; the first unit behind its length.
            FU_A => payload.get(1)?,
            STAP_A => payload.get(3)?,
            _ => payload.first()?,
        } & 0x1F;
        Some(Self {
            marker: marker & 0x80 != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            is_key: inner == IDR,
            begins_key: inner == SPS,
        })
    }
}

/// Holds the packets of an access unit back until the last one is there.
#[derive(Debug)]
pub struct Gate {
    unit: Vec<Vec<u8>>,
    unit_is_key: bool,
    /// Packets of the unit at hand may be missing.
    torn: bool,
    /// A loss was not made up for by a keyframe yet.
    closed: bool,
    last_sequence: Option<u16>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { unit: Vec::new(), unit_is_key: false, torn: true, closed: true, last_sequence: None }
    }
}

impl Gate {
    /// Takes a packet in. What may go on to the decoder: nothing, or the packets of a unit.
    pub fn pass(&mut self, header: &Header, packet: &[u8]) -> Vec<Vec<u8>> {
        let last = self.last_sequence.replace(header.sequence);
        // What is lost may be the end of one unit and the begin of the next.
        if last.is_some_and(|last| header.sequence != last.wrapping_add(1)) {
            self.torn = true;
            self.closed = true;
        }
        // Whatever was lost, it was before this unit.
        if header.begins_key {
            self.unit.clear();
            self.torn = false;
        }
        self.unit.push(packet.to_vec());
        self.unit_is_key |= header.is_key || header.begins_key;
        if !header.marker {
            return Vec::new();
        }
        let unit = std::mem::take(&mut self.unit);
        let is_key = std::mem::take(&mut self.unit_is_key);
        if std::mem::take(&mut self.torn) || (self.closed && !is_key) {
            return Vec::new();
        }
        self.closed = false;
        unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, marker: bool, nal_type: u8) -> Vec<u8> {
        let marker = if marker { 0xE0 } else { 0x60 };
        [&[0x80, marker][..], &sequence.to_be_bytes(), &[0; 8], &[nal_type, 0]].concat()
    }

    /// How many packets of each go on.
    fn passed(packets: &[(u16, bool, u8)]) -> Vec<usize> {
        let mut gate = Gate::default();
        let pass = |(sequence, marker, nal_type): &(u16, bool, u8)| {
            let packet = packet(*sequence, *marker, *nal_type);
            gate.pass(&Header::read(&packet).unwrap(), &packet).len()
        };
        packets.iter().map(pass).collect()
    }

    #[test]
    fn a_stream_begins_with_a_whole_keyframe() {
        assert_eq!(passed(&[(1, true, 1), (2, false, 7), (3, true, 5), (4, true, 1)]), [0, 0, 2, 1]);
        assert_eq!(passed(&[(1, false, 7), (2, true, 5)]), [0, 2]);
        // Whether this is all of it cannot be known.
        assert_eq!(passed(&[(1, true, 5), (2, true, 1)]), [0, 0]);
    }

    #[test]
    fn a_loss_costs_all_up_to_the_next_whole_keyframe() {
        let key = [(65_534, false, 7), (65_535, true, 5)];
        let after = |packets: &[(u16, bool, u8)]| passed(&[&key, packets].concat())[2..].to_vec();
        assert_eq!(after(&[(1, true, 1), (2, true, 1), (3, true, 5), (4, true, 1)]), [0, 0, 1, 1]);
        // The keyframe itself has lost a slice.
        assert_eq!(after(&[(0, false, 7), (2, true, 5), (3, true, 1), (4, true, 5)]), [0, 0, 0, 1]);
        // The end of one unit and the begin of the next are gone: what comes is no whole unit.
        assert_eq!(after(&[(0, false, 1), (3, true, 5), (4, true, 5)]), [0, 0, 1]);
        // The same, but for the begin.
        assert_eq!(after(&[(0, false, 1), (3, false, 7), (4, true, 5)]), [0, 0, 2]);
    }

    #[test]
    fn what_is_no_packet_is_none() {
        assert!(Header::read(&[0x80; 12]).is_none());
        assert!(Header::read(&packet(0, true, FU_A)[..13]).is_none());
        assert!(Header::read(b"").is_none());
    }
}
