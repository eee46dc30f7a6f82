//! Simulated depth and confidence, and how planes ride on a picture to the sink.

/// Name of the meta. Source: `cvmmapsrc`, property `attach-planes`.
const META: &str = "GstCvmmapPlanesMeta";

/// Distance of the top row, millimetres; it grows by one for each row, and for each frame.
const NEAREST: f32 = 1000.0;
/// Frames after which the distances begin anew.
const FRAMES: u32 = 500;

/// Distances in millimetres; the first column has no measurement.
pub fn depth(index: u32, (width, height): (u32, u32)) -> Vec<u8> {
    let distance = |row: u32| NEAREST + row as f32 + (index % FRAMES) as f32;
    rows((width, height), |row| (f32::NAN, distance(row)))
}

/// Confidence from 0 at the top to 100 at the bottom.
pub fn confidence((width, height): (u32, u32)) -> Vec<u8> {
    rows((width, height), |row| {
        let value = 100.0 * row as f32 / height.saturating_sub(1).max(1) as f32;
        (value, value)
    })
}

/// A plane of floats from each row's first value and the one of all others.
fn rows((width, height): (u32, u32), row: impl Fn(u32) -> (f32, f32)) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(width as usize * height as usize * 4);
    for (first, rest) in (0..height).map(row) {
        bytes.extend_from_slice(&first.to_le_bytes());
        bytes.extend(std::iter::repeat_n(rest.to_le_bytes(), width as usize - 1).flatten());
    }
    bytes
}

/// Puts a plane of floats on a picture; `unit` is that of depth.
pub fn attach_floats(
    buffer: &mut gst::BufferRef,
    name: &str,
    bytes: Vec<u8>,
    (width, height): (u32, u32),
    unit: Option<&str>,
) {
    let plane = gst::Structure::builder("plane")
        .field("buffer", gst::Buffer::from_slice(bytes))
        .field("pixel-format", "GRAY")
        .field("sample", "f32")
        .field("width", width)
        .field("height", height)
        .field("stride", width * 4)
        .field_if_some("unit", unit);
    attach(buffer, name, plane.build());
}

/// Puts an access unit on the picture that it shows.
pub fn attach_unit(buffer: &mut gst::BufferRef, codec: &str, unit: &gst::Buffer) {
    let keyframe = !unit.flags().contains(gst::BufferFlags::DELTA_UNIT);
    let plane =
        gst::Structure::builder("plane").field("buffer", unit).field("codec", codec).field("keyframe", keyframe);
    attach(buffer, "encoded", plane.build());
}

fn attach(buffer: &mut gst::BufferRef, name: &str, plane: gst::Structure) {
    if let Ok(mut meta) = gst::meta::CustomMeta::from_mut_buffer(buffer, META) {
        meta.mut_structure().set(name, plane);
    } else if let Ok(mut meta) = gst::meta::CustomMeta::add(buffer, META) {
        // The plugin registers it; without the plugin there is no sink either.
        meta.mut_structure().set(name, plane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_tells_its_row_and_frame() {
        let plane = depth(FRAMES + 7, (3, 2));
        let value = |at: usize| f32::from_le_bytes(plane[at * 4..][..4].try_into().unwrap());
        assert!(value(0).is_nan() && value(3).is_nan());
        assert_eq!([1, 2, 4, 5].map(value), [1007.0, 1007.0, 1008.0, 1008.0]);
        assert_eq!(confidence((1, 2)), [0f32.to_le_bytes(), 100f32.to_le_bytes()].concat());
    }
}
