//! What has to hold whatever a server sends. The fuzz target and the plugin's own test share it; both have the client as
//! `crate::rtmp`.

use crate::rtmp::{
    location::Location,
    session::{Event, Session},
};

/// What a session may keep; its own bound is asserted within.
const OUTPUT_MAX: usize = 256 << 10;

/// A byte that says how, then what a server sends. Bit 0: the handshake is done first. Bit 1: the server takes what is
/// said to it. Bit 2: a tag is under way. Bit 3: what is to be published is held back until the server has let it. The
/// rest: in pieces of that size.
pub fn session(data: &[u8]) {
    let Some((how, said)) = data.split_first() else {
        return;
    };
    let location = Location::parse("rtmp://bob:secret@host/live/key").expect("a location");
    let mut session = Session::new(location.clone(), None, 1);
    session.output().clear();
    if how & 1 != 0 {
        let handshake = [&[3][..], &[0; 2 * 1536]].concat();
        assert_eq!(session.receive(&handshake), Ok(vec![]));
    }
    if how & 4 != 0 {
        session.begin_tag(9, 7, 100_000);
        session.chunk(|out, count| out.resize(out.len() + count, 0));
    }
    if how & 8 != 0 {
        session.hold();
    }
    let piece = usize::from(how >> 4) * 16 + 1;
    for part in said.chunks(piece) {
        match session.receive(part) {
            Ok(events) => {
                for event in events {
                    match event {
                        Event::Authenticate(answer) => assert!(answer.query.starts_with("authmod=")),
                        Event::Reconnect { tc_url, .. } => {
                            if let Ok(next) = location.redirected(tc_url.as_deref()) {
                                assert!(!next.app.is_empty() && next.stream == "key");
                                let is_elsewhere = next.host != location.host || next.port != location.port;
                                assert!(!is_elsewhere || next.credentials.is_none());
                            }
                        }
                        Event::Held => {
                            assert!(session.is_held());
                            session.publish();
                            assert!(!session.is_held());
                        }
                        Event::Publishing => assert!(!session.is_held()),
                    }
                }
            }
            Err(refusal) => {
                let text = refusal.to_string();
                assert!(text.len() < 1000 && !text.contains(|c: char| c.is_control()), "{text}");
                return;
            }
        }
        assert!(session.output().len() <= OUTPUT_MAX);
        if how & 2 != 0 {
            session.output().clear();
        }
    }
    session.say_goodbye();
}
