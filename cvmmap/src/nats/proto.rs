//! The protobuf messages. Source: `proto/cvmmap.proto`, of which the code is generated; a test keeps both the same.
//!
//! They are structures of the crate [`prost`]. Enumerations are numbers in them, as a newer peer may send one that is not known;
//! a method of the field's name gives the enumeration, and its first value for a number that is none.

include!("proto_generated.rs");

/// A reply that says whether the request worked.
pub trait Reply: prost::Message + Default {
    /// The reply's error code; one that is not known is an error.
    fn code(&self) -> ErrorCode;

    /// What the producer says to it.
    fn message(&self) -> &str {
        ""
    }
}

fn code(value: i32) -> ErrorCode {
    ErrorCode::try_from(value).unwrap_or(ErrorCode::Error)
}

macro_rules! replies {
    ($($reply:ty),*) => {
        $(impl Reply for $reply {
            fn code(&self) -> ErrorCode {
                code(self.error)
            }
        })*
    };
}

replies!(ResetFrameCountResponse, GetSourceInfoResponse, SeekTimestampResponse, CapabilitiesResponse);

/// Replies with words of their own.
macro_rules! replies_with_message {
    ($($reply:ty),*) => {
        $(impl Reply for $reply {
            fn code(&self) -> ErrorCode {
                code(self.error)
            }

            fn message(&self) -> &str {
                &self.error_message
            }
        })*
    };
}

replies_with_message!(
    RecordingStatusResponse,
    EncoderResponse,
    ApplyPlaylistResponse,
    GetPlaylistInfoResponse,
    GetCameraControlCapabilitiesResponse,
    GetCameraControlResponse,
    SetCameraControlResponse,
    SetCameraControlRangeResponse
);

impl ErrorCode {
    /// The code's name in the contract.
    pub fn name(self) -> &'static str {
        self.as_str_name().trim_start_matches("ERROR_CODE_")
    }
}

/// Bits of [`GetSourceInfoResponse::flags`]. Source: cv-mmap IPC contract, section 4.
pub mod source_flags {
    /// It can go on from another time.
    pub const CAN_SEEK: u32 = 0x1;
    /// Behind its end it begins anew by itself.
    pub const AUTO_LOOP: u32 = 0x2;
    /// Its frames have a depth plane.
    pub const HAS_DEPTH: u32 = 0x4;
    /// It publishes body-tracking packets.
    pub const HAS_BODY: u32 = 0x8;
    /// It can record.
    pub const CAN_RECORD: u32 = 0x10;
    /// Each new beginning is told as a STREAM_RESET.
    pub const LOOP_EMITS_RESET: u32 = 0x20;
}
