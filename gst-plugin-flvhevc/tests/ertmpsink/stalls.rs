//! How old the first picture is that a server gets after it stood still, at three bit rates and for three times. A measurement
//! for an idle machine: `cargo test --test ertmpsink -- --ignored --nocapture stalls`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::support::*;
use gst::prelude::*;

const FRAME_MS: u32 = 40;
/// Pictures before the stall.
const BEFORE: u32 = 50;
/// How long the stream goes on behind it.
const AFTER: Duration = Duration::from_secs(4);
/// Oldest that a picture may be, in seconds.
const AGE_MAX: f64 = 0.3;

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// What a server that stood still got then.
#[derive(Debug)]
struct Seen {
    /// Pictures that were on their way when it stopped.
    under_way: usize,
    /// Age in seconds of the first picture behind the hole, and the oldest one after it.
    first_age: f64,
    oldest_age: f64,
    first_is_key: bool,
    dropped: u64,
}

fn stall(megabits: f64, hold: Duration) -> Seen {
    let size = (megabits * 1e6 / 8.0 * f64::from(FRAME_MS) / 1000.0) as usize;
    let server = Server::start("stall", &["--after", &BEFORE.to_string(), "--hold", &hold.as_secs().to_string()]);
    let publisher = Publisher::live(&server.url());
    // Held through every stall.
    publisher.sink.set_property("timeout", 0u32);
    let publisher = publisher.play();
    publisher.wait_until("publishing", |publisher| publisher.state() == "publishing");
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    publisher.sink.static_pad("sink").unwrap().add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let name = info.event().and_then(|event| event.structure()).map(|structure| structure.name().to_string());
        seen.fetch_or(name.as_deref() == Some("GstForceKeyUnit"), Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    // At the pace of a camera, with a keyframe when one is asked for and every four seconds.
    let began = Instant::now();
    let mut captured = Vec::new();
    let mut ends = None;
    while ends.is_none_or(|ends| Instant::now() < ends) {
        let number = captured.len() as u32;
        let due = began + Duration::from_millis((number * FRAME_MS).into());
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let is_key = asked.swap(false, Ordering::Relaxed) || number.is_multiple_of(100);
        captured.push(now());
        publisher.push(number * FRAME_MS, &picture(number, is_key, size)).unwrap();
        if ends.is_none() && !server.told("goes on").is_empty() {
            ends = Some(Instant::now() + AFTER);
        }
        assert!(began.elapsed() < hold + 2 * PATIENCE, "{}", publisher.stats());
    }
    publisher.end();
    publisher.stop();
    server.wait_for("closed", 1);
    server.assert_content();
    let went_on = server.told("goes on")[0]["at"].as_f64().unwrap();
    // Number, when it came, and whether it is a keyframe.
    let came = server.told("tag").into_iter().filter(|tag| tag["type"] == 9 && tag["head"] != "9068766331");
    let came = came.map(|tag| {
        let is_key = tag["head"].as_str().unwrap().starts_with("93");
        (tag["time"].as_u64().unwrap() as usize / FRAME_MS as usize, tag["at"].as_f64().unwrap(), is_key)
    });
    let came = came.collect::<Vec<_>>();
    let hole = came.windows(2).position(|pair| pair[1].0 != pair[0].0 + 1).expect("pictures were dropped");
    let age = |(number, at, _): (usize, f64, bool)| at - captured[number];
    let behind = &came[hole + 1..];
    Seen {
        under_way: came[..=hole].iter().filter(|(_, at, _)| *at >= went_on).count(),
        first_age: age(behind[0]),
        oldest_age: behind.iter().copied().map(age).fold(0.0, f64::max),
        first_is_key: behind[0].2,
        dropped: publisher.count("dropped"),
    }
}

#[test]
#[ignore = "a measurement of 70 s that an idle machine is needed for"]
fn the_next_picture_is_a_young_keyframe_in_each_of_nine_cases() {
    let cases = [0.3, 2.0, 20.0].into_iter().flat_map(|megabits| [2, 15, 60].map(|seconds| (megabits, seconds)));
    let runs = cases.map(|(megabits, seconds)| {
        thread::spawn(move || (megabits, seconds, stall(megabits, Duration::from_secs(seconds))))
    });
    let seen = runs.collect::<Vec<_>>().into_iter().map(|run| run.join().unwrap()).collect::<Vec<_>>();
    for (megabits, seconds, seen) in &seen {
        println!("{megabits} Mbit/s, {seconds} s: {seen:?}");
    }
    for (megabits, seconds, seen) in seen {
        assert!(seen.first_is_key && seen.first_age < AGE_MAX, "{megabits} Mbit/s, {seconds} s: {seen:?}");
        assert!(seen.oldest_age < AGE_MAX, "{megabits} Mbit/s, {seconds} s: {seen:?}");
        // What the kernels held: a tenth of a second, and what fits into the server's buffer.
        assert!(seen.under_way < 50, "{megabits} Mbit/s, {seconds} s: {seen:?}");
        assert!(seen.dropped as f64 > (seconds as f64 - 1.0) * 20.0, "{megabits} Mbit/s, {seconds} s: {seen:?}");
    }
}
