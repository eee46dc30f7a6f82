//! What a file declares of its channels, learned record by record.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use mcap::{Summary, records::Record};

use super::{
    schema::{PROTOBUF, Schema},
    topics::Declared,
};

/// A channel as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its topic.
    pub topic: String,
    /// Name of its schema; empty for none.
    pub schema: String,
    /// How its messages are encoded.
    pub encoding: String,
    /// What else is said of it.
    pub metadata: BTreeMap<String, String>,
}

impl Channel {
    /// What tells whose it is.
    pub fn declared(&self) -> Declared<'_> {
        Declared { topic: &self.topic, schema: &self.schema, message_encoding: &self.encoding }
    }

    /// Whether its messages are of this type.
    pub fn holds(&self, schema: Schema) -> bool {
        self.encoding == PROTOBUF && self.schema == schema.name
    }
}

/// The channels that are known so far, by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    schemas: HashMap<u16, String>,
    channels: BTreeMap<u16, Arc<Channel>>,
}

impl Channels {
    /// Those that a summary names.
    pub fn of(summary: &Summary) -> Self {
        let schemas = summary.schemas.iter().map(|(id, schema)| (*id, schema.name.clone())).collect();
        let channels = summary.channels.iter().map(|(id, channel)| {
            let schema = channel.schema.as_ref().map(|schema| schema.name.clone()).unwrap_or_default();
            let (topic, encoding) = (channel.topic.clone(), channel.message_encoding.clone());
            (*id, Arc::new(Channel { topic, schema, encoding, metadata: channel.metadata.clone() }))
        });
        Self { schemas, channels: channels.collect() }
    }

    /// Takes in a schema or a channel. One that is known stays as it is unless the record `overrules` it.
    pub fn learn(&mut self, record: Record<'_>, overrules: bool) {
        match record {
            Record::Schema { header, .. } if overrules || !self.schemas.contains_key(&header.id) => {
                self.schemas.insert(header.id, header.name);
            }
            Record::Channel(channel) if overrules || !self.channels.contains_key(&channel.id) => {
                let mcap::records::Channel { id, schema_id, topic, message_encoding: encoding, metadata } = channel;
                let schema = self.schemas.get(&schema_id).cloned().unwrap_or_default();
                self.channels.insert(id, Arc::new(Channel { topic, schema, encoding, metadata }));
            }
            _ => {}
        }
    }

    /// A channel by its number.
    pub fn get(&self, id: u16) -> Option<&Arc<Channel>> {
        self.channels.get(&id)
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.channels.values().map(|channel| &**channel)
    }
}
