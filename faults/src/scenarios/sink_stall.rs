//! The RTMP server is stopped until its connection takes nothing more, and continued a while later. RTP from the same
//! encoder goes on; memory stays; the server's next new picture is one that was taken after it went on.

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use crate::{
    camera::Settings,
    picture::now_ms,
    rig::{Rig, Signal, Viewer, decode, rtmp_to, rtp_to},
    verdict::Bound,
};

/// How long the server stays stopped after that was noticed.
const HOLD: Duration = Duration::from_secs(5);
/// What the streamer may take more while it holds back: its backlog is a second, or 16 MiB.
const MEMORY_MIB: f64 = 32.0;
/// Of what the server gets after it went on.
const PICTURES: usize = 60;
/// Pictures further apart than this have others missing between them.
const HOLE_MS: u64 = 1000;

pub fn run(rig: &mut Rig) -> Result<()> {
    let viewer = Viewer::start(0)?;
    let server = rig.server(0)?;
    let port = server.port()?;
    let streamer = rig.streamer(&[rtp_to(viewer.port), rtmp_to(port)].concat())?;
    // Large pictures of noise fill what lies between the two soon.
    let camera = rig.camera(&Settings { noise: true, width: 1280, height: 720, ..Settings::default() })?;
    server.wait_video()?;
    viewer.wait_pictures(PICTURES)?;

    viewer.forget_gap();
    streamer.forget_memory_peak()?;
    let memory_before = streamer.memory_peak_mib()?;
    let stopped_ms = now_ms();
    if rig.inject {
        server.program.signal(Signal::STOP)?;
        streamer.wait_said(": stalled", 1)?;
        thread::sleep(HOLD);
    } else {
        viewer.wait_pictures(PICTURES)?;
    }
    let was_stopped = server.program.is_stopped()?;
    let gap_ms = viewer.record().gap_ms();
    let memory_grown = streamer.memory_peak_mib()? - memory_before;
    let continued_ms = now_ms();
    if rig.inject {
        server.program.signal(Signal::CONT)?;
        streamer.wait_said(": publishing again", 1)?;
    }
    viewer.wait_pictures(PICTURES)?;

    let summary = rig.conclude(streamer, &viewer)?;
    let ended = server.program.wait()?;
    rig.end_camera(camera)?;
    rig.injected("server_was_stopped", u8::from(was_stopped), Bound::Exactly(1.0));
    rig.injected("server_stopped_ms", (continued_ms - stopped_ms) as f64, Bound::AtLeast(HOLD.as_millis() as f64));
    rig.seen("rtp_lost", viewer.record().lost as f64, Bound::Exactly(0.0));
    rig.seen("rtp_dropped", count(&summary, "rtp", "dropped")?, Bound::Exactly(0.0));
    rig.seen("rtp_longest_gap_ms", gap_ms, Bound::AtMost(rig.mode.gap_ms()));
    rig.seen("memory_before_mib", memory_before, None);
    rig.seen("memory_grown_mib", memory_grown, Bound::AtMost(MEMORY_MIB));
    rig.seen("rtmp_dropped", count(&summary, "rtmp", "dropped")?, Bound::AtLeast(60.0));
    rig.seen("rtmp_connects", count(&summary, "rtmp", "connects")?, Bound::Exactly(1.0));
    rig.seen("server_exit_code", f64::from(ended.code.unwrap_or(-1)), Bound::Exactly(0.0));

    let received = decode(&server.received)?;
    rig.seen("server_pictures_whole", received.whole() as f64, None);
    rig.seen("server_pictures_wrong", (received.mixed() + received.damaged()) as f64, Bound::Exactly(0.0));
    let taken = received.whole_pictures().map(|(_, taken_ms)| taken_ms).collect::<Vec<_>>();
    let hole = taken.windows(2).find(|pair| pair[1] > pair[0] + HOLE_MS).context("no pictures were left out")?;
    // A picture that the encoder had in its hands when the server went on may be the first.
    let age = continued_ms as f64 - hole[1] as f64;
    rig.seen("server_next_picture_older_than_resume_ms", age, Bound::AtMost(rig.mode.latency_p95_ms()));
    rig.seen("server_next_picture_younger_than_resume_ms", -age, Bound::AtMost(rig.mode.recovery_ms()));
    Ok(())
}

fn count(summary: &serde_json::Value, output: &str, field: &str) -> Result<f64> {
    summary["outputs"][output][field].as_f64().with_context(|| format!("the summary has no {field} of {output}"))
}
