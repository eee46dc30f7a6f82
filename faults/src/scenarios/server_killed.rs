//! The RTMP server is killed and comes back, three times. It is published to again each time, from a keyframe and with
//! timestamps from 0, and RTP does not notice.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    camera::Settings,
    rig::{Rig, Viewer, decode, free_port, rtmp_to, rtp_to},
    verdict::Bound,
};

const ROUNDS: u32 = 3;
/// How long the server is away.
const AWAY: Duration = Duration::from_secs(1);
const PICTURES: usize = 30;
/// Source: signal(7).
const SIGKILL: i32 = 9;

pub fn run(rig: &mut Rig) -> Result<()> {
    let viewer = Viewer::start(0)?;
    let port = free_port();
    let mut server = rig.server(port)?;
    let streamer = rig.streamer(&[rtp_to(viewer.port), rtmp_to(port)].concat())?;
    let camera = rig.camera(&Settings::default())?;
    server.wait_video()?;
    viewer.wait_pictures(PICTURES)?;
    viewer.forget_gap();
    let (mut killed, mut slowest_ms) = (0, 0.0f64);
    for round in 1..=ROUNDS {
        if rig.inject {
            killed += u32::from(server.program.kill()?.signal == Some(SIGKILL));
            streamer.wait_said("trying again", round as usize)?;
            thread::sleep(AWAY);
            server = rig.server(port)?;
            let back = Instant::now();
            server.wait_video()?;
            slowest_ms = slowest_ms.max(back.elapsed().as_millis() as f64);
        }
        viewer.wait_pictures(PICTURES)?;
    }
    let gap_ms = viewer.record().gap_ms();
    let summary = rig.conclude(streamer, &viewer, rig.mode.share_percent())?;
    let ended = server.program.wait()?;
    rig.end_camera(camera)?;
    rig.injected("servers_killed", killed, Bound::Exactly(ROUNDS.into()));
    let connects = summary["outputs"]["rtmp"]["connects"].as_f64().unwrap_or(0.0);
    rig.seen("rtmp_connects", connects, Bound::Exactly(f64::from(ROUNDS) + 1.0));
    rig.seen("slowest_video_after_return_ms", slowest_ms, Bound::AtMost(rig.mode.recovery_ms()));
    rig.seen("rtp_lost", viewer.record().lost as f64, Bound::Exactly(0.0));
    rig.seen("rtp_longest_gap_ms", gap_ms, Bound::AtMost(rig.mode.gap_ms()));
    rig.seen("last_server_exit_code", f64::from(ended.code.unwrap_or(-1)), Bound::Exactly(0.0));
    let received = decode(&server.received)?;
    rig.seen("last_server_pictures_whole", received.whole() as f64, Bound::AtLeast(PICTURES as f64 / 2.0));
    rig.seen("last_server_pictures_wrong", (received.mixed() + received.damaged()) as f64, Bound::Exactly(0.0));
    Ok(())
}
