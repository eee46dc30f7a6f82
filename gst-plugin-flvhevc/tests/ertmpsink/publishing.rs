//! A stream reaches a server whole, and ends in order.

use super::support::*;
use gst::prelude::*;

const FRAMES: u32 = 100;

fn sent(number: u32) -> Vec<u8> {
    // Some are longer than a chunk.
    picture(number, number.is_multiple_of(25), if number.is_multiple_of(25) { 150_000 } else { 500 })
}

#[test]
fn every_tag_arrives_as_it_was_behind_its_headers() {
    let server = Server::start("serve", &[]);
    let publisher = Publisher::new(&server.url()).play();
    // Across the third and fourth byte of the timestamp.
    let start = (1 << 24) - 50 * 40;
    for number in 0..FRAMES {
        publisher.push(start + number * 40, &sent(number)).unwrap();
    }
    publisher.end();
    publisher.stop();
    server.wait_for("closed", 1);
    server.assert_content();
    let tags = server.told("tag");
    assert_eq!(tags.len() as u32, FRAMES + 2);
    for (tag, (kind, body)) in tags.iter().zip([(18, METADATA), (9, SEQUENCE_HEADER)]) {
        assert_eq!((tag["type"].as_u64(), tag["sha"].as_str()), (Some(kind), Some(sha1(body).as_str())));
    }
    for (number, tag) in (0..).zip(&tags[2..]) {
        assert_eq!(tag["sha"], sha1(&sent(number)), "{number}");
        assert_eq!(tag["time"], start + number * 40);
    }
    assert_eq!(server.commands(), ["FCUnpublish", "deleteStream"]);
    assert_eq!(publisher.count("tags"), u64::from(FRAMES) + 2);
    assert_eq!(publisher.count("dropped"), 0);
}

#[test]
fn a_stop_without_an_end_says_goodbye_too() {
    let server = Server::start("serve", &[]);
    let publisher = Publisher::new(&server.url()).play();
    publisher.push(0, &sent(0)).unwrap();
    server.wait_for("tag", 3);
    publisher.stop();
    server.wait_for("closed", 1);
    assert_eq!(server.commands(), ["FCUnpublish", "deleteStream"]);
    // It can be started again.
    publisher.pipeline.set_state(gst::State::Playing).unwrap();
    server.wait_for("publish", 2);
}

#[test]
fn stock_muxers_streams_go_through() {
    init();
    let server = Server::start("serve", &[]);
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers=50 ! video/x-raw,width=320,height=180,framerate=25/1 ! x264enc key-int-max=25 ! h264parse ! \
         flvmux streamable=true ! ertmpsink sync=false location={}",
        server.url()
    ))
    .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds).unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    server.wait_for("closed", 1);
    server.assert_content();
    let heads = server.told("tag").iter().map(|tag| tag["head"].as_str().unwrap()[..4].to_owned()).collect::<Vec<_>>();
    let count = |head: &str| heads.iter().filter(|found| *found == head).count();
    assert_eq!((count("1700"), count("1701") + count("2701")), (1, 50), "{heads:?}");
    assert!(heads.iter().position(|head| head == "1700") < heads.iter().position(|head| head == "1701"));
}

#[test]
fn what_is_no_flv_is_an_error_that_says_what_to_do() {
    let server = Server::start("serve", &[]);
    let publisher = Publisher::new(&server.url()).play();
    publisher.source.push_buffer(gst::Buffer::from_slice([7; 100])).unwrap();
    let error = publisher.error();
    assert!(error.contains("flvhevcmux") && error.contains("whole FLV tags"), "{error}");
}

#[test]
fn a_location_that_is_none_is_an_error() {
    for url in ["", "rtmp://127.0.0.1/live", "http://127.0.0.1/live/key"] {
        let publisher = Publisher::new(url);
        assert!(publisher.pipeline.set_state(gst::State::Playing).is_err());
        assert!(publisher.error().contains("location"), "{url}");
    }
}
