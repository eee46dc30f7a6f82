//! Right after every third announcement, when readers begin to copy, the segment loses half of its picture until the next
//! write. Through a mapping that would be the reader's death.

use anyhow::Result;

use crate::{
    camera::{Order, Settings},
    rig::{Bystander, Rig, Viewer, rtp_to},
    verdict::Bound,
};

const PICTURES: usize = 150;
const CUT_EVERY: u32 = 3;

pub fn run(rig: &mut Rig) -> Result<()> {
    let viewer = Viewer::start(0)?;
    let streamer = rig.streamer(&rtp_to(viewer.port))?;
    let cut_every = if rig.inject { CUT_EVERY } else { 0 };
    let camera = rig.camera(&Settings { order: Order::Reference, cut_every, ..Settings::default() })?;
    let bystander = Bystander::watch(rig.segment());
    viewer.wait_pictures(PICTURES)?;
    let sights = bystander.sights();
    let summary = rig.conclude(streamer, &viewer, rig.mode.share_percent() / 2.0)?;
    let account = rig.end_camera(camera)?;
    rig.injected("cuts", account.cuts, Bound::AtLeast(50.0));
    rig.injected("bystander_saw_short", sights.short, Bound::AtLeast(50.0));
    let invalid = summary["invalid"].as_f64().unwrap_or(0.0);
    rig.seen("frames_that_could_not_be_read", invalid, Bound::AtLeast(f64::from(account.cuts) / 10.0));
    Ok(())
}
