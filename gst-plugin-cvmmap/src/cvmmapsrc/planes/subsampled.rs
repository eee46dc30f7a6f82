//! Luma of every pixel, and colour of two by two, for pictures that are grey or YUV already.

use gst_video::VideoFormat;
use yuv::YuvRange;

/// Colour of a grey pixel.
const NO_COLOUR: u8 = 128;

/// Luma of a row of grey, YUY2 or v308.
pub(super) fn luma(luma: &mut [u8], line: &[u8], format: VideoFormat, range: YuvRange) {
    match (format, range) {
        (VideoFormat::Gray8, YuvRange::Limited) => brighten::<1>(luma, line),
        (VideoFormat::Gray16Le, YuvRange::Limited) => brighten::<2>(luma, line),
        (VideoFormat::Gray16Le, YuvRange::Full) => pick::<2>(luma, line, 1),
        (VideoFormat::Yuy2, _) => pick::<2>(luma, line, 0),
        (VideoFormat::V308, _) => pick::<3>(luma, line, 0),
        _ => pick::<1>(luma, line, 0),
    }
}

/// One byte of every `N`.
fn pick<const N: usize>(luma: &mut [u8], line: &[u8], at: usize) {
    for (luma, pixel) in luma.iter_mut().zip(line.as_chunks::<N>().0) {
        *luma = pixel[at];
    }
}

/// Greys of the full range in the limited one, of little-endian numbers of `N` bytes.
fn brighten<const N: usize>(luma: &mut [u8], greys: &[u8]) {
    for (luma, grey) in luma.iter_mut().zip(greys.as_chunks::<N>().0) {
        let scaled = u16::from(grey[N - 1]) * 219 + 127;
        // Divided by 255.
        *luma = 16 + ((scaled + (scaled >> 8) + 1) >> 8) as u8;
    }
}

/// Colour of two rows, which are the same one where the picture ends after an odd one.
pub(super) fn colour<'a>(
    colours: impl Iterator<Item = (&'a mut u8, &'a mut u8)>,
    top: &[u8],
    bottom: &[u8],
    format: VideoFormat,
    width: usize,
) {
    match format {
        VideoFormat::Yuy2 => {
            let pairs = top.as_chunks::<4>().0.iter().zip(bottom.as_chunks::<4>().0);
            for ((u, v), (top, bottom)) in colours.zip(pairs) {
                (*u, *v) = (top[1].midpoint(bottom[1]), top[3].midpoint(bottom[3]));
                // `midpoint` rounds down.
                *u += (top[1] ^ bottom[1]) & 1;
                *v += (top[3] ^ bottom[3]) & 1;
            }
        }
        VideoFormat::V308 => {
            let pairs = top[..3 * width].chunks(6).zip(bottom.chunks(6));
            for ((u, v), (top, bottom)) in colours.zip(pairs) {
                // The last pixel of an odd row stands for two.
                let right = if top.len() == 6 { 3 } else { 0 };
                let mean = |at: usize| {
                    let sum = [top[at], top[at + right], bottom[at], bottom[at + right]].map(u16::from);
                    ((sum.iter().sum::<u16>() + 2) / 4) as u8
                };
                (*u, *v) = (mean(1), mean(2));
            }
        }
        _ => colours.for_each(|(u, v)| (*u, *v) = (NO_COLOUR, NO_COLOUR)),
    }
}
