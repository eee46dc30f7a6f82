//! Parsers meet whatever there is: sound input with damage, and noise. The numbers are pseudo-random and the same every time.

use super::{access_unit::is_keyframe, audio, avcc, bytes::Bytes, hvcc, video::VideoFormat};

const ROUNDS: usize = 20_000;

/// Marsaglia's xorshift64.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, limit: usize) -> Vec<u8> {
        (0..self.below(limit)).map(|_| self.next() as u8).collect()
    }

    /// Flips, cuts, repeats and inserts a little.
    fn damage(&mut self, sound: &[u8]) -> Vec<u8> {
        let mut data = sound.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(data.len().max(1));
            match self.below(5) {
                0 if !data.is_empty() => data[at] = self.next() as u8,
                1 if !data.is_empty() => data[at] ^= 1 << self.below(8),
                2 => data.truncate(at),
                3 => data.extend_from_slice(&sound[self.below(sound.len())..]),
                _ => data.insert(at, [0, 1, 0xFF][self.below(3)]),
            }
        }
        data
    }
}

/// The NAL units of an access unit, by another way than the one that is tested.
fn units(length_size: usize, data: &[u8]) -> Option<Vec<&[u8]>> {
    if data.is_empty() {
        return Some(Vec::new());
    }
    let (length, rest) = data.split_at_checked(length_size)?;
    let length = length.iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte));
    let (unit, rest) = rest.split_at_checked(length)?;
    let mut units = units(length_size, rest)?;
    units.insert(0, unit);
    Some(units)
}

#[test]
fn access_units() {
    let sound = [0, 0, 0, 3, 0x46, 1, 0x50, 0, 0, 0, 4, 0x26, 1, 0xAF, 0x09, 0, 0, 0, 3, 0x65, 0x88, 0x84];
    let mut noise = Noise(0x5EED);
    let mut accepted = 0;
    for _ in 0..ROUNDS {
        let data = if noise.below(4) == 0 { noise.bytes(40) } else { noise.damage(&sound) };
        for (format, header_size) in
            [(VideoFormat::Avc, 1), (VideoFormat::EnhancedHevc, 2), (VideoFormat::DomesticHevc, 2)]
        {
            for length_size in [1, 2, 4] {
                let result = is_keyframe(format, length_size, &data, noise.below(2) == 0);
                let units = units(length_size, &data);
                let sound = units.is_some_and(|units| {
                    !units.is_empty() && units.iter().all(|unit| unit.len() >= header_size && unit[0] < 0x80)
                });
                assert_eq!(result.is_ok(), sound, "{format:?}, lengths of {length_size}: {data:02X?}: {result:?}");
                accepted += usize::from(sound);
            }
        }
    }
    assert!(accepted > ROUNDS / 10, "{accepted} were sound: the damage is too great to show anything");
}

#[test]
fn decoder_configurations() {
    let mut noise = Noise(0xC0DEC);
    let (mut avc, mut hevc) = (0, 0);
    for _ in 0..ROUNDS {
        let record = noise.damage(&avcc::tests::RECORD);
        if let Ok(size) = avcc::nal_length_size(&record) {
            assert!([1, 2, 4].contains(&size) && record[0] == 1 && record.len() >= 7, "{record:02X?}");
            avc += 1;
        }
        let record = noise.damage(&hvcc::tests::RECORD);
        if let Ok(size) = hvcc::nal_length_size(&record) {
            assert!([1, 2, 4].contains(&size) && record[0] == 1 && record[1] & 0x1F != 0, "{record:02X?}");
            hevc += 1;
        }
        let other = noise.bytes(200);
        let _ = (avcc::nal_length_size(&other), hvcc::nal_length_size(&other));
        let _ = audio::check_audio_specific_config(&other);
    }
    assert!(avc.min(hevc) > ROUNDS / 50, "{avc} and {hevc} were sound: the damage is too great to show anything");
}

#[test]
fn bytes_are_read_once() {
    let mut noise = Noise(1);
    for _ in 0..ROUNDS {
        let data = noise.bytes(20);
        let mut bytes = Bytes::new(&data);
        let mut read = Vec::new();
        while let Some(part) = bytes.take(noise.below(6)).filter(|part| !part.is_empty()) {
            read.extend_from_slice(part);
        }
        assert!(data.starts_with(&read));
        assert_eq!(bytes.len(), data.len() - read.len());
    }
}
