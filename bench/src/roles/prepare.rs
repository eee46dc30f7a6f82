//! Makes the files of a clip that `play` takes, so that those who play it need no decoder and no encoder.

use std::{fs::File, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use gst::prelude::*;

use crate::{
    child::say,
    clip::{CLIP, Clip},
    picture::Picture,
    units::{self, CONSTANT, Encoding, Unit},
};

/// The files in the folder.
pub const PICTURES: &str = "pictures";
pub const UNITS: &str = "units";

#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    picture: Picture,
    #[arg(long)]
    folder: PathBuf,
    /// Encodes the pictures, which are there, at this bit rate
    #[arg(long)]
    kbit: Option<u32>,
}

pub fn run(args: &Args) -> Result<()> {
    let (picture, path) = (args.picture, args.folder.join(PICTURES));
    let made = match args.kbit {
        None => {
            Clip::load(CLIP, picture.size())?.save(&path)?;
            path
        }
        Some(kbit) => {
            let clip = Clip::open(&path, picture.size())?;
            let path = args.folder.join(UNITS);
            units::save(&encode(clip, picture, kbit)?, &path)?;
            path
        }
    };
    // Nothing is left to be written while something is measured.
    File::open(&made)?.sync_all().with_context(|| made.display().to_string())?;
    say("ready")
}

/// The clip once forth and back.
fn encode(clip: Clip, picture: Picture, kbit: u32) -> Result<Vec<Unit>> {
    let encoding = Encoding::start(
        "appsrc name=clip format=time block=true max-buffers=4 ! videoconvert ! video/x-raw,format=I420",
        kbit,
        CONSTANT,
    )?;
    let source = encoding.element("clip")?.downcast::<gst_app::AppSrc>().ok().context("an appsrc")?;
    source.set_caps(Some(&picture.caps().parse()?));
    for turn in 0..clip.turns() {
        let mut buffer = gst::Buffer::from_slice(clip.picture(turn).to_vec());
        let time = gst::ClockTime::SECOND * turn as u64 / u64::from(picture.fps);
        buffer.get_mut().context("a new buffer")?.set_pts(time);
        source.push_buffer(buffer)?;
    }
    source.end_of_stream()?;
    encoding.finish()
}
