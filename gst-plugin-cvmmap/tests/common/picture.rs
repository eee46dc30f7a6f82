//! Pictures to publish, and how cv-mmap describes them: written from the IPC contract, not by the code under test.

use gst_video::VideoFormat;

/// One raw format on both sides.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    pub video: VideoFormat,
    pub pixel_format: u8,
    pub depth: u8,
    pub channels: u8,
    pub pixel_bytes: usize,
}

const fn format(video: VideoFormat, pixel_format: u8, depth: u8, channels: u8, pixel_bytes: usize) -> Format {
    Format { video, pixel_format, depth, channels, pixel_bytes }
}

pub const BGR: Format = format(VideoFormat::Bgr, 1, 0, 3, 3);
pub const GRAY: Format = format(VideoFormat::Gray8, 4, 0, 1, 1);
pub const YUYV: Format = format(VideoFormat::Yuy2, 6, 0, 2, 2);

pub const FORMATS: [Format; 8] = [
    format(VideoFormat::Rgb, 0, 0, 3, 3),
    BGR,
    format(VideoFormat::Rgba, 2, 0, 4, 4),
    format(VideoFormat::Bgra, 3, 0, 4, 4),
    GRAY,
    format(VideoFormat::Gray16Le, 4, 2, 1, 2),
    format(VideoFormat::V308, 5, 0, 3, 3),
    YUYV,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    V1,
    V2 { minor: u8 },
}

pub const V2: Layout = Layout::V2 { minor: 0 };

#[derive(Clone, Debug)]
pub struct Picture {
    pub format: Format,
    pub width: usize,
    pub height: usize,
    pub stride: usize,
    pub data: Vec<u8>,
}

impl Picture {
    /// A picture that no other seed has, with `padding` bytes behind each row.
    pub fn new(format: Format, width: usize, height: usize, padding: usize, seed: u32) -> Self {
        let stride = width * format.pixel_bytes + padding;
        let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
        let data = (0..stride * height).map(|_| {
            // xorshift32
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        });
        Self { format, width, height, stride, data: data.collect() }
    }

    /// A small grey picture.
    pub fn small(seed: u32) -> Self {
        Self::new(GRAY, 8, 4, 0, seed)
    }

    /// The rows without their padding.
    pub fn rows(&self) -> Vec<Vec<u8>> {
        let row = self.width * self.format.pixel_bytes;
        self.data.chunks(self.stride).map(|line| line[..row].to_vec()).collect()
    }

    pub fn metadata(&self, layout: Layout, frame_id: u32, timestamp_ns: u64) -> [u8; 256] {
        let mut bytes = [0; 256];
        let mut put = |offset: usize, value: &[u8]| bytes[offset..offset + value.len()].copy_from_slice(value);
        let size = self.data.len() as u32;
        let Format { pixel_format, depth, channels, .. } = self.format;
        put(0, b"CV-MMAP\0");
        put(0x0C, &frame_id.to_le_bytes());
        put(0x10, &timestamp_ns.to_le_bytes());
        match layout {
            Layout::V1 => {
                put(8, &[1, 0]);
                put(24, &(self.width as u16).to_le_bytes());
                put(26, &(self.height as u16).to_le_bytes());
                put(28, &[channels, depth, pixel_format]);
                put(32, &size.to_le_bytes());
            }
            Layout::V2 { minor } => {
                put(8, &[2, minor]);
                put(0x20, &[1, 1]);
                put(0x22, &64u16.to_le_bytes());
                put(0x24, &24u16.to_le_bytes());
                put(0x26, &4u16.to_le_bytes());
                put(0x28, &size.to_le_bytes());
                put(64, &[0, pixel_format, depth, 0]);
                put(68, &(self.width as u32).to_le_bytes());
                put(72, &(self.height as u32).to_le_bytes());
                put(76, &(self.stride as u32).to_le_bytes());
                put(80, &0u32.to_le_bytes());
                put(84, &size.to_le_bytes());
            }
        }
        bytes
    }
}
