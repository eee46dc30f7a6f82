//! What stock muxers make of a camera whose frames come some time after their capture. FFmpeg looks at the files.

mod common;

use std::{
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use common::{
    PATIENCE, init,
    picture::{BGR, Picture},
    place::Place,
    producer::Producer,
    unix_now,
};
use gst::prelude::*;

const FRAMES: usize = 20;

/// Plays a camera into a file, to the end of stream.
fn record(muxer: &str, age: Duration, rate: u32, file: &Path) {
    init();
    let place = Place::new();
    let producer = Producer::new(&place);
    let pipeline = gst::parse::launch(&format!(
        "cvmmapsrc uri={} coherence=metadata queue-size=100 max-frames={FRAMES} ! videoconvert ! video/x-raw,format=I420 ! \
         x264enc tune=zerolatency speed-preset=ultrafast ! h264parse ! {muxer}",
        place.uri(),
    ));
    let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
    let place_of_file = pipeline.by_name("out").unwrap();
    place_of_file.set_property("location", file.to_str().unwrap());
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    producer.await_subscriber();
    let deadline = Instant::now() + PATIENCE;
    let picture = Picture::new(BGR, 64, 48, 0, 0);
    // From the moment on in which the pipeline plays: it captured what comes first before that.
    for frame_id in 0.. {
        producer.publish(&picture, frame_id, unix_now() - age.as_nanos() as u64);
        let wait = gst::ClockTime::SECOND / u64::from(rate);
        match bus.timed_pop_filtered(wait, &[gst::MessageType::Eos, gst::MessageType::Error]) {
            Some(message) if message.type_() == gst::MessageType::Eos => break,
            Some(message) => panic!("{muxer}, {age:?}, {rate}/s: {message:?}"),
            None => assert!(Instant::now() < deadline, "{muxer}, {age:?}, {rate}/s: no end"),
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

/// The presentation times in a file, in its own unit.
fn times(file: &Path) -> Vec<i64> {
    let listed = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts", "-of", "csv=p=0"])
        .arg(file)
        .output()
        .expect("ffprobe runs");
    assert!(listed.status.success() && listed.stderr.is_empty(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed.lines().map(|time| time.trim_matches(',').parse().unwrap()).collect()
}

#[test]
fn a_late_camera_is_recorded_whole() {
    let folder = tempfile::tempdir().unwrap();
    for (name, muxer) in [
        ("a.mp4", "mp4mux ! filesink name=out"),
        ("a.mkv", "matroskamux ! filesink name=out"),
        ("b.mp4", "splitmuxsink name=out"),
    ] {
        thread::scope(|scope| {
            for (age_ms, rate) in [(50, 60), (150, 30), (150, 60)] {
                let file = folder.path().join(format!("{age_ms}-{rate}-{name}"));
                scope.spawn(move || {
                    record(muxer, Duration::from_millis(age_ms), rate, &file);
                    let times = times(&file);
                    assert_eq!(times.len(), FRAMES, "{muxer}");
                    assert!(times.is_sorted_by(|one, next| one < next), "{muxer}, {age_ms} ms, {rate}/s: {times:?}");
                });
            }
        });
    }
}
