//! Drawing the view of an eye from its pictures, each pixel from the four that its source is between.

use std::rc::Rc;

use gst_video::{VideoFormatFlags, VideoFrame, VideoFrameExt as _, VideoInfo};
use tools_cli::failure::Failure;

use super::stereo::View;

/// Steps from one pixel to the next.
const STEPS: f64 = 256.0;

/// Where a pixel comes from: the upper left one of four, and how far towards the others in 256ths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Source {
    x: u16,
    y: u16,
    right: u8,
    down: u8,
}

/// Draws views of pictures of one form.
#[derive(Debug)]
pub struct Remap {
    form: VideoInfo,
    components: Vec<Component>,
}

/// Luminance, a colour difference, or a colour.
#[derive(Debug)]
struct Component {
    plane: u32,
    /// Bytes before the first one in a row,
    offset: usize,
    /// and from each to the next.
    step: usize,
    width: usize,
    sources: Rc<[Source]>,
}

impl Remap {
    /// Works out the source of each pixel.
    ///
    /// # Errors
    /// [`Failure::Configuration`] for a format with other components than bytes.
    pub fn new(view: &View, form: &VideoInfo) -> Result<Self, Failure> {
        let format = form.format_info();
        let is_odd =
            format.flags().intersects(VideoFormatFlags::COMPLEX | VideoFormatFlags::TILED | VideoFormatFlags::PALETTE);
        let count = form.n_components() as usize;
        if is_odd || format.depth()[..count].iter().any(|&depth| depth != 8) {
            return Err(Failure::Configuration(format!(
                "pictures in the format {} cannot be rectified; convert them to 8 bits first",
                form.format()
            )));
        }
        let mut components: Vec<Component> = Vec::new();
        for at in 0..count {
            let [width, height] = [form.comp_width(at as u8), form.comp_height(at as u8)].map(|side| side as usize);
            let same = components.iter().find(|other| (other.width, other.sources.len()) == (width, width * height));
            let sources = same.map_or_else(|| sources(view, form, (width, height)), |other| Rc::clone(&other.sources));
            components.push(Component {
                plane: format.plane()[at],
                offset: format.poffset()[at] as usize,
                step: format.pixel_stride()[at] as usize,
                width,
                sources,
            });
        }
        Ok(Self { form: form.clone(), components })
    }

    /// Whether it is for pictures like this.
    pub fn is_for(&self, form: &VideoInfo) -> bool {
        self.form == *form
    }

    /// The view of a picture, in a buffer of its own.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when the picture's memory cannot be read.
    pub fn draw(&self, picture: &gst::Buffer) -> Result<gst::Buffer, Failure> {
        let unreadable = || Failure::Pipeline("a decoded picture cannot be accessed".to_owned());
        let source = VideoFrame::from_buffer_readable(picture.clone(), &self.form).map_err(|_| unreadable())?;
        let target = gst::Buffer::with_size(self.form.size()).map_err(|_| unreadable())?;
        let mut target = VideoFrame::from_buffer_writable(target, &self.form).map_err(|_| unreadable())?;
        for component in &self.components {
            let [from, to] =
                [source.plane_stride(), target.plane_stride()].map(|all| all[component.plane as usize] as usize);
            let pixels = source.plane_data(component.plane).map_err(|_| unreadable())?;
            let drawn = target.plane_data_mut(component.plane).map_err(|_| unreadable())?;
            component.draw(pixels, from, drawn, to);
        }
        Ok(target.into_buffer())
    }
}

impl Component {
    fn draw(&self, pixels: &[u8], from: usize, drawn: &mut [u8], to: usize) {
        let pixels = &pixels[self.offset..];
        for (sources, row) in self.sources.chunks_exact(self.width).zip(drawn.chunks_mut(to)) {
            let row = &mut row[self.offset..];
            // The compiler makes a loop for each.
            match self.step {
                1 => draw_row::<1>(sources, pixels, from, row),
                2 => draw_row::<2>(sources, pixels, from, row),
                3 => draw_row::<3>(sources, pixels, from, row),
                _ => draw_row::<4>(sources, pixels, from, row),
            }
        }
    }
}

fn draw_row<const STEP: usize>(sources: &[Source], pixels: &[u8], stride: usize, row: &mut [u8]) {
    for (source, drawn) in sources.iter().zip(row.chunks_mut(STEP)) {
        let at = usize::from(source.y) * stride + usize::from(source.x) * STEP;
        let (right, down) = (u32::from(source.right), u32::from(source.down));
        let between = |at: usize| {
            let two = &pixels[at..=at + STEP];
            u32::from(two[0]) * (256 - right) + u32::from(two[STEP]) * right
        };
        drawn[0] = ((between(at) * (256 - down) + between(at + stride) * down + (1 << 15)) >> 16) as u8;
    }
}

/// The source of each pixel of a component, which may have fewer than the picture: each is then in the middle of those
/// that it stands for. Where chroma is said to be elsewhere it is moved by the same in the picture and in the view.
fn sources(view: &View, form: &VideoInfo, (width, height): (usize, usize)) -> Rc<[Source]> {
    let (across, along) = (f64::from(form.width()) / width as f64, f64::from(form.height()) / height as f64);
    // What was not seen is shown as what is next to it.
    let step = |at: f64, side: usize| (at * STEPS).round().clamp(0.0, (side - 1) as f64 * STEPS - 1.0) as u32;
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    pixels
        .map(|(x, y)| {
            let pixel = ((x as f64 + 0.5) * across - 0.5, (y as f64 + 0.5) * along - 0.5);
            let (x, y) = view.source(pixel).unwrap_or_default();
            let (x, y) = (step((x + 0.5) / across - 0.5, width), step((y + 0.5) / along - 0.5, height));
            Source { x: (x >> 8) as u16, y: (y >> 8) as u16, right: x as u8, down: y as u8 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use gst_video::VideoFormat;

    use super::*;
    use crate::{calibration::stereo::tests, picture};

    const FORMATS: [VideoFormat; 7] = [
        VideoFormat::I420,
        VideoFormat::Nv12,
        VideoFormat::Yuy2,
        VideoFormat::Y42b,
        VideoFormat::Gray8,
        VideoFormat::Rgb,
        VideoFormat::Bgrx,
    ];

    /// Each component rises by a step for each pixel to the right and two for each one down, around 256 to 0.
    fn slope(form: &VideoInfo) -> gst::Buffer {
        let buffer = gst::Buffer::with_size(form.size()).unwrap();
        let mut frame = VideoFrame::from_buffer_writable(buffer, form).unwrap();
        for component in 0..form.n_components() as u8 {
            let (stride, step) = (form.comp_stride(component) as usize, form.comp_pstride(component) as usize);
            let (across, down) = scale(form, component);
            let plane = frame.plane_data_mut(form.comp_plane(component)).unwrap();
            for y in 0..form.comp_height(component) as usize {
                for x in 0..form.comp_width(component) as usize {
                    let at = y * stride + form.comp_poffset(component) as usize + x * step;
                    plane[at] = value(x as f64 * across, y as f64 * down).round() as u8;
                }
            }
        }
        frame.into_buffer()
    }

    fn scale(form: &VideoInfo, component: u8) -> (f64, f64) {
        (f64::from(form.width() / form.comp_width(component)), f64::from(form.height() / form.comp_height(component)))
    }

    /// Slow enough that what is between two pixels is between their values.
    fn value(x: f64, y: f64) -> f64 {
        128.0 + 60.0 * (x / 60.0).sin() + 60.0 * (y / 45.0).cos()
    }

    #[test]
    fn every_component_of_every_format_is_drawn_from_where_it_was() {
        gst::init().unwrap();
        let pair = tests::zed();
        let [view, _] = pair.views((1280, 720)).unwrap();
        for format in FORMATS {
            let form = VideoInfo::builder(format, 1280, 720).build().unwrap();
            let remap = Remap::new(&view, &form).unwrap();
            let drawn = remap.draw(&slope(&form)).unwrap();
            let frame = VideoFrame::from_buffer_readable(drawn, &form).unwrap();
            for component in 0..form.n_components() as u8 {
                let (across, down) = scale(&form, component);
                let plane = frame.plane_data(form.comp_plane(component)).unwrap();
                for (x, y) in [(0, 0), (5, 300), (333, 111), (639, 359), (0, 359), (639, 0), (417, 243)] {
                    let at = y * form.comp_stride(component) as usize
                        + form.comp_poffset(component) as usize
                        + x * form.comp_pstride(component) as usize;
                    // The values are those of a pixel's upper left corner, half a step before its middle.
                    let middle = ((across - 1.0) / 2.0, (down - 1.0) / 2.0);
                    let source = view.source((x as f64 * across + middle.0, y as f64 * down + middle.1)).unwrap();
                    let expected = value(source.0 - middle.0, source.1 - middle.1);
                    let found = f64::from(plane[at]);
                    assert!((found - expected).abs() < 2.0, "{format} {component} {x} {y}: {found} and not {expected}");
                }
            }
        }
        let form = VideoInfo::builder(VideoFormat::I42010le, 1280, 720).build().unwrap();
        assert!(matches!(Remap::new(&view, &form), Err(Failure::Configuration(_))));
    }

    #[test]
    fn the_left_half_of_a_picture_is_drawn_from_itself_alone() {
        gst::init().unwrap();
        let [view, _] = tests::zed().views((1280, 720)).unwrap();
        let both = VideoInfo::builder(VideoFormat::I420, 2560, 720).build().unwrap();
        let (left, form) = picture::left_half(&slope(&both), &both).unwrap();
        let whole = VideoInfo::builder(VideoFormat::I420, 1280, 720).build().unwrap();
        let remap = Remap::new(&view, &form).unwrap();
        let drawn = |buffer| remap.draw(&buffer).unwrap().map_readable().unwrap().to_vec();
        assert!(drawn(left) == drawn(slope(&whole)));
    }

    /// `cargo test --release -p cvmmap-streamer --lib remap -- --ignored --nocapture`.
    #[test]
    #[ignore = "measures"]
    fn how_long_a_picture_takes() {
        gst::init().unwrap();
        for (width, height) in [(1280, 720), (1920, 1200)] {
            let [view, _] = tests::zed().views((width, height)).unwrap();
            for format in [VideoFormat::I420, VideoFormat::Yuy2] {
                let form = VideoInfo::builder(format, width, height).build().unwrap();
                let begun = Instant::now();
                let remap = Remap::new(&view, &form).unwrap();
                let made = begun.elapsed();
                let picture = slope(&form);
                let begun = Instant::now();
                for _ in 0..50 {
                    remap.draw(&picture).unwrap();
                }
                println!("{width} x {height} {format}: {made:?} once, {:?} each", begun.elapsed() / 50);
            }
        }
    }
}
