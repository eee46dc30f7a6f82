//! A camera that shows real moving pictures, over and over: the clip, decoded by FFmpeg.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::{
    io::BufReader,
    os::fd::AsRawFd as _,
    path::Path,
    process::{ChildStdout, Stdio},
};

use gst::prelude::*;

use crate::streamer_support::{Names, Running, ffmpeg};

/// Frames a second.
pub const FPS: u32 = 25;

/// Publishes 640x360 pictures until it is dropped.
pub struct ClipCamera {
    pipeline: gst::Pipeline,
    _clip: Running,
    _pictures: BufReader<ChildStdout>,
}

impl ClipCamera {
    pub fn start(names: &Names) -> Self {
        Self::publishing(&format!("label=camera shm-name={} zmq-endpoint={}", names.shm, names.endpoint()))
    }

    /// With these properties of `cvmmapsink`.
    pub fn publishing(place: &str) -> Self {
        gst::init().unwrap();
        gstcvmmap::plugin_register_static().unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("media/bigbuckbunny_640x360.mp4");
        let mut clip = Running::start(
            ffmpeg()
                .args(["-loglevel", "error", "-stream_loop", "-1", "-i", file.to_str().unwrap()])
                .args(["-map", "0:v", "-f", "rawvideo", "-pix_fmt", "bgr24", "-"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null()),
        );
        let pictures = clip.stdout();
        let pipeline = gst::parse::launch(&format!(
            "fdsrc fd={} blocksize=691200 ! rawvideoparse format=bgr width=640 height=360 framerate={FPS}/1 ! \
             cvmmapsink {place}",
            pictures.get_ref().as_raw_fd()
        ))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, _clip: clip, _pictures: pictures }
    }
}

impl Drop for ClipCamera {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
