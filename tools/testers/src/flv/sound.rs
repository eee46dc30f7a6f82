//! Audio tags (FLV E.4.2): AAC is read, whatever else there is, is counted alone.

use super::{
    fault::{Cursor, Fault},
    warnings::Warnings,
};

const SOUND_FORMAT_AAC: u8 = 10;
/// Samples of an AAC frame (14496-3, 4.5.2.1.1): 960 exist, and nobody sends them over RTMP.
const FRAME_SAMPLES: u64 = 1024;
/// By sampling frequency index (14496-3, 1.6.3.4).
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// The sound of a stream so far.
#[derive(Debug, Default)]
pub struct Sound {
    rate: Option<u32>,
    last: Option<u32>,
    frames: u64,
    /// Farthest that a picture was from the sound, in milliseconds.
    max_gap_ms: u32,
}

impl Sound {
    /// A new connection begins.
    pub fn begin_anew(&mut self) {
        (self.rate, self.last) = (None, None);
    }

    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// None without sound.
    pub fn max_gap_ms(&self) -> Option<u32> {
        (self.frames > 0).then_some(self.max_gap_ms)
    }

    pub fn tag(&mut self, body: &[u8], timestamp: u32, warnings: &mut Warnings) -> Result<(), Fault> {
        let mut cursor = Cursor::new(body, 0);
        let first = cursor.u8("an audio tag")?;
        if first >> 4 != SOUND_FORMAT_AAC {
            warnings.add("sound-format", "sound that is not AAC in the form of FLV: it is not looked into");
            return Ok(());
        }
        if let Some(last) = self.last
            && timestamp.wrapping_sub(last).cast_signed() < 0
        {
            return Err(Fault::new(0, format!("the audio tag before this one has the later timestamp {last} ms")));
        }
        if first & 0x0f != 0x0f {
            warnings.add("sound-flags", "AAC whose flags are not those that FLV wants (44 kHz, 16 bits, stereo)");
        }
        match cursor.u8("the AAC packet type")? {
            0 => self.rate = Some(sample_rate(&mut cursor)?),
            1 if self.rate.is_none() => return Err(Fault::new(1, "an AAC frame before its sequence header")),
            1 if cursor.remaining() == 0 => return Err(Fault::new(2, "an AAC frame without data")),
            1 => {
                self.frames += 1;
                self.last = Some(timestamp);
            }
            other => {
                return Err(Fault::new(
                    1,
                    format!("AAC packet type {other}: there are 0 (sequence header) and 1 (a frame)"),
                ));
            }
        }
        Ok(())
    }

    /// A picture comes: how far is it from the sound?
    pub fn picture(&mut self, timestamp: u32) {
        let (Some(last), Some(rate)) = (self.last, self.rate) else {
            return;
        };
        let behind = timestamp.wrapping_sub(last).cast_signed();
        let frame = (FRAME_SAMPLES * 1000 / u64::from(rate)) as u32;
        let gap = if behind < 0 { behind.unsigned_abs() } else { behind.cast_unsigned().saturating_sub(frame) };
        self.max_gap_ms = self.max_gap_ms.max(gap);
    }
}

/// Reads an AudioSpecificConfig as far as it counts here (14496-3, 1.6.2.1).
fn sample_rate(cursor: &mut Cursor<'_>) -> Result<u32, Fault> {
    let at = cursor.position();
    let start = cursor.u16("the AudioSpecificConfig")?;
    let index = usize::from(start >> 7 & 0x0f);
    if start >> 11 == 0 {
        return Err(Fault::new(at, "audio object type 0"));
    }
    RATES
        .get(index)
        .copied()
        .ok_or_else(|| Fault::new(at, format!("sampling frequency index {index}: publishers have 0 to 12")))
}
