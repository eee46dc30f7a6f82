//! A client's session that publishes one stream: bytes of a server in, bytes for it out. It has no socket and no clock; who
//! has them asks what is [awaited](Session::awaits) and ends what takes too long.
//!
//! Longer than other files: each step of the session is a few lines, and all of them change the same state.

use super::{
    amf0::{self, Value},
    authentication::{self, Answer, Said},
    chunk_reader::{ChunkReader, Message, message_type, number},
    chunk_writer::{Address, ChunkWriter, Head},
    handshake::Handshake,
    location::Location,
    refusal::{Reason, Refusal, Step, Words},
};

/// Bytes of a message in one piece, as FFmpeg has it, which every server knows: a picture in pieces of 128 costs both ends
/// time.
pub const CHUNK_SIZE: usize = 60_000;
/// After how many bytes the server is to acknowledge.
pub const WINDOW_SIZE: u32 = 2_500_000;
/// Most bytes that wait for a server to take them: a chunk of the stream, and answers.
const OUTPUT_MAX: usize = 2 * CHUNK_SIZE;
/// Most memory that a server can make the client keep.
const KEPT_MAX: usize = 1 << 20;

/// What the client says about itself (E-RTMP, "Enhancing NetConnection connect Command"). Tags are passed on as they come,
/// whatever their codec.
pub const FOUR_CCS: [&str; 6] = ["avc1", "hvc1", "av01", "vp09", "vp08", "vvc1"];
const CAN_FORWARD: f64 = 4.0;
/// `capsEx`: requests to reconnect are followed, and tracks and times to the nanosecond passed on to servers that know them.
pub const CAPS_EX: u32 = CAPS_RECONNECT | CAPS_MULTITRACK | CAPS_MOD_EX | CAPS_TIMESTAMP_NANO_OFFSET;
const CAPS_RECONNECT: u32 = 1;
const CAPS_MULTITRACK: u32 = 2;
const CAPS_MOD_EX: u32 = 4;
const CAPS_TIMESTAMP_NANO_OFFSET: u32 = 8;

/// What servers let publish.
const FLASH_VERSION: &str = "FMLE/3.0 (compatible; FMSc/1.0)";

const CONTROL: Address = Address { chunk_stream: 2, message_stream: 0 };
const COMMANDS: Address = Address { chunk_stream: 3, message_stream: 0 };
/// Media goes on a chunk stream of its own for each kind, as everybody does it.
const MEDIA_CHUNK_STREAMS: [(u8, u8); 3] = [(8, 4), (9, 6), (18, 5)];
const PUBLISH_CHUNK_STREAM: u8 = 8;

const CONNECT: f64 = 1.0;
const RELEASE_STREAM: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE_STREAM: f64 = 4.0;
const PUBLISH: f64 = 5.0;
const FC_UNPUBLISH: f64 = 6.0;
const DELETE_STREAM: f64 = 7.0;

/// What a server said about itself in its answer to connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Codecs that it lists, as FourCCs or `*`; empty when it lists none.
    pub four_ccs: Vec<String>,
    /// `None`: it said nothing of it.
    pub caps_ex: Option<u32>,
}

/// Longest list of codecs that is kept.
const FOUR_CCS_MAX: usize = 32;

impl Server {
    fn read(values: &[Value]) -> Self {
        let mut four_ccs = Vec::new();
        let mut add = |text: &str| {
            let text = Words::new(text).as_str().to_owned();
            if four_ccs.len() < FOUR_CCS_MAX && !four_ccs.contains(&text) {
                four_ccs.push(text);
            }
        };
        for value in values {
            if let Some(Value::Array(list)) = value.get("fourCcList") {
                list.iter().filter_map(Value::as_str).for_each(&mut add);
            }
            if let Some(map) = value.get("videoFourCcInfoMap").and_then(Value::entries) {
                map.iter().for_each(|(four_cc, _)| add(four_cc));
            }
        }
        let caps_ex = values.iter().find_map(|value| value.get("capsEx")?.as_number());
        // What is no number of flags is none.
        Self { four_ccs, caps_ex: caps_ex.map(|flags| flags as u32) }
    }

    /// Whether it knows tracks. Servers older than `capsEx` that list codecs read the headers of packets with tracks, and
    /// some of them (MediaMTX) the tracks.
    pub fn knows_tracks(&self) -> bool {
        self.caps_ex.map_or(!self.four_ccs.is_empty(), |flags| flags & CAPS_MULTITRACK != 0)
    }

    /// Whether it asked for times to the nanosecond.
    pub fn knows_nanoseconds(&self) -> bool {
        const BOTH: u32 = CAPS_MOD_EX | CAPS_TIMESTAMP_NANO_OFFSET;
        self.caps_ex.is_some_and(|flags| flags & BOTH == BOTH)
    }

    /// Whether it lists codecs, and this one is not among them.
    pub fn lacks(&self, four_cc: &str) -> bool {
        !self.four_ccs.is_empty() && !self.four_ccs.iter().any(|known| known == four_cc || known == "*")
    }
}

/// What a server's words mean for whoever has the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The stream may be sent.
    Publishing,
    /// All but [`publish`](Session::publish) is done.
    Held,
    /// The session is over; another one has to say this.
    Authenticate(Answer),
    /// The publisher is asked to go elsewhere, or to come anew.
    Reconnect { tc_url: Option<String>, why: Words },
}

#[derive(Debug)]
enum Stage {
    Handshake(Handshake),
    Connect,
    CreateStream,
    Publish,
    Publishing,
}

/// A session from its first byte on.
#[derive(Debug)]
pub struct Session {
    location: Location,
    authentication: Answer,
    nonce: u64,
    stage: Stage,
    reader: ChunkReader,
    writer: ChunkWriter,
    out: Vec<u8>,
    message_stream: u32,
    /// Nothing is published before it is told to.
    is_held: bool,
    server: Server,
    counts: Counts,
}

/// Bytes of both directions, and what was agreed about acknowledging them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub received: u64,
    pub acknowledged: u64,
    /// Acknowledge after so many; 0 is never.
    pub window: u32,
    /// What the server acknowledged last.
    pub server_acknowledged: u32,
}

impl Session {
    /// Begins: the first bytes are in the [output](Self::output). `nonce` is any number that was not used before.
    pub fn new(location: Location, authentication: Option<Answer>, nonce: u64) -> Self {
        let mut out = Vec::new();
        let handshake = Handshake::new(nonce, &mut out);
        Self {
            location,
            authentication: authentication.unwrap_or(Answer { query: String::new(), said: Said::Nothing }),
            nonce,
            stage: Stage::Handshake(handshake),
            reader: ChunkReader::default(),
            writer: ChunkWriter::default(),
            out,
            message_stream: 0,
            is_held: false,
            server: Server::default(),
            counts: Counts::default(),
        }
    }

    /// Goes as far as it can without publishing: servers refuse a stream that somebody publishes still.
    pub fn hold(&mut self) {
        self.is_held = true;
    }

    /// Whether it is as far as it can come without publishing.
    pub fn is_held(&self) -> bool {
        self.is_held && matches!(self.stage, Stage::Publish)
    }

    /// Publishes what was held.
    pub fn publish(&mut self) {
        if std::mem::take(&mut self.is_held) && matches!(self.stage, Stage::Publish) {
            self.say_publish();
        }
    }

    /// What the server has to do next.
    pub fn awaits(&self) -> Step {
        match self.stage {
            Stage::Handshake(_) => Step::Handshake,
            Stage::Connect => Step::Connect,
            Stage::CreateStream => Step::CreateStream,
            Stage::Publish => Step::Publish,
            Stage::Publishing => Step::Publishing,
        }
    }

    /// What the server said about itself.
    pub fn server(&self) -> &Server {
        &self.server
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Size of the chunks that come, and of those that go.
    pub fn chunk_sizes(&self) -> (usize, usize) {
        (self.reader.chunk_size(), self.writer.chunk_size())
    }

    /// Bytes for the server; who sends them takes them off. Always whole chunks.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Takes what the server sent. Returns what that means, in its order.
    ///
    /// # Errors
    /// Why the session is over.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Refusal> {
        let mut rest = bytes;
        let mut events = Vec::new();
        // Bytes are counted from the first one on, as librtmp does it.
        self.counts.received += bytes.len() as u64;
        if let Stage::Handshake(handshake) = &mut self.stage {
            let (taken, is_complete) = handshake.receive(rest, &mut self.out)?;
            rest = &rest[taken..];
            if !is_complete {
                return Ok(events);
            }
            self.stage = Stage::Connect;
            self.say_connect();
        }
        while let Some(message) = self.reader.next(&mut rest)? {
            if let Some(event) = self.message(&message)? {
                let is_over = matches!(event, Event::Authenticate(_));
                events.push(event);
                if is_over {
                    return Ok(events);
                }
            }
            if self.out.len() > OUTPUT_MAX {
                return Err(Refusal::TooManyAnswers);
            }
        }
        self.acknowledge();
        debug_assert!(self.kept() <= KEPT_MAX, "{} bytes are kept", self.kept());
        Ok(events)
    }

    /// Begins a tag of the stream: its type, timestamp and length of body. The body goes out with [`chunk`](Self::chunk).
    pub fn begin_tag(&mut self, type_id: u8, timestamp: u32, length: usize) {
        let stream = MEDIA_CHUNK_STREAMS.iter().find(|(kind, _)| *kind == type_id);
        let chunk_stream = stream.map_or(PUBLISH_CHUNK_STREAM, |(_, chunk_stream)| *chunk_stream);
        let address = Address { chunk_stream, message_stream: self.message_stream };
        self.writer.begin(Head { address, type_id, timestamp, length });
    }

    /// Whether chunks of a tag are missing.
    pub fn is_tag_under_way(&self) -> bool {
        self.writer.is_under_way()
    }

    /// Puts the next chunk of the tag into the output. `fill` appends exactly as many bytes of its body as it is told.
    pub fn chunk(&mut self, fill: impl FnOnce(&mut Vec<u8>, usize)) {
        self.writer.chunk(&mut self.out, fill);
    }

    /// Ends the stream in order.
    pub fn say_goodbye(&mut self) {
        if !matches!(self.stage, Stage::Publishing | Stage::Publish) {
            return;
        }
        let mut unpublish = amf0::Writer::default();
        unpublish.string("FCUnpublish").number(FC_UNPUBLISH).null().string(&self.location.stream);
        self.command(COMMANDS, unpublish);
        let mut delete = amf0::Writer::default();
        delete.string("deleteStream").number(DELETE_STREAM).null().number(f64::from(self.message_stream));
        self.command(COMMANDS, delete);
    }

    fn message(&mut self, message: &Message) -> Result<Option<Event>, Refusal> {
        match message.type_id {
            message_type::ACKNOWLEDGEMENT => {
                self.counts.server_acknowledged =
                    number(message).ok_or(Refusal::Malformed("an acknowledgement is not a number"))?;
            }
            message_type::WINDOW_SIZE => {
                // A window of 0 asks for nothing.
                self.counts.window = number(message).ok_or(Refusal::Malformed("a window size is not a number"))?;
            }
            message_type::PEER_BANDWIDTH => {
                number(message).ok_or(Refusal::Malformed("a bandwidth is not a number"))?;
                self.control(message_type::WINDOW_SIZE, &WINDOW_SIZE.to_be_bytes());
            }
            message_type::USER_CONTROL => self.user_control(&message.body)?,
            message_type::AMF0_COMMAND => return self.heard(&message.body),
            // Servers' AMF3 commands are AMF0 behind a byte.
            message_type::AMF3_COMMAND => return self.heard(message.body.get(1..).unwrap_or_default()),
            _ => {}
        }
        Ok(None)
    }

    fn user_control(&mut self, body: &[u8]) -> Result<(), Refusal> {
        const PING: u16 = 6;
        const PONG: u16 = 7;
        let (event, data) =
            body.split_first_chunk().ok_or(Refusal::Malformed("a user control message is cut short"))?;
        if u16::from_be_bytes(*event) == PING {
            let time = data.first_chunk::<4>().ok_or(Refusal::Malformed("a ping is cut short"))?;
            self.control(message_type::USER_CONTROL, &[&PONG.to_be_bytes()[..], time].concat());
        }
        Ok(())
    }

    fn heard(&mut self, body: &[u8]) -> Result<Option<Event>, Refusal> {
        let mut reader = amf0::Reader::new(body);
        let name = reader.value().map_err(Refusal::Malformed)?;
        let name = name.as_str().ok_or(Refusal::Malformed("a command has no name"))?;
        // Whatever else a server says is not for a publisher, and need not be understood.
        if !matches!(name, "_result" | "_error" | "onStatus") {
            return Ok(None);
        }
        let transaction = reader.value().map_err(Refusal::Malformed)?.as_number();
        let transaction = transaction.ok_or(Refusal::Malformed("an answer's transaction is not a number"))?;
        let mut values = Vec::new();
        while !reader.is_at_end() {
            values.push(reader.value().map_err(Refusal::Malformed)?);
        }
        match (name, &self.stage) {
            ("_result", Stage::Connect) if transaction == CONNECT => self.connected(&values),
            ("_error", Stage::Connect) if transaction == CONNECT => {
                let reason = reason(&values);
                let nonce = self.nonce as u32;
                let credentials = self.location.credentials.as_ref();
                let said = self.authentication.said;
                match authentication::answer(&reason, credentials, &self.location.app, said, nonce)? {
                    Some(answer) => Ok(Some(Event::Authenticate(answer))),
                    None => Err(Refusal::Refused(Step::Connect, reason)),
                }
            }
            ("_result", Stage::CreateStream) if transaction == CREATE_STREAM => self.created(&values),
            ("_error", Stage::CreateStream) if transaction == CREATE_STREAM => {
                Err(Refusal::Refused(Step::CreateStream, reason(&values)))
            }
            ("_error", Stage::Publish) if transaction == PUBLISH => {
                Err(Refusal::Refused(Step::Publish, reason(&values)))
            }
            ("onStatus", _) => self.status(&values),
            // Some servers know neither releaseStream nor FCPublish.
            _ => Ok(None),
        }
    }

    fn say_connect(&mut self) {
        let query = match self.authentication.query.as_str() {
            "" => String::new(),
            query => format!("?{query}"),
        };
        let mut connect = amf0::Writer::default();
        connect.string("connect").number(CONNECT).begin_object();
        connect.key("app").string(&format!("{}{query}", self.location.app));
        connect.key("type").string("nonprivate");
        connect.key("flashVer").string(FLASH_VERSION);
        connect.key("tcUrl").string(&format!("{}{query}", self.location.tc_url()));
        connect.key("fourCcList").strings(&FOUR_CCS);
        connect.key("videoFourCcInfoMap").begin_object();
        for four_cc in FOUR_CCS {
            connect.key(four_cc).number(CAN_FORWARD);
        }
        connect.end_object();
        connect.key("capsEx").number(f64::from(CAPS_EX));
        connect.end_object();
        self.command(COMMANDS, connect);
    }

    fn connected(&mut self, values: &[Value]) -> Result<Option<Event>, Refusal> {
        self.server = Server::read(values);
        self.control(message_type::SET_CHUNK_SIZE, &(CHUNK_SIZE as u32).to_be_bytes());
        self.writer.set_chunk_size(CHUNK_SIZE);
        self.control(message_type::WINDOW_SIZE, &WINDOW_SIZE.to_be_bytes());
        for (name, transaction) in [("releaseStream", RELEASE_STREAM), ("FCPublish", FC_PUBLISH)] {
            let mut command = amf0::Writer::default();
            command.string(name).number(transaction).null().string(&self.location.stream);
            self.command(COMMANDS, command);
        }
        let mut create = amf0::Writer::default();
        create.string("createStream").number(CREATE_STREAM).null();
        self.command(COMMANDS, create);
        self.stage = Stage::CreateStream;
        Ok(None)
    }

    fn created(&mut self, values: &[Value]) -> Result<Option<Event>, Refusal> {
        const MALFORMED: Refusal = Refusal::Malformed("createStream gave no stream");
        let id = values.get(1).and_then(Value::as_number).ok_or(MALFORMED)?;
        // 0 is the connection itself.
        if !(1.0..=f64::from(u32::MAX)).contains(&id) || id.fract() != 0.0 {
            return Err(MALFORMED);
        }
        self.message_stream = id as u32;
        self.stage = Stage::Publish;
        if self.is_held {
            return Ok(Some(Event::Held));
        }
        self.say_publish();
        Ok(None)
    }

    fn say_publish(&mut self) {
        let mut publish = amf0::Writer::default();
        publish.string("publish").number(PUBLISH).null().string(&self.location.stream).string("live");
        self.command(Address { chunk_stream: PUBLISH_CHUNK_STREAM, message_stream: self.message_stream }, publish);
    }

    fn status(&mut self, values: &[Value]) -> Result<Option<Event>, Refusal> {
        let reason = reason(values);
        let information = information(values);
        let is_error = information.and_then(|value| value.get("level")?.as_str()) == Some("error");
        match (reason.code.as_str(), &self.stage) {
            // Nobody has asked for it yet while that is held.
            ("NetStream.Publish.Start", Stage::Publish) if !self.is_held => {
                self.stage = Stage::Publishing;
                Ok(Some(Event::Publishing))
            }
            ("NetConnection.Connect.ReconnectRequest", _) => {
                let tc_url = information.and_then(|value| value.get("tcUrl")?.as_str()).map(str::to_owned);
                Ok(Some(Event::Reconnect { tc_url, why: reason.description }))
            }
            ("NetStream.Unpublish.Success" | "NetConnection.Connect.Closed", Stage::Publishing) => {
                Err(Refusal::Ended(reason))
            }
            (_, Stage::Publishing) if is_error => Err(Refusal::Ended(reason)),
            (code, _) if is_error || code.contains(".Publish.Bad") || code.contains(".Publish.Denied") => {
                Err(Refusal::Refused(self.awaits(), reason))
            }
            _ => Ok(None),
        }
    }

    /// Acknowledges what has come (RTMP 1.0, 5.4.3).
    fn acknowledge(&mut self) {
        let due = self.counts.received - self.counts.acknowledged >= u64::from(self.counts.window);
        if self.counts.window > 0 && due && !matches!(self.stage, Stage::Handshake(_)) {
            self.counts.acknowledged = self.counts.received;
            // The sequence number wraps.
            let sequence = self.counts.received as u32;
            self.control(message_type::ACKNOWLEDGEMENT, &sequence.to_be_bytes());
        }
    }

    fn control(&mut self, type_id: u8, body: &[u8]) {
        self.writer.message(Head { address: CONTROL, type_id, timestamp: 0, length: body.len() }, body, &mut self.out);
    }

    fn command(&mut self, address: Address, command: amf0::Writer) {
        let body = command.into_bytes();
        let head = Head { address, type_id: message_type::AMF0_COMMAND, timestamp: 0, length: body.len() };
        self.writer.message(head, &body, &mut self.out);
    }

    /// Bytes that are kept of what the server sent, and for it.
    fn kept(&self) -> usize {
        self.reader.kept() + self.out.capacity()
    }
}

/// The information object is the last value, as a rule the second.
fn information(values: &[Value]) -> Option<&Value> {
    values.iter().rev().find(|value| value.entries().is_some())
}

fn reason(values: &[Value]) -> Reason {
    let words = |key: &str| {
        let text = information(values).and_then(|value| value.get(key)?.as_str());
        Words::new(text.unwrap_or_default())
    };
    Reason { code: words("code"), description: words("description") }
}

#[cfg(test)]
mod tests;
