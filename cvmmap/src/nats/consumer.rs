//! What a producer tells its consumers: its status, and the bodies it sees.

use std::sync::Arc;

use prost::Message as _;

use super::{
    client::{Client, Message, Subscription},
    control::Control,
    proto::{ModuleStatusCode, ModuleStatusEvent},
    subjects::Subjects,
};
use crate::body::Packet;

/// Longest instance name that is passed on; a longer one is cut.
const INSTANCE_MAX: usize = 64;

/// What a producer says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusCode {
    /// It starts.
    Online,
    /// It leaves.
    Offline,
    /// Its source starts over: the frame count begins again, timestamps may jump backwards.
    StreamReset,
}

/// A status event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What happened.
    pub code: StatusCode,
    /// The producer's instance name.
    pub instance: String,
    /// When, in the producer's time.
    pub timestamp_ns: u64,
}

/// A body-tracking packet.
#[derive(Clone, Debug)]
pub struct BodyPacket {
    /// What it says.
    pub packet: Packet,
    /// As it came.
    pub bytes: Vec<u8>,
}

/// What came.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A status event.
    Status(Status),
    /// A body-tracking packet.
    Body(BodyPacket),
    /// A message that is neither.
    Garbage {
        /// What it was published to.
        subject: String,
        /// What is wrong.
        why: String,
    },
}

/// Listens to a producer until it is dropped.
pub struct Consumer {
    control: Control,
    client: Client,
    _subscriptions: [Subscription; 2],
}

impl Consumer {
    /// Listens, now or when there is a connection. `on_notice` is called from threads of the client and may block; each
    /// kind comes in order.
    pub fn start(client: Client, subjects: Subjects, on_notice: impl Fn(Notice) + Send + Sync + 'static) -> Self {
        let on_notice = Arc::new(on_notice);
        let listen = |subject: &str, read: fn(&Message) -> Result<Notice, String>| {
            let on_notice = Arc::clone(&on_notice);
            client.subscribe(subject, move |message| {
                let notice = read(&message);
                on_notice(notice.unwrap_or_else(|why| Notice::Garbage { subject: message.subject.clone(), why }));
            })
        };
        let subscriptions = [listen(&subjects.status(), read_status), listen(&subjects.body(), read_body)];
        Self { control: Control::new(client.clone(), subjects), client, _subscriptions: subscriptions }
    }

    /// Requests to the producer.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

fn read_status(message: &Message) -> Result<Notice, String> {
    let event = ModuleStatusEvent::decode(&*message.payload).map_err(|_| "not a ModuleStatusEvent".to_owned())?;
    let code = match event.status() {
        ModuleStatusCode::Online => StatusCode::Online,
        ModuleStatusCode::Offline => StatusCode::Offline,
        ModuleStatusCode::StreamReset => StatusCode::StreamReset,
        ModuleStatusCode::Unknown => return Err(format!("status {} is not known", event.status)),
    };
    let instance = event.instance.chars().filter(|c| !c.is_control()).take(INSTANCE_MAX).collect();
    Ok(Notice::Status(Status { code, instance, timestamp_ns: event.timestamp_ns }))
}

fn read_body(message: &Message) -> Result<Notice, String> {
    let packet = Packet::parse(&message.payload).map_err(|error| error.to_string())?;
    Ok(Notice::Body(BodyPacket { packet, bytes: message.payload.clone() }))
}
