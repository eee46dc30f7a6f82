//! The producer dies without a word and a new one takes its name, five times. The stream goes on in the same session.

use anyhow::Result;

use crate::{
    camera::{Order, Settings},
    rig::{Rig, Viewer, rtp_to},
    verdict::Bound,
};

const ROUNDS: u32 = 5;
const PICTURES: usize = 45;
/// Source: signal(7).
const SIGKILL: i32 = 9;

pub fn run(rig: &mut Rig) -> Result<()> {
    let viewer = Viewer::start(0)?;
    let streamer = rig.streamer(&rtp_to(viewer.port))?;
    let settings = Settings { order: Order::Reference, ..Settings::default() };
    let mut camera = rig.camera(&settings)?;
    viewer.wait_pictures(PICTURES)?;
    let (mut killed, mut slowest_ms) = (0, 0.0f64);
    for _ in 0..ROUNDS {
        if rig.inject {
            killed += u32::from(camera.kill()?.signal == Some(SIGKILL));
            camera = rig.camera(&settings)?;
        }
        let first = viewer.wait_pictures(PICTURES)?;
        slowest_ms = slowest_ms.max(first.as_millis() as f64);
    }
    rig.conclude(streamer, &viewer, rig.mode.share_percent() / 2.0)?;
    rig.end_camera(camera)?;
    rig.injected("producers_killed", killed, Bound::Exactly(ROUNDS.into()));
    rig.seen("rtp_lost", viewer.record().lost as f64, Bound::Exactly(0.0));
    rig.seen("slowest_first_picture_ms", slowest_ms, Bound::AtMost(rig.mode.recovery_ms()));
    Ok(())
}
