//! A server that takes nothing for a while.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::support::*;
use gst::prelude::*;

const STEP: u32 = 40;

fn sent(number: u32) -> Vec<u8> {
    picture(number, number.is_multiple_of(10), 20_000)
}

#[test]
fn a_live_stream_goes_on_with_a_new_keyframe() {
    let mut server = Server::start("stall", &["--after", "20"]);
    let publisher = Publisher::live(&server.url()).play();
    publisher.wait_until("publishing", |publisher| publisher.state() == "publishing");
    let asked = Arc::new(AtomicU32::new(0));
    let pad = publisher.sink.static_pad("sink").unwrap();
    let seen = Arc::clone(&asked);
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let name = info.event().and_then(|event| event.structure()).map(|structure| structure.name().to_string());
        seen.fetch_add(u32::from(name.as_deref() == Some("GstForceKeyUnit")), Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    let mut number = 0;
    let push = |number: &mut u32| {
        publisher.push(*number * STEP, &sent(*number)).unwrap();
        *number += 1;
        std::thread::sleep(Duration::from_millis(5));
    };
    while publisher.state() != "stalled" {
        push(&mut number);
    }
    // More than the backlog holds.
    for _ in 0..200 {
        push(&mut number);
    }
    assert!(publisher.count("dropped") > 0);
    let resumed = number;
    server.go_on();
    server.wait_for("goes on", 1);
    while publisher.state() != "publishing" {
        push(&mut number);
    }
    for _ in 0..50 {
        push(&mut number);
    }
    publisher.end();
    publisher.stop();
    server.wait_for("closed", 1);
    server.assert_content();
    let got = numbers(&server, 0, sent);
    let holes = got.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect::<Vec<_>>();
    assert!(holes.iter().all(|hole| hole[1].is_multiple_of(10)), "{holes:?} do not go on with a keyframe");
    let last = holes.last().expect("pictures were dropped");
    assert!(last[1] >= resumed, "{last:?} goes on with a picture of before {resumed}");
    assert!(asked.load(Ordering::Relaxed) > 0, "no keyframe was asked for");
    assert_eq!(publisher.count("dropped") as usize, number as usize - got.len());
}

#[test]
fn a_stream_that_is_not_live_waits() {
    let mut server = Server::start("stall", &["--after", "20"]);
    let publisher = Publisher::new(&server.url()).play();
    for number in 0..100 {
        publisher.push(number * STEP, &sent(number)).unwrap();
    }
    publisher.wait_until("a stall", |publisher| publisher.state() == "stalled");
    server.go_on();
    publisher.end();
    publisher.stop();
    server.wait_for("closed", 1);
    server.assert_content();
    assert_eq!(numbers(&server, 0, sent), (0..100).collect::<Vec<_>>());
    assert_eq!((publisher.count("dropped"), publisher.count("stalls")), (0, 1));
}

#[test]
fn a_server_that_takes_nothing_for_too_long_is_given_up() {
    let server = Server::start("stall", &["--after", "3"]);
    let publisher = Publisher::new(&server.url());
    publisher.sink.set_property("timeout", 2u32);
    let publisher = publisher.play();
    for number in 0..1000 {
        publisher.push(number * STEP, &sent(number)).unwrap();
    }
    let error = publisher.error();
    assert!(error.contains("takes nothing for 2 s"), "{error}");
    drop(server);
}
