//! What the two sides say.

use std::fmt::Display;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::json;

use super::{
    channels::{Channel, Kind},
    outbox::Item,
};

/// Names that the protocol has had; nothing else changed for what is sent here.
pub const NAMES: [&str; 2] = ["foxglove.sdk.v1", "foxglove.websocket.v1"];
/// Opcode of a message of a topic.
const MESSAGE_DATA: u8 = 1;

/// What a client says. The rest is for servers that can more.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase")]
pub enum Said {
    /// It wants messages.
    Subscribe {
        /// Of these channels.
        subscriptions: Vec<Wanted>,
    },
    /// It wants them no longer.
    #[serde(rename_all = "camelCase")]
    Unsubscribe {
        /// Names that it gave them.
        subscription_ids: Vec<u32>,
    },
    /// Something else.
    #[serde(other)]
    Other,
}

/// A channel that a client wants.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// The client's name for it.
    pub id: u32,
    /// The channel.
    pub channel_id: u32,
}

/// The first thing that a client hears.
pub fn server_info() -> String {
    let name = concat!("cvmmap_streamer ", env!("CARGO_PKG_VERSION"));
    json!({ "op": "serverInfo", "name": name, "capabilities": [], "metadata": {} }).to_string()
}

/// What there is to subscribe to.
pub fn advertise<'a>(channels: impl Iterator<Item = &'a Channel>) -> String {
    let channels = channels.map(|channel| {
        let Kind { schema, encoding } = channel.kind;
        json!({
            "id": channel.id,
            "topic": channel.topic,
            "encoding": encoding,
            "schemaName": schema.map_or("", |schema| schema.name),
            "schemaEncoding": schema.map(|_| encoding),
            "schema": schema.map_or_else(String::new, |schema| BASE64_STANDARD.encode(schema.descriptors)),
        })
    });
    json!({ "op": "advertise", "channels": channels.collect::<Vec<_>>() }).to_string()
}

/// What there is no longer.
pub fn unadvertise(ids: &[u32]) -> String {
    json!({ "op": "unadvertise", "channelIds": ids }).to_string()
}

/// What a client did wrong.
pub fn complaint(what: impl Display) -> String {
    /// Source: the specification, Status.
    const ERROR: u8 = 2;
    json!({ "op": "status", "level": ERROR, "message": what.to_string() }).to_string()
}

/// A message of a topic.
pub fn data(item: &Item) -> Vec<u8> {
    let message = &item.message;
    let mut data = Vec::with_capacity(1 + 4 + 8 + message.data.len());
    data.push(MESSAGE_DATA);
    data.extend_from_slice(&item.subscription.to_le_bytes());
    data.extend_from_slice(&message.time_ns.to_le_bytes());
    data.extend_from_slice(&message.data);
    data
}
