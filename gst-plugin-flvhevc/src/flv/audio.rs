//! AAC in audio tags (FLV E.4.2).

use super::bytes::Bytes;

/// SoundFormat 10, and the fixed "44 kHz, 16 bits, stereo" that FLV prescribes for AAC whatever the stream is.
const AAC: u8 = 0xAF;
const SEQUENCE_HEADER: u8 = 0;
const RAW: u8 = 1;

/// onMetaData's `audiocodecid`.
pub const AAC_CODEC_ID: f64 = 10.0;
/// What stands in front of a raw AAC frame.
pub const AAC_FRAME_PREFIX: [u8; 2] = [AAC, RAW];

pub fn aac_sequence_header(audio_specific_config: &[u8]) -> Vec<u8> {
    let mut body = vec![AAC, SEQUENCE_HEADER];
    body.extend_from_slice(audio_specific_config);
    body
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AacConfigError {
    #[error("AudioSpecificConfig has {0} bytes, at least 2 are needed")]
    Short(usize),
    #[error("AudioSpecificConfig has audio object type 0")]
    NoObjectType,
    #[error("AudioSpecificConfig has the reserved sampling frequency index {0}")]
    ReservedFrequency(u8),
}

/// Checks an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) as far as its fixed fields go.
pub fn check_audio_specific_config(config: &[u8]) -> Result<(), AacConfigError> {
    let start = Bytes::new(config).number(2).ok_or(AacConfigError::Short(config.len()))?;
    let object_type = start >> 11;
    let frequency = (start >> 7 & 0xF) as u8;
    match (object_type, frequency) {
        (0, _) => Err(AacConfigError::NoObjectType),
        // Escaped object types push the frequency 6 bits further.
        (1..31, 13 | 14) => Err(AacConfigError::ReservedFrequency(frequency)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_are_checked() {
        // AAC-LC 48 kHz stereo, and HE-AAC signalled explicitly.
        assert_eq!(check_audio_specific_config(&[0x11, 0x90]), Ok(()));
        assert_eq!(check_audio_specific_config(&[0x2B, 0x92, 0x08, 0x00]), Ok(()));
        assert_eq!(check_audio_specific_config(&[0x11]), Err(AacConfigError::Short(1)));
        assert_eq!(check_audio_specific_config(&[0, 0]), Err(AacConfigError::NoObjectType));
        assert_eq!(check_audio_specific_config(&[0x16, 0x90]), Err(AacConfigError::ReservedFrequency(13)));
    }

    #[test]
    fn sequence_header_holds_the_config() {
        assert_eq!(aac_sequence_header(&[0x11, 0x90]), [0xAF, 0x00, 0x11, 0x90]);
    }
}
