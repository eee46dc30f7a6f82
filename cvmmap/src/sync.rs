//! The frame-sync message. Source: cv-mmap IPC contract, section 3.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U32, U64},
};

/// Bytes of a sync message.
pub const SYNC_SIZE: usize = 48;
/// Bytes of a label, NUL padded; a label of all 24 has no NUL.
pub const LABEL_SIZE: usize = 24;

const MAGIC: u8 = 0x7D;
const VERSION_MAJOR: u8 = 1;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Wire {
    magic: u8,
    reserved: u8,
    version_major: u8,
    version_minor: u8,
    frame_id: U32,
    reserved_8: [u8; 8],
    timestamp_ns: U64,
    label: [u8; LABEL_SIZE],
}

/// One frame's announcement: which frame of which producer is in the segment now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncMessage {
    /// Frame counter of the producer; wraps at 2^32, starts over after a reset.
    pub frame_id: u32,
    /// Capture time in nanoseconds, in the producer's time domain.
    pub timestamp_ns: u64,
    label: [u8; LABEL_SIZE],
}

/// Why a message is no sync message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// Shorter than 48 bytes.
    #[error("sync message of {0} bytes, at least 48 expected")]
    Short(usize),
    /// Another first byte than 0x7D.
    #[error("sync message starts with {0:#04x}, 0x7d expected")]
    Magic(u8),
    /// Another major version than 1.
    #[error("sync message version {0}, 1 expected")]
    Version(u8),
}

impl SyncMessage {
    /// The message that announces a frame. A label longer than 24 bytes is cut.
    pub fn new(frame_id: u32, timestamp_ns: u64, label: &str) -> Self {
        let mut padded = [0; LABEL_SIZE];
        let length = label.len().min(LABEL_SIZE);
        padded[..length].copy_from_slice(&label.as_bytes()[..length]);
        Self { frame_id, timestamp_ns, label: padded }
    }

    /// Reads a message as it came from the socket; bytes past 48 are ignored.
    ///
    /// # Errors
    /// When it is short, or of another magic or major version.
    pub fn parse(bytes: &[u8]) -> Result<Self, SyncError> {
        let (wire, _) = Wire::read_from_prefix(bytes).map_err(|_| SyncError::Short(bytes.len()))?;
        if wire.magic != MAGIC {
            return Err(SyncError::Magic(wire.magic));
        }
        if wire.version_major != VERSION_MAJOR {
            return Err(SyncError::Version(wire.version_major));
        }
        Ok(Self { frame_id: wire.frame_id.get(), timestamp_ns: wire.timestamp_ns.get(), label: wire.label })
    }

    /// The message as it goes to the socket.
    pub fn to_bytes(&self) -> [u8; SYNC_SIZE] {
        zerocopy::transmute!(Wire {
            magic: MAGIC,
            reserved: 0,
            version_major: VERSION_MAJOR,
            version_minor: 0,
            frame_id: self.frame_id.into(),
            reserved_8: [0; 8],
            timestamp_ns: self.timestamp_ns.into(),
            label: self.label,
        })
    }

    /// Label bytes up to the first NUL.
    pub fn label(&self) -> &[u8] {
        let end = self.label.iter().position(|&b| b == 0);
        &self.label[..end.unwrap_or(LABEL_SIZE)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_at_their_offsets() {
        let bytes = SyncMessage::new(0x0403_0201, 0x1817_1615_1413_1211, "cam0").to_bytes();
        assert_eq!(bytes[..4], [0x7D, 0, 1, 0]);
        assert_eq!(bytes[4..8], [1, 2, 3, 4]);
        assert_eq!(bytes[8..16], [0; 8]);
        assert_eq!(bytes[16..24], [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]);
        assert_eq!(&bytes[24..30], b"cam0\0\0");
    }

    #[test]
    fn what_is_written_reads_back() {
        for label in ["", "cam0", "123456789012345678901234"] {
            let message = SyncMessage::new(u32::MAX, u64::MAX, label);
            let mut bytes = message.to_bytes().to_vec();
            assert_eq!(SyncMessage::parse(&bytes), Ok(message));
            bytes.push(9);
            assert_eq!(SyncMessage::parse(&bytes).unwrap().label(), label.as_bytes());
        }
    }

    #[test]
    fn foreign_messages_are_refused_by_cause() {
        let good = SyncMessage::new(1, 2, "a").to_bytes();
        assert_eq!(SyncMessage::parse(&good[..47]), Err(SyncError::Short(47)));
        assert_eq!(SyncMessage::parse(&[]), Err(SyncError::Short(0)));
        let mut other = good;
        other[0] = 0x7C;
        assert_eq!(SyncMessage::parse(&other), Err(SyncError::Magic(0x7C)));
        other = good;
        other[2] = 2;
        assert_eq!(SyncMessage::parse(&other), Err(SyncError::Version(2)));
    }
}
