//! The thread of one connection. The client library goes on connecting for as long as its runtime lives, and cannot be
//! told to stop: so each connection has a runtime of its own, on one thread, and ends with it.

use std::{future::Future, io, sync::mpsc, thread, time::Duration};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    task::AbortHandle,
};

/// Threads for handlers, which may block, and for name look-ups.
const BLOCKING_THREADS: usize = 4;

/// A running thread; dropping it ends it, without waiting.
pub(super) struct Runtime {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Runtime {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name("cvmmap-nats".to_owned()).spawn(move || {
            // Ends when the sender is dropped.
            let _ = runtime.block_on(stopped);
            // A name look-up may take its time.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _stop: stop })
    }

    /// Runs a future on the thread.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handle.spawn(future).abort_handle()
    }

    /// Runs a future on the thread and waits for what it gives, so long at most. Also right on that very thread, where
    /// it waits in vain.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        timeout: Duration,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (give, take) = mpsc::sync_channel(1);
        let task = self.spawn(async move {
            // Nobody waits any more.
            let _ = give.send(future.await);
        });
        let given = take.recv_timeout(timeout).ok();
        task.abort();
        given
    }
}
