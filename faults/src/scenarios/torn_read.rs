//! A producer of the reference order stops in the middle of every third write for longer than a frame takes, and publishes
//! the next one right behind it. A copy that is made then may hold two pictures, and no metadata say so.

use anyhow::Result;

use crate::{
    camera::{Order, Settings},
    rig::{Bystander, Rig, Viewer, rtp_to},
    verdict::Bound,
};

const PICTURES: usize = 150;
const STALL_EVERY: u32 = 3;
const STALL_MS: u64 = 45;

pub fn run(rig: &mut Rig) -> Result<()> {
    let viewer = Viewer::start(0)?;
    let streamer = rig.streamer(&rtp_to(viewer.port))?;
    let (stall_every, stall_ms) = if rig.inject { (STALL_EVERY, STALL_MS) } else { (0, 0) };
    let camera = rig.camera(&Settings { order: Order::Reference, stall_every, stall_ms, ..Settings::default() })?;
    let bystander = Bystander::watch(rig.segment());
    viewer.wait_pictures(PICTURES)?;
    let sights = bystander.sights();
    let summary = rig.conclude(streamer, &viewer, rig.mode.share_percent() / 4.0)?;
    let account = rig.end_camera(camera)?;
    rig.injected("frames_published", account.published, None);
    rig.injected("writes_stalled", account.stalls, Bound::AtLeast(50.0));
    rig.injected("bystander_looks", sights.looks, None);
    rig.injected("bystander_saw_mixed", sights.mixed, Bound::AtLeast(100.0));
    let rejected = ["torn", "late"].iter().filter_map(|field| summary[field].as_f64()).sum::<f64>();
    rig.seen("torn_and_late", rejected, Bound::AtLeast(f64::from(account.stalls) / 4.0));
    Ok(())
}
