//! A server's side, written down in bytes.

use super::*;
use crate::rtmp::location::Credentials;

/// An AMF0 command of a server.
fn command(name: &str, transaction: f64, rest: &[u8]) -> Vec<u8> {
    let body =
        [b"\x02\0".as_slice(), &[name.len() as u8], name.as_bytes(), b"\0", &transaction.to_be_bytes(), rest].concat();
    message(20, &body)
}

fn message(type_id: u8, body: &[u8]) -> Vec<u8> {
    let [_, size @ ..] = (body.len() as u32).to_be_bytes();
    let mut bytes = [&[3, 0, 0, 0], &size[..], &[type_id, 0, 0, 0, 0]].concat();
    for (index, chunk) in body.chunks(128).enumerate() {
        if index > 0 {
            bytes.push(0xC3);
        }
        bytes.extend_from_slice(chunk);
    }
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [&[2, 0, text.len() as u8], text.as_bytes()].concat()
}

fn information(entries: &[(&str, &str)]) -> Vec<u8> {
    let entry = |(key, value): &(&str, &str)| [&[0, key.len() as u8], key.as_bytes(), &text(value)].concat();
    [b"\x05\x03".as_slice(), &entries.iter().flat_map(entry).collect::<Vec<_>>(), b"\0\0\x09"].concat()
}

fn status(level: &str, code: &str, description: &str) -> Vec<u8> {
    command("onStatus", 0.0, &information(&[("level", level), ("code", code), ("description", description)]))
}

fn handshake() -> Vec<u8> {
    [&[3], [5; 2 * 1536].as_slice()].concat()
}

fn connect_result() -> Vec<u8> {
    command("_result", 1.0, &information(&[("code", "NetConnection.Connect.Success")]))
}

fn stream(id: f64) -> Vec<u8> {
    command("_result", 4.0, &[b"\x05\0", &id.to_be_bytes()[..]].concat())
}

fn session() -> Session {
    Session::new(Location::parse("rtmp://h/live/key?t=1").unwrap(), None, 77)
}

/// What is said after `script`, and what came of its last part.
fn after(script: &[Vec<u8>]) -> (Session, Result<Vec<Event>, Refusal>) {
    let mut session = session();
    let mut last = Ok(Vec::new());
    for bytes in script {
        session.output().clear();
        last = session.receive(bytes);
    }
    (session, last)
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn published() -> Vec<Vec<u8>> {
    vec![handshake(), connect_result(), stream(1.0), status("status", "NetStream.Publish.Start", "")]
}

#[test]
fn a_stream_is_published() {
    let (mut session, events) = after(&[handshake()]);
    assert_eq!((events, session.awaits()), (Ok(vec![]), Step::Connect));
    let said = session.output().clone();
    for part in [
        b"\x02\0\x07connect\0\x3F\xF0\0\0\0\0\0\0\x03".as_slice(),
        b"\0\x05tcUrl\x02\0\x0Drtmp://h/live",
        b"\0\x0AfourCcList\x0A\0\0\0\x06\x02\0\x04avc1\x02\0\x04hvc1",
        b"\0\x04hvc1\0\x40\x10\0\0\0\0\0\0",
        b"\0\x06capsEx\0\x40\x2E\0\0\0\0\0\0",
    ] {
        // A header stands at every 128 bytes.
        let mut chunks = said[1536 + 12..].to_vec();
        let mut whole = Vec::new();
        while !chunks.is_empty() {
            let rest = chunks.split_off(chunks.len().min(128));
            whole.append(&mut chunks);
            chunks = rest.get(1..).unwrap_or_default().to_vec();
        }
        assert!(has(&whole, part), "{part:?} in {whole:?}");
    }
    let (mut session, events) = after(&published()[..2]);
    assert_eq!((events, session.awaits()), (Ok(vec![]), Step::CreateStream));
    assert!(has(session.output(), b"\x01\0\0\0\0\0\0\xEA\x60") && has(session.output(), b"createStream"));
    let (mut session, events) = after(&published()[..3]);
    assert_eq!((events, session.awaits()), (Ok(vec![]), Step::Publish));
    assert!(has(session.output(), b"\x02\0\x07key?t=1\x02\0\x04live"));
    let (mut session, events) = after(&published());
    assert_eq!((events, session.awaits()), (Ok(vec![Event::Publishing]), Step::Publishing));

    session.output().clear();
    session.begin_tag(9, 40, 3);
    session.chunk(|out, count| out.extend_from_slice(&b"abc"[..count]));
    assert_eq!(session.output(), b"\x06\0\0\x28\0\0\x03\x09\x01\0\0\0abc");
    session.output().clear();
    session.say_goodbye();
    assert!(has(session.output(), b"FCUnpublish") && has(session.output(), b"deleteStream"));
}

#[test]
fn what_is_held_is_published_when_it_is_told_to() {
    let mut session = session();
    session.hold();
    session.receive(&published()[..2].concat()).unwrap();
    session.output().clear();
    assert_eq!(session.receive(&stream(1.0)), Ok(vec![Event::Held]));
    assert!(session.is_held() && session.output().is_empty());
    session.publish();
    assert!(!session.is_held() && has(session.output(), b"publish"));
    assert_eq!(session.receive(&published()[3]), Ok(vec![Event::Publishing]));
}

#[test]
fn a_server_in_single_bytes_says_the_same() {
    let mut session = session();
    let events = published().concat().iter().flat_map(|byte| session.receive(&[*byte]).unwrap()).collect::<Vec<_>>();
    assert_eq!(events, [Event::Publishing]);
}

#[test]
fn refusals_are_told_with_their_step() {
    let denied = information(&[("level", "error"), ("code", "X.Y"), ("description", "go away")]);
    for (upto, last, step) in [
        (1, command("_error", 1.0, &denied), "connect"),
        (2, command("_error", 4.0, &denied), "createStream"),
        (3, command("_error", 5.0, &denied), "publish"),
        (3, command("onStatus", 0.0, &denied), "publish"),
    ] {
        let (_, refused) = after(&[&published()[..upto], &[last]].concat());
        assert_eq!(refused.unwrap_err().to_string(), format!("the server refuses {step}: X.Y: go away"));
    }
    let (_, ended) = after(&[published(), vec![status("status", "NetStream.Unpublish.Success", "over")]].concat());
    assert!(ended.unwrap_err().to_string().contains("ends the stream: NetStream.Unpublish.Success: over"));
    // Answers to what was not asked mean nothing.
    let (session, events) = after(&[handshake(), command("_error", 9.0, &denied), stream(1.0)]);
    assert_eq!((events, session.awaits()), (Ok(vec![]), Step::Connect));
}

#[test]
fn a_stream_that_is_none_is_refused() {
    for id in [0.0, -1.0, 0.5, f64::NAN, f64::INFINITY, 4_294_967_296.0] {
        let (_, refused) = after(&[handshake(), connect_result(), stream(id)]);
        assert!(refused.unwrap_err().to_string().contains("gave no stream"), "{id}");
    }
    let (_, refused) = after(&[handshake(), connect_result(), command("_result", 4.0, b"\x05")]);
    assert!(refused.unwrap_err().to_string().contains("gave no stream"));
}

#[test]
fn what_a_server_says_about_itself_is_kept() {
    let list = b"\x03\0\x0AfourCcList\x0A\0\0\0\x01\x02\0\x04av01\0\x06capsEx\0\x40\x2E\0\0\0\0\0\0\
                 \0\x12videoFourCcInfoMap\x03\0\x04hvc1\0\x40\x10\0\0\0\0\0\0\0\0\x09\0\0\x09";
    let (session, _) = after(&[handshake(), command("_result", 1.0, list)]);
    assert_eq!(*session.server(), Server { four_ccs: vec!["av01".into(), "hvc1".into()], caps_ex: Some(15) });
    assert!(session.server().lacks("vp09") && !session.server().lacks("hvc1"));
    let any = Server { four_ccs: vec!["*".into()], caps_ex: None };
    assert!(!any.lacks("hvc1") && !Server::default().lacks("hvc1"));
}

#[test]
fn tracks_and_nanoseconds_are_for_servers_that_know_them() {
    let server = |caps_ex, four_ccs: &[&str]| Server {
        four_ccs: four_ccs.iter().map(|&four_cc| four_cc.into()).collect(),
        caps_ex,
    };
    for (caps_ex, four_ccs, tracks, nanoseconds) in [
        (None, &[][..], false, false),
        (None, &["hvc1"], true, false),
        (Some(0), &["hvc1"], false, false),
        (Some(2), &[], true, false),
        (Some(4), &["*"], false, false),
        (Some(8), &[], false, false),
        (Some(12), &[], false, true),
        (Some(15), &["hvc1"], true, true),
    ] {
        let server = server(caps_ex, four_ccs);
        assert_eq!((server.knows_tracks(), server.knows_nanoseconds()), (tracks, nanoseconds), "{server:?}");
    }
}

#[test]
fn a_request_to_reconnect_is_an_event() {
    let entries = [("level", "status"), ("code", "NetConnection.Connect.ReconnectRequest"), ("description", "update")];
    let asked = |entries: &[_]| after(&[published(), vec![command("onStatus", 0.0, &information(entries))]].concat()).1;
    let why = Words::new("update");
    assert_eq!(asked(&entries), Ok(vec![Event::Reconnect { tc_url: None, why: why.clone() }]));
    let elsewhere = [&entries[..], &[("tcUrl", "rtmp://other/live")]].concat();
    let tc_url = Some("rtmp://other/live".into());
    assert_eq!(asked(&elsewhere), Ok(vec![Event::Reconnect { tc_url, why }]));
}

#[test]
fn control_messages_are_answered() {
    let (mut session, _) = after(&[published(), vec![message(4, b"\0\x06\x01\x02\x03\x04")]].concat());
    assert_eq!(session.output(), b"\x02\0\0\0\0\0\x06\x04\0\0\0\0\0\x07\x01\x02\x03\x04");
    let (mut session, _) = after(&[published(), vec![message(6, b"\0\x01\0\0\x02")]].concat());
    assert_eq!(session.output(), b"\x02\0\0\0\0\0\x04\x05\0\0\0\0\0\x26\x25\xA0");
    // Every 100 bytes are acknowledged, once for what came together.
    let (mut session, _) = after(&[published(), vec![message(5, b"\0\0\0\x64")]].concat());
    let received = (session.counts().received as u32).to_be_bytes();
    assert_eq!(*session.output(), [b"\x02\0\0\0\0\0\x04\x03\0\0\0\0".as_slice(), &received].concat());
    // A window of 0 asks for nothing.
    let (mut session, _) = after(&[published(), vec![message(5, b"\0\0\0\0")]].concat());
    assert!(session.output().is_empty());
    let (session, _) = after(&[published(), vec![message(3, b"\xFF\xFF\xFF\xFF")]].concat());
    assert_eq!(session.counts().server_acknowledged, u32::MAX);
}

#[test]
fn a_server_that_asks_and_never_takes_is_refused() {
    let mut session = after(&published()).0;
    let pings = message(4, b"\0\x06\x01\x02\x03\x04").repeat(100);
    let refused = (0..1000).find_map(|_| session.receive(&pings).err());
    assert_eq!(refused, Some(Refusal::TooManyAnswers));
    assert!(session.output().len() < 2 * OUTPUT_MAX);
}

#[test]
fn a_server_that_asks_for_the_user_is_answered_on_the_next_connection() {
    let location = Location {
        credentials: Some(Credentials { user: "bob".into(), password: "x".into() }),
        ..Location::parse("rtmp://h/live/key").unwrap()
    };
    let mut session = Session::new(location.clone(), None, 1);
    session.receive(&handshake()).unwrap();
    let asked = information(&[
        ("level", "error"),
        ("code", "NetConnection.Connect.Rejected"),
        ("description", "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "),
    ]);
    let events = session.receive(&command("_error", 1.0, &asked)).unwrap();
    let [Event::Authenticate(answer)] = &events[..] else { panic!("{events:?}") };
    let mut session = Session::new(location, Some(answer.clone()), 2);
    session.receive(&handshake()).unwrap();
    assert!(has(session.output(), b"live?authmod=adobe&user=bob"));
}
