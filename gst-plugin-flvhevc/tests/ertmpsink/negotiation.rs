//! What both say about themselves, and what comes of it.

use super::support::*;
use gst::prelude::*;

fn sent(number: u32) -> Vec<u8> {
    picture(number, number.is_multiple_of(5), 2000)
}

#[test]
fn connect_offers_what_is_done() {
    let server = Server::start("serve", &[]);
    let publisher = Publisher::new(&server.url()).play();
    let connect = &server.wait_for("connect", 1)[0]["object"];
    assert_eq!((connect["app"].as_str(), connect["capsEx"].as_f64()), (Some("live"), Some(15.0)));
    assert_eq!(connect["tcUrl"], format!("rtmp://127.0.0.1:{}/live", server.port));
    let list = connect["fourCcList"].as_array().unwrap();
    assert!(list.contains(&"hvc1".into()) && list.contains(&"avc1".into()), "{list:?}");
    // CanForward: tags are passed on as they come.
    assert!(list.iter().all(|codec| connect["videoFourCcInfoMap"][codec.as_str().unwrap()] == 4.0), "{connect}");
    assert_eq!(server.wait_for("publish", 1)[0]["stream"], "key");
    drop(publisher);
}

#[test]
fn a_codec_that_the_server_does_not_list_is_a_warning_that_names_the_other_packaging() {
    let server = Server::start("serve_codecs", &[]);
    let publisher = Publisher::new(&server.url()).play();
    publisher.push(0, &sent(0)).unwrap();
    let warning = publisher.warning();
    assert!(warning.contains("av01, vp09") && warning.contains("hevc-packaging=domestic"), "{warning}");
    // The stream goes on.
    server.wait_for("tag", 3);
    assert_eq!(publisher.stats().get::<u32>("server-caps-ex").unwrap(), 15);
    assert_eq!(publisher.stats().get::<&str>("server-codecs").unwrap(), "av01,vp09");
}

/// Every picture comes once; the second connection begins with headers and a keyframe.
fn check_move(server: &Server, publisher: &Publisher) {
    let mut number = 0;
    // At the pace of a camera: the other connection takes its time to be made.
    while publisher.count("reconnects") == 0 && number < NUMBERS - 10 {
        publisher.push(number * 40, &sent(number)).unwrap();
        number += 1;
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    for _ in 0..10 {
        publisher.push(number * 40, &sent(number)).unwrap();
        number += 1;
    }
    publisher.end();
    publisher.stop();
    server.wait_for("closed", 2);
    server.assert_content();
    let [old, new] = [0, 1].map(|connection| numbers(server, connection, sent));
    assert!(new[0].is_multiple_of(5), "{new:?} does not begin with a keyframe");
    assert_eq!([old, new].concat(), (0..number).collect::<Vec<_>>());
    let tags = server.told("tag");
    let headers = tags.iter().filter(|tag| tag["connection"] == 1).take(2);
    let headers = headers.map(|tag| tag["sha"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(headers, [sha1(METADATA), sha1(SEQUENCE_HEADER)]);
    assert_eq!(server.commands(), ["FCUnpublish", "deleteStream", "FCUnpublish", "deleteStream"]);
    assert_eq!((publisher.count("dropped"), publisher.count("connects")), (0, 2));
}

#[test]
fn a_server_that_asks_to_reconnect_gets_every_picture_once() {
    let server = Server::start("reconnect", &["--after", "20"]);
    check_move(&server, &Publisher::new(&server.url()).play());
    let server = Server::start("reconnect", &["--after", "20"]);
    check_move(&server, &Publisher::live(&server.url()).play());
}

/// The name of the stream is free once the old connection has left.
#[test]
fn a_server_that_takes_one_publisher_of_a_stream_is_left_first() {
    for make in [Publisher::new, Publisher::live] {
        let server = Server::start("reconnect", &["--after", "20", "--exclusive"]);
        let publisher = make(&server.url()).play();
        let mut number = 0;
        while publisher.count("connects") < 2 {
            assert!(number < NUMBERS, "{}", publisher.stats());
            publisher.push(number * 40, &sent(number)).unwrap();
            number += 1;
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        publisher.end();
        publisher.stop();
        server.wait_for("closed", 3);
        server.assert_content();
        let [old, new] = [0, 2].map(|connection| numbers(&server, connection, sent));
        assert!(new[0].is_multiple_of(5), "{new:?} does not begin with a keyframe");
        assert_eq!([old, new].concat(), (0..number).collect::<Vec<_>>());
        assert_eq!((publisher.count("dropped"), publisher.count("reconnects")), (0, 1));
    }
}

#[test]
fn a_server_may_send_its_publisher_to_another_application() {
    let server = Server::start("reconnect", &["--after", "20", "--target", "/other"]);
    check_move(&server, &Publisher::new(&server.url()).play());
    assert_eq!(server.told("connect")[1]["object"]["app"], "other");
    assert_eq!(server.told("publish")[1]["stream"], "key");
}

#[test]
fn a_reconnect_to_nowhere_is_a_warning_and_the_stream_stays() {
    let server = Server::start("reconnect", &["--after", "5", "--target", "rtmp://127.0.0.1:1/live"]);
    let publisher = Publisher::new(&server.url()).play();
    for number in 0..50 {
        publisher.push(number * 40, &sent(number)).unwrap();
    }
    let warning = publisher.warning();
    assert!(warning.contains("asked to reconnect") && warning.contains("refused"), "{warning}");
    publisher.end();
    publisher.stop();
    server.wait_for("closed", 1);
    assert_eq!(numbers(&server, 0, sent), (0..50).collect::<Vec<_>>());
}

/// A tag's body with a nanosecond offset in front, and without.
fn timed(number: u32) -> [Vec<u8>; 2] {
    let plain = sent(number);
    let offset = [&[plain[0] & 0xF0 | 7, 2, 0, 1, 2, plain[0] & 0x0F], &plain[1..]].concat();
    [offset, plain]
}

/// The same picture, as that of a second track.
fn of_second_track(number: u32) -> [Vec<u8>; 2] {
    let plain = sent(number);
    let offset = [&[plain[0] & 0xF0 | 7, 2, 0, 1, 2, 6, plain[0] & 0x0F], &plain[1..5], &[1], &plain[5..]].concat();
    let track = [&[plain[0] & 0xF0 | 6, plain[0] & 0x0F], &plain[1..5], &[1], &plain[5..]].concat();
    [offset, track]
}

/// Which of `forms` came on a connection, in their order.
fn came(server: &Server, connection: u64, forms: &[(&'static str, Vec<u8>)]) -> Vec<&'static str> {
    let tags = server.told("tag");
    let of_connection = tags.iter().filter(|tag| tag["connection"] == connection);
    of_connection.filter_map(|tag| Some(forms.iter().find(|(_, body)| tag["sha"] == sha1(body))?.0)).collect()
}

#[test]
fn a_server_gets_tracks_and_nanoseconds_when_it_knows_them() {
    let [timed, plain] = timed(0);
    let [timed_track, track] = of_second_track(0);
    let forms = [("timed", timed.clone()), ("plain", plain), ("timed track", timed_track.clone()), ("track", track)];
    for (kind, more, tracks, expected, withheld) in [
        ("serve", &[][..], "negotiated", &["plain"][..], 1),
        ("serve", &["--caps-ex", "0"], "negotiated", &["plain"], 1),
        ("serve", &["--caps-ex", "2"], "negotiated", &["plain", "track"], 0),
        ("serve", &["--caps-ex", "12"], "negotiated", &["timed"], 1),
        ("serve", &["--caps-ex", "15"], "negotiated", &["timed", "timed track"], 0),
        ("serve", &[], "always", &["plain", "track"], 0),
    ] {
        let server = Server::start(kind, more);
        let publisher = Publisher::new(&server.url());
        publisher.sink.set_property_from_str("tracks", tracks);
        let publisher = publisher.play();
        publisher.push(0, &timed).unwrap();
        publisher.push(0, &timed_track).unwrap();
        if withheld > 0 {
            let warning = publisher.warning();
            assert!(warning.contains("tracks=always"), "{warning}");
        }
        publisher.end();
        publisher.stop();
        server.wait_for("closed", 1);
        server.assert_content();
        assert_eq!(came(&server, 0, &forms), expected, "{more:?}");
        assert_eq!((publisher.count("withheld"), publisher.count("dropped")), (withheld, 0), "{more:?}");
    }
}

/// A connection that follows another is sent what its own server knows.
#[test]
fn each_server_is_sent_what_it_knows_itself() {
    let server = Server::start("reconnect", &["--after", "12", "--caps-ex", "15,1"]);
    let publisher = Publisher::new(&server.url()).play();
    let mut number = 0;
    let push = |number: &mut u32| {
        publisher.push(*number * 40, &timed(*number)[0]).unwrap();
        publisher.push(*number * 40, &of_second_track(*number)[0]).unwrap();
        *number += 1;
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    while publisher.count("reconnects") == 0 {
        assert!(number < NUMBERS, "{}", publisher.stats());
        push(&mut number);
    }
    (0..10).for_each(|_| push(&mut number));
    publisher.end();
    publisher.stop();
    server.wait_for("closed", 2);
    server.assert_content();
    let first = numbers(&server, 0, |number| timed(number)[0].clone());
    let second = numbers(&server, 1, sent);
    assert_eq!([&first[..], &second].concat(), (0..number).collect::<Vec<_>>());
    assert_eq!(numbers(&server, 0, |number| of_second_track(number)[0].clone()), first);
    assert_eq!(publisher.count("withheld") as usize, second.len());
}

#[test]
fn servers_that_ask_for_a_password_get_it() {
    for method in ["adobe", "llnw"] {
        let server = Server::start(method, &[]);
        let publisher = Publisher::new(&server.url().replace("//", "//bob:s3cret@")).play();
        server.wait_for("publish", 1);
        drop(publisher);
        // Properties come before the location.
        let publisher = Publisher::new(&server.url().replace("//", "//eve:x@"));
        publisher.sink.set_property("username", "bob");
        publisher.sink.set_property("password", "s3cret");
        let publisher = publisher.play();
        server.wait_for("publish", 2);
        drop(publisher);
        server.assert_content();

        let publisher = Publisher::new(&server.url().replace("//", "//bob:wrong@")).play();
        let error = publisher.error();
        assert!(error.contains("user name or the password") && !error.contains("wrong"), "{error}");
        let publisher = Publisher::new(&server.url()).play();
        let error = publisher.error();
        assert!(error.contains("asks for a user name"), "{error}");
    }
}
