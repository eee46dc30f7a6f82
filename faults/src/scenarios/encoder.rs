//! NVENC is there, opens, takes frames, and gives nothing, or nothing more: software takes over.

use anyhow::Result;

use crate::{
    camera::Settings,
    rig::{Rig, Viewer, rtp_to},
    stand_in::SWALLOWED,
    verdict::Bound,
};

const FPS: u32 = 60;
/// Frames that an encoder is given before it counts as broken, at least.
const SWALLOWED_LEAST: f64 = 20.0;
/// Frames that one which hangs in the middle of a run encodes before.
const WORKS_FOR: u32 = 120;
const PICTURES: usize = 60;

pub fn silent(rig: &mut Rig) -> Result<()> {
    run(rig, 0)
}

pub fn hung(rig: &mut Rig) -> Result<()> {
    run(rig, WORKS_FOR)
}

fn run(rig: &mut Rig, works_for: u32) -> Result<()> {
    let viewer = Viewer::start(0)?;
    let streamer = rig.streamer_with_stand_in(if rig.inject { works_for } else { u32::MAX }, &rtp_to(viewer.port))?;
    let log = streamer.log();
    let camera = rig.camera(&Settings { fps: FPS, ..Settings::default() })?;
    let first = viewer.wait_pictures(works_for as usize + PICTURES)?;
    let record = viewer.record();
    let summary = rig.conclude(streamer, &viewer, rig.mode.share_percent())?;
    rig.end_camera(camera)?;
    let swallowed = log.lines(SWALLOWED).iter().find_map(|line| line.strip_prefix(SWALLOWED)?.parse::<f64>().ok());
    rig.injected("frames_swallowed", swallowed.unwrap_or(0.0), Bound::AtLeast(SWALLOWED_LEAST));
    rig.seen("software_took_over", u8::from(summary["encoder"] == "x264enc"), Bound::Exactly(1.0));
    rig.seen("lines_that_say_so", log.lines("encoder: x264enc (software").len() as f64, Bound::Exactly(1.0));
    rig.seen("first_picture_ms", first.as_millis() as f64, Bound::AtMost(rig.mode.recovery_ms()));
    rig.seen("rtp_longest_gap_ms", record.gap_ms(), Bound::AtMost(rig.mode.gap_ms()));
    Ok(())
}
