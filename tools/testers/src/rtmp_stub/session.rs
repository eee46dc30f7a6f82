//! The server's side of one publisher's RTMP session: commands in, answers out.

use super::{
    args::Step as RefusedStep,
    chunk::Message,
    command::{self, Say, message_type},
};
use crate::flv::{
    amf0::{Reader, Value},
    stream_check::TagKind,
};

const WINDOW_BYTES: u32 = 2_500_000;

/// The message stream that `createStream` hands out. One publisher needs one.
const STREAM_ID: u32 = 1;

/// What a message means for the tester.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The session goes on.
    Continue,
    /// Media or metadata. Offset of the body within the message: `@setDataFrame` is for servers only.
    Tag { kind: TagKind, body_offset: usize },
    /// `--refuse`: the publisher has been told no.
    Refused,
    /// The publisher has ended its stream.
    Finished,
}

/// What the publisher said about itself, and offered.
#[derive(Debug, Default, Clone)]
pub struct Publisher {
    pub app: String,
    pub stream: String,
    pub flash_version: String,
    pub four_cc_list: Vec<String>,
    /// What it can do with each codec: 1 decode, 2 encode, 4 forward.
    pub video_four_cc_info: Vec<String>,
    pub audio_four_cc_info: Vec<String>,
    /// 1 reconnect, 2 multitrack, 4 ModEx, 8 timestamps to the nanosecond.
    pub caps_ex: Option<f64>,
}

/// What the server says and does.
#[derive(Debug, Clone, Default)]
pub struct Manner {
    pub refuse: Option<RefusedStep>,
    /// A codec to announce to the publisher in return for its own list.
    pub four_cc: Option<&'static str>,
    pub caps_ex: u32,
}

pub struct Session {
    manner: Manner,
    publisher: Publisher,
    connected: bool,
    publishing: bool,
    out: Vec<u8>,
    /// Acknowledge after each this many bytes, as the publisher asks.
    window: Option<u64>,
    received: u64,
    acknowledged: u64,
}

impl Session {
    pub fn new(manner: Manner) -> Self {
        Self {
            manner,
            publisher: Publisher::default(),
            connected: false,
            publishing: false,
            out: Vec::new(),
            window: None,
            received: 0,
            acknowledged: 0,
        }
    }

    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub fn is_publishing(&self) -> bool {
        self.publishing
    }

    /// Answers that are to be sent.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Counts received bytes and acknowledges them (RTMP 5.4.3).
    pub fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
        if let Some(window) = self.window
            && self.received - self.acknowledged >= window
        {
            self.acknowledged = self.received;
            // The sequence number is 32 bits wide and wraps.
            let sequence_number = (self.received & u64::from(u32::MAX)) as u32;
            self.control(message_type::ACKNOWLEDGEMENT, &sequence_number.to_be_bytes());
        }
    }

    /// Asks the publisher to come anew (E-RTMP v2, "Reconnect Request").
    pub fn ask_to_reconnect(&mut self) {
        self.on_status(
            "status",
            "NetConnection.Connect.ReconnectRequest",
            "This server was started to ask for a new connection.",
            0,
        );
    }

    /// # Errors
    /// A sentence about what breaks the protocol.
    pub fn message(&mut self, message: &Message) -> Result<Step, String> {
        match message.type_id {
            // They ask nothing of a server that only receives.
            message_type::ACKNOWLEDGEMENT | message_type::USER_CONTROL | message_type::PEER_BANDWIDTH => {
                Ok(Step::Continue)
            }
            message_type::WINDOW_SIZE => self.window_size(&message.body),
            message_type::AUDIO | message_type::VIDEO | message_type::AMF0_DATA => self.media(message),
            message_type::AMF3_COMMAND => {
                // AMF3 commands of all known publishers are AMF0 behind a zero byte.
                match message.body.first() {
                    Some(0) => self.command(message, 1),
                    _ => Err("a command in AMF3 (message type 17): AMF0 is expected".into()),
                }
            }
            message_type::AMF0_COMMAND => self.command(message, 0),
            message_type::AMF3_DATA => Err("metadata in AMF3 (message type 15): AMF0 is expected".into()),
            message_type::AGGREGATE => {
                Err("an aggregate message (type 22): publishers send their tags one by one".into())
            }
            other => Err(format!("an RTMP message of the unknown type {other}")),
        }
    }

    fn window_size(&mut self, body: &[u8]) -> Result<Step, String> {
        let bytes =
            <[u8; 4]>::try_from(body).map_err(|_| format!("a window size has 4 bytes, this one {}", body.len()))?;
        self.window = Some(u64::from(u32::from_be_bytes(bytes).max(1)));
        Ok(Step::Continue)
    }

    fn media(&mut self, message: &Message) -> Result<Step, String> {
        let Some(kind) = TagKind::from_id(message.type_id) else {
            return Ok(Step::Continue);
        };
        if !self.publishing {
            return Err(format!("a media message of type {} before publish was answered", message.type_id));
        }
        if message.stream_id != STREAM_ID {
            return Err(format!(
                "a media message on message stream {}, createStream gave {STREAM_ID}",
                message.stream_id
            ));
        }
        let mut body_offset = 0;
        if kind == TagKind::Script {
            let mut reader = Reader::new(&message.body, 0);
            let name = reader.string("a data message's name").map_err(|fault| fault.describe(&message.body))?;
            if name == "@setDataFrame" {
                body_offset = reader.position();
            }
        }
        Ok(Step::Tag { kind, body_offset })
    }

    fn command(&mut self, message: &Message, start: usize) -> Result<Step, String> {
        let mut reader = Reader::new(&message.body, start);
        let describe = |fault: crate::flv::fault::Fault| format!("an RTMP command: {}", fault.describe(&message.body));
        let name = reader.string("a command's name").map_err(describe)?;
        let transaction = reader
            .value()
            .map_err(describe)?
            .as_number()
            .ok_or_else(|| format!("the transaction id of {name} has to be a number"))?;
        let mut arguments = Vec::new();
        while !reader.at_end() {
            arguments.push(reader.value().map_err(describe)?);
        }
        match name.as_str() {
            "connect" => self.connect(transaction, arguments.first()),
            "createStream" => {
                self.require_connection(&name)?;
                if self.manner.refuse == Some(RefusedStep::CreateStream) {
                    return Ok(self.refuse(transaction, "NetConnection.Call.Failed"));
                }
                Ok(self.result(transaction, Say::Number(f64::from(STREAM_ID))))
            }
            "releaseStream" | "FCPublish" => {
                self.require_connection(&name)?;
                Ok(self.result(transaction, Say::Undefined))
            }
            "publish" => self.publish(message.stream_id, &arguments),
            "FCUnpublish" | "deleteStream" | "closeStream" if self.publishing => Ok(Step::Finished),
            "play" => Err("the client wants to play: this server takes publishers only".into()),
            _ => Ok(Step::Continue),
        }
    }

    fn require_connection(&self, command: &str) -> Result<(), String> {
        if self.connected { Ok(()) } else { Err(format!("{command} before connect")) }
    }

    fn connect(&mut self, transaction: f64, object: Option<&Value>) -> Result<Step, String> {
        let Some(object) = object.filter(|object| object.entries().is_some()) else {
            return Err("connect without its command object".into());
        };
        self.publisher = offered(object);
        if self.manner.refuse == Some(RefusedStep::Connect) {
            return Ok(self.refuse(transaction, "NetConnection.Connect.Rejected"));
        }
        self.connected = true;
        self.control(message_type::WINDOW_SIZE, &WINDOW_BYTES.to_be_bytes());
        const DYNAMIC: u8 = 2;
        self.control(message_type::PEER_BANDWIDTH, &[&WINDOW_BYTES.to_be_bytes()[..], &[DYNAMIC]].concat());
        let listed = self.manner.four_cc.map(|four_cc| [four_cc]);
        let mut properties = vec![
            ("fmsVer", Say::Text("FMS/3,5,7,7009")),
            ("capabilities", Say::Number(31.0)),
            ("capsEx", Say::Number(f64::from(self.manner.caps_ex))),
        ];
        if let Some(listed) = &listed {
            properties.push(("fourCcList", Say::Texts(listed)));
        }
        let information = Say::Object(vec![
            ("level", Say::Text("status")),
            ("code", Say::Text("NetConnection.Connect.Success")),
            ("description", Say::Text("Connection succeeded.")),
            ("objectEncoding", Say::Number(0.0)),
        ]);
        self.out.extend(command::command("_result", transaction, &[Say::Object(properties), information], 0));
        Ok(Step::Continue)
    }

    fn result(&mut self, transaction: f64, value: Say<'_>) -> Step {
        self.out.extend(command::command("_result", transaction, &[Say::Null, value], 0));
        Step::Continue
    }

    fn refuse(&mut self, transaction: f64, code: &str) -> Step {
        let information = status("error", code, REFUSED);
        self.out.extend(command::command("_error", transaction, &[Say::Null, information], 0));
        Step::Refused
    }

    fn publish(&mut self, stream_id: u32, arguments: &[Value]) -> Result<Step, String> {
        self.require_connection("publish")?;
        if stream_id != STREAM_ID {
            return Err(format!("publish on message stream {stream_id}, createStream gave {STREAM_ID}"));
        }
        // The first argument is the command object, which is null here (RTMP 7.2.2.6).
        let Some(name) = arguments.get(1).and_then(Value::as_str) else {
            return Err("publish without a stream name".into());
        };
        self.publisher.stream = name.to_owned();
        if self.manner.refuse == Some(RefusedStep::Publish) {
            self.on_status("error", "NetStream.Publish.BadName", REFUSED, STREAM_ID);
            return Ok(Step::Refused);
        }
        const STREAM_BEGIN: u16 = 0;
        let begin = [&STREAM_BEGIN.to_be_bytes()[..], &STREAM_ID.to_be_bytes()].concat();
        self.control(message_type::USER_CONTROL, &begin);
        self.on_status("status", "NetStream.Publish.Start", "Publishing has started.", STREAM_ID);
        self.publishing = true;
        Ok(Step::Continue)
    }

    fn on_status(&mut self, level: &str, code: &str, description: &str, message_stream: u32) {
        let values = [Say::Null, status(level, code, description)];
        self.out.extend(command::command("onStatus", 0.0, &values, message_stream));
    }

    fn control(&mut self, type_id: u8, body: &[u8]) {
        self.out.extend(command::control(type_id, body));
    }
}

const REFUSED: &str = "Publishing is denied: this server was started to refuse.";

fn status<'a>(level: &'a str, code: &'a str, description: &'a str) -> Say<'a> {
    let entry = |key, text| (key, Say::Text(text));
    Say::Object(vec![entry("level", level), entry("code", code), entry("description", description)])
}

/// What connect's command object says (RTMP 7.2.1.1; E-RTMP v2, "Enhancing NetConnection connect Command").
fn offered(object: &Value) -> Publisher {
    let value = |key: &str| object.entry(key).map(|entry| &entry.value);
    let text = |key: &str| value(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let info = |key: &str| {
        let entries = value(key).and_then(Value::entries).unwrap_or_default();
        entries.iter().filter_map(|entry| Some(format!("{}={}", entry.key, entry.value.as_number()?))).collect()
    };
    let four_cc_list = match value("fourCcList") {
        Some(Value::StrictArray(list)) => list.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    Publisher {
        app: text("app"),
        stream: String::new(),
        flash_version: text("flashVer"),
        four_cc_list,
        video_four_cc_info: info("videoFourCcInfoMap"),
        audio_four_cc_info: info("audioFourCcInfoMap"),
        caps_ex: value("capsEx").and_then(Value::as_number),
    }
}
