//! The producer ends and starts over with pictures of another size. The stream goes on in the same session, and the
//! receiver learns the size from it.

use anyhow::Result;

use crate::{
    camera::{Order, Settings},
    rig::{Bystander, Rig, Viewer, rtp_to},
    verdict::Bound,
};

const SIZES: [(u32, u32); 4] = [(640, 360), (320, 180), (1280, 720), (640, 360)];
const PICTURES: usize = 45;

pub fn run(rig: &mut Rig) -> Result<()> {
    let viewer = Viewer::start(0)?;
    let streamer = rig.streamer(&rtp_to(viewer.port))?;
    let bystander = Bystander::watch(rig.segment());
    let mut slowest_ms = 0.0f64;
    for (width, height) in if rig.inject { &SIZES[..] } else { &SIZES[..1] } {
        let settings = Settings { order: Order::Reference, width: *width, height: *height, ..Settings::default() };
        let camera = rig.camera(&settings)?;
        let first = viewer.wait_pictures(PICTURES)?;
        slowest_ms = slowest_ms.max(first.as_millis() as f64);
        rig.end_camera(camera)?;
    }
    let sights = bystander.sights();
    rig.conclude(streamer, &viewer, rig.mode.share_percent() / 2.0)?;
    let record = viewer.record();
    rig.injected("bystander_saw_sizes", sights.sizes.len() as f64, Bound::Exactly(SIZES.len() as f64));
    rig.seen("viewer_saw_sizes", record.sizes().len() as f64, Bound::Exactly(SIZES.len() as f64));
    rig.seen("sizes_and_order_agree", u8::from(record.sizes() == SIZES), Bound::Exactly(1.0));
    rig.seen("rtp_lost", record.lost as f64, Bound::Exactly(0.0));
    rig.seen("slowest_first_picture_ms", slowest_ms, Bound::AtMost(rig.mode.recovery_ms()));
    Ok(())
}
