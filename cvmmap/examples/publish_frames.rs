// Publishes a moving picture at 30 frames a second, until it is stopped or for so many frames:
// `cargo run -p cvmmap --example publish_frames cvmmap://cam0 300`.

use std::{
    env,
    error::Error,
    thread,
    time::{Duration, Instant, SystemTime},
};

use cvmmap::{Abi, Address, Depth, DepthUnit, Frame, PixelFormat, PlaneImage, PlaneKind, Publisher, Target};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 360;
const BAR: u32 = 32;
const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 30);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let target: Target = arguments.next().as_deref().unwrap_or("cvmmap://cam0").parse()?;
    let frames = arguments.next().map_or(Ok(u32::MAX), |frames| frames.parse())?;
    // Removed when it is dropped. What a producer leaves that is killed, the next one replaces.
    let mut publisher = Publisher::create(&Address::from(&target), Abi::V2 { minor: 0 })?;
    let mut picture = vec![0; (WIDTH * HEIGHT * 3) as usize];
    let mut due = Instant::now();
    for number in 0..frames {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due += INTERVAL;
        let timestamp_ns = SystemTime::UNIX_EPOCH.elapsed()?.as_nanos() as u64;
        draw(&mut picture, number);
        let left = PlaneImage {
            kind: PlaneKind::Left,
            pixel_format: PixelFormat::Bgr,
            depth: Depth::U8,
            width: WIDTH,
            height: HEIGHT,
            stride: WIDTH * 3,
            data: &picture,
        };
        publisher.publish(&Frame { timestamp_ns, planes: &[left], depth_unit: DepthUnit::Unknown, encoded: None })?;
    }
    Ok(())
}

/// A white bar that moves to the right over a blue ground.
fn draw(picture: &mut [u8], number: u32) {
    let left = number.wrapping_mul(4) % WIDTH;
    for (pixel, at) in picture.as_chunks_mut::<3>().0.iter_mut().zip(0..) {
        let is_bar = (at % WIDTH + WIDTH - left) % WIDTH < BAR;
        *pixel = if is_bar { [255, 255, 255] } else { [160, 80, 40] };
    }
}
