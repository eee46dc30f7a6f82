//! A camera that encodes: pictures of a clip, and beside each an access unit that tells when it was published.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};
use cvmmap::{Abi, Address, Depth, PixelFormat, PlaneImage, PlaneKind, Publisher, Target};

use crate::{
    clip::{CLIP, Clip, Size},
    pace::{Pace, unix_now},
    units::{self, Encoding, FPS, Unit},
};

/// Begins the message that holds the time; stands where a UUID does.
const MARK: &[u8; 16] = b"cvmmap-bench-now";
/// Hexadecimal digits of the time. Digits need no escapes in a bit stream.
const DIGITS: usize = 16;

/// Publishes from its start until it is dropped.
pub struct Camera {
    pub target: Target,
    pub size: Size,
    published: Arc<Mutex<Vec<u64>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    /// Its socket is in `folder`.
    pub fn start(size: Size, folder: &Path) -> Result<Self> {
        let prefix = folder.to_str().context("a folder with a plain name")?;
        let target = Target::new(&format!("webrtc{}", std::process::id()), None, Some(prefix))?;
        let mut publisher = Publisher::create(&Address::from(&target), Abi::V2 { minor: 1 })?;
        let (clip, units) = (Clip::load(CLIP, size)?, encode(size)?);
        let (published, ended) = <(Arc<Mutex<Vec<u64>>>, Arc<AtomicBool>)>::default();
        let (times, until) = (Arc::clone(&published), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            let mut pace = Pace::new(FPS);
            for turn in 0.. {
                pace.wait();
                if until.load(Ordering::Relaxed) {
                    return;
                }
                let now = unix_now();
                let unit = &units[turn % units.len()];
                if let Err(error) = publish(&mut publisher, clip.picture(turn), size, unit, now) {
                    eprintln!("the camera ended: {error}");
                    return;
                }
                times.lock().unwrap_or_else(PoisonError::into_inner).push(now);
            }
        });
        Ok(Self { target, size, published, ended, thread: Some(thread) })
    }

    /// How many units were published from one time until another, nanoseconds since the Unix epoch.
    pub fn published(&self, from: u64, to: u64) -> usize {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.iter().filter(|time| (from..to).contains(*time)).count()
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it complained of is printed.
            let _ = thread.join();
        }
    }
}

/// What `cvmmap_streamer` asks a software encoder for at this size.
pub fn kbit(size: Size) -> u32 {
    (size.width * size.height * FPS / 10_000).max(1000)
}

/// The clip's access units, with a keyframe a second.
fn encode(size: Size) -> Result<Vec<Unit>> {
    let Size { width, height } = size;
    let source = format!(
        "filesrc location={CLIP} ! decodebin ! videoconvert ! videoscale ! videorate \
         ! video/x-raw,format=I420,width={width},height={height},framerate={FPS}/1"
    );
    // Nothing may stand before a delimiter, so there is none.
    Encoding::start(&source, kbit(size), "aud=false")?.finish()
}

fn publish(publisher: &mut Publisher, picture: &[u8], size: Size, unit: &Unit, now: u64) -> Result<()> {
    let left = PlaneImage {
        kind: PlaneKind::Left,
        pixel_format: PixelFormat::Bgr,
        depth: Depth::U8,
        width: size.width,
        height: size.height,
        stride: size.stride(),
        data: picture,
    };
    units::publish(publisher, left, Some(&unit.behind(&stamp(now))))
}

/// A message of supplemental enhancement information with the time. Source: ITU-T H.264, 7.3.2.3 and D.1.7.
fn stamp(now: u64) -> Vec<u8> {
    const NAL: [u8; 7] = [0, 0, 0, 1, 6, 5, (MARK.len() + DIGITS) as u8];
    const STOP_BIT: u8 = 0x80;
    [&NAL, &MARK[..], format!("{now:0DIGITS$x}").as_bytes(), &[STOP_BIT]].concat()
}

/// When this access unit was published, nanoseconds since the Unix epoch.
pub fn published(unit: &[u8]) -> Option<u64> {
    let at = unit.windows(MARK.len()).position(|bytes| bytes == MARK)? + MARK.len();
    u64::from_str_radix(std::str::from_utf8(unit.get(at..at + DIGITS)?).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_tells_when_it_was_published() {
        let unit = [stamp(0x18ab_0000_0000_0003), vec![0, 0, 0, 1, 0x65, 0x88]].concat();
        assert_eq!(published(&unit), Some(0x18ab_0000_0000_0003));
        assert!(!unit[4..MARK.len() + DIGITS].windows(3).any(|bytes| bytes[..2] == [0, 0] && bytes[2] <= 3));
        assert_eq!(published(&unit[..30]), None);
    }
}
