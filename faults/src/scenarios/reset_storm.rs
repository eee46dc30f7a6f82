//! Again and again the producer's frame counter starts over and its clock is put back or forth by hours: every third frame
//! of a producer that changes the header first, every ninth of one in the reference order, whose place on the clock has to be
//! learned each time. Neither an RTP receiver nor an RTMP server, which refuses a timestamp that goes back, sees anything of
//! it.

use anyhow::Result;

use crate::{
    camera::{Order, Settings},
    rig::{Bystander, Rig, Viewer, rtmp_to, rtp_to},
    verdict::Bound,
};

const PICTURES: usize = 700;
const FPS: u32 = 60;

pub fn header_first(rig: &mut Rig) -> Result<()> {
    run(rig, Order::HeaderFirst, 3)
}

pub fn reference(rig: &mut Rig) -> Result<()> {
    run(rig, Order::Reference, 9)
}

fn run(rig: &mut Rig, order: Order, frames: u32) -> Result<()> {
    let viewer = Viewer::start(0)?;
    let server = rig.server(0)?;
    let streamer = rig.streamer(&[rtp_to(viewer.port), rtmp_to(server.port()?)].concat())?;
    let reset_every = if rig.inject { frames } else { 0 };
    let camera = rig.camera(&Settings { order, fps: FPS, reset_every, ..Settings::default() })?;
    let bystander = Bystander::watch(rig.segment());
    viewer.wait_pictures(30)?;
    viewer.forget_gap();
    viewer.wait_pictures(PICTURES)?;
    let record = viewer.record();
    let sights = bystander.sights();
    let summary = rig.conclude(streamer, &viewer, rig.mode.share_percent())?;
    let ended = server.program.wait()?;
    let account = rig.end_camera(camera)?;
    rig.injected("resets", account.resets, Bound::AtLeast(600.0 / f64::from(frames)));
    rig.injected("bystander_saw_counter_back", sights.counter_back, Bound::AtLeast(300.0 / f64::from(frames)));
    rig.injected("bystander_saw_clock_back", sights.clock_back, Bound::AtLeast(150.0 / f64::from(frames)));
    rig.seen("rtp_lost", record.lost as f64, Bound::Exactly(0.0));
    rig.seen("rtp_longest_gap_ms", record.gap_ms(), Bound::AtMost(rig.mode.gap_ms()));
    let encoded = summary["encoded"].as_f64().unwrap_or(0.0);
    let share = 100.0 * encoded / f64::from(account.published);
    rig.seen("share_of_published_percent", share, Bound::AtLeast(rig.mode.share_percent()));
    rig.seen("server_exit_code", f64::from(ended.code.unwrap_or(-1)), Bound::Exactly(0.0));
    Ok(())
}
