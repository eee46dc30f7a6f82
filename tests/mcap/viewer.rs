//! The window of `mcap_rgbd_viewer`, on an X server of its own: what is on its screen, and what keys change.
#![cfg(feature = "viewer")]

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::rgbd_support::{FRAMES, GAP, Recording, colour, is_like};
use crate::support::text;
use gst::prelude::*;

const VIEWER: &str = env!("CARGO_BIN_EXE_mcap_rgbd_viewer");
/// As the window is made; nobody else is on the screen.
const SCREEN: (usize, usize) = (1280, 640);
const PATIENCE: Duration = Duration::from_secs(60);
/// Begin and end of a palette. Source: the colour maps' tables in matplotlib.
const VIRIDIS: [[u8; 3]; 2] = [[68, 1, 84], [253, 231, 37]];
const CIVIDIS: [[u8; 3]; 2] = [[0, 32, 81], [253, 234, 69]];
/// Of pixels, so many are a pane's half.
const MANY: usize = 20_000;

/// A process that ends with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An X server in memory.
struct Screen {
    name: String,
    _server: Started,
}

impl Screen {
    fn start() -> Self {
        let (width, height) = SCREEN;
        let mut server = Command::new("Xvfb")
            // It begins anew when its last client leaves, unless told otherwise: in the middle of another one's greeting.
            .args(["-displayfd", "1", "-noreset", "-nolisten", "tcp", "-screen", "0", &format!("{width}x{height}x24")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb is there: scripts/setup.sh --tests installs it");
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        assert!(!number.trim().is_empty(), "Xvfb has no display");
        Self { name: format!(":{}", number.trim()), _server: Started(server) }
    }

    /// What is on it, as packed RGB.
    fn picture(&self) -> Vec<u8> {
        let pipeline = format!(
            "ximagesrc display-name={} use-damage=false show-pointer=false num-buffers=1 ! videoconvert ! \
             video/x-raw,format=RGB ! appsink name=out sync=false",
            self.name
        );
        let pipeline = gst::parse::launch(&pipeline).unwrap().downcast::<gst::Pipeline>().unwrap();
        let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let picture = sink.pull_sample().map(|sample| sample.buffer().unwrap().map_readable().unwrap().to_vec());
        pipeline.set_state(gst::State::Null).unwrap();
        picture.expect("there is a picture of the screen")
    }

    /// Waits until pixels of these colours are in its left and right half.
    #[track_caller]
    fn wait_for(&self, left: &[[u8; 3]], right: &[[u8; 3]]) {
        let begin = Instant::now();
        loop {
            let picture = self.picture();
            let count = |wanted: [u8; 3], is_right: bool| {
                let pixels = picture.chunks_exact(3).enumerate();
                let half = pixels.filter(|(at, _)| (at % SCREEN.0 >= SCREEN.0 / 2) == is_right);
                half.filter(|(_, pixel)| is_like(pixel, wanted)).count()
            };
            let lefts = left.iter().map(|wanted| count(*wanted, false)).collect::<Vec<_>>();
            let rights = right.iter().map(|wanted| count(*wanted, true)).collect::<Vec<_>>();
            if lefts.iter().chain(&rights).all(|count| *count > MANY) {
                return;
            }
            let waited = begin.elapsed();
            assert!(waited < PATIENCE, "{left:?} and {right:?} are not on the screen: {lefts:?} and {rights:?} pixels");
        }
    }

    /// Presses keys in the window.
    fn press(&self, keys: &[&str]) {
        let mut command = Command::new("xdotool");
        command.args([
            "search",
            "--sync",
            "--onlyvisible",
            "--name",
            "mcap_rgbd_viewer",
            "windowfocus",
            "--sync",
            "key",
        ]);
        let output = command.args(keys).env("DISPLAY", &self.name).output();
        let output = output.expect("xdotool is there: scripts/setup.sh --tests installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn viewer(screen: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(VIEWER);
    command.args(flags).env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
    command.env("DISPLAY", screen).env("LIBGL_ALWAYS_SOFTWARE", "1");
    command
}

#[test]
fn the_window_shows_picture_and_depth_and_obeys_keys() {
    gst::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundled.mcap");
    Recording::bundled().write(&file);
    let screen = Screen::start();
    let flags = ["--camera-label", "zed1", "--frame-index", "2", "--palette", "viridis", text(&file)];
    let _viewer = Started(viewer(&screen.name, &flags).spawn().unwrap());
    screen.wait_for(&[colour(0, 2)], &VIRIDIS);
    screen.press(&["Right"]);
    screen.wait_for(&[colour(0, 3)], &VIRIDIS);
    // Another palette, and another camera of the same bundle.
    screen.press(&["p", "Down"]);
    screen.wait_for(&[colour(1, 3)], &CIVIDIS);
    // It has a gap there: a pane of the same size that is dark.
    screen.press(&["Right"]);
    assert!(GAP.contains(&4));
    screen.wait_for(&[[64; 3]], &[[64; 3]]);
    screen.press(&["Up", "shift+Left"]);
    screen.wait_for(&[colour(0, 0)], &CIVIDIS);
    // Plays to its end, and stays there.
    screen.press(&["space"]);
    screen.wait_for(&[colour(0, FRAMES - 1)], &CIVIDIS);
    screen.press(&["Home"]);
    screen.wait_for(&[colour(0, 0)], &CIVIDIS);
}

#[test]
fn without_a_screen_it_says_what_needs_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("legacy.mcap");
    Recording::legacy().write(&file);
    let output = viewer("", &[text(&file)]).env_remove("DISPLAY").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--export-preview"), "{said}");
}
