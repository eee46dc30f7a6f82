//! A part of all RTP packets does not arrive. What does arrive decodes, from keyframe to keyframe, and no picture is shown
//! that a loss has touched; when the loss ends, so does the damage.

use anyhow::Result;

use crate::{
    camera::Settings,
    rig::{Relay, Rig, Viewer, rtp_to, wait_for},
    verdict::Bound,
};

/// Packets of a run with loss.
const PACKETS: u32 = 2000;
/// Frames from one keyframe to the next; a receiver that asks for none is without pictures for as long at most.
const GOP: u32 = 10;
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
const PICTURES_AFTER: usize = 60;

pub fn two_percent(rig: &mut Rig) -> Result<()> {
    run(rig, 2, 25.0)
}

pub fn ten_percent(rig: &mut Rig) -> Result<()> {
    run(rig, 10, 5.0)
}

fn run(rig: &mut Rig, percent: u32, share_least: f64) -> Result<()> {
    let viewer = Viewer::start(0)?;
    let relay = Relay::start(viewer.port, if rig.inject { percent } else { 0 }, SEED)?;
    let streamer = rig.streamer_with_gop(GOP, &rtp_to(relay.port))?;
    let camera = rig.camera(&Settings { noise: true, fps: 60, ..Settings::default() })?;
    wait_for("packets at the relay", || relay.came() >= PACKETS)?;
    relay.heal();
    let (came, dropped) = (relay.came(), relay.dropped());
    let lossy = viewer.record();
    let recovered = viewer.wait_pictures(PICTURES_AFTER)?;
    let summary = rig.conclude(streamer, &viewer, rig.mode.share_percent())?;
    rig.end_camera(camera)?;
    let dropped_percent = 100.0 * f64::from(dropped) / f64::from(came);
    rig.injected("packets_that_came_to_the_relay", came, None);
    rig.injected("packets_dropped", dropped, None);
    rig.injected("dropped_percent", dropped_percent, Bound::AtLeast(f64::from(percent) / 2.0));
    rig.seen("packets_missed_by_the_viewer", viewer.record().lost as f64, Bound::Exactly(relay.dropped().into()));
    let sent = summary["outputs"]["rtp"]["sent"].as_f64().unwrap_or(f64::NAN);
    let shown = 100.0 * lossy.whole() as f64 / (sent - PICTURES_AFTER as f64);
    rig.seen("shown_while_lossy_percent", shown, Bound::AtLeast(share_least));
    rig.seen("first_picture_after_loss_ms", recovered.as_millis() as f64, Bound::AtMost(rig.mode.recovery_ms()));
    Ok(())
}
