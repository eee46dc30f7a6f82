//! One client: what there is, what it subscribes to, and messages at its own pace.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    extract::ws::{Message, WebSocket},
};

use super::{
    channels::{Channel, Channels, List},
    outbox::Outbox,
    packing,
    protocol::{self, Said, Wanted},
};

/// A client that takes nothing for so long is let go,
const SEND_MAX: Duration = Duration::from_secs(10);
/// and one of which nothing is heard, though it is asked.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How often it is asked,
const PING_SPACING: Duration = Duration::from_secs(10);
/// and how often it is looked whether it waits for a keyframe.
const LOOK_SPACING: Duration = Duration::from_millis(100);

/// Serves a client until it leaves or is let go.
pub async fn attend(mut socket: WebSocket, channels: &Channels) {
    let mut client = Client::default();
    // Why it left is no news.
    let _ = client.converse(&mut socket, channels).await;
}

#[derive(Default)]
struct Client {
    outbox: Arc<Outbox>,
    /// What it was told of.
    known: Vec<Arc<Channel>>,
    /// What it has subscribed to, by its own names.
    subscribed: BTreeMap<u32, Arc<Channel>>,
}

impl Client {
    /// Ends with `None` when the client is gone.
    async fn converse(&mut self, socket: &mut WebSocket, channels: &Channels) -> Option<()> {
        let mut list = channels.watch();
        let mut heard = Instant::now();
        let mut pinged = Instant::now();
        let mut look = tokio::time::interval(LOOK_SPACING);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        send(socket, text(protocol::server_info())).await?;
        loop {
            tokio::select! {
                changed = list.changed() => {
                    changed.ok()?;
                    let now = Arc::clone(&list.borrow_and_update());
                    for said in self.follow(&now) {
                        send(socket, text(said)).await?;
                    }
                }
                item = self.outbox.take() => {
                    send(socket, Message::Binary(Bytes::from(protocol::data(&item)))).await?;
                    if let Some(meter) = &item.message.meter {
                        meter.pass(item.message.captured, item.message.data.len());
                    }
                }
                said = socket.recv() => {
                    heard = Instant::now();
                    match said?.ok()? {
                        Message::Text(said) => {
                            if let Some(complaint) = self.hear(&said) {
                                send(socket, text(complaint)).await?;
                            }
                        }
                        Message::Close(_) => return None,
                        Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => {}
                    }
                }
                _ = look.tick() => {
                    self.subscribed.values().for_each(|channel| channel.look());
                    if heard.elapsed() > SILENCE_MAX {
                        return None;
                    }
                    if pinged.elapsed() > PING_SPACING {
                        pinged = Instant::now();
                        send(socket, Message::Ping(Bytes::new())).await?;
                    }
                }
            }
        }
    }

    /// What it has to be told when this is what there is.
    fn follow(&mut self, list: &List) -> Vec<String> {
        let (there, gone) = std::mem::take(&mut self.known)
            .into_iter()
            .partition::<Vec<_>, _>(|known| list.iter().any(|channel| channel.id == known.id));
        let new = list.iter().filter(|channel| there.iter().all(|known| known.id != channel.id));
        let new = new.map(Arc::clone).collect::<Vec<_>>();
        let mut told = Vec::new();
        if !gone.is_empty() {
            self.subscribed.retain(|_, channel| gone.iter().all(|gone| gone.id != channel.id));
            gone.iter().for_each(|channel| channel.unsubscribe(&self.outbox));
            told.push(protocol::unadvertise(&gone.iter().map(|channel| channel.id).collect::<Vec<_>>()));
        }
        if !new.is_empty() {
            told.push(protocol::advertise(new.iter().map(|channel| &**channel)));
        }
        self.known = there;
        self.known.extend(new);
        told
    }

    /// Does what it wants. What cannot be done, it is told.
    fn hear(&mut self, said: &str) -> Option<String> {
        match serde_json::from_str(said) {
            Ok(Said::Subscribe { subscriptions }) => {
                subscriptions.iter().filter_map(|wanted| self.subscribe(wanted).err()).last()
            }
            Ok(Said::Unsubscribe { subscription_ids }) => {
                for id in subscription_ids {
                    if let Some(channel) = self.subscribed.remove(&id) {
                        channel.unsubscribe(&self.outbox);
                    }
                }
                None
            }
            Ok(Said::Other) => None,
            Err(error) => Some(protocol::complaint(format_args!("this is not understood: {error}"))),
        }
    }

    fn subscribe(&mut self, Wanted { id, channel_id }: &Wanted) -> Result<(), String> {
        let Some(channel) = self.known.iter().find(|channel| channel.id == *channel_id) else {
            return Err(protocol::complaint(format_args!("there is no channel {channel_id}")));
        };
        let is_there = self.subscribed.values().any(|known| known.id == *channel_id);
        if is_there || self.subscribed.contains_key(id) {
            return Err(protocol::complaint(format_args!(
                "channel {channel_id} or subscription {id} is there already"
            )));
        }
        channel.subscribe(*id, &self.outbox);
        channel.look();
        packing::begin(channel);
        self.subscribed.insert(*id, Arc::clone(channel));
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.subscribed.values().for_each(|channel| channel.unsubscribe(&self.outbox));
    }
}

fn text(said: String) -> Message {
    Message::Text(said.into())
}

async fn send(socket: &mut WebSocket, message: Message) -> Option<()> {
    tokio::time::timeout(SEND_MAX, socket.send(message)).await.ok()?.ok()
}
