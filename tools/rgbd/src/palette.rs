//! Depth in colours.

use colorous::{CIVIDIS, Gradient, INFERNO, MAGMA, PLASMA, TURBO, VIRIDIS};

use super::picture::Rgb;

/// No measurement.
const NONE: [u8; 3] = [0; 3];
/// Shares of the measurements that are nearer than the palette's begin and farther than its end.
const BEYOND_PERCENT: usize = 5;
/// From dark blue over turquoise to yellow, at equal distances.
const PARULA: [[u8; 3]; 7] =
    [[54, 42, 135], [15, 92, 221], [20, 133, 212], [6, 167, 198], [94, 190, 140], [217, 186, 86], [249, 251, 14]];

/// Colours from near to far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Palette {
    /// Black to white
    Gray,
    /// Rainbow
    #[default]
    Turbo,
    /// Black over red to yellow
    Inferno,
    /// Blue over red to yellow
    Plasma,
    /// Violet over green to yellow
    Viridis,
    /// Blue to yellow, the same to the colour-blind
    Cividis,
    /// Black over violet to white
    Magma,
    /// Blue over turquoise to yellow
    Parula,
}

impl Palette {
    #[cfg(feature = "viewer")]
    pub const ALL: [Self; 8] =
        [Self::Gray, Self::Turbo, Self::Inferno, Self::Plasma, Self::Viridis, Self::Cividis, Self::Magma, Self::Parula];

    /// The colour of a place between 0, near, and 1, far.
    pub fn colour(self, place: f64) -> [u8; 3] {
        let of = |gradient: Gradient| gradient.eval_continuous(place).into_array();
        match self {
            Self::Gray => [(place * 255.0).round() as u8; 3],
            Self::Turbo => of(TURBO),
            Self::Inferno => of(INFERNO),
            Self::Plasma => of(PLASMA),
            Self::Viridis => of(VIRIDIS),
            Self::Cividis => of(CIVIDIS),
            Self::Magma => of(MAGMA),
            Self::Parula => {
                let step = place * (PARULA.len() - 1) as f64;
                let below = (step as usize).min(PARULA.len() - 2);
                let share = step - below as f64;
                [0, 1, 2].map(|at| {
                    let [from, to] = [PARULA[below][at], PARULA[below + 1][at]].map(f64::from);
                    (from + (to - from) * share).round() as u8
                })
            }
        }
    }
}

/// What the palette spans, in metres.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Range {
    pub near: f32,
    pub far: f32,
}

impl Range {
    /// Of a picture of metres: most of it, for single ones may be far off. None without measurements.
    pub fn of(metres: &[f32]) -> Option<Self> {
        let mut measured = metres.iter().copied().filter(|depth| !depth.is_nan()).collect::<Vec<_>>();
        let beyond = measured.len() * BEYOND_PERCENT / 100;
        let last = measured.len().checked_sub(1)?;
        let mut at = |place| *measured.select_nth_unstable_by(place, f32::total_cmp).1;
        Some(Self { near: at(beyond), far: at(last - beyond) })
    }

    fn place(self, depth: f32) -> f64 {
        let span = f64::from(self.far) - f64::from(self.near);
        let place = (f64::from(depth) - f64::from(self.near)) / span;
        // One depth alone has no span.
        if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
    }
}

/// Colours a picture of metres; NaN, no measurement, is black.
pub fn paint(metres: &[f32], width: usize, palette: Palette, range: Option<Range>) -> Rgb {
    let steps = (0..=u8::MAX).map(|step| palette.colour(f64::from(step) / 255.0)).collect::<Vec<_>>();
    let colour = |depth: &f32| match range {
        Some(range) if !depth.is_nan() => steps[(range.place(*depth) * 255.0).round() as usize],
        _ => NONE,
    };
    Rgb { width, height: metres.len() / width.max(1), pixels: metres.iter().flat_map(colour).collect() }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_palette_goes_from_its_begin_to_its_end() {
        for palette in Palette::value_variants() {
            let colours = (0..=16).map(|step| palette.colour(f64::from(step) / 16.0)).collect::<Vec<_>>();
            assert!(colours.windows(2).all(|pair| pair[0] != pair[1]), "{palette:?}: {colours:?}");
        }
        assert_eq!([0.0, 0.5, 1.0].map(|place| Palette::Gray.colour(place)[0]), [0, 128, 255]);
        assert_eq!([0.0, 0.5, 1.0].map(|place| Palette::Parula.colour(place)), [PARULA[0], PARULA[3], PARULA[6]]);
        // Source: the colour maps' tables in matplotlib.
        assert_eq!(Palette::Viridis.colour(0.0), [68, 1, 84]);
        assert_eq!(Palette::Viridis.colour(1.0), [253, 231, 37]);
    }

    #[test]
    fn most_depths_span_the_palette_and_none_is_black() {
        let mut metres = vec![2.0; 90];
        metres.extend([1.0; 10]);
        metres.push(60.0);
        metres.push(f32::NAN);
        let range = Range::of(&metres);
        assert_eq!(range, Some(Range { near: 1.0, far: 2.0 }));
        let picture = paint(&metres, 51, Palette::Gray, range);
        assert_eq!((picture.width, picture.height), (51, 2));
        assert_eq!([0, 90, 100, 101].map(|at| picture.pixels[3 * at]), [255, 0, 255, 0]);
        assert_eq!(Range::of(&[f32::NAN]), None);
        assert_eq!(paint(&[f32::NAN, 3.0], 2, Palette::Turbo, None).pixels, [0; 6]);
        assert_eq!(paint(&[3.0], 1, Palette::Gray, Range::of(&[3.0])).pixels, [0; 3]);
    }
}
