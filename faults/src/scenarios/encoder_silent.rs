//! NVENC is there, opens, takes frames, and gives nothing: software takes over.

use anyhow::Result;

use crate::{
    camera::Settings,
    rig::{Rig, Viewer, rtp_to},
    stand_in::SWALLOWED,
    verdict::Bound,
};

const PICTURES: usize = 60;
/// The 60 frames after which an encoder counts as broken take one second.
const FPS: u32 = 60;

pub fn run(rig: &mut Rig) -> Result<()> {
    let viewer = Viewer::start(0)?;
    let works_for_frames = if rig.inject { 0 } else { u32::MAX };
    let streamer = rig.streamer_with_stand_in(works_for_frames, &rtp_to(viewer.port))?;
    let log = streamer.log();
    let camera = rig.camera(&Settings { fps: FPS, ..Settings::default() })?;
    let first = viewer.wait_pictures(PICTURES)?;
    let summary = rig.conclude(streamer, &viewer)?;
    rig.end_camera(camera)?;
    let swallowed = log.lines(SWALLOWED).iter().find_map(|line| line.strip_prefix(SWALLOWED)?.parse::<f64>().ok());
    rig.injected("frames_swallowed", swallowed.unwrap_or(0.0), Bound::AtLeast(60.0));
    rig.seen("software_took_over", u8::from(summary["encoder"] == "x264enc"), Bound::Exactly(1.0));
    rig.seen("lines_that_say_so", log.lines("gives nothing").len() as f64, Bound::AtLeast(1.0));
    rig.seen("first_picture_ms", first.as_millis() as f64, Bound::AtMost(rig.mode.recovery_ms()));
    Ok(())
}
