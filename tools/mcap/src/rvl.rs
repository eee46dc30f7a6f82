//! RVL: depth pictures of 16 bits, losslessly packed in runs and differences, and the ROS `compressedDepth` container
//! around them.
//!
//! Source: Wilson, "Fast Lossless Depth Image Compression" (2017); the container is that of ROS image_transport_plugins,
//! compressed_depth_image_transport.

/// Bytes of the container before the packed words: format (i32), A and B (f32), columns and rows (u32), little-endian.
pub const HEADER_SIZE: usize = 20;
/// Inverse-depth coding in the header's first field; the container knows no other.
const INV_DEPTH: i32 = 0;
/// Largest picture that is unpacked: 8192 x 8192.
const PIXELS_MAX: u64 = 1 << 26;
/// Bits of a number in one nibble; the fourth says that more follow.
const DATA_BITS: u32 = 3;
/// A difference of two 16-bit pixels, folded to a positive number, takes 17 bits; a run length no more than 26.
const NIBBLES_MAX: u32 = 10;

/// How the pixels stand for depth: `depth = a / (pixel - b)`, or the pixel itself where both are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantisation {
    /// Dividend.
    pub a: f32,
    /// Subtrahend.
    pub b: f32,
}

/// A depth picture of 16 bits a pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// What the pixels stand for.
    pub quantisation: Quantisation,
    /// Row by row; 0 is no measurement.
    pub pixels: Vec<u16>,
}

/// Why bytes are no packed picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RvlError {
    /// Shorter than its header.
    #[error("{0} bytes are shorter than the header of {HEADER_SIZE}")]
    Short(usize),
    /// Another coding.
    #[error("coding {0} is not known, only inverse depth (0)")]
    Format(i32),
    /// No picture has that size.
    #[error("a picture of {0}x{1} is empty or too large")]
    Size(u32, u32),
    /// Words are missing.
    #[error("the data end after {0} of {1} pixels")]
    Truncated(usize, usize),
    /// Runs or pixels that no packer makes.
    #[error("the data are damaged at pixel {0}")]
    Damaged(usize),
}

impl Picture {
    /// Packs the picture, in its container. Pixels are `width * height`.
    pub fn pack(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(HEADER_SIZE + self.pixels.len());
        packed.extend_from_slice(&INV_DEPTH.to_le_bytes());
        packed.extend_from_slice(&self.quantisation.a.to_le_bytes());
        packed.extend_from_slice(&self.quantisation.b.to_le_bytes());
        packed.extend_from_slice(&self.width.to_le_bytes());
        packed.extend_from_slice(&self.height.to_le_bytes());
        pack_pixels(&self.pixels, &mut packed);
        packed
    }

    /// Unpacks a picture from its container.
    ///
    /// # Errors
    /// When the bytes are not a whole one.
    pub fn unpack(bytes: &[u8]) -> Result<Self, RvlError> {
        let Header { width, height, quantisation, words } = Header::of(bytes)?;
        let mut pixels = Vec::new();
        unpack_pixels(words, width as usize * height as usize, |run| match run {
            Run::Zeros(zeros) => pixels.resize(pixels.len() + zeros, 0),
            Run::Pixel(pixel) => pixels.push(pixel),
        })?;
        Ok(Self { width, height, quantisation, pixels })
    }

    /// Width and height of a packed picture, all of which is looked at and nothing kept.
    ///
    /// # Errors
    /// When the bytes are not a whole one.
    pub fn check(bytes: &[u8]) -> Result<(u32, u32), RvlError> {
        let Header { width, height, words, .. } = Header::of(bytes)?;
        unpack_pixels(words, width as usize * height as usize, |_| {})?;
        Ok((width, height))
    }
}

/// A container, whose size is one of a picture.
struct Header<'a> {
    width: u32,
    height: u32,
    quantisation: Quantisation,
    words: &'a [u8],
}

impl<'a> Header<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, RvlError> {
        let Some((header, words)) = bytes.split_at_checked(HEADER_SIZE) else {
            return Err(RvlError::Short(bytes.len()));
        };
        let field = |index: usize| [0, 1, 2, 3].map(|byte| header[4 * index + byte]);
        let format = i32::from_le_bytes(field(0));
        if format != INV_DEPTH {
            return Err(RvlError::Format(format));
        }
        let quantisation = Quantisation { a: f32::from_le_bytes(field(1)), b: f32::from_le_bytes(field(2)) };
        let (width, height) = (u32::from_le_bytes(field(3)), u32::from_le_bytes(field(4)));
        let count = u64::from(width) * u64::from(height);
        if count == 0 || count > PIXELS_MAX {
            return Err(RvlError::Size(width, height));
        }
        Ok(Self { width, height, quantisation, words })
    }
}

fn pack_pixels(pixels: &[u16], packed: &mut Vec<u8>) {
    let mut nibbles = NibbleWriter { packed, word: 0, filled: 0 };
    let mut previous = 0;
    let mut rest = pixels;
    while !rest.is_empty() {
        let zeros = rest.iter().take_while(|pixel| **pixel == 0).count();
        let values = rest[zeros..].iter().take_while(|pixel| **pixel != 0).count();
        nibbles.put(zeros as u32);
        nibbles.put(values as u32);
        for pixel in &rest[zeros..zeros + values] {
            let difference = i32::from(*pixel) - previous;
            nibbles.put(((difference << 1) ^ (difference >> 31)) as u32);
            previous = i32::from(*pixel);
        }
        rest = &rest[zeros + values..];
    }
    nibbles.finish();
}

/// A part of a picture.
enum Run {
    Zeros(usize),
    Pixel(u16),
}

/// Gives the parts of a picture of so many pixels in their order.
fn unpack_pixels(words: &[u8], count: usize, mut give: impl FnMut(Run)) -> Result<(), RvlError> {
    let mut nibbles = NibbleReader { words: words.chunks_exact(4), word: 0, left: 0 };
    let mut at = 0;
    let mut previous = 0_i32;
    while at < count {
        let truncated = || RvlError::Truncated(at, count);
        let zeros = nibbles.take(at)?.ok_or_else(truncated)? as usize;
        let values = nibbles.take(at)?.ok_or_else(truncated)? as usize;
        // Neither a run beyond the picture nor one that gets nowhere.
        if zeros + values > count - at || zeros + values == 0 {
            return Err(RvlError::Damaged(at));
        }
        give(Run::Zeros(zeros));
        at += zeros;
        for _ in 0..values {
            let folded = nibbles.take(at)?.ok_or(RvlError::Truncated(at, count))?;
            // Of 30 bits at most.
            let difference = (folded >> 1) as i32 ^ -((folded & 1) as i32);
            let pixel = u16::try_from(previous + difference).ok().filter(|pixel| *pixel != 0);
            let pixel = pixel.ok_or(RvlError::Damaged(at))?;
            give(Run::Pixel(pixel));
            previous = pixel.into();
            at += 1;
        }
    }
    Ok(())
}

/// Numbers in nibbles, low bits first, the nibbles from the top of 32-bit words that are stored little-endian.
struct NibbleWriter<'a> {
    packed: &'a mut Vec<u8>,
    word: u32,
    filled: u32,
}

impl NibbleWriter<'_> {
    fn put(&mut self, mut number: u32) {
        loop {
            let more = u32::from(number >> DATA_BITS != 0) << DATA_BITS;
            self.word = self.word << 4 | number & 7 | more;
            self.filled += 1;
            if self.filled == 8 {
                self.packed.extend_from_slice(&self.word.to_le_bytes());
                (self.word, self.filled) = (0, 0);
            }
            number >>= DATA_BITS;
            if number == 0 {
                return;
            }
        }
    }

    fn finish(self) {
        if self.filled > 0 {
            self.packed.extend_from_slice(&(self.word << (4 * (8 - self.filled))).to_le_bytes());
        }
    }
}

struct NibbleReader<'a> {
    words: std::slice::ChunksExact<'a, u8>,
    /// The word at hand, from the top of which nibbles are taken,
    word: u32,
    /// and how many are left in it.
    left: u32,
}

impl NibbleReader<'_> {
    /// The next number; `None` at the end of the words.
    fn take(&mut self, pixel: usize) -> Result<Option<u32>, RvlError> {
        let mut number = 0;
        for index in 0..NIBBLES_MAX {
            if self.left == 0 {
                let Some(word) = self.words.next() else {
                    return Ok(None);
                };
                self.word = u32::from_le_bytes(word.try_into().expect("it has 4 bytes"));
                self.left = 8;
            }
            let nibble = self.word >> 28;
            self.word <<= 4;
            self.left -= 1;
            number |= (nibble & 7) << (DATA_BITS * index);
            if nibble & 8 == 0 {
                return Ok(Some(number));
            }
        }
        Err(RvlError::Damaged(pixel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, pixels: Vec<u16>) -> Picture {
        Picture { width, height: pixels.len() as u32 / width, quantisation: Quantisation::default(), pixels }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Pixels from a fixed generator: runs of zeros, slopes and noise.
    fn scene(width: u32, height: u32) -> Picture {
        let mut state = 1_u32;
        let pixels = (0..width * height).map(|index| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match index / 97 % 5 {
                0 => 0,
                1 => (state >> 16) as u16,
                _ => (1000 + index % 640 + (state >> 29)) as u16,
            }
        });
        picture(width, pixels.collect())
    }

    #[test]
    fn known_pictures_have_known_words() {
        for (pixels, words) in [
            (vec![0, 0, 0, 0], "00000040"),
            (vec![0, 1200, 1201, 0, 800], "21d48c120010cc19"),
            (vec![65535, 1, 65535, 0, 0, 1], "f3ffef03cff3ffbfbf21f3ff0000f3ff"),
            (vec![1; 9], "0000120900000000"),
            (vec![0; 64], "00001088"),
        ] {
            let picture = picture(pixels.len() as u32, pixels);
            let packed = picture.pack();
            assert_eq!(hex(&packed[HEADER_SIZE..]), words);
            assert_eq!(Picture::unpack(&packed), Ok(picture));
        }
    }

    #[test]
    fn the_header_says_size_and_quantisation() {
        let mut picture = picture(3, vec![1, 2, 3, 4, 5, 6]);
        picture.quantisation = Quantisation { a: 1.0, b: -2.0 };
        assert_eq!(hex(&picture.pack()[..HEADER_SIZE]), "000000000000803f000000c00300000002000000");
        assert_eq!(Picture::unpack(&picture.pack()), Ok(picture));
    }

    #[test]
    fn another_decoder_agrees() {
        let picture = scene(640, 361);
        let packed = picture.pack();
        assert_eq!(Picture::unpack(&packed).unwrap(), picture);
        let header = re_rvl::RosRvlMetadata::parse(&packed).unwrap();
        assert_eq!((header.width, header.height), (640, 361));
        // Quantised with A and B so that what comes out is 1 / pixel.
        let mut quantised = picture.clone();
        quantised.quantisation = Quantisation { a: 1.0, b: 0.0 };
        let packed = quantised.pack();
        let header = re_rvl::RosRvlMetadata::parse(&packed).unwrap();
        let theirs = re_rvl::decode_rvl_with_quantization(&packed, &header).unwrap();
        for (their, pixel) in theirs.iter().zip(&picture.pixels) {
            let pixel_again = if their.is_finite() { (1.0 / their).round() as u16 } else { 0 };
            assert_eq!(pixel_again, *pixel);
        }
        assert_eq!(theirs.len(), picture.pixels.len());
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_refused() {
        let packed = scene(64, 48).pack();
        for length in 0..packed.len() {
            assert!(Picture::unpack(&packed[..length]).is_err(), "{length}");
        }
        for position in 0..packed.len() {
            for bit in 0..8 {
                let mut damaged = packed.clone();
                damaged[position] ^= 1 << bit;
                // Whatever comes of it, it comes: no panic, and no picture of another size than it says.
                let unpacked = Picture::unpack(&damaged);
                if let Ok(picture) = &unpacked {
                    assert_eq!(picture.pixels.len() as u64, u64::from(picture.width) * u64::from(picture.height));
                }
                assert_eq!(Picture::check(&damaged), unpacked.map(|picture| (picture.width, picture.height)));
            }
        }
    }

    #[test]
    fn a_size_without_data_costs_no_memory() {
        let mut bytes = picture(1, vec![1]).pack();
        bytes[12..20].fill(0xFF);
        assert_eq!(Picture::unpack(&bytes), Err(RvlError::Size(u32::MAX, u32::MAX)));
        bytes[12..16].copy_from_slice(&8192_u32.to_le_bytes());
        bytes[16..20].copy_from_slice(&8192_u32.to_le_bytes());
        assert_eq!(Picture::unpack(&bytes), Err(RvlError::Damaged(1)));
        // A run that gets nowhere, and one that goes on for ever.
        bytes[20..24].copy_from_slice(&[0; 4]);
        assert_eq!(Picture::unpack(&bytes), Err(RvlError::Damaged(0)));
        bytes[20..24].copy_from_slice(&[0xFF; 4]);
        bytes.extend_from_slice(&[0xFF; 8]);
        assert_eq!(Picture::unpack(&bytes), Err(RvlError::Damaged(0)));
    }
}
