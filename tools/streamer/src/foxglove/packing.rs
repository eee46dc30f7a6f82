//! Depth on its way to clients: the newest plane is packed once for all, while somebody wants it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::channels::{Channel, Source};

/// Without planes, it is looked this often whether anybody wants them.
const IDLE: Duration = Duration::from_millis(500);

/// Has the depth of a channel packed, where nobody does yet. For a task of the server's.
pub fn begin(channel: &Arc<Channel>) {
    if let Source::Depth(source) = &channel.source
        && !source.is_packing.swap(true, Ordering::SeqCst)
    {
        tokio::spawn(pack(AtWork(Arc::clone(channel))));
    }
}

/// Somebody packs until this is dropped.
struct AtWork(Arc<Channel>);

impl Drop for AtWork {
    fn drop(&mut self) {
        if let Source::Depth(source) = &self.0.source {
            source.is_packing.store(false, Ordering::SeqCst);
        }
    }
}

async fn pack(at_work: AtWork) {
    let channel = Arc::clone(&at_work.0);
    let Source::Depth(source) = &channel.source else {
        return;
    };
    let mut watching = source.feed.watch_planes();
    loop {
        if !channel.is_wanted() {
            drop(at_work);
            // One who came meanwhile found this at work.
            if channel.is_wanted() {
                begin(&channel);
            }
            return;
        }
        if !matches!(tokio::time::timeout(IDLE, watching.planes.changed()).await, Ok(Ok(()))) {
            continue;
        }
        let Some((time, plane)) = watching.planes.borrow_and_update().clone() else {
            continue;
        };
        let packer = Arc::clone(&channel);
        let pack = move || match &packer.source {
            Source::Depth(source) => source.message(time, &plane),
            Source::Encoder(..) | Source::Elsewhere => None,
        };
        if let Ok(Some(message)) = tokio::task::spawn_blocking(pack).await {
            channel.offer(message);
        }
    }
}
