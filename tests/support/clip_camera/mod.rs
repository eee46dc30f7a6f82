//! A camera that shows real moving pictures, over and over: the clip, decoded by FFmpeg.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::{
    fs,
    io::BufReader,
    os::{fd::AsRawFd as _, unix::fs::symlink},
    path::Path,
    process::{ChildStdout, Command, Stdio},
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

/// Without x264 GStreamer has OpenH264 for H.264.
pub fn without_x264(names: &Names, streamer: &mut Command) {
    gst::init().unwrap();
    let plugin = gst::Registry::get().find_plugin("coreelements").unwrap();
    let plugins = plugin.filename().unwrap().parent().unwrap().to_owned();
    let some = names.path("plugins");
    fs::create_dir(&some).unwrap();
    for plugin in fs::read_dir(plugins).unwrap().map(Result::unwrap) {
        if plugin.file_name() != "libgstx264.so" {
            symlink(plugin.path(), some.join(plugin.file_name())).unwrap();
        }
    }
    streamer.env("GST_PLUGIN_SYSTEM_PATH_1_0", some).env("GST_REGISTRY_1_0", names.path("registry"));
}
