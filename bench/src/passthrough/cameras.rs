//! Producers that encode: the same second of access units over and over, beside pictures that cost next to nothing.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use cvmmap::{Abi, Address, Publisher, Target};

use crate::{
    pace::Pace,
    picture::{Format, Picture},
    roles::produce::image,
    units::{self, CONSTANT, Encoding, FPS, Unit},
};

const KBIT: u32 = 6000;
/// The picture beside a unit.
const LEFT: Picture = Picture { format: Format::Bgr, width: 64, height: 36, fps: FPS };
/// How long streams may take to begin on a busy machine, in units.
const UNITS_MAX: u32 = 60 * FPS;

/// One second of 1080p H.264, a keyframe and what follows it.
pub fn encode() -> Result<Vec<Unit>> {
    let source = format!(
        "videotestsrc num-buffers={FPS} pattern=smpte75 horizontal-speed=7 ! \
         video/x-raw,format=I420,width=1920,height=1080,framerate={FPS}/1"
    );
    Encoding::start(&source, KBIT, CONSTANT)?.finish()
}

/// All producers, one after the other within each frame's time.
pub struct Cameras<'a> {
    units: &'a [Unit],
    left: Vec<u8>,
    targets: Vec<Target>,
    publishers: Vec<Publisher>,
    pace: Pace,
    rounds: u64,
}

impl<'a> Cameras<'a> {
    pub fn start(count: usize, units: &'a [Unit], folder: &Path) -> Result<Self> {
        let folder = folder.to_str().context("a folder with a plain name")?;
        let targets = (0..count)
            .map(|index| Ok(Target::new(&format!("p{}-{index}", std::process::id()), None, Some(folder))?))
            .collect::<Result<Vec<_>>>()?;
        let publishers = targets
            .iter()
            .map(|target| Ok(Publisher::create(&Address::from(target), Abi::V2 { minor: 1 })?))
            .collect::<Result<Vec<_>>>()?;
        let left = vec![90; LEFT.bytes()];
        Ok(Self { units, left, targets, publishers, pace: Pace::new(FPS * count as u32), rounds: 0 })
    }

    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Units of all streams so far.
    pub fn published(&self) -> u64 {
        self.rounds * self.publishers.len() as u64
    }

    /// Publishes until something has happened.
    pub fn run_until(&mut self, happened: impl Fn() -> bool) -> Result<()> {
        for _ in 0..UNITS_MAX {
            self.round()?;
            if happened() {
                return Ok(());
            }
        }
        bail!("not all streams came")
    }

    pub fn run_for(&mut self, time: Duration) -> Result<()> {
        (0..time.as_secs() * u64::from(FPS)).try_for_each(|_| self.round())
    }

    /// One unit of each.
    fn round(&mut self) -> Result<()> {
        let unit = &self.units[(self.rounds % self.units.len() as u64) as usize];
        for publisher in &mut self.publishers {
            self.pace.wait();
            units::publish(publisher, image(&LEFT, &self.left), Some(unit))?;
        }
        self.rounds += 1;
        Ok(())
    }
}
