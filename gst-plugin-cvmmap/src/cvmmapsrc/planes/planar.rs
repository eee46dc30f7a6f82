//! From a camera's packed pictures to the planar ones that encoders take: I420 and NV12.
//!
//! Pictures come in pieces of a few rows, which are still in the core's caches when they are converted.

use gst_video::{VideoColorMatrix, VideoColorRange, VideoColorimetry, VideoFormat, VideoInfo};
use yuv::{
    BufferStoreMut, YuvBiPlanarImageMut, YuvConversionMode, YuvError, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
};

use super::subsampled;
use crate::picture::Picture;

/// Bytes of a piece: a part of the smallest second-level caches there are, and too little for a copy past the caches.
const PIECE: usize = 128 << 10;
/// What planar pictures are given in, the best first.
pub(crate) const PLANAR_FORMATS: [VideoFormat; 2] = [VideoFormat::I420, VideoFormat::Nv12];

/// What becomes of pictures of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Conversion {
    from: Picture,
    to: VideoInfo,
    range: YuvRange,
    matrix: YuvStandardMatrix,
}

/// What a picture was converted to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Form {
    format: VideoFormat,
    colours: VideoColorimetry,
}

/// Planes of a picture that is being made, and their strides. The last one is empty in NV12.
pub(crate) struct Planes<'a> {
    pub(crate) data: [&'a mut [u8]; 3],
    pub(crate) strides: [usize; 3],
}

type ToI420 = fn(
    &mut YuvPlanarImageMut<'_, u8>,
    &[u8],
    u32,
    YuvRange,
    YuvStandardMatrix,
    YuvConversionMode,
) -> Result<(), YuvError>;
type ToNv12 = fn(
    &mut YuvBiPlanarImageMut<'_, u8>,
    &[u8],
    u32,
    YuvRange,
    YuvStandardMatrix,
    YuvConversionMode,
) -> Result<(), YuvError>;

/// Whether pictures of a format can be given in the planar ones.
fn is_known(format: VideoFormat) -> bool {
    rgb_kernels(format).is_some() || matches!(format, VideoFormat::Gray8 | VideoFormat::Gray16Le) || is_yuv(format)
}

fn is_yuv(format: VideoFormat) -> bool {
    matches!(format, VideoFormat::Yuy2 | VideoFormat::V308)
}

fn rgb_kernels(format: VideoFormat) -> Option<(ToI420, ToNv12)> {
    Some(match format {
        VideoFormat::Rgb => (yuv::rgb_to_yuv420, yuv::rgb_to_yuv_nv12),
        VideoFormat::Bgr => (yuv::bgr_to_yuv420, yuv::bgr_to_yuv_nv12),
        VideoFormat::Rgba => (yuv::rgba_to_yuv420, yuv::rgba_to_yuv_nv12),
        VideoFormat::Bgra => (yuv::bgra_to_yuv420, yuv::bgra_to_yuv_nv12),
        _ => return None,
    })
}

/// Caps of the planar pictures that can be made of such pictures, without a frame rate. Those of RGB and grey may have any
/// [colours](default_colours).
pub(crate) fn planar_caps(from: &Picture) -> Result<gst::Caps, String> {
    let mut caps = gst::Caps::new_empty();
    if !is_known(from.format) {
        return Ok(caps);
    }
    let colours = from.video_info()?.colorimetry();
    // Colour stays in its columns where only rows are joined; else it is that of four pixels.
    let site = if from.format == VideoFormat::Yuy2 { "mpeg2" } else { "jpeg" };
    for format in PLANAR_FORMATS {
        let mut of_format = Picture { format, ..*from }.video_info()?.to_caps().map_err(|error| error.to_string())?;
        for structure in of_format.make_mut().iter_mut() {
            structure.remove_fields(["framerate", "colorimetry"]);
            structure.set("chroma-site", site);
            if is_yuv(from.format) {
                structure.set("colorimetry", colours.to_string());
            }
        }
        caps.make_mut().append(of_format);
    }
    Ok(caps)
}

/// The colours of a planar picture as `videoconvert` chooses them: matrix and range belong to the size, what the colours mean
/// stays.
pub(crate) fn default_colours(from: &Picture) -> Result<VideoColorimetry, String> {
    let (own, planar) = (from.video_info()?, Picture { format: VideoFormat::I420, ..*from }.video_info()?);
    let own = own.colorimetry();
    let matrix = planar.colorimetry().matrix();
    Ok(VideoColorimetry::new(VideoColorRange::Range16_235, matrix, own.transfer(), own.primaries()))
}

impl Conversion {
    /// None for what this is not made for.
    pub(crate) fn new(from: Picture, to: &VideoInfo) -> Option<Self> {
        let is_planar = PLANAR_FORMATS.contains(&to.format()) && (to.width(), to.height()) == (from.width, from.height);
        let colours = to.colorimetry();
        let range = match colours.range() {
            VideoColorRange::Range16_235 => YuvRange::Limited,
            VideoColorRange::Range0_255 => YuvRange::Full,
            _ => return None,
        };
        let matrix = match colours.matrix() {
            VideoColorMatrix::Bt601 => YuvStandardMatrix::Bt601,
            VideoColorMatrix::Bt709 => YuvStandardMatrix::Bt709,
            VideoColorMatrix::Bt2020 => YuvStandardMatrix::Bt2020,
            // What is YUV keeps its colours, whatever they are.
            _ if is_yuv(from.format) => YuvStandardMatrix::Bt601,
            _ => return None,
        };
        (is_planar && is_known(from.format)).then(|| Self { from, to: to.clone(), range, matrix })
    }

    /// What pictures are converted to.
    pub(crate) fn form(&self) -> Form {
        Form { format: self.to.format(), colours: self.to.colorimetry() }
    }

    /// Bytes from row to row of a piece, when the rows have so many.
    pub(crate) fn piece_stride(&self, row_bytes: usize) -> usize {
        // Room for what `Picture::complete` adds.
        if self.from.format == VideoFormat::Yuy2 { row_bytes.next_multiple_of(4) } else { row_bytes }
    }

    /// Rows of a piece: an even number, unless the picture has fewer.
    pub(crate) fn piece_rows(&self, stride: usize) -> usize {
        (PIECE / stride.max(1)).max(2).next_multiple_of(2).min(self.from.height as usize)
    }

    /// Converts rows of a piece: those from `first` on, which is even. False when the planes or the piece are too small.
    pub(crate) fn convert(&self, piece: &[u8], stride: usize, first: usize, planes: Planes<'_>) -> bool {
        let rows = piece.len().div_ceil(stride.max(1)).min((self.from.height as usize).saturating_sub(first));
        let Planes { data: [y, u, v], strides: [y_stride, u_stride, v_stride] } = planes;
        let v_begin = if self.is_nv12() { 0 } else { first / 2 * v_stride };
        let (Some(y), Some(u), Some(v)) =
            (y.get_mut(first * y_stride..), u.get_mut(first / 2 * u_stride..), v.get_mut(v_begin..))
        else {
            return false;
        };
        let planes = Planes { data: [y, u, v], strides: [y_stride, u_stride, v_stride] };
        match rgb_kernels(self.from.format) {
            Some(kernels) => self.convert_rgb(kernels, piece, stride, rows, planes).is_ok(),
            None => self.convert_samples(piece, stride, rows, planes),
        }
    }

    fn is_nv12(&self) -> bool {
        self.to.format() == VideoFormat::Nv12
    }

    fn convert_rgb(
        &self,
        (to_i420, to_nv12): (ToI420, ToNv12),
        piece: &[u8],
        stride: usize,
        rows: usize,
        planes: Planes<'_>,
    ) -> Result<(), YuvError> {
        let (width, height, stride) = (self.from.width, rows as u32, stride as u32);
        let Planes { data: [y, u, v], strides } = planes;
        let [y_stride, u_stride, v_stride] = strides.map(|stride| stride as u32);
        let (y_plane, u_plane, v_plane) =
            (BufferStoreMut::Borrowed(y), BufferStoreMut::Borrowed(u), BufferStoreMut::Borrowed(v));
        let mode = YuvConversionMode::Balanced;
        if self.is_nv12() {
            let mut planes =
                YuvBiPlanarImageMut { y_plane, y_stride, uv_plane: u_plane, uv_stride: u_stride, width, height };
            return to_nv12(&mut planes, piece, stride, self.range, self.matrix, mode);
        }
        let mut planes = YuvPlanarImageMut { y_plane, y_stride, u_plane, u_stride, v_plane, v_stride, width, height };
        to_i420(&mut planes, piece, stride, self.range, self.matrix, mode)
    }

    /// What is grey or YUV already.
    fn convert_samples(&self, piece: &[u8], stride: usize, rows: usize, planes: Planes<'_>) -> bool {
        let Planes { data: [y, u, v], strides: [y_stride, u_stride, v_stride] } = planes;
        let (width, format) = (self.from.width as usize, self.from.format);
        let (colour_width, colour_rows) = (width.div_ceil(2), rows.div_ceil(2));
        let is_nv12 = self.is_nv12();
        let u_width = if is_nv12 { 2 * colour_width } else { colour_width };
        let fits = |plane: &[u8], stride: usize, width: usize, rows: usize| {
            stride >= width && plane.len() >= stride * rows.saturating_sub(1) + width
        };
        let fit = fits(y, y_stride, width, rows)
            && fits(u, u_stride, u_width, colour_rows)
            && (is_nv12 || fits(v, v_stride, colour_width, colour_rows));
        if !fit {
            return false;
        }
        let lines = piece.chunks(stride);
        for (luma, line) in y.chunks_mut(y_stride).zip(lines.clone()) {
            subsampled::luma(&mut luma[..width], line, format, self.range);
        }
        let (tops, bottoms) = (lines.clone().step_by(2), lines.clone().skip(1).step_by(2).map(Some));
        let pairs = tops.zip(bottoms.chain([None])).map(|(top, bottom)| (top, bottom.unwrap_or(top)));
        if is_nv12 {
            for (row, (top, bottom)) in u.chunks_mut(u_stride).zip(pairs) {
                let colours = row[..u_width].as_chunks_mut::<2>().0.iter_mut().map(|[u, v]| (u, v));
                subsampled::colour(colours, top, bottom, format, width);
            }
        } else {
            for ((u, v), (top, bottom)) in u.chunks_mut(u_stride).zip(v.chunks_mut(v_stride)).zip(pairs) {
                let colours = u[..colour_width].iter_mut().zip(&mut v[..colour_width]);
                subsampled::colour(colours, top, bottom, format, width);
            }
        }
        true
    }
}
