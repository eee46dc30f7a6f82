//! Who is connected, and for how long without a reason.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gst::glib;
use gst_rtsp_server::{RTSPClient, prelude::*};

/// Connections at the same time.
pub const CLIENTS_MAX: usize = 64;
/// A client that has set up nothing by then is let go.
const SETUP_MAX: Duration = Duration::from_secs(10);

/// The connections.
#[derive(Debug, Default)]
pub struct Clients(Mutex<Vec<Client>>);

#[derive(Debug)]
struct Client {
    client: glib::WeakRef<RTSPClient>,
    /// None when it is one too many.
    welcome_until: Option<Instant>,
}

impl Clients {
    /// One more has connected. Returns whether there is room for it.
    pub fn meet(&self, client: &RTSPClient) -> bool {
        let mut clients = self.lock();
        clients.retain(|known| known.client.upgrade().is_some());
        let has_room = clients.len() < CLIENTS_MAX;
        let welcome_until = has_room.then(|| Instant::now() + SETUP_MAX);
        clients.push(Client { client: client.downgrade(), welcome_until });
        has_room
    }

    /// Lets go those that are too many, or do nothing. For the thread that serves them.
    pub fn tidy(&self) {
        let now = Instant::now();
        let mut leaving = Vec::new();
        self.lock().retain(|known| {
            let Some(client) = known.client.upgrade() else {
                return false;
            };
            let is_idle = || client.session_filter(None).is_empty();
            if known.welcome_until.is_some_and(|until| now < until || !is_idle()) {
                return true;
            }
            leaving.push(client);
            false
        });
        // Closing tells of it, which looks at the clients.
        leaving.iter().for_each(RTSPClientExt::close);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Client>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
