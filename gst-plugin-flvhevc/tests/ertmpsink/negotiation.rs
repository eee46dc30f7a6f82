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
    assert_eq!((connect["app"].as_str(), connect["capsEx"].as_f64()), (Some("live"), Some(1.0)));
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
