//! Somebody who looks at the segment without any care, and so sees what a camera does to it.

use std::{
    fs::File,
    io::ErrorKind,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use cvmmap::{METADATA_SIZE, Metadata};

use crate::picture::{self, Shows};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Sights {
    pub looks: u32,
    /// Pictures made of two.
    pub mixed: u32,
    /// Segments that were shorter than their metadata say.
    pub short: u32,
    /// Frame counters that were lower than the one before, in one segment.
    pub counter_back: u32,
    /// Capture times that were earlier than the one before.
    pub clock_back: u32,
    /// Picture sizes, in the order in which they came.
    pub sizes: Vec<(u32, u32)>,
}

/// A thread that looks.
pub struct Bystander {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Sights>>,
}

impl Bystander {
    pub fn watch(segment: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut sights = Sights::default();
            let mut last = (0, 0);
            while !asked.load(Ordering::Relaxed) {
                thread::sleep(PAUSE);
                // Between two cameras there is none.
                if let Ok(file) = File::open(&segment) {
                    sights.look(&file, &mut last);
                }
            }
            sights
        });
        Self { stop, thread: Some(thread) }
    }

    pub fn sights(mut self) -> Sights {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Sights {
    fn look(&mut self, file: &File, last: &mut (u32, u64)) {
        let mut header = [0; METADATA_SIZE];
        let read = file.read_exact_at(&mut header, 0).map(|()| Metadata::parse(&header, u64::MAX));
        let Ok(Ok(metadata)) = read else {
            return;
        };
        let Some(plane) = metadata.planes[0] else {
            return;
        };
        self.looks += 1;
        self.counter_back += u32::from(metadata.frame_id < last.0);
        self.clock_back += u32::from(metadata.timestamp_ns < last.1);
        *last = (metadata.frame_id, metadata.timestamp_ns);
        if self.sizes.last() != Some(&(plane.width, plane.height)) {
            self.sizes.push((plane.width, plane.height));
        }
        let mut pixels = vec![0; plane.size as usize];
        match file.read_exact_at(&mut pixels, METADATA_SIZE as u64) {
            Ok(()) => {
                let stride = plane.stride as usize;
                let pixel = |x, y| pixels[y * stride + x * 3];
                let shows = picture::read(plane.width as usize, plane.height as usize, pixel);
                self.mixed += u32::from(shows == Shows::Mixed);
            }
            Err(error) => self.short += u32::from(error.kind() == ErrorKind::UnexpectedEof),
        }
    }
}
