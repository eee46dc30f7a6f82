//! What waits for one client. Nobody waits for it: what it does not take in time makes room.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::outlet::meter::Meter;

/// What is older is of no use to somebody who watches.
const AGE_MAX: Duration = Duration::from_secs(1);
/// Bytes of all topics together.
const BYTES_MAX: usize = 32 << 20;

/// A message, for all clients.
#[derive(Debug)]
pub struct Message {
    /// Its time, by the producer's clock.
    pub time_ns: u64,
    /// What it is.
    pub data: Vec<u8>,
    /// Whether whoever comes can begin with it.
    pub is_keyframe: bool,
    /// When its frame was captured.
    pub captured: Option<Instant>,
    /// Where it is counted.
    pub meter: Option<Arc<Meter>>,
}

/// A message for this client.
#[derive(Clone, Debug)]
pub struct Item {
    /// The channel.
    pub channel: u32,
    /// The client's name for it.
    pub subscription: u32,
    /// The message.
    pub message: Arc<Message>,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<(Instant, Item)>,
    bytes: usize,
    /// The client has not taken the last one yet.
    is_busy: bool,
}

impl State {
    /// Whether there is room for `bytes` more, with nothing of the channel too old.
    fn has_room(&self, channel: u32, bytes: usize) -> bool {
        let oldest = self.items.iter().find(|(_, item)| item.channel == channel);
        self.bytes + bytes <= BYTES_MAX && oldest.is_none_or(|(since, _)| since.elapsed() <= AGE_MAX)
    }

    fn push(&mut self, item: Item) {
        self.bytes += item.message.data.len();
        self.items.push_back((Instant::now(), item));
    }

    /// Takes the oldest of a channel away. False when there is none.
    fn drop_oldest(&mut self, channel: u32) -> bool {
        let oldest = self.items.iter().position(|(_, item)| item.channel == channel);
        let Some((_, item)) = oldest.and_then(|index| self.items.remove(index)) else {
            return false;
        };
        self.bytes -= item.message.data.len();
        true
    }
}

impl Outbox {
    /// Takes in one that the next one needs. False when there is no room.
    pub fn offer(&self, item: Item) -> bool {
        let mut state = self.lock();
        let fits = state.has_room(item.channel, item.message.data.len());
        if fits {
            state.push(item);
            self.filled.notify_one();
        }
        fits
    }

    /// Takes in one that stands alone; older ones of its channel make room.
    pub fn offer_newest(&self, item: Item) {
        let mut state = self.lock();
        while !state.has_room(item.channel, item.message.data.len()) {
            if !state.drop_oldest(item.channel) {
                return;
            }
        }
        state.push(item);
        self.filled.notify_one();
    }

    /// Takes away all of a channel. How many there were.
    pub fn clear(&self, channel: u32) -> usize {
        let mut state = self.lock();
        std::iter::from_fn(|| state.drop_oldest(channel).then_some(())).count()
    }

    /// Whether the client has taken everything.
    pub fn is_idle(&self) -> bool {
        let state = self.lock();
        state.items.is_empty() && !state.is_busy
    }

    /// The oldest one, when there is one. Who asks has sent the one before.
    pub async fn take(&self) -> Item {
        loop {
            {
                let mut state = self.lock();
                let next = state.items.pop_front();
                state.is_busy = next.is_some();
                if let Some((_, item)) = next {
                    state.bytes -= item.message.data.len();
                    return item;
                }
            }
            self.filled.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(channel: u32, bytes: usize) -> Item {
        let message = Message { time_ns: 0, data: vec![0; bytes], is_keyframe: false, captured: None, meter: None };
        Item { channel, subscription: 0, message: Arc::new(message) }
    }

    #[test]
    fn what_is_not_taken_makes_room_for_its_own_kind_alone() {
        let outbox = Outbox::default();
        assert!(outbox.is_idle());
        assert!(outbox.offer(item(1, BYTES_MAX / 2)));
        outbox.offer_newest(item(2, BYTES_MAX / 4));
        outbox.offer_newest(item(2, BYTES_MAX / 4));
        assert!(!outbox.offer(item(1, 1)));
        outbox.offer_newest(item(2, BYTES_MAX / 2));
        outbox.offer_newest(item(2, BYTES_MAX));
        outbox.offer_newest(item(3, 1));
        assert_eq!([1, 2, 3].map(|channel| outbox.clear(channel)), [1, 0, 1]);
        assert!(outbox.is_idle() && outbox.lock().bytes == 0);
    }

    #[test]
    fn a_client_that_takes_nothing_is_not_idle() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let outbox = Outbox::default();
        assert!(outbox.offer(item(1, 1)));
        runtime.block_on(outbox.take());
        assert!(!outbox.is_idle());
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = outbox.take() => panic!("there is nothing"),
                () = std::future::ready(()) => {}
            }
        });
        assert!(outbox.is_idle());
    }
}
