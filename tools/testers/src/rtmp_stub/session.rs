//! The server's side of one publisher's RTMP session: commands in, answers out.

use std::collections::HashMap;

use rml_rtmp::{
    chunk_io::ChunkSerializer,
    messages::{PeerBandwidthLimitType, RtmpMessage, UserControlEventType},
    rml_amf0::Amf0Value,
    time::RtmpTimestamp,
};

use super::chunk::Message;
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

/// What the publisher said about itself.
#[derive(Debug, Default, Clone)]
pub struct Publisher {
    pub app: String,
    pub stream: String,
    pub flash_version: String,
    pub four_cc_list: Vec<String>,
}

pub struct Session {
    serializer: ChunkSerializer,
    refuse: bool,
    four_cc: Option<&'static str>,
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
    /// `four_cc`: a codec to announce to the publisher in return for its own list.
    pub fn new(refuse: bool, four_cc: Option<&'static str>) -> Self {
        Self {
            serializer: ChunkSerializer::new(),
            refuse,
            four_cc,
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
    pub fn received(&mut self, bytes: usize) -> Result<(), String> {
        self.received += bytes as u64;
        if let Some(window) = self.window
            && self.received - self.acknowledged >= window
        {
            self.acknowledged = self.received;
            // The sequence number is 32 bits wide and wraps.
            let sequence_number = (self.received & u64::from(u32::MAX)) as u32;
            self.send(RtmpMessage::Acknowledgement { sequence_number }, 0)?;
        }
        Ok(())
    }

    /// # Errors
    /// A sentence about what breaks the protocol.
    pub fn message(&mut self, message: &Message) -> Result<Step, String> {
        match message.type_id {
            // Acknowledgement, user control and peer bandwidth ask nothing of a server that only receives.
            3 | 4 | 6 => Ok(Step::Continue),
            5 => self.window_size(&message.body),
            8 | 9 | 18 => self.media(message),
            17 => {
                // AMF3 commands of all known publishers are AMF0 behind a zero byte.
                match message.body.first() {
                    Some(0) => self.command(message, 1),
                    _ => Err("a command in AMF3 (message type 17): AMF0 is expected".into()),
                }
            }
            20 => self.command(message, 0),
            15 => Err("metadata in AMF3 (message type 15): AMF0 is expected".into()),
            22 => Err("an aggregate message (type 22): publishers send their tags one by one".into()),
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
                self.result(transaction, Amf0Value::Number(f64::from(STREAM_ID)))
            }
            "releaseStream" | "FCPublish" => {
                self.require_connection(&name)?;
                self.result(transaction, Amf0Value::Undefined)
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
        let text = |key: &str| {
            let value = object.entry(key).and_then(|entry| entry.value.as_str());
            value.unwrap_or_default().to_owned()
        };
        self.publisher.app = text("app");
        self.publisher.flash_version = text("flashVer");
        if let Some(Value::StrictArray(list)) = object.entry("fourCcList").map(|entry| &entry.value) {
            self.publisher.four_cc_list = list.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect();
        }
        self.connected = true;
        self.send(RtmpMessage::WindowAcknowledgement { size: WINDOW_BYTES }, 0)?;
        let peer_bandwidth =
            RtmpMessage::SetPeerBandwidth { size: WINDOW_BYTES, limit_type: PeerBandwidthLimitType::Dynamic };
        self.send(peer_bandwidth, 0)?;
        let mut properties = HashMap::from([
            ("fmsVer".to_owned(), string("FMS/3,5,7,7009")),
            ("capabilities".to_owned(), Amf0Value::Number(31.0)),
        ]);
        if let Some(four_cc) = self.four_cc {
            properties.insert("fourCcList".to_owned(), Amf0Value::StrictArray(vec![string(four_cc)]));
        }
        let mut information = status("status", "NetConnection.Connect.Success", "Connection succeeded.");
        information.insert("objectEncoding".to_owned(), Amf0Value::Number(0.0));
        let answer = RtmpMessage::Amf0Command {
            command_name: "_result".to_owned(),
            transaction_id: transaction,
            command_object: Amf0Value::Object(properties),
            additional_arguments: vec![Amf0Value::Object(information)],
        };
        self.send(answer, 0)?;
        Ok(Step::Continue)
    }

    fn result(&mut self, transaction: f64, value: Amf0Value) -> Result<Step, String> {
        let answer = RtmpMessage::Amf0Command {
            command_name: "_result".to_owned(),
            transaction_id: transaction,
            command_object: Amf0Value::Null,
            additional_arguments: vec![value],
        };
        self.send(answer, 0)?;
        Ok(Step::Continue)
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
        if self.refuse {
            self.on_status(
                "error",
                "NetStream.Publish.BadName",
                "Publishing is denied: this server was started to refuse.",
            )?;
            return Ok(Step::Refused);
        }
        let begin = RtmpMessage::UserControl {
            event_type: UserControlEventType::StreamBegin,
            stream_id: Some(STREAM_ID),
            buffer_length: None,
            timestamp: None,
        };
        self.send(begin, 0)?;
        self.on_status("status", "NetStream.Publish.Start", "Publishing has started.")?;
        self.publishing = true;
        Ok(Step::Continue)
    }

    fn on_status(&mut self, level: &str, code: &str, description: &str) -> Result<(), String> {
        let message = RtmpMessage::Amf0Command {
            command_name: "onStatus".to_owned(),
            transaction_id: 0.0,
            command_object: Amf0Value::Null,
            additional_arguments: vec![Amf0Value::Object(status(level, code, description))],
        };
        self.send(message, STREAM_ID)
    }

    fn send(&mut self, message: RtmpMessage, stream_id: u32) -> Result<(), String> {
        let payload = message
            .into_message_payload(RtmpTimestamp::new(0), stream_id)
            .map_err(|error| format!("an answer cannot be written: {error}"))?;
        let packet = self
            .serializer
            .serialize(&payload, true, false)
            .map_err(|error| format!("an answer cannot be written: {error}"))?;
        self.out.extend_from_slice(&packet.bytes);
        Ok(())
    }
}

fn string(text: &str) -> Amf0Value {
    Amf0Value::Utf8String(text.to_owned())
}

fn status(level: &str, code: &str, description: &str) -> HashMap<String, Amf0Value> {
    HashMap::from([
        ("level".to_owned(), string(level)),
        ("code".to_owned(), string(code)),
        ("description".to_owned(), string(description)),
    ])
}
