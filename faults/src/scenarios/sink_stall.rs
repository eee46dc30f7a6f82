//! The RTMP server is stopped, as by a network that stalls, until its connection takes nothing more. RTP from the same encoder
//! goes on and memory stays. A server that is continued soon gets, as its next new picture, one of that moment; one
//! that is not is given up, and whoever takes its place is published to.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    camera::Settings,
    picture::now_ms,
    rig::{Program, Rig, Server, Signal, Viewer, decode, rtmp_to, rtp_to},
    verdict::Bound,
};

/// How long the server stays stopped after that was noticed.
const HOLD: Duration = Duration::from_secs(5);
/// What the streamer may take more while it holds back: its backlog is a second, or 16 MiB.
const MEMORY_MIB: f64 = 32.0;
/// Bytes that the kernel keeps for the server of a slow stream.
const SLOW_BUFFER: u32 = 4096;
/// Before the stop and after it.
const PICTURES: usize = 60;
/// Pictures further apart than this have others missing between them.
const HOLE_MS: u64 = 1000;

pub fn short(rig: &mut Rig) -> Result<()> {
    // Large pictures of noise fill what lies between the two soon.
    let stage = Stage::set(rig, None, &Settings { noise: true, width: 1280, height: 720, ..Settings::default() })?;
    paused(rig, stage)
}

/// A stream of few bits, to a server for which the kernel keeps little: what the sender lets wait in its own kernel decides
/// how soon a stall is seen.
pub fn slow(rig: &mut Rig) -> Result<()> {
    let stage = Stage::set(rig, Some(SLOW_BUFFER), &Settings::default())?;
    paused(rig, stage)
}

fn paused(rig: &mut Rig, stage: Stage) -> Result<()> {
    let Stage { viewer, server, streamer, camera, .. } = stage;
    let mut noticed_ms = 0.0;
    let stall = stall(rig, &viewer, &server, &streamer, || {
        let stopped = Instant::now();
        streamer.wait_said(": stalled", 1)?;
        noticed_ms = stopped.elapsed().as_millis() as f64;
        thread::sleep(HOLD);
        Ok(())
    })?;
    let continued_ms = now_ms();
    if rig.inject {
        server.program.signal(Signal::CONT)?;
        streamer.wait_said(": publishing again", 1)?;
    }
    viewer.wait_pictures(PICTURES)?;
    let summary = rig.conclude(streamer, &viewer, rig.mode.share_percent())?;
    let ended = server.program.wait()?;
    rig.end_camera(camera)?;
    judge(rig, &stall, &viewer, &summary, 1.0)?;
    rig.seen("stall_noticed_after_ms", noticed_ms, Bound::AtMost(rig.mode.recovery_ms()));
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

pub fn long(rig: &mut Rig) -> Result<()> {
    let noise = Settings { noise: true, width: 1280, height: 720, ..Settings::default() };
    let Stage { viewer, mut server, port, streamer, camera } = Stage::set(rig, None, &noise)?;
    let stall = stall(rig, &viewer, &server, &streamer, || {
        streamer.wait_said(": the server takes nothing for", 1)?;
        streamer.wait_said(": no answer within", 1)
    })?;
    let mut back_ms = 0.0;
    if rig.inject {
        server.program.signal(Signal::CONT)?;
        // Its publisher has hung up.
        server.program.wait()?;
        server = rig.server(port)?;
        let back = Instant::now();
        server.wait_video()?;
        back_ms = back.elapsed().as_millis() as f64;
    }
    viewer.wait_pictures(PICTURES)?;
    let summary = rig.conclude(streamer, &viewer, rig.mode.share_percent())?;
    let ended = server.program.wait()?;
    rig.end_camera(camera)?;
    judge(rig, &stall, &viewer, &summary, 2.0)?;
    rig.seen("video_after_return_ms", back_ms, Bound::AtMost(rig.mode.recovery_ms()));
    rig.seen("next_server_exit_code", f64::from(ended.code.unwrap_or(-1)), Bound::Exactly(0.0));
    let received = decode(&server.received)?;
    rig.seen("next_server_pictures_whole", received.whole() as f64, Bound::AtLeast(PICTURES as f64 / 4.0));
    rig.seen("next_server_pictures_wrong", (received.mixed() + received.damaged()) as f64, Bound::Exactly(0.0));
    Ok(())
}

/// Everybody at work.
struct Stage {
    viewer: Viewer,
    server: Server,
    port: u16,
    streamer: Program,
    camera: Program,
}

impl Stage {
    fn set(rig: &mut Rig, receive_buffer: Option<u32>, pictures: &Settings) -> Result<Self> {
        let viewer = Viewer::start(0)?;
        let server = match receive_buffer {
            Some(bytes) => rig.server_with_buffer(0, bytes)?,
            None => rig.server(0)?,
        };
        let port = server.port()?;
        let streamer = rig.streamer(&[rtp_to(viewer.port), rtmp_to(port)].concat())?;
        let camera = rig.camera(pictures)?;
        server.wait_video()?;
        viewer.wait_pictures(PICTURES)?;
        Ok(Self { viewer, server, port, streamer, camera })
    }
}

/// What was measured while the server was stopped.
struct Stall {
    server_was_stopped: bool,
    time: Duration,
    rtp_gap_ms: f64,
    memory_before_mib: f64,
    memory_grown_mib: f64,
}

fn stall(
    rig: &Rig,
    viewer: &Viewer,
    server: &Server,
    streamer: &Program,
    until: impl FnOnce() -> Result<()>,
) -> Result<Stall> {
    viewer.forget_gap();
    streamer.forget_memory_peak()?;
    let memory_before_mib = streamer.memory_peak_mib()?;
    let began = Instant::now();
    if rig.inject {
        server.program.signal(Signal::STOP)?;
        until()?;
    } else {
        viewer.wait_pictures(PICTURES)?;
    }
    Ok(Stall {
        server_was_stopped: server.program.is_stopped()?,
        time: began.elapsed(),
        rtp_gap_ms: viewer.record().gap_ms(),
        memory_before_mib,
        memory_grown_mib: streamer.memory_peak_mib()? - memory_before_mib,
    })
}

fn judge(rig: &mut Rig, stall: &Stall, viewer: &Viewer, summary: &Value, connects: f64) -> Result<()> {
    let count = |output: &str, field: &str| {
        let value = summary["outputs"][output][field].as_f64();
        value.with_context(|| format!("the summary has no {field} of {output}"))
    };
    rig.injected("server_was_stopped", u8::from(stall.server_was_stopped), Bound::Exactly(1.0));
    rig.injected("server_stopped_ms", stall.time.as_millis() as f64, Bound::AtLeast(HOLD.as_millis() as f64));
    rig.seen("rtp_lost", viewer.record().lost as f64, Bound::Exactly(0.0));
    rig.seen("rtp_dropped", count("rtp", "dropped")?, Bound::Exactly(0.0));
    rig.seen("rtp_longest_gap_ms", stall.rtp_gap_ms, Bound::AtMost(rig.mode.gap_ms()));
    rig.seen("memory_before_mib", stall.memory_before_mib, None);
    rig.seen("memory_grown_mib", stall.memory_grown_mib, Bound::AtMost(MEMORY_MIB));
    rig.seen("rtmp_dropped", count("rtmp", "dropped")?, Bound::AtLeast(60.0));
    rig.seen("rtmp_connects", count("rtmp", "connects")?, Bound::Exactly(connects));
    Ok(())
}
