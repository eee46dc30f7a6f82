//! librtmp2's server, which negotiates `capsEx` and asks for reconnects.

use std::{net::TcpListener, path::Path, process::Command, thread, time::Duration};

use super::support::*;

const STEP: u32 = 40;

fn sent(number: u32) -> Vec<u8> {
    picture(number, number.is_multiple_of(5), 2000)
}

/// The server, built where nothing else is: it brings OpenSSL.
fn build() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (folder, target) = (root.join("scripts/interop/librtmp2"), root.join("target/librtmp2"));
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    assert!(built.unwrap().success());
    Command::new(target.join("debug/librtmp2-server"))
}

#[test]
#[ignore = "builds librtmp2 with OpenSSL, for a minute"]
fn librtmp2_gets_tracks_and_every_picture_once_over_a_reconnect() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::run(build().args([port.to_string(), "20".into()]));
    let publisher = Publisher::new(&server.url()).play();
    let mut number = 0;
    let push = |number: &mut u32| {
        let plain = sent(*number);
        let track = [&[plain[0] & 0xF0 | 6, plain[0] & 0x0F], &plain[1..5], &[1], &plain[5..]].concat();
        publisher.push(*number * STEP, &plain).unwrap();
        publisher.push(*number * STEP, &track).unwrap();
        *number += 1;
        thread::sleep(Duration::from_millis(10));
    };
    while publisher.count("reconnects") == 0 {
        assert!(number < NUMBERS, "{}: {:?}", publisher.stats(), server.told("asked"));
        push(&mut number);
    }
    (0..10).for_each(|_| push(&mut number));
    let stats = publisher.stats();
    publisher.end();
    server.wait_for("frame", 2 * number as usize);
    publisher.stop();
    // Tracks, ModEx and nanoseconds; Reconnect it repeats to clients of its own kind alone.
    assert_eq!(stats.get::<u32>("server-caps-ex").unwrap() & 14, 14, "{stats}");
    // It takes one publisher of a stream, and refuses the second one as long as the first is there.
    assert_eq!(server.told("publish").len(), 3);
    let times = |is_wanted: fn(u64) -> bool| {
        let frames = server.told("frame").into_iter().filter(|frame| frame["size"].as_u64() > Some(1000));
        let frames = frames.filter(|frame| is_wanted(frame["track"].as_u64().unwrap()));
        frames.map(|frame| frame["time"].as_u64().unwrap() as u32 / STEP).collect::<Vec<_>>()
    };
    let expected = (0..number).collect::<Vec<_>>();
    assert_eq!(times(|track| track != 1), expected);
    assert_eq!(times(|track| track == 1), expected);
}
