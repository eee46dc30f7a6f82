//! The subscribing side of ZMTP, ZeroMQ's protocol: as much of it as hears one publisher, without a thread of its own.
//!
//! Sources: ZeroMQ RFC 23 (ZMTP 3.0) for greeting, framing, the NULL mechanism and subscriptions, and RFC 37 (ZMTP 3.1) for
//! heartbeats, which libzmq sends to older peers too, and answers whatever version they are of.

/// Largest message a peer may send; a sync message has 48 bytes.
const MESSAGE_MAX: usize = 4096;
/// Flags, length, and the longest message: there is always room for the rest of one that has begun.
const BUFFER: usize = 2 * MESSAGE_MAX;

const GREETING: usize = 64;
const VERSION_AT: usize = 10;
const MECHANISM_AT: usize = 12;
const MECHANISM: [u8; 20] = *b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const VERSION_MAJOR: u8 = 3;

const LONG: u8 = 0b010;
const COMMAND: u8 = 0b100;
const RESERVED: u8 = !0b111;

/// Longest context of a heartbeat.
const CONTEXT_MAX: usize = 16;

/// The message that subscribes to whatever begins with nothing.
const SUBSCRIPTION: [u8; 3] = [0, 1, 1];

/// What this side begins with: no security is asked for.
pub(crate) fn greeting() -> [u8; GREETING] {
    let mut greeting = [0; GREETING];
    greeting[..12].copy_from_slice(&[0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, VERSION_MAJOR, 0]);
    greeting[MECHANISM_AT..][..MECHANISM.len()].copy_from_slice(&MECHANISM);
    greeting
}

/// What it says to a greeting: that it is a subscriber.
fn ready() -> Vec<u8> {
    command(b"READY", b"\x0BSocket-Type\0\0\0\x03SUB")
}

fn command(name: &[u8], data: &[u8]) -> Vec<u8> {
    let length = 1 + name.len() + data.len();
    [&[COMMAND, length as u8, name.len() as u8], name, data].concat()
}

/// What asks a peer whether it is there: it answers with PONG. It need not watch this side in return: 0 tenths of a second.
pub(crate) fn ping() -> Vec<u8> {
    command(b"PING", &[0, 0])
}

/// Why there is nothing more to hear from a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// Another protocol, or ZMTP 2 and older, which ZeroMQ before 4.0 speaks.
    #[error("whoever listens there does not speak ZMTP 3")]
    Greeting,
    /// It asks for PLAIN, CURVE or GSSAPI.
    #[error("it asks for ZeroMQ's security mechanism '{0}'; cv-mmap producers have none")]
    Mechanism(String),
    /// It said something else than that it is ready.
    #[error("it refuses the connection: '{0}'")]
    Refused(String),
    /// A socket that subscribers do not go with.
    #[error("it is a {0} socket, not a publisher's")]
    SocketType(String),
    /// It ended the connection when it heard who is there.
    #[error("it hangs up on a subscriber: it is no publisher's socket, or asks for security")]
    HungUp,
    /// A frame of no kind that there is.
    #[error("it breaks ZMTP's framing")]
    Framing,
    /// More than 4096 bytes.
    #[error("it sent a message of {0} bytes, at most 4096 expected")]
    TooLarge(u64),
}

/// What a peer says once it has greeted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said<'a> {
    /// A message.
    Message(&'a [u8]),
    /// A command, which was dealt with.
    Command,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Greeting,
    Handshake,
    Messages,
}

/// What a peer has said, in its order.
#[derive(Debug)]
pub(crate) struct Conversation {
    stage: Stage,
    bytes: Box<[u8; BUFFER]>,
    /// Bytes from here to `end` were received and are not used yet.
    begin: usize,
    end: usize,
    /// What is to be answered.
    pub(crate) answer: Vec<u8>,
}

impl Conversation {
    pub(crate) fn new() -> Self {
        Self { stage: Stage::Greeting, bytes: Box::new([0; BUFFER]), begin: 0, end: 0, answer: Vec::new() }
    }

    /// Where to put what comes next; never empty once [`next`](Self::next) has given all it had.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.begin..self.end, 0);
        self.end -= self.begin;
        self.begin = 0;
        &mut self.bytes[self.end..]
    }

    /// So many bytes were put there.
    pub(crate) fn received(&mut self, count: usize) {
        self.end += count;
    }

    /// What it means that the peer ends the conversation here, unless it just left.
    pub(crate) fn ended(&self) -> Option<Breach> {
        matches!(self.stage, Stage::Handshake).then_some(Breach::HungUp)
    }

    /// Whether the handshake is over.
    pub(crate) fn stands(&self) -> bool {
        matches!(self.stage, Stage::Messages)
    }

    /// The next message or command, if all of it has come.
    pub(crate) fn next(&mut self) -> Result<Option<Said<'_>>, Breach> {
        loop {
            let come = &self.bytes[self.begin..self.end];
            if let Stage::Greeting = self.stage {
                if !check_greeting(come)? {
                    return Ok(None);
                }
                self.begin += GREETING;
                self.stage = Stage::Handshake;
                self.answer.extend(ready());
                continue;
            }
            let Some((flags, body)) = frame(come)? else { return Ok(None) };
            let body = self.begin + body.start..self.begin + body.end;
            self.begin = body.end;
            match (self.stage, flags & COMMAND != 0) {
                (Stage::Messages, false) => return Ok(Some(Said::Message(&self.bytes[body]))),
                (Stage::Messages, true) => {
                    self.answer.extend(pong(&self.bytes[body]).unwrap_or_default());
                    return Ok(Some(Said::Command));
                }
                (_, true) => {
                    check_ready(&self.bytes[body])?;
                    self.stage = Stage::Messages;
                    self.answer.extend(SUBSCRIPTION);
                    return Ok(Some(Said::Command));
                }
                (_, false) => return Err(Breach::Framing),
            }
        }
    }
}

/// Whether all of a greeting has come.
fn check_greeting(come: &[u8]) -> Result<bool, Breach> {
    let is = |at: usize, right: fn(u8) -> bool| come.get(at).is_none_or(|byte| right(*byte));
    if !is(0, |byte| byte == 0xFF) || !is(9, |byte| byte == 0x7F) || !is(VERSION_AT, |byte| byte >= VERSION_MAJOR) {
        return Err(Breach::Greeting);
    }
    if come.len() < GREETING {
        return Ok(false);
    }
    let mechanism = &come[MECHANISM_AT..MECHANISM_AT + MECHANISM.len()];
    if mechanism == MECHANISM { Ok(true) } else { Err(Breach::Mechanism(printable(mechanism))) }
}

/// The first frame, if all of it has come: its flags, and where its body is.
fn frame(come: &[u8]) -> Result<Option<(u8, std::ops::Range<usize>)>, Breach> {
    let Some((flags, rest)) = come.split_first() else { return Ok(None) };
    if flags & RESERVED != 0 {
        return Err(Breach::Framing);
    }
    let (length, begin) = if flags & LONG != 0 {
        let Some(length) = rest.first_chunk() else { return Ok(None) };
        (u64::from_be_bytes(*length), 9)
    } else {
        let Some(length) = rest.first() else { return Ok(None) };
        (u64::from(*length), 2)
    };
    if length > MESSAGE_MAX as u64 {
        return Err(Breach::TooLarge(length));
    }
    let end = begin + length as usize;
    Ok((end <= come.len()).then_some((*flags, begin..end)))
}

/// A command's name and data.
fn split_command(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = body.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// Whether the peer is ready, and a publisher.
fn check_ready(body: &[u8]) -> Result<(), Breach> {
    match split_command(body) {
        Some((b"READY", mut properties)) => {
            while !properties.is_empty() {
                let (name, value, rest) = property(properties).ok_or(Breach::Framing)?;
                // Upper and lower case are the same in names (RFC 23, "Metadata").
                if name.eq_ignore_ascii_case(b"Socket-Type") && !matches!(value, b"PUB" | b"XPUB") {
                    return Err(Breach::SocketType(printable(value)));
                }
                properties = rest;
            }
            Ok(())
        }
        Some((_, why)) => Err(Breach::Refused(printable(why))),
        None => Err(Breach::Framing),
    }
}

/// The first property's name and value, and what is behind it.
fn property(properties: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = split_command(properties)?;
    let (length, rest) = rest.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((name, value, rest))
}

/// The answer to a heartbeat: its context, behind two bytes of how long the peer waits.
fn pong(body: &[u8]) -> Option<Vec<u8>> {
    let (b"PING", data) = split_command(body)? else { return None };
    let (_, context) = data.split_at_checked(2)?;
    (context.len() <= CONTEXT_MAX).then(|| command(b"PONG", context))
}

fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|letter| !letter.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a publisher says before its first message.
    fn opening() -> Vec<u8> {
        let ready = command(b"READY", b"\x0Bsocket-type\0\0\0\x03PUB\x08Identity\0\0\0\0");
        [&greeting()[..], &ready].concat()
    }

    /// The messages in what comes in pieces of a size, and the answers.
    fn heard(bytes: &[u8], piece: usize) -> Result<(Vec<Vec<u8>>, Vec<u8>), Breach> {
        let mut conversation = Conversation::new();
        let mut messages = Vec::new();
        for piece in bytes.chunks(piece) {
            conversation.room()[..piece.len()].copy_from_slice(piece);
            conversation.received(piece.len());
            while let Some(said) = conversation.next()? {
                if let Said::Message(message) = said {
                    messages.push(message.to_vec());
                }
            }
        }
        Ok((messages, conversation.answer))
    }

    #[test]
    fn messages_come_out_whole_however_they_come_in() {
        let long = vec![7; MESSAGE_MAX];
        let mut bytes = opening();
        bytes.extend(command(b"SUBSCRIBE", b"what a subscriber does not care for"));
        bytes.extend([1, 2, 10, 11, 0, 0]);
        bytes.extend(command(b"PING", b"\0\x0Abeat"));
        bytes.extend([LONG]);
        bytes.extend((long.len() as u64).to_be_bytes());
        bytes.extend(&long);
        bytes.extend([0, 1, 12]);
        for piece in [1, 2, 7, 64, 1000, MESSAGE_MAX] {
            let (messages, answer) = heard(&bytes, piece).unwrap();
            assert_eq!(messages, [&[10, 11][..], &[], &long, &[12]]);
            assert_eq!(answer, [&ready()[..], &SUBSCRIPTION, &command(b"PONG", b"beat")].concat());
        }
    }

    #[test]
    fn breaches_are_told_by_name() {
        let breach = |bytes: &[u8]| heard(bytes, 3).unwrap_err();
        assert_eq!(breach(b"HTTP/1.1 400 Bad Request"), Breach::Greeting);
        let mut old = greeting();
        old[VERSION_AT] = 1;
        assert_eq!(breach(&old[..=VERSION_AT]), Breach::Greeting);
        let mut secure = greeting();
        secure[MECHANISM_AT..MECHANISM_AT + 5].copy_from_slice(b"CURVE");
        assert_eq!(breach(&secure), Breach::Mechanism("CURVE".into()));
        let after = |bytes: &[u8]| breach(&[&greeting()[..], bytes].concat());
        assert_eq!(after(&command(b"ERROR", b"\x02no")), Breach::Refused("no".into()));
        assert_eq!(after(&command(b"READY", b"\x0BSocket-Type\0\0\0\x04PUSH")), Breach::SocketType("PUSH".into()));
        assert_eq!(after(&command(b"READY", b"\x0BSocket-Type\0\0\x03\x03PUB")), Breach::Framing);
        assert_eq!(after(&[COMMAND, 1, 200]), Breach::Framing);
        assert_eq!(after(&[0, 1, 1]), Breach::Framing, "a message before it is ready");
        let later = |bytes: &[u8]| breach(&[&opening(), bytes].concat());
        assert_eq!(later(&[0b1000]), Breach::Framing);
        assert_eq!(later(&[LONG, 0xFF, 0, 0, 0, 0, 0, 0, 0]), Breach::TooLarge(0xFF << 56));
    }

    /// Every byte of a conversation changed, to anything and to nothing: an answer or a breach, never a panic.
    #[test]
    fn no_single_byte_is_more_than_a_breach() {
        let bytes = [&opening()[..], &[0, 2, 1, 2], &command(b"PING", b"\0\x0Abeat"), &[LONG]].concat();
        for at in 0..bytes.len() {
            for value in 0..=u8::MAX {
                let mut changed = bytes.clone();
                changed[at] = value;
                let _ = heard(&changed, 5);
                let _ = heard(&changed[..at], 5);
            }
        }
    }
}
