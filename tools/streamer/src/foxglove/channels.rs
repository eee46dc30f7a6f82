//! Topics of all cameras, and who has subscribed to them. They come and go with the cameras' streams.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tools_mcap::{
    schema::{PROTOBUF, SCENE_UPDATE, Schema},
    topics::Leaf,
};

use super::{
    depth_source::DepthSource,
    outbox::{Item, Message, Outbox},
};

/// An encoder is asked for keyframes no faster, whoever comes and goes: each costs all who watch.
const KEYFRAME_SPACING: Duration = Duration::from_millis(500);

/// What there is at the moment.
pub type List = Arc<[Arc<Channel>]>;
/// Asks the encoder for a keyframe.
pub type AskForKeyframe = Arc<dyn Fn() + Send + Sync>;

/// The channels of the program.
#[derive(Debug)]
pub struct Channels(watch::Sender<List>);

impl Default for Channels {
    fn default() -> Self {
        Self(watch::Sender::new(Arc::new([])))
    }
}

impl Channels {
    /// One more.
    pub fn open(&self, channel: &Arc<Channel>) {
        self.0.send_modify(|list| *list = list.iter().chain([channel]).map(Arc::clone).collect());
    }

    /// One less.
    pub fn close(&self, channel: &Channel) {
        self.0.send_modify(|list| *list = list.iter().filter(|one| one.id != channel.id).map(Arc::clone).collect());
    }

    /// What there is now and from now on.
    pub fn watch(&self) -> watch::Receiver<List> {
        let mut list = self.0.subscribe();
        list.mark_changed();
        list
    }
}

/// A topic.
pub struct Channel {
    /// Its number; no other channel ever has the same.
    pub id: u32,
    /// Its name.
    pub topic: String,
    /// What its messages are.
    pub kind: Kind,
    /// Where its messages come from, when somebody has to be told that they are wanted.
    pub source: Source,
    subscriptions: Mutex<Vec<Subscription>>,
    /// How often somebody subscribed.
    subscribed: AtomicU64,
}

/// What messages are.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Their type, where it has a schema.
    pub schema: Option<Schema>,
    /// How they are encoded.
    pub encoding: &'static str,
}

impl Kind {
    /// What a 3D panel draws.
    pub const SCENE: Self = Self { schema: Some(SCENE_UPDATE), encoding: PROTOBUF };
}

/// As in a recording.
impl From<Leaf> for Kind {
    fn from(leaf: Leaf) -> Self {
        Self { schema: leaf.schema(), encoding: leaf.message_encoding() }
    }
}

/// Where messages come from.
pub enum Source {
    /// An encoder, which can be asked for a keyframe; when it was asked last.
    Encoder(AskForKeyframe, Mutex<Option<Instant>>),
    /// Depth, which is packed while somebody wants it.
    Depth(DepthSource),
    /// They come by themselves.
    Elsewhere,
}

#[derive(Debug)]
struct Subscription {
    id: u32,
    outbox: Arc<Outbox>,
    phase: Phase,
}

/// Where a subscription stands, in a stream that can be begun at keyframes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before its first message.
    New,
    /// Every message is sent.
    Flowing,
    /// Messages were lost, and the client does not take any.
    Behind,
    /// It does again.
    Again,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("id", &self.id).field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Channel {
    /// A channel that nobody has subscribed to.
    pub fn new(topic: &str, kind: impl Into<Kind>, source: Source) -> Arc<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            topic: topic.to_owned(),
            kind: kind.into(),
            source,
            subscriptions: Mutex::default(),
            subscribed: AtomicU64::new(0),
        })
    }

    /// How often somebody subscribed.
    pub fn subscribed(&self) -> u64 {
        self.subscribed.load(Ordering::Relaxed)
    }

    /// Whether anybody wants messages.
    pub fn is_wanted(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Messages go to `outbox` from now on, as `id`.
    pub fn subscribe(&self, id: u32, outbox: &Arc<Outbox>) {
        let phase = Phase::New;
        self.lock().push(Subscription { id, outbox: Arc::clone(outbox), phase });
        self.subscribed.fetch_add(1, Ordering::Relaxed);
    }

    /// No messages go to `outbox` any more.
    pub fn unsubscribe(&self, outbox: &Arc<Outbox>) {
        self.lock().retain(|subscription| !Arc::ptr_eq(&subscription.outbox, outbox));
        outbox.clear(self.id);
    }

    /// Hands a message to all who want it; waits for nobody.
    pub fn offer(&self, message: Message) {
        let message = Arc::new(message);
        for subscription in self.lock().iter_mut() {
            subscription.offer(self, &message);
        }
    }

    /// A message is missing: what follows it needs it.
    pub fn skip(&self) {
        let mut subscriptions = self.lock();
        let flowing = subscriptions.iter_mut().filter(|subscription| subscription.phase == Phase::Flowing);
        flowing.for_each(|subscription| subscription.phase = Phase::Again);
    }

    /// Asks for a keyframe where one is waited for by somebody who takes messages. Not for the encoder's thread.
    pub fn look(&self) {
        let Source::Encoder(ask, asked) = &self.source else {
            return;
        };
        let mut is_waited_for = false;
        for subscription in self.lock().iter_mut() {
            if subscription.phase == Phase::Behind && subscription.outbox.is_idle() {
                subscription.phase = Phase::Again;
            }
            is_waited_for |= matches!(subscription.phase, Phase::New | Phase::Again);
        }
        if !is_waited_for {
            return;
        }
        {
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.is_some_and(|asked| asked.elapsed() < KEYFRAME_SPACING) {
                return;
            }
            *asked = Some(Instant::now());
        }
        ask();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Subscription>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    fn offer(&mut self, channel: &Channel, message: &Arc<Message>) {
        let item = Item { channel: channel.id, subscription: self.id, message: Arc::clone(message) };
        if !matches!(channel.source, Source::Encoder(..)) {
            return self.outbox.offer_newest(item);
        }
        let lost = match self.phase {
            Phase::New if !message.is_keyframe => return,
            Phase::Again if !message.is_keyframe => 1,
            Phase::Behind => 1,
            Phase::New | Phase::Flowing | Phase::Again => {
                if self.outbox.offer(item) {
                    self.phase = Phase::Flowing;
                    return;
                }
                self.phase = Phase::Behind;
                1 + self.outbox.clear(channel.id)
            }
        };
        if let Some(meter) = &message.meter {
            (0..lost).for_each(|_| meter.offer());
        }
    }
}
